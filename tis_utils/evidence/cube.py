"""Results in fixed places: mean, standard deviation and number of seeds by task, method and budget; leads from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.statistics import Estimate, Floats
from tis_utils.evidence.tables import UNTUNED, By, cells_of
from tis_utils.labels import label, order

SCORES = ("exact_match", "downstream")  # higher is better


@dataclass(frozen=True)
class Cube:
    """One metric of one experiment: `mean`, `sd` and `n` over seeds, each of shape (T, K, S) or (M, T, L, K, S).

    T tasks, K methods, S budgets (or distance bins); with several models, M models come first, L pools after the
    tasks. Pools of a model are not independent and stay together in :meth:`draws`.
    """

    metric: str
    mean: Floats
    sd: Floats
    n: Floats
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    budgets: tuple[int, ...]
    models: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()

    @classmethod
    def of(cls, metric: str, cells: pd.DataFrame, axes: Mapping[str, Sequence]) -> Cube:
        """Put rows with mean, sd and n in their places; `axes` as in the shape; tasks with a gap are left out."""
        grid = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
        table = cells.set_index(list(axes))[["mean", "sd", "n"]].reindex(grid)
        gaps = set(table.index[table["mean"].isna()].get_level_values("task"))
        tasks = tuple(task for task in axes["task"] if task not in gaps)
        axes = {**axes, "task": tasks}
        numbers = table[table.index.isin(tasks, "task")].to_numpy(float).reshape(*map(len, axes.values()), 3)
        mean, sd, n = np.moveaxis(numbers, -1, 0)
        *_, methods, steps = map(tuple, axes.values())
        models, pools = (tuple(axes.get(name, ())) for name in ("model", "pool"))
        return cls(metric, mean, sd, n, tasks, methods, steps, models, pools)

    @property
    def se(self) -> Floats:
        """Standard errors; 0 for a single run, whose spread is unknown."""
        return np.nan_to_num(self.sd) / np.sqrt(self.n)

    @property
    def is_score(self) -> bool:
        """Whether higher is better."""
        return self.metric in SCORES

    @property
    def unit(self) -> str:
        """Unit of :meth:`lead`."""
        return "points" if self.is_score else "% of loss"

    def lead(self, over: str, values: Floats | None = None) -> Floats:
        """How much better than `over` every method is: per cent of its loss, or percentage points.

        `values` (..., K, S), such as bootstrap draws, take the place of the means. InputError for an unknown method.
        """
        if over not in self.methods:
            raise InputError(f"There is no method {over!r} here; there is {', '.join(self.methods)}.")
        values = self.mean if values is None else values
        k = self.methods.index(over)
        reference = values[..., k : k + 1, :]  # (..., 1, S)
        if self.is_score:
            return (values - reference) * (100 if self.metric == "exact_match" else 1)
        return 100 * (reference - values) / reference

    def costs(self) -> Floats:
        """Means with lower always better, the shape of `mean`."""
        return -self.mean if self.is_score else self.mean

    def blocks(self) -> Floats:
        """Costs with one row per place in which methods compete, (blocks, K)."""
        return np.swapaxes(self.costs(), -1, -2).reshape(-1, len(self.methods))

    def part(self, models: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> Cube:
        """The same with these models and tasks only."""
        models, tasks = tuple(models or self.models), tuple(tasks or self.tasks)
        at = np.ix_([self.models.index(m) for m in models], [self.tasks.index(t) for t in tasks])
        return replace(self, mean=self.mean[at], sd=self.sd[at], n=self.n[at], models=models, tasks=tasks)

    def draws(self, draws: int, seed: int = 0) -> Floats:
        """Bootstrap over seeds, tasks and models, (R, T, K, S) or (R, M·T, L, K, S), see ``statistics.bootstrap``."""
        arrays = (self.mean, self.sd, self.n) if self.models else (self.mean[None], self.sd[None], self.n[None])
        return stats.bootstrap(*arrays, draws, np.random.default_rng(seed))


def cube(rows: pd.DataFrame, metric: str, by: By, methods: Sequence[str] | None = None) -> Cube:
    """The rows of one budget experiment, the untuned model at every budget; tasks with a gap are left out.

    `methods` default to all. InputError if the rows are of several experiments, or no task is complete.
    """
    cells = cells_of(rows, metric, by, "budget").dropna(subset=["mean"])
    names = order(cells["method"]) if methods is None else list(methods)
    cells = cells[cells["method"].isin(names)]
    flat = cells["method"].isin(UNTUNED)
    budgets = sorted(int(b) for b in cells.loc[~flat, "budget"].unique())
    cells = pd.concat([cells[~flat], *(cells[flat].assign(budget=b) for b in budgets)]).astype({"budget": int})
    tasks = list(dict.fromkeys(cells["task"]))
    data = Cube.of(metric, cells, {"task": tasks, "method": names, "budget": budgets})
    if not (budgets and data.tasks):
        at = ", ".join(map(str, budgets)) or "none"
        raise InputError(f"No task has {metric} of every method ({', '.join(names)}) at every budget ({at}).")
    return data


@dataclass(frozen=True)
class Leads:
    """Mean lead of every method over one of them, (K, S), and its bootstrap draws, (R, K, S)."""

    value: Floats
    draws: Floats
    units: tuple[int, ...] = ()  # how many models and tasks were resampled
    ceiling: float | None = None  # see stats.interval

    @classmethod
    def of(cls, data: Cube, over: str, cloud: Floats, minus: str | None = None) -> Leads:
        """Mean over tasks, models and pools; `cloud` is what :meth:`Cube.draws` returns."""
        value, draws = data.lead(over), data.lead(over, cloud)
        value, draws = value.mean(axis=tuple(range(value.ndim - 2))), draws.mean(axis=tuple(range(1, draws.ndim - 2)))
        if minus is not None:
            k = data.methods.index(minus)
            value, draws = value - value[k], draws - draws[:, k : k + 1]
        ceiling = stats.WHOLE if minus is None and not data.is_score else None
        return cls(value, draws, (*([len(data.models)] if data.models else []), len(data.tasks)), ceiling)

    def at(self, s: int) -> Leads:
        """The same at budget number `s`: (K,) and (R, K)."""
        return replace(self, value=self.value[..., s], draws=self.draws[..., s])

    def averaged(self) -> Leads:
        """The same, mean over budgets: (K,) and (R, K)."""
        return replace(self, value=self.value.mean(axis=-1), draws=self.draws.mean(axis=-1))

    def estimate(self, k: int, looks: int = 1) -> Estimate:
        """Lead of method number `k` at one budget, its interval widened for having looked at `looks` methods."""
        level = 1 - (1 - stats.LEVEL) / max(1, looks)
        ends = stats.interval(self.draws[:, k], level, self.units, self.ceiling)
        return Estimate(float(self.value[k]), *ends)


def leads(data: Cube, over: str, draws: int, seed: int = 0, *, minus: str | None = None) -> pd.DataFrame:
    """Mean lead over a method at each budget, with bootstrap intervals.

    Parameters
    ----------
    data : Cube
    over : str
        The method to compare with.
    draws, seed : int
        Of the bootstrap.
    minus : str, optional
        Subtract the lead of this method: who leads *it*, on the scale of `over`.

    Returns
    -------
    DataFrame
        Columns ``method``, ``budget``, ``value``, ``low``, ``high``, in :attr:`Cube.unit`; the reference is left out.
    """
    ahead = Leads.of(data, over, data.draws(draws, seed), minus)
    rows = [
        (method, budget, *ahead.at(s).estimate(k))
        for k, method in enumerate(data.methods)
        for s, budget in enumerate(data.budgets)
        if method != (minus or over)
    ]
    return pd.DataFrame(rows, columns=["method", "budget", "value", "low", "high"])


def leads_text(table: pd.DataFrame, digits: int = 0) -> pd.DataFrame:
    """Spread the rows of :func:`leads` out as "value [low, high]", printed methods × budgets."""
    text = [Estimate(*row).text(digits) for row in table[["value", "low", "high"]].to_numpy(float)]
    wide = table.assign(text=text).pivot(index="method", columns="budget", values="text")
    return wide.reindex(table["method"].unique()).rename(label)


def mean_leads(data: Cube, over: str, draws: int, seed: int = 0, *, minus: str | None = None) -> pd.DataFrame:
    """Like :func:`leads`, mean over budgets: columns ``method``, ``value``, ``low``, ``high``."""
    ahead = Leads.of(data, over, data.draws(draws, seed), minus).averaged()
    return _estimates(data.methods, ahead, minus or over)


def lead_changes(old: Cube, new: Cube, over: str, draws: int, seed: int = 0) -> pd.DataFrame:
    """New minus old :func:`mean_leads`, in points; the bootstrap draws the same tasks in both.

    InputError if the experiments differ in tasks, methods or budgets.
    """
    if (old.tasks, old.methods, old.budgets) != (new.tasks, new.methods, new.budgets):
        raise InputError("The two experiments differ in tasks, methods or budgets: keep what both have.")
    pairs = (old.mean, new.mean), (old.sd, new.sd), (old.n, new.n)
    mean, sd, n = (np.concatenate(pair, axis=-2) for pair in pairs)
    cloud = replace(old, mean=mean, sd=sd, n=n).draws(draws, seed)  # (R, T, 2 K, S)
    k = len(old.methods)
    before = Leads.of(old, over, cloud[..., :k, :]).averaged()
    after = Leads.of(new, over, cloud[..., k:, :]).averaged()
    change = replace(after, value=after.value - before.value, draws=after.draws - before.draws, ceiling=None)
    return _estimates(old.methods, change, over)


def _estimates(methods: Sequence[str], ahead: Leads, reference: str) -> pd.DataFrame:
    rows = [(method, *ahead.estimate(k)) for k, method in enumerate(methods) if method != reference]
    return pd.DataFrame(rows, columns=["method", "value", "low", "high"])
