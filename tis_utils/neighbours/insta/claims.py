"""What INSTA's authors claim, judged by this book's runs: one statistic each, positive where the claim is right.

The rules are those of :mod:`tis_utils.evidence.claims`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence.claims import verdict_and_reason
from tis_utils.evidence.cube import Leads
from tis_utils.evidence.statistics import Estimate, verdict
from tis_utils.experiments.run_spec import NONE
from tis_utils.neighbours.leads import common_cube, mean_leads, over_budgets

COLUMNS = ["claim", "statement", "source", "unit", "statistic", "low", "high", "verdict"]
FEW_TASKS, MANY_TASKS = f"{NONE}/insta@5", f"{NONE}/insta@20"
# Name, statement, and two methods: the claim is that the first has a lower held-out loss. Judged by prompts and cards.
CLAIMS = (
    ("few tasks beat all", "Five chosen tasks train better than all tasks.", FEW_TASKS + "{}", f"{NONE}/random"),
    (
        "chosen tasks beat random tasks",
        "Five chosen tasks train better than five random ones.",
        FEW_TASKS + "{}",
        f"{FEW_TASKS}:random",
    ),
    ("fewer tasks, less harm", "Five chosen tasks train better than twenty.", FEW_TASKS + "{}", MANY_TASKS + "{}"),
    (
        "no samples needed",
        "Instructions do as well as samples read by the same model.",
        FEW_TASKS + "{}",
        "embed/round_robin",
    ),
    (
        "no samples needed, LESS",
        "Instructions do as well as gradients of samples.",
        FEW_TASKS + "{}",
        "less/round_robin",
    ),
    ("alignment helps", "The aligned selector's tasks train better.", FEW_TASKS + "{}:aligned", FEW_TASKS + "{}"),
)


def lead(
    rows: pd.DataFrame, better: str, worse: str, *, budget: int | None = None, draws: int = 2000, seed: int = 0
) -> Estimate:
    """How far one method's held-out loss lies below another's, per cent, mean over tasks, with a 95 % interval.

    Parameters
    ----------
    rows : DataFrame
        What :meth:`tis_utils.experiments.study.Study.run` returns.
    better, worse : str
        ``representation/selector``.
    budget : int, optional
        Default: the mean over all budgets that both methods have.

    Raises
    ------
    InputError
        If the methods have no task and budget in common.
    """
    rows = rows if budget is None else rows[rows["budget"] == budget]
    return _ahead(rows, better, worse, draws, seed).estimate(0)


def _ahead(rows: pd.DataFrame, better: str, worse: str, draws: int, seed: int) -> Leads:
    rows = rows.sort_values("task", kind="stable")  # the order in which the bootstrap draws its noise
    return over_budgets(mean_leads(common_cube(rows, "test_loss", [better, worse]), worse, draws, seed))


def judge(rows: pd.DataFrame, *, source: str = "classroom", draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Judge every claim that `rows` can judge.

    Parameters
    ----------
    rows : DataFrame
        Runs of the grids ``insta`` and ``budgets`` of :data:`tis_utils.experiments.grids.GRIDS`.
    source : str
        Goes into the column of that name.

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``; "not testable" where a method is missing or there are fewer than three tasks.
    """
    lines = []
    for kind, option in (("prompts", ""), ("cards", ":cards")):
        for name, statement, better, worse in CLAIMS:
            line: list[object] = [f"{name}, by {kind}", statement, source, "% of loss"]
            try:
                ahead = _ahead(rows, better.format(option), worse.format(option), draws, seed)
                value, low, high = ahead.estimate(0)
                line += [value, low, high, verdict_and_reason(low, high, *ahead.units)["verdict"]]
            except InputError:
                line += [np.nan, np.nan, np.nan, "not testable"]
            lines.append(line)
    return pd.DataFrame(lines, columns=COLUMNS)


def judged(claim: str, values: Sequence[float], unit: str, *, source: str = "classroom") -> pd.DataFrame:
    """One more row of :func:`judge` from a statistic and its interval, given as (value, low, high)."""
    value, low, high = values
    line = [claim, "", source, unit, value, low, high, verdict(low, high)]
    return pd.DataFrame([line], columns=COLUMNS)
