"""A budget sweep as arrays: who leads whom at which budget, where a lead ends, mean ranks over task × budget.

What runs of this book and the paper's published figures have in common goes in (tidy rows, see
:mod:`tis_utils.evidence.tables`); the same statistic comes out for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence import ranks as ranking
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.statistics import Floats
from tis_utils.evidence.tables import By, as_cube, cells_of
from tis_utils.labels import order

SCORES = ("exact_match", "downstream")  # higher is better


@dataclass(frozen=True)
class Sweep:
    """One metric of a budget sweep: `mean`, `sd`, `n` over seeds, each of shape (T, K, S).

    T tasks that have every method at every budget, K methods in the book's order, S budgets. The untuned model
    (``zero_shot``) has the same value at every budget.
    """

    metric: str
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    budgets: tuple[int, ...]
    mean: Floats
    sd: Floats
    n: Floats

    @property
    def is_score(self) -> bool:
        """Whether higher is better."""
        return self.metric in SCORES

    @property
    def unit(self) -> str:
        """Unit of :meth:`lead`."""
        return "points" if self.is_score else "% of loss"

    def lead(self, over: str, values: Floats | None = None) -> Floats:
        """How much better every method is than `over`: per cent of its loss, or percentage points.

        Parameters
        ----------
        over : str
            One of the methods.
        values : ndarray, shape (..., K, S), optional
            Other values than the means, for instance bootstrap draws.

        Returns
        -------
        ndarray, shape (..., K, S)
            Positive is better.

        Raises
        ------
        InputError
            If the sweep has no such method.
        """
        if over not in self.methods:
            raise InputError(f"The sweep has no method {over!r}; it has {', '.join(self.methods)}.")
        values = self.mean if values is None else values
        k = self.methods.index(over)
        reference = values[..., k : k + 1, :]  # (..., 1, S)
        if self.is_score:
            return (values - reference) * (100 if self.metric == "exact_match" else 1)
        return 100 * (reference - values) / reference

    def costs(self) -> Floats:
        """Means with lower always better, one row per task and budget, shape (T·S, K)."""
        signed = -self.mean if self.is_score else self.mean
        return np.swapaxes(signed, 1, 2).reshape(-1, len(self.methods))

    def rank_test(self, alpha: float = 0.05) -> ranking.RankTest:
        """Mean ranks over task × budget with Nemenyi's critical difference."""
        return ranking.rank_test(self.costs(), alpha)


def sweep(frame: pd.DataFrame, metric: str, by: By, methods: Sequence[str] | None = None) -> Sweep:
    """Put the rows of one budget sweep into arrays.

    Parameters
    ----------
    frame : DataFrame
        Tidy rows with a column ``budget``; rows of the untuned model join every budget.
    metric : str
        Value of the column ``metric``.
    by : {"representation", "selector"}
        What the methods are.
    methods : sequence of str, optional
        Only these.

    Returns
    -------
    Sweep
        Without the tasks in which a method lacks a budget, or all values are missing.

    Raises
    ------
    InputError
        If the frame is not one sweep, or no task is complete.
    """
    cells = cells_of(frame, metric, by, "budget").dropna(subset=["mean"])
    if methods is not None:
        cells = cells[cells["method"].isin(methods)]
    names = order(cells["method"])
    tasks, budgets, cube = as_cube(cells, names, "zero_shot")
    if not tasks:
        raise InputError(f"No task has {metric} of every method at every budget ({', '.join(names)}).")
    return Sweep(metric, tuple(tasks), tuple(names), tuple(budgets), *np.moveaxis(cube, -1, 0))


def leads(data: Sweep, over: str, draws: int, seed: int = 0, *, minus: str | None = None) -> pd.DataFrame:
    """Mean lead over a method at each budget, with bootstrap intervals.

    Parameters
    ----------
    data : Sweep
    over : str
        The method to compare with.
    draws : int
        Bootstrap draws: noise over seeds, tasks with replacement (:func:`tis_utils.evidence.statistics.bootstrap`).
    seed : int
    minus : str, optional
        Subtract the lead of this method: who leads *it*, on the scale of `over`.

    Returns
    -------
    DataFrame
        Columns ``method``, ``budget``, ``value``, ``low``, ``high``, in :attr:`Sweep.unit`; without `over`, or without
        `minus` if there is one.
    """
    rng = np.random.default_rng(seed)
    cloud = stats.bootstrap(data.mean[None], data.sd[None], data.n[None], draws, rng)  # (R, T, K, S)
    drawn = data.lead(over, cloud).mean(axis=1)  # (R, K, S)
    point = data.lead(over).mean(axis=0)  # (K, S)
    if minus is not None:
        k = data.methods.index(minus)
        drawn, point = drawn - drawn[:, k : k + 1], point - point[k]
    ceiling = stats.WHOLE if minus is None and not data.is_score else None
    rows = [
        (method, budget, point[k, s], *stats.interval(drawn[:, k, s], units=[len(data.tasks)], ceiling=ceiling))
        for k, method in enumerate(data.methods)
        for s, budget in enumerate(data.budgets)
        if method != (minus or over)
    ]
    return pd.DataFrame(rows, columns=["method", "budget", "value", "low", "high"])


def crossing(budgets: Sequence[int], lead: Floats) -> float:
    """Budget after which a method is no longer ahead.

    Parameters
    ----------
    budgets : sequence of int
        Increasing.
    lead : ndarray, shape (S,)
        Positive where the method is ahead.

    Returns
    -------
    float
        Interpolated on the logarithmic budget axis between the last budget with a lead and the next one;
        0 if the method is never ahead, infinity if it is ahead at the largest budget.
    """
    ahead = np.flatnonzero(np.asarray(lead) > 0)
    if not len(ahead):
        return 0.0
    last = int(ahead[-1])
    if last == len(budgets) - 1:
        return float("inf")
    share = lead[last] / (lead[last] - lead[last + 1])  # of the way to the next budget
    return float(budgets[last] * (budgets[last + 1] / budgets[last]) ** share)


def crossings(data: Sweep, over: str) -> pd.DataFrame:
    """:func:`crossing` of every other method with one method, methods × tasks."""
    lead = data.lead(over)  # (T, K, S)
    table = [[crossing(data.budgets, lead[t, k]) for t in range(len(data.tasks))] for k in range(lead.shape[1])]
    return pd.DataFrame(table, data.methods, data.tasks).drop(index=over)


def stops_paying(table: pd.DataFrame) -> dict[str, float]:
    """First budget from which on a method's lead is never clearly positive.

    Parameters
    ----------
    table : DataFrame
        From :func:`leads`.

    Returns
    -------
    dict of method to float
        The budget; infinity where the interval still lies above zero at the largest budget.
    """
    found = {}
    for method, part in table.sort_values("budget").groupby("method", sort=False):
        clear = np.flatnonzero(part["low"] > 0)
        after = int(clear[-1]) + 1 if len(clear) else 0
        found[str(method)] = float(part["budget"].iloc[after]) if after < len(part) else float("inf")
    return found


def crossing_text(value: float) -> str:
    """One word or number for :func:`crossing`, for tables."""
    if value == 0:
        return "never ahead"
    return "still ahead" if np.isinf(value) else f"{value:.0f}"


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the metrics and tasks of which every method has every budget, and the untuned model.

    Parameters
    ----------
    rows : DataFrame
        Tidy rows with ``value``, perhaps of an unfinished sweep, perhaps empty.

    Returns
    -------
    DataFrame
        Some of the rows; none where Random is the only method.
    """
    rows = rows.dropna(subset=["value"])
    kept = [part[part["task"].isin(_complete_tasks(part))] for _, part in rows.groupby("metric", sort=False)]
    return pd.concat([rows.iloc[:0], *kept]) if kept else rows


def _complete_tasks(rows: pd.DataFrame) -> set[str]:
    trained = rows[rows["selector"] != "none"]
    keys = ["representation", "selector", "budget"]
    cells = trained.drop_duplicates(["task", *keys])
    if cells.loc[cells["selector"] != "random"].empty:
        return set()
    wanted = len(cells.drop_duplicates(keys[:2])) * cells["budget"].nunique()
    counts = cells.groupby("task").size()
    return set(counts.index[counts == wanted]) & set(rows.loc[rows["selector"] == "none", "task"])


def rank_table(sources: Mapping[str, pd.DataFrame], metric: str, by: By, methods: Sequence[str]) -> pd.DataFrame:
    """Mean ranks over task × budget in several sweeps, among the same methods.

    Parameters
    ----------
    sources : mapping of name to tidy rows
        Rows of the published figures call exact match ``downstream``.
    metric : str
    by : {"representation", "selector"}
    methods : sequence of str

    Returns
    -------
    DataFrame
        Sources × methods, 1 is best; a row of NaN where a source lacks the metric.
    """
    table = pd.DataFrame(np.nan, list(sources), list(methods))
    for name, rows in sources.items():
        own = "exact_match" if metric == "downstream" and "value" in rows else metric
        if own in set(rows["metric"]):
            data = sweep(rows, own, by, methods)
            table.loc[name, list(data.methods)] = ranking.mean_ranks(data.costs())
    return table
