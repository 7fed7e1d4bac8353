"""What INSTA's authors claim, judged by this book's runs: one statistic each, positive where the claim is right.

The rules are those of ``claims``: losses in per cent of the loss, tasks averaged, a 95 % bootstrap
interval over tasks and seeds, one verdict (:func:`tis_utils.evidence.statistics.verdict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.claims import verdict_and_reason
from tis_utils.evidence.tables import aggregate
from tis_utils.experiments.run_spec import NONE

COLUMNS = ["claim", "statement", "source", "unit", "statistic", "low", "high", "verdict"]


@dataclass(frozen=True)
class Versus:
    """A claim that one method has a lower held-out loss than another: representation/selector each."""

    claim: str
    statement: str
    better: str
    worse: str


ALL, EMBED, LESS = f"{NONE}/random", "embed/round_robin", "less/round_robin"
FEW, MANY = f"{NONE}/insta@5", f"{NONE}/insta@20"
VERSUS = tuple(
    Versus(f"{name}, by {kind}", text, better.format(option), worse.format(option))
    for kind, option in (("prompts", ""), ("cards", ":cards"))
    for name, text, better, worse in (
        ("few tasks beat all", "Five chosen tasks train better than all tasks.", FEW + "{}", ALL),
        (
            "chosen tasks beat random tasks",
            "Five chosen tasks train better than five random ones.",
            FEW + "{}",
            f"{NONE}/insta@5:random",
        ),
        ("fewer tasks, less harm", "Five chosen tasks train better than twenty.", FEW + "{}", MANY + "{}"),
        ("no samples needed", "Instructions do as well as samples read by the same model.", FEW + "{}", EMBED),
        ("no samples needed, LESS", "Instructions do as well as gradients of samples.", FEW + "{}", LESS),
        ("alignment helps", "The aligned selector's tasks train better.", FEW + "{}:aligned", FEW + "{}"),
    )
)


def lead(
    rows: pd.DataFrame, better: str, worse: str, *, metric: str = "test_loss", draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """How far one method's loss lies below another's, per cent, with a 95 % interval.

    Parameters
    ----------
    rows : DataFrame
        What :meth:`tis_utils.experiments.study.Study.run` returns; only tasks and budgets that both methods have count.
    better, worse : str
        ``representation/selector``.
    metric : str
        A loss.

    Returns
    -------
    value, low, high : float

    Raises
    ------
    InputError
        If the methods have no task and budget in common.
    """
    return _lead(_side_by_side(rows, better, worse, metric), better, worse, draws, seed)


def _side_by_side(rows: pd.DataFrame, better: str, worse: str, metric: str) -> pd.DataFrame:
    """Mean, sd and n of two methods, one row per task and budget that both have."""
    part = rows[rows["metric"] == metric].dropna(subset=["value"])
    part = part.assign(method=part["representation"] + "/" + part["selector"])
    part = part[part["method"].isin([better, worse])].drop_duplicates(["method", "task", "budget", "seed"])
    if {better, worse} <= set(part["method"]):
        table = aggregate(part, ["task", "budget", "method"])
        wide = table.pivot(index=["task", "budget"], columns="method", values=["mean", "sd", "n"])
        wide = wide.dropna(subset=[("mean", better), ("mean", worse)])
        if len(wide):
            return wide
    raise InputError(f"No task and budget has the {metric} of both {better} and {worse}.")


def _lead(wide: pd.DataFrame, better: str, worse: str, draws: int, seed: int) -> tuple[float, float, float]:
    tasks = wide.index.get_level_values("task").unique()
    budgets = wide.index.get_level_values("budget").unique()
    full = wide.reindex(pd.MultiIndex.from_product([tasks, budgets]))
    shape = (1, len(tasks), len(budgets), 2)
    columns = [(part, method) for part in ("mean", "sd", "n") for method in (better, worse)]
    values = full[columns].to_numpy(float).reshape(len(tasks), len(budgets), 3, 2)
    mean, sd, n = (values[:, :, i].reshape(shape) for i in range(3))  # (1, T, B, 2)

    def statistic(costs: np.ndarray) -> np.ndarray:
        by_task = np.nanmean(100 * (1 - costs[..., 0] / costs[..., 1]), axis=-1)  # (..., T)
        return by_task.mean(axis=-1)

    cloud = stats.bootstrap(mean, sd, np.nan_to_num(n, nan=1.0), draws, np.random.default_rng(seed))
    low, high = stats.interval(statistic(cloud), units=[len(tasks)], ceiling=stats.WHOLE)
    return float(statistic(mean[0])), low, high


def claims(rows: pd.DataFrame, *, source: str = "classroom", draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Judge every claim that `rows` can judge.

    Parameters
    ----------
    rows : DataFrame
        Runs of the cells of :func:`tis_utils.neighbours.insta.selector.cells` and of the budget sweep.
    source : str
        Goes into the column of that name.

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``; "not testable" where a method is missing or there are fewer than three tasks.
    """
    lines = []
    for versus in VERSUS:
        start = [versus.claim, versus.statement, source, "% of loss"]
        try:
            wide = _side_by_side(rows, versus.better, versus.worse, "test_loss")
            value, low, high = _lead(wide, versus.better, versus.worse, draws, seed)
            tasks = wide.index.get_level_values("task").nunique()
            lines.append([*start, value, low, high, verdict_and_reason(low, high, tasks)["verdict"]])
        except InputError:
            lines.append([*start, np.nan, np.nan, np.nan, "not testable"])
    return pd.DataFrame(lines, columns=COLUMNS)


def judged(
    claim: str, statement: str, values: Sequence[float], unit: str, *, source: str = "classroom"
) -> pd.DataFrame:
    """One more claim from a statistic and its interval, given as (value, low, high)."""
    value, low, high = values
    line = [claim, statement, source, unit, value, low, high, stats.verdict(low, high)]
    return pd.DataFrame([line], columns=COLUMNS)
