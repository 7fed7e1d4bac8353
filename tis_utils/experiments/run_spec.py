"""Run specs: which fine-tuning runs an experiment consists of."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from tis_utils.errors import InputError
from tis_utils.storage.keys import step

VERSION = step("run_spec", 1)
NONE = "none"  # representation of Random, representation and selector of the zero-shot model
BINS = 10  # of the distance quantiles
EXPERIMENTS = ("budget", "quantile", "focus", "tokens", "resample", "zero_shot")
SPEC_COLUMNS = ["experiment", "task", "representation", "selector", "budget", "bin", "draw", "seed"]
ROW_COLUMNS = [*SPEC_COLUMNS, "metric", "value", "status"]


@dataclass(frozen=True, order=True)
class RunSpec:
    """One fine-tuning run.

    Parameters
    ----------
    task, representation, selector : str
        ``representation="none"`` for Random; both ``"none"`` for the untuned model.
    budget : int
        Number of examples; 0 for the untuned model.
    seed : int
        Of the fine-tuning run, and of Random.
    experiment : str
        ``budget``: the first `budget` picks. ``quantile``: the first `budget` of one of ten distance bins.
        ``focus``: the same within bin 0. ``tokens``: as many of the first picks as hold the answer tokens of
        `budget` average candidates. ``resample``: the picks of a random half of the queries.
    bin : int
        Of ``quantile`` and ``focus``, 0 is the nearest; else -1.
    draw : int
        Of ``resample``: which half; else -1.
    """

    task: str
    representation: str
    selector: str
    budget: int
    seed: int
    experiment: str = "budget"
    bin: int = -1
    draw: int = -1


def zero_shot(task: str) -> RunSpec:
    """The untuned model."""
    return RunSpec(task, NONE, NONE, 0, 0, "zero_shot")


def grid(
    tasks: Iterable[str],
    methods: Iterable[tuple[str, str]],
    budgets: Iterable[int],
    seeds: Iterable[int],
    *,
    experiment: str = "budget",
    bins: Iterable[int] = (-1,),
    draws: Iterable[int] = (-1,),
    baselines: bool = True,
) -> list[RunSpec]:
    """All run specs of ``methods`` = (representation, selector) pairs; Random and zero-shot join unless told not to.

    Raises
    ------
    InputError
        If there is no such experiment.
    """
    if experiment not in EXPERIMENTS:
        raise InputError(f"Unknown experiment {experiment!r}; known: {', '.join(EXPERIMENTS)}.")
    tasks, budgets, seeds = list(tasks), list(budgets), list(seeds)
    combinations = product(tasks, methods, budgets, seeds, bins, draws)
    specs = [RunSpec(t, r, s, b, seed, experiment, bin_, draw) for t, (r, s), b, seed, bin_, draw in combinations]
    if not baselines:
        return specs
    by_chance = [
        RunSpec(t, NONE, "random", b, seed, "tokens" if experiment == "tokens" else "budget")
        for t, b, seed in product(tasks, budgets, seeds)
    ]
    return [*map(zero_shot, tasks), *specs, *by_chance]


def quantile_grid(
    tasks: Iterable[str], representations: Iterable[str], budget: int, seeds: Iterable[int], *, focus: bool = False
) -> list[RunSpec]:
    """Run specs of the distance-quantile experiment: round-robin order of the pool, ten bins, zero-shot."""
    methods, name = [(name, "round_robin") for name in representations], "focus" if focus else "quantile"
    return grid(tasks, methods, [budget], seeds, experiment=name, bins=range(BINS))
