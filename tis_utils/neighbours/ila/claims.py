"""What the runs say about ILA: leads over Random, growth with budget and pool, verdicts on its claims."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.claims import SCORECARD_COLUMNS, verdict_and_reason
from tis_utils.evidence.cube import Cube, cube
from tis_utils.evidence.statistics import Floats
from tis_utils.experiments.grids import GRIDS, ILA_RULES
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import coverage_depth as landscape
from tis_utils.neighbours.ila import designed_subsets as ila_subsets
from tis_utils.neighbours.ila.designed_subsets import TARGETS
from tis_utils.neighbours.ila.regression import CLAIMED, design, explained

RANDOM, TARGETED = "none/random", "less/round_robin"
ILA, DEPTH, COVERAGE = (f"none/{rule}" for rule in ILA_RULES)
METRICS = ("test_loss", "general_loss")
UNIT = "% of Random's loss"


# --- leads -------------------------------------------------------------------------------------------


def general_rows(subsets: pd.DataFrame) -> pd.DataFrame:
    """The methods' rows of the table of subsets as tidy rows of one task, ``general``, with metric ``test_loss``."""
    rows = subsets[subsets["name"].isin(ila_subsets.METHODS)]
    selector = rows["name"].replace("ila@random", "random")
    return pd.DataFrame(
        {
            "experiment": "budget",
            "task": "general",
            "representation": "none",
            "selector": selector,
            "budget": rows["budget"],
            "seed": rows["seed"],
            "metric": "test_loss",
            "value": rows["general"],
        }
    )


def lead(costs: Floats, over: int) -> Floats:
    """Per cent below the loss of method number `over`, (..., K)."""
    return 100 * (1 - costs / costs[..., over : over + 1])


def draw(data: Cube, draws: int, rng: np.random.Generator) -> Floats:
    """Bootstrap tables of means, (R, T, B, K): noise of the seeds, tasks with replacement."""
    mean, sd, n = (np.swapaxes(values, -1, -2)[None] for values in (data.mean, data.sd, data.n))
    return stats.bootstrap(mean, sd, n, draws, rng)


def leads(data: Cube, over: str = RANDOM, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Mean lead over a method at each budget and over all budgets (0), with 95 % intervals.

    Returns
    -------
    DataFrame
        Columns method, budget, value, low, high; per cent of the other's loss.
    """
    k0 = data.methods.index(over)
    point = lead(np.swapaxes(data.mean, -1, -2), k0).mean(axis=0)  # (B, K)
    cloud = lead(draw(data, draws, np.random.default_rng(seed)), k0).mean(axis=1)  # (R, B, K)
    lines = [
        (method, budget, value[k], *stats.interval(drawn[:, k], units=[len(data.tasks)], ceiling=stats.WHOLE))
        for budget, value, drawn in [
            *((b, point[i], cloud[:, i]) for i, b in enumerate(data.budgets)),
            (0, point.mean(axis=0), cloud.mean(axis=1)),
        ]
        for k, method in enumerate(data.methods)
        if k != k0
    ]
    return pd.DataFrame(lines, columns=["method", "budget", "value", "low", "high"])


def gap(
    data: Cube, method: str, other: str, draws: int = 2000, seed: int = 0, *, growth: bool = False
) -> tuple[float, float, float]:
    """Lead of a method over Random minus that of another (0 for Random itself), mean over tasks and budgets.

    Parameters
    ----------
    data : Cube
        With the two and Random.
    method, other : str
    draws, seed : int
        Of the bootstrap.
    growth : bool
        Highest budget minus lowest instead of the mean over budgets.

    Returns
    -------
    tuple of float
        Points of per cent of Random's loss, and its 95 % interval.
    """
    k0, k1, k2 = (data.methods.index(name) for name in (RANDOM, method, other))

    def statistic(costs: Floats) -> Floats:
        ahead = lead(costs, k0)
        by_budget = (ahead[..., k1] - ahead[..., k2]).mean(axis=-2)  # (..., B)
        return by_budget[..., -1] - by_budget[..., 0] if growth else by_budget.mean(axis=-1)

    cloud = statistic(draw(data, draws, np.random.default_rng(seed)))
    low, high = stats.interval(cloud, units=[len(data.tasks)])
    return float(statistic(np.swapaxes(data.mean, -1, -2))), low, high


def pool_cube(rows: pd.DataFrame, sizes: list[int], full: int) -> tuple[Cube, list[int]]:
    """Runs on parts of the pool and on all of it, with Random last, at the budgets that all have; and the sizes."""
    names = [f"ila@pool{size}" for size in sizes if f"ila@pool{size}" in set(rows["selector"])]
    budgets = rows.loc[rows["selector"].isin(names), "budget"].unique()
    data = cube(rows[rows["budget"].isin(budgets)], "test_loss", "both", [*(f"none/{n}" for n in names), ILA, RANDOM])
    return data, [*(int(n.removeprefix("ila@pool")) for n in names), full]


def pool_slope(costs: Floats, sizes: list[int]) -> Floats:
    """Points of lead over Random (last method) gained per doubling of the pool, from costs (..., K)."""
    doublings = np.log2(sizes) - np.log2(sizes).mean()  # (K - 1,)
    return lead(costs, costs.shape[-1] - 1)[..., :-1] @ doublings / (doublings @ doublings)


# --- verdicts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunClaim:
    """A sentence about two methods: right where the first is ahead of the second, or gets further ahead."""

    name: str
    statement: str
    method: str
    other: str
    growth: bool = False
    metrics: tuple[str, ...] = METRICS


RUN_CLAIMS = (
    RunClaim("ILA beats Random", "ILA's subsets give a lower loss than Random's.", ILA, RANDOM),
    RunClaim("ILA beats depth alone", "Coverage adds to depth: ILA's loss is below depth's.", ILA, DEPTH),
    RunClaim("ILA beats coverage alone", "Depth adds to coverage: ILA's loss is below coverage's.", ILA, COVERAGE),
    RunClaim(
        "ILA's gain grows with the budget",
        "The lead of ILA over Random is larger at the highest budget than at the lowest.",
        ILA,
        RANDOM,
        growth=True,
    ),
    RunClaim(
        "targeted beats ILA",
        "Selecting for the task (LESS, round-robin) gives a lower loss than ILA, which knows no task.",
        TARGETED,
        ILA,
        metrics=("test_loss",),
    ),
)


def stored_rows(study: Study) -> pd.DataFrame:
    """Stored runs of ILA, Random, the targeted methods and the untuned model; nothing is trained."""
    cells = [*GRIDS["ila"](study.profile), *GRIDS["budgets"](study.profile)]
    return study.stored(list(dict.fromkeys(cells)))


def claims(study: Study, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """ILA's claims, judged on the stored runs of a profile; see :func:`judge`."""
    return judge(
        stored_rows(study), ila_subsets.stored(study), study.profile.name, study.profile.pool_size, draws, seed
    )


def judge(
    rows: pd.DataFrame, subsets: pd.DataFrame, source: str, pool_size: int, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Verdicts on what the authors say of ILA.

    Parameters
    ----------
    rows : DataFrame
        Tidy runs of ILA, Random and LESS with round-robin.
    subsets : DataFrame
        From :func:`tis_utils.neighbours.ila.designed_subsets.table`.
    source : str
        Name of the profile.
    pool_size : int
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Columns of ``scorecard``. Every statistic is positive where the claim is right. Claims
        without the runs they need are "not testable".
    """
    by_metric = {"test_loss": rows, "general_loss": general_rows(subsets)}
    lines = _explained_lines(subsets, draws, seed)
    for claim in RUN_CLAIMS:
        for metric in claim.metrics:
            lines.append(_judged(claim, metric, by_metric[metric], draws, seed))
    lines.append(_pool_line(rows, pool_size, draws, seed))
    table = pd.DataFrame(lines, columns=SCORECARD_COLUMNS).assign(source=source)
    return table.fillna({"verdict": "not testable"})


def _explained_lines(subsets: pd.DataFrame, draws: int, seed: int) -> list[dict[str, object]]:
    lines = []
    for target, metric in zip(TARGETS, ("general_loss", "test_loss"), strict=True):
        line: dict[str, object] = {
            "statement": f"Coverage and depth explain over {100 * CLAIMED:.0f} % of the variance of the dev loss.",
            "metric": metric,
            "unit": f"R² above {CLAIMED}",
            "tasks": 1,
        }
        if design(subsets)[target].notna().sum() < 2 * landscape.FOLDS:
            reason = f"fewer than {2 * landscape.FOLDS} designed subsets have this loss"
            lines.append(line | {"claim": f"coverage and depth explain, {metric}", "reason": reason})
            continue
        found = explained(subsets, target, draws, seed)
        for kind in ("in-sample", "leave-one-out"):
            value, low, high = found.loc[kind].to_numpy(float) - CLAIMED
            numbers = {"statistic": value, "low": low, "high": high, "reason": ""}
            numbers["verdict"] = stats.verdict(low, high)  # the interval is over subsets, not over tasks
            lines.append(line | numbers | {"claim": f"coverage and depth explain, {kind}, {metric}"})
    return lines


def _judged(claim: RunClaim, metric: str, rows: pd.DataFrame, draws: int, seed: int) -> dict[str, object]:
    line: dict[str, object] = {
        "claim": f"{claim.name}, {metric}",
        "statement": claim.statement,
        "metric": metric,
        "unit": UNIT,
    }
    budgets = rows.loc[rows["selector"] == "ila", "budget"].unique()
    if not len(budgets):
        return line | {"tasks": 0, "reason": "there are no runs of ILA"}
    methods = list(dict.fromkeys([claim.method, claim.other, RANDOM]))
    try:
        data = cube(rows[rows["budget"].isin(budgets)], "test_loss", "both", methods)
    except InputError as error:
        return line | {"tasks": 0, "reason": str(error)}
    found = gap(data, claim.method, claim.other, draws, seed, growth=claim.growth)
    return line | _numbers(found, len(data.tasks))


def _numbers(found: tuple[float, float, float], tasks: int) -> dict[str, object]:
    value, low, high = found
    return {"statistic": value, "low": low, "high": high, "tasks": tasks} | verdict_and_reason(low, high, tasks)


def _pool_line(rows: pd.DataFrame, pool_size: int, draws: int, seed: int) -> dict[str, object]:
    line: dict[str, object] = {
        "claim": "ILA's gain grows with the pool, test_loss",
        "statement": "The lead of ILA over Random grows with the size of the pool it selects from.",
        "metric": "test_loss",
        "unit": f"{UNIT} per doubling",
    }
    sizes = sorted({int(s.split("pool")[1]) for s in rows["selector"].unique() if "@pool" in str(s)})
    if not sizes:
        return line | {"tasks": 0, "reason": "there are no runs on smaller pools"}
    data, sizes = pool_cube(rows, sizes, pool_size)
    cloud = pool_slope(draw(data, draws, np.random.default_rng(seed)), sizes).mean(axis=(1, 2))
    point = float(pool_slope(np.swapaxes(data.mean, -1, -2), sizes).mean())
    return line | _numbers((point, *stats.interval(cloud, units=[len(data.tasks)])), len(data.tasks))
