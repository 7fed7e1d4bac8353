"""What the runs say about ILA: leads over Random, growth with budget and pool, verdicts on its claims."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence.claims import SCORECARD_COLUMNS, verdict_and_reason
from tis_utils.evidence.cube import Cube
from tis_utils.evidence.statistics import Estimate, interval, verdict
from tis_utils.experiments.grids import GRIDS, ILA_RULES
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila.designed_subsets import METHODS, TARGETS, stored
from tis_utils.neighbours.ila.regression import CLAIMED, LEAST_ROWS, design, explained
from tis_utils.neighbours.leads import common_cube, mean_leads, over_budgets

RANDOM, TARGETED = "none/random", "less/round_robin"
ILA, DEPTH, COVERAGE = (f"none/{rule}" for rule in ILA_RULES)
METRICS = ("test_loss", "general_loss")
UNIT = "% of Random's loss"
Line = dict[str, object]


# --- leads -------------------------------------------------------------------------------------------


def general_rows(subsets: pd.DataFrame) -> pd.DataFrame:
    """The methods' rows of the table of subsets as tidy rows of one task, ``general``, with metric ``test_loss``."""
    rows = subsets[subsets["name"].isin(METHODS)].rename(columns={"name": "selector", "general": "value"})
    rows = rows[["selector", "budget", "seed", "value"]].replace({"selector": {"ila@random": "random"}})
    return rows.assign(experiment="budget", task="general", representation="none", metric="test_loss")


def leads(data: Cube, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Mean lead over Random, per cent of its loss: method, budget, value, and low, high of the 95 % interval."""
    ahead = mean_leads(data, RANDOM, draws, seed)
    lines = [
        (method, budget, *ahead.at(s).estimate(k))
        for s, budget in enumerate(data.budgets)
        for k, method in enumerate(data.methods)
        if method != RANDOM
    ]
    return pd.DataFrame(lines, columns=["method", "budget", "value", "low", "high"])


def gap(data: Cube, method: str, other: str, draws: int = 2000, seed: int = 0, *, growth: bool = False) -> Estimate:
    """Lead of a method over Random minus that of another (0 for Random itself), mean over tasks and budgets.

    In points of per cent of Random's loss. With `growth`, highest budget minus lowest instead of the mean.
    """
    ahead = over_budgets(mean_leads(data, RANDOM, draws, seed, minus=other), growth=growth)
    return ahead.estimate(data.methods.index(method))


def pool_cube(rows: pd.DataFrame, sizes: list[int], full: int) -> tuple[Cube, list[int]]:
    """Runs on parts of the pool and on all of it, with Random last, at the budgets that all have; and the sizes."""
    sizes = [size for size in sizes if f"ila@pool{size}" in set(rows["selector"])]
    return common_cube(rows, "test_loss", [*(f"none/ila@pool{size}" for size in sizes), ILA, RANDOM]), [*sizes, full]


def pool_slope(data: Cube, sizes: list[int], draws: int, seed: int) -> Estimate:
    """Points of lead over Random gained per doubling of the pool, from a :func:`pool_cube`, mean over budgets."""
    ahead = over_budgets(mean_leads(data, RANDOM, draws, seed))
    doublings = np.log2(sizes) - np.log2(sizes).mean()  # (K - 1,)
    weights = doublings / (doublings @ doublings)
    return Estimate(float(ahead.value[:-1] @ weights), *interval(ahead.draws[:, :-1] @ weights, units=ahead.units))


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


def claims(study: Study, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """ILA's claims, judged on the stored runs of a profile; nothing is trained. See :func:`judge`."""
    specs = dict.fromkeys([*GRIDS["ila"](study.profile), *GRIDS["budgets"](study.profile)])
    profile = study.profile
    return judge(study.stored(list(specs)), stored(study), profile.name, profile.pool_size, draws, seed)


def judge(
    rows: pd.DataFrame, subsets: pd.DataFrame, source: str, pool_size: int, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Verdicts on what the authors say of ILA, from tidy runs and the table of designed subsets.

    Columns of the scorecard; claims without the runs they need are "not testable".
    """
    by_metric = {"test_loss": rows, "general_loss": general_rows(subsets)}
    lines = _explained_lines(subsets, draws, seed)
    for claim in RUN_CLAIMS:
        lines += [_run_line(claim, metric, by_metric[metric], draws, seed) for metric in claim.metrics]
    lines.append(_pool_line(rows, pool_size, draws, seed))
    table = pd.DataFrame(lines, columns=SCORECARD_COLUMNS).assign(source=source)
    return table.fillna({"verdict": "not testable"})


def _explained_lines(subsets: pd.DataFrame, draws: int, seed: int) -> list[Line]:
    lines = []
    for target, metric in zip(TARGETS, reversed(METRICS), strict=True):
        line: Line = {
            "statement": f"Coverage and depth explain over {100 * CLAIMED:.0f} % of the variance of the dev loss.",
            "metric": metric,
            "unit": f"R² above {CLAIMED}",
            "tasks": 1,
        }
        if design(subsets)[target].notna().sum() < LEAST_ROWS:
            reason = f"fewer than {LEAST_ROWS} designed subsets have this loss"
            lines.append(line | {"claim": f"coverage and depth explain, {metric}", "reason": reason})
            continue
        above = explained(subsets, target, draws, seed) - CLAIMED
        for kind in ("in-sample", "leave-one-out"):
            value, low, high = map(float, above.loc[kind])
            result = {"verdict": verdict(low, high), "reason": ""}  # the interval is over subsets, not over tasks
            claim = {"claim": f"coverage and depth explain, {kind}, {metric}"}
            lines.append(line | claim | {"statistic": value, "low": low, "high": high} | result)
    return lines


def _run_line(claim: RunClaim, metric: str, rows: pd.DataFrame, draws: int, seed: int) -> Line:
    line: Line = {"claim": f"{claim.name}, {metric}", "statement": claim.statement, "metric": metric, "unit": UNIT}
    try:
        data = common_cube(rows, "test_loss", list(dict.fromkeys([claim.method, claim.other, RANDOM])))
    except InputError as error:
        return line | {"tasks": 0, "reason": str(error)}
    return line | _numbers(gap(data, claim.method, claim.other, draws, seed, growth=claim.growth), len(data.tasks))


def _pool_line(rows: pd.DataFrame, pool_size: int, draws: int, seed: int) -> Line:
    line: Line = {
        "claim": "ILA's gain grows with the pool, test_loss",
        "statement": "The lead of ILA over Random grows with the size of the pool it selects from.",
        "metric": "test_loss",
        "unit": f"{UNIT} per doubling",
    }
    sizes = sorted({int(s.split("pool")[1]) for s in rows["selector"].unique() if "@pool" in str(s)})
    if not sizes:
        return line | {"tasks": 0, "reason": "there are no runs on smaller pools"}
    data, sizes = pool_cube(rows, sizes, pool_size)
    return line | _numbers(pool_slope(data, sizes, draws, seed), len(data.tasks))


def _numbers(estimate: Estimate, tasks: int) -> Line:
    value, low, high = estimate
    return {"statistic": value, "low": low, "high": high, "tasks": tasks} | verdict_and_reason(low, high, tasks)
