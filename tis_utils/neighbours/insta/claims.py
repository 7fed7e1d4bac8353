"""What INSTA's authors claim, judged by this book's runs: one statistic each, positive where the claim is right.

The rules are those of :mod:`tis_utils.evidence.claims`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tis_utils.errors import InputError
from tis_utils.evidence.claims import SCORECARD_COLUMNS, judged_tasks
from tis_utils.evidence.cube import lead_estimate
from tis_utils.evidence.statistics import Estimate
from tis_utils.experiments.run_spec import NONE
from tis_utils.neighbours.leads import UNIT, common_cube, judged_leads, task_leads

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


def lead(rows: pd.DataFrame, better: str, worse: str, *, budget: int | None = None) -> Estimate:
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
    return lead_estimate(common_cube(rows, "test_loss", [better, worse]), worse, better)


def leads(rows: pd.DataFrame, methods: Iterable[str], over: str, budgets: Iterable[int]) -> pd.DataFrame:
    """:func:`lead` of several methods over one: columns budget, method, value, low, high."""
    lines = [(budget, m, *lead(rows, m, over, budget=budget)) for budget in budgets for m in methods]
    return pd.DataFrame(lines, columns=["budget", "method", "value", "low", "high"])


def judge(rows: pd.DataFrame, *, source: str = "classroom") -> pd.DataFrame:
    """Judge every claim that `rows`, runs of the grids ``insta`` and ``budgets``, can judge.

    Columns of :func:`tis_utils.evidence.claims.scorecard`; "not testable" where a method is missing or there are fewer
    than three tasks.
    """
    lines = []
    for kind, option in (("prompts", ""), ("cards", ":cards")):
        for name, statement, better, worse in CLAIMS:
            methods = [better.format(option), worse.format(option)]
            line = {"claim": f"{name}, by {kind}", "statement": statement, "metric": "test_loss", "unit": UNIT}
            try:
                data = common_cube(rows, "test_loss", methods)
            except InputError as error:
                lines.append(line | {"k": 0, "n": 0, "grade": "not testable", "reason": str(error)})
                continue
            lines.append(line | judged_leads(task_leads(data, *methods)))
    return pd.DataFrame(lines, columns=SCORECARD_COLUMNS).assign(source=source)


def judged(claim: str, values: ArrayLike, unit: str, *, source: str = "classroom") -> pd.DataFrame:
    """One more row of :func:`judge` from one number per target, (T,), positive where the claim is right."""
    line: dict[str, object] = {"claim": claim, "statement": "", "metric": "", "unit": unit}
    line |= judged_tasks(np.asarray(values, dtype=float), unit)
    return pd.DataFrame([line], columns=SCORECARD_COLUMNS).assign(source=source)
