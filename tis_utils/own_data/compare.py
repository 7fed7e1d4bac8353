"""And how do you know? Fine-tune on a selection, on random subsets and not at all, and compare (``tis compare``)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count

from tis_utils.errors import InputError, check_choice
from tis_utils.examples import jsonl
from tis_utils.examples.columns import Columns
from tis_utils.examples.load import Data
from tis_utils.examples.records import Source, tell_apart
from tis_utils.examples.text import Example, Query, request
from tis_utils.experiments.run import RunTask, distinct
from tis_utils.experiments.run_spec import NONE, RunSpec, zero_shot
from tis_utils.experiments.study import Study
from tis_utils.experiments.subset import CHOOSERS
from tis_utils.labels import label
from tis_utils.models.evaluation import query_losses
from tis_utils.models.fine_tuning import autocast, fine_tune
from tis_utils.models.load import load_model
from tis_utils.own_data import budget as budgets
from tis_utils.own_data.checks import contaminated
from tis_utils.own_data.verdict import RANDOM, UNTUNED, Comparison, judge
from tis_utils.paths import same_file
from tis_utils.profiles import Profile
from tis_utils.representations import REPRESENTATIONS
from tis_utils.selectors import SELECTORS
from tis_utils.storage.cache import Store
from tis_utils.storage.parallel import run_all

TASK = "target"
MIN_DRAWS = 2  # of Random: one says nothing about how much draws differ


def compare(
    pool: Sequence[Example],
    queries: Sequence[Query],
    test: Sequence[Query],
    *,
    methods: Sequence[str],
    budget: int,
    settings: Profile,
    draws: int = 3,
    seeds: int = 1,
    jobs: int | None = None,
    store: Store | None = None,
) -> Comparison:
    """Train the model of `settings` on the picks of each method, on `draws` random subsets and not at all.

    Finished runs are kept in the store, so a stopped comparison continues.

    Parameters
    ----------
    pool, queries, test : sequences of Example and Query
        Candidates, examples of the task, and others of the task that nothing was selected or trained with.
    methods : sequence of str
        ``REPRESENTATION/SELECTOR``, a selector alone (on EMBED), or ``insta``/``ila`` with settings after ``@``.
    budget : int
        Examples in each subset.
    settings : Profile
        Model, embedder, LESS settings, training and longest text.
    draws, seeds : int
        Random subsets; fine-tuning runs of each selection.
    jobs : int, optional
        Runs at once; by default one per core, on a GPU one.

    Raises
    ------
    InputError
        For unknown methods, fewer than two draws or held-out examples, or a budget that leaves nothing to choose.
    """
    _check(pool, test, budget, draws, seeds)
    pairs = [parts(method) for method in dict.fromkeys(methods)]
    if not pairs:
        raise InputError("Name at least one method to compare with Random, such as --methods embed/round_robin.")
    data = Data(
        [replace(e, meta={"family": e.source, **e.meta}) for e in pool],
        {TASK: [replace(q, task=TASK) for q in queries]},
        {TASK: [replace(q, task=TASK) for q in test]},
    )
    changes = {"name": "compare", "tasks": (TASK,), "metrics": {TASK: "none"}}
    study = Study(settings.model_copy(update=changes), store, data=data, live=True)
    specs = {_title(*pair): _specs(*pair, budget, seeds) for pair in pairs}
    specs |= {RANDOM: _specs(NONE, "random", budget, draws), UNTUNED: [zero_shot(TASK)]}
    result = judge(_losses(study, specs, jobs))
    asked = {request(query) for query in queries}
    if seen := [query.id for query in test if request(query) in asked]:
        result.warnings.append(
            f"Among the queries and held out: {len(seen)} examples (for instance {seen[0]}). The methods have seen "
            "them: hold out others."
        )
    if shared := contaminated(pool, test):
        first = min(shared)
        result.warnings.append(
            f"In the pool and held out: {len(shared)} candidates (for instance {pool[first].id} shares its words with "
            f"{test[shared[first]].id}). The losses are too good: remove them from the pool."
        )
    return result


def compare_files(
    pool: Sequence[Source],
    queries: Sequence[Source],
    test: Sequence[Source],
    *,
    methods: Sequence[str],
    budget: int | str,
    settings: Profile,
    columns: str | None = None,
    **options: Any,
) -> Comparison:
    """Compare on files, see :func:`compare` and :class:`tis_utils.examples.records.Source`; a budget may be "5%".

    Raises
    ------
    InputError
        As :func:`compare`, and if the held-out examples are a file of the pool or of the queries.
    """
    for held in test:
        for other in (*pool, *queries):
            if held.path.exists() and other.path.exists() and same_file(held.path, other.path):
                raise InputError(
                    f"--test {held} is a file of the pool or of the queries: what a method has seen says nothing about "
                    "how it does elsewhere. Give --test other examples of the task."
                )
    tell_apart([*pool, *queries, *test])
    names = Columns(columns)
    candidates = jsonl.read_pool(pool, names).items
    targets, held_out = (jsonl.read_targets(sources, names).items for sources in (queries, test))
    names.check()
    count = budgets.examples(budget, len(candidates))
    return compare(candidates, targets, held_out, methods=methods, budget=count, settings=settings, **options)


def _check(pool: Sequence[Example], test: Sequence[Query], budget: int, draws: int, seeds: int) -> None:
    if not 1 <= budget < len(pool):
        raise InputError(
            f"Budget {budget} of a pool of {len(pool)}: every method would take the same. Choose a --budget from 1 to "
            f"{len(pool) - 1}."
        )
    if len(test) < 2:
        raise InputError(f"{len(test)} held-out example: give --test a file with at least two, better fifty.")
    if draws < MIN_DRAWS or seeds < 1:
        raise InputError(
            f"{draws} draws of Random and {seeds} runs of a selection: at least {MIN_DRAWS} and 1 are needed."
        )


def parts(method: str) -> tuple[str, str]:
    """Representation and selector of ``less/uot``; NONE in the place of what a method does not read."""
    representation, slash, selector = method.rpartition("/")
    if selector.partition("@")[0] in CHOOSERS and not slash:
        return NONE, selector
    if selector == "random":
        raise InputError("Random is compared with in any case: leave it out of --methods.")
    check_choice("selector", selector, (*SELECTORS, *CHOOSERS))
    check_choice("representation", representation or "embed", REPRESENTATIONS)
    return representation or "embed", selector


def _title(representation: str, selector: str) -> str:
    return label(selector) if representation == NONE else f"{label(selector)} on {label(representation)}"


def _specs(representation: str, selector: str, budget: int, seeds: int) -> list[RunSpec]:
    return [RunSpec(TASK, representation, selector, budget, seed) for seed in range(seeds)]


# --- runs ------------------------------------------------------------------------------------------------


def _losses(study: Study, specs: dict[str, list[RunSpec]], jobs: int | None) -> dict[str, np.ndarray]:
    """Loss of every held-out example (T,) in every run (R,) of each method: (R, T)."""
    tasks = {name: [study.task_of(spec) for spec in several] for name, several in specs.items()}
    todo = [task for task in distinct(task for several in tasks.values() for task in several)]
    todo = [task for task in todo if not study.store.has("comparisons", _key(task), ".csv")]
    if todo:
        jobs = jobs or (1 if torch.cuda.is_available() else min(cpu_count(), len(todo)))
        run_all(held_out_losses, todo, jobs=jobs, what="fine-tuning", unit="run")
    return {name: np.stack([held_out_losses(task) for task in several]) for name, several in tasks.items()}


def _key(task: RunTask) -> dict[str, Any]:
    """As the key of a run that measures nothing else: what it was selected for is in its subset."""
    return task.key | {"queries": None, "metric": "held-out losses"}


def held_out_losses(task: RunTask) -> np.ndarray:
    """Loss of each held-out example after fine-tuning, (T,), from the store when it is there."""
    table = Store(task.root).table("comparisons", _key(task), partial(_train_and_measure, task))
    return table["loss"].to_numpy()


def _train_and_measure(task: RunTask) -> pd.DataFrame:
    torch.set_num_threads(1)  # the same sums in the same order, however many workers share the machine
    tuned = load_model(task.model, dtype=task.dtype)
    if task.subset:
        tuned = fine_tune(tuned, task.subset, task.training, seed=task.seed, max_length=task.max_length)
    with autocast(tuned, task.training):
        return pd.DataFrame({"loss": query_losses(tuned, task.test, max_length=task.max_length)})
