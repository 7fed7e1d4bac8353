"""What the runs say about ILA: leads over Random, growth with budget and pool, grades of its claims."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence.claims import SCORECARD_COLUMNS, judged_tasks
from tis_utils.evidence.cube import Cube
from tis_utils.evidence.statistics import Floats
from tis_utils.experiments.grids import DEITA as DEITA_RULE
from tis_utils.experiments.grids import ILA_RULES, INSTA_TASKS
from tis_utils.experiments.run_spec import NONE
from tis_utils.neighbours.ila.designed_subsets import COLUMNS, METHODS, TARGETS
from tis_utils.neighbours.ila.regression import CLAIMED, LEAST_ROWS, design, explained
from tis_utils.neighbours.leads import common_cube, task_leads
from tis_utils.neighbours.models import shrinks

RANDOM, TARGETED = "none/random", "less/round_robin"
ILA, DEPTH, COVERAGE, DEITA = (f"none/{rule}" for rule in (*ILA_RULES, DEITA_RULE))
METRICS = ("test_loss", "general_loss")
PROMPTS, CARDS = f"insta@{INSTA_TASKS}", f"insta@{INSTA_TASKS}:cards"
DEEP = "The deepest examples of INSTA's tasks train better than any of them."
GAP = "ILA's lead shrinks with the model, test_loss"
Line = dict[str, object]
# What is open for the authors or their reviewers, how this book asks it, and the claim that answers.
QUESTIONS = (
    ("Is it better than its rivals?", "ILA over Random", "ILA beats Random, test_loss"),
    ("Is it better than its rivals?", "over Deita's rule, with the same depths", "ILA beats Deita, test_loss"),
    ("Are both halves needed?", "over depth alone", "ILA beats depth alone, test_loss"),
    ("Are both halves needed?", "over coverage alone", "ILA beats coverage alone, test_loss"),
    ("Larger models: does the lead shrink?", "over Random, the smaller model's less this one's", GAP),
    (
        "Does the gain keep growing?",
        "from the lowest budget to the highest",
        "ILA's gain grows with the budget, test_loss",
    ),
    ("Does the gain keep growing?", "with the pool", "ILA's gain grows with the pool, test_loss"),
    ("What do queries add?", "LESS, round-robin, over ILA", "targeted beats ILA, test_loss"),
    ("Hybrids", "LESS over ILA's cells, over LESS, round-robin", "LESS over ILA's cells beats LESS, test_loss"),
    ("Hybrids", "LESS over ILA's cells, over ILA", "LESS over ILA's cells beats ILA, test_loss"),
    ("Hybrids", "ILA, the target's cells first, over ILA", "the target's cells first beat ILA, test_loss"),
    ("Hybrids", "depth inside INSTA's tasks, by cards", "depth inside INSTA's tasks, by cards, test_loss"),
    ("Hybrids", "depth inside INSTA's tasks, by prompts", "depth inside INSTA's tasks, by prompts, test_loss"),
    ("R² on rows that did not choose the line", "tasks", "coverage and depth explain, leave-one-out, test_loss"),
    ("R² on rows that did not choose the line", "general", "coverage and depth explain, leave-one-out, general_loss"),
)


# --- leads -------------------------------------------------------------------------------------------


def general_rows(subsets: pd.DataFrame) -> pd.DataFrame:
    """The methods' rows of the table of subsets as tidy rows of one task, ``general``, with metric ``test_loss``."""
    rows = subsets[subsets["name"].isin(METHODS)].rename(columns={"name": "selector", "general": "value"})
    rows = rows[["selector", "budget", "seed", "value"]].replace({"selector": {"ila@random": "random"}})
    return rows.assign(experiment="budget", task="general", representation="none", metric="test_loss")


def pool_cube(rows: pd.DataFrame, sizes: list[int], full: int) -> tuple[Cube, list[int]]:
    """Runs on parts of the pool and on all of it, with Random last, at the budgets that all have; and the sizes."""
    sizes = [size for size in sizes if f"ila@pool{size}" in set(rows["selector"])]
    return common_cube(rows, "test_loss", [*(f"none/ila@pool{size}" for size in sizes), ILA, RANDOM]), [*sizes, full]


def pool_slopes(data: Cube, sizes: list[int]) -> Floats:
    """Points of lead over Random gained per doubling of the pool in every task, from a :func:`pool_cube`, (T,)."""
    lead = data.lead(RANDOM).mean(axis=-1)[:, :-1]  # (T, K - 1)
    doublings = np.log2(sizes) - np.log2(sizes).mean()  # (K - 1,)
    return lead @ doublings / (doublings @ doublings)


# --- grades ------------------------------------------------------------------------------------------


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
    RunClaim("ILA beats Deita", "Cells of a map spread better than Deita's rule.", ILA, DEITA),
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
    *(
        RunClaim(name, statement, f"{NONE}/hybrid@{hybrid}", over, metrics=("test_loss",))
        for name, statement, hybrid, over in (
            ("LESS over ILA's cells beats LESS", "Coverage adds to LESS.", "nearest", TARGETED),
            ("LESS over ILA's cells beats ILA", "LESS in place of depth helps.", "nearest", ILA),
            ("the target's cells first beat ILA", "The order of the cells matters.", "deepest", ILA),
            ("depth inside INSTA's tasks, by cards", DEEP, CARDS, f"{NONE}/{CARDS}"),
            ("depth inside INSTA's tasks, by prompts", DEEP, PROMPTS, f"{NONE}/{PROMPTS}"),
        )
    ),
)


def gaps(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Whether ILA's lead over Random shrinks from model to model; see :func:`tis_utils.neighbours.models.shrinks`."""
    return shrinks(rows, ILA, RANDOM, GAP)


def judge_models(rows: Mapping[str, pd.DataFrame], subsets: Mapping[str, pd.DataFrame], pool_size: int) -> pd.DataFrame:
    """:func:`judge` of every model, by profile, and :func:`gaps`; `subsets` of those models that have them."""
    none = pd.DataFrame(columns=COLUMNS)
    parts = [judge(part, subsets.get(source, none), source, pool_size) for source, part in rows.items()]
    return pd.concat([*parts, gaps(rows)], ignore_index=True)


def judge(rows: pd.DataFrame, subsets: pd.DataFrame, source: str, pool_size: int) -> pd.DataFrame:
    """Grades of what the authors say of ILA, from tidy runs and the table of designed subsets.

    Columns of the scorecard; claims without the runs they need are "not testable".
    """
    by_metric = {"test_loss": rows, "general_loss": general_rows(subsets)}
    lines = _explained_lines(subsets)
    lines += [_run_line(claim, metric, by_metric[metric]) for claim in RUN_CLAIMS for metric in claim.metrics]
    lines.append(_pool_line(rows, pool_size))
    table = pd.DataFrame(lines, columns=SCORECARD_COLUMNS).assign(source=source)
    return table.fillna({"grade": "not testable", "k": 0, "n": 0}).astype({"k": int, "n": int})


def _explained_lines(subsets: pd.DataFrame) -> list[Line]:
    lines = []
    for target, metric in zip(TARGETS, reversed(METRICS), strict=True):
        line: Line = {
            "statement": f"Coverage and depth explain over {100 * CLAIMED:.0f} % of the variance of the dev loss.",
            "metric": metric,
            "unit": f"R² above {CLAIMED}",
        }
        if design(subsets)[target].notna().sum() < LEAST_ROWS:
            reason = f"fewer than {LEAST_ROWS} designed subsets have this loss"
            lines.append(line | {"claim": f"coverage and depth explain, {metric}", "reason": reason})
            continue
        above = explained(subsets, target) - CLAIMED
        for kind in ("in-sample", "leave-one-out"):
            value, low, high = map(float, above.loc[kind])
            grade = "shown" if low > 0 else "refuted" if high < 0 else "open"  # one number over all subsets: no counts
            claim = {"claim": f"coverage and depth explain, {kind}, {metric}", "reason": "", "grade": grade}
            lines.append(line | claim | {"estimate": value, "low": low, "high": high})
    return lines


def _run_line(claim: RunClaim, metric: str, rows: pd.DataFrame) -> Line:
    unit = "points of lead" if claim.growth else "% of loss"
    line: Line = {"claim": f"{claim.name}, {metric}", "statement": claim.statement, "metric": metric, "unit": unit}
    try:
        data = common_cube(rows, "test_loss", [claim.method, claim.other])
    except InputError as error:
        return line | {"reason": str(error)}
    if not claim.growth:
        return line | judged_tasks(task_leads(data, claim.method, claim.other), unit)
    lead = data.lead(claim.other)[:, 0]  # (T, S)
    return line | judged_tasks(lead[:, -1] - lead[:, 0], unit)


def _pool_line(rows: pd.DataFrame, pool_size: int) -> Line:
    line: Line = {
        "claim": "ILA's gain grows with the pool, test_loss",
        "statement": "The lead of ILA over Random grows with the size of the pool it selects from.",
        "metric": "test_loss",
        "unit": "points of lead per doubling",
    }
    sizes = sorted({int(s.split("pool")[1]) for s in rows["selector"].unique() if "@pool" in str(s)})
    if not sizes:
        return line | {"reason": "there are no runs on smaller pools"}
    return line | judged_tasks(pool_slopes(*pool_cube(rows, sizes, pool_size)), str(line["unit"]))
