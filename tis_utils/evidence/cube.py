"""Results in fixed places: mean, standard deviation and number of seeds by task, method and budget; leads from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.statistics import Estimate, Floats
from tis_utils.evidence.tables import LOSSES, UNTUNED, By, cells_of
from tis_utils.labels import label, order


@dataclass(frozen=True)
class Cube:
    """One metric of one experiment: `mean`, `sd` and `n` over seeds, each of shape (T, K, S) or (M, T, L, K, S).

    T tasks, K methods, S budgets (or distance bins); with several models, M models come first, L pools after the
    tasks. Pools of a model are not independent and are averaged in :meth:`units`.
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
    def of(cls, metric: str, cells: pd.DataFrame, axes: Mapping[str, Sequence], *, gaps: bool = False) -> Cube:
        """Put rows with mean, sd and n in their places; `axes` as in the shape; with `gaps` unfinished tasks, too."""
        grid = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
        table = cells.set_index(list(axes))[["mean", "sd", "n"]].reindex(grid)
        unfinished = set(table.index[table["mean"].isna()].get_level_values("task"))
        tasks = tuple(task for task in axes["task"] if gaps or task not in unfinished)
        axes = {**axes, "task": tasks}
        numbers = table[table.index.isin(tasks, "task")].to_numpy(float).reshape(*map(len, axes.values()), 3)
        mean, sd, n = np.moveaxis(numbers, -1, 0)
        *_, methods, steps = map(tuple, axes.values())
        models, pools = (tuple(axes.get(name, ())) for name in ("model", "pool"))
        return cls(metric, mean, sd, n, tasks, methods, steps, models, pools)

    @property
    def se(self) -> Floats:
        """Standard errors; 0 for the untuned model, which has no seeds, NaN for another single run."""
        seedless = np.isin(self.methods, UNTUNED)[:, None]
        return np.where(seedless, np.nan_to_num(self.sd), self.sd) / np.sqrt(self.n)

    @property
    def is_score(self) -> bool:
        """Whether higher is better."""
        return self.metric not in LOSSES

    @property
    def unit(self) -> str:
        """Unit of :meth:`lead`."""
        return "points" if self.is_score else "% of loss"

    def gain(self, over: str) -> Floats:
        """How much better than `over` every method is, in numbers that add up: log(its loss / loss), or points.

        InputError for an unknown method.
        """
        if over not in self.methods:
            raise InputError(f"There is no method {over!r} here; there is {', '.join(self.methods)}.")
        reference = self.mean[..., [self.methods.index(over)], :]  # (..., 1, S)
        return (self.mean - reference) * self._points if self.is_score else np.log(reference / self.mean)

    def lead(self, over: str) -> Floats:
        """:meth:`gain` as per cent below the rival's loss, or points."""
        gain = self.gain(over)
        return gain if self.is_score else -100 * np.expm1(-gain)

    @property
    def _points(self) -> float:
        return 1 if self.metric == "downstream" else 100  # published scores are per cent

    def gain_se(self, over: str) -> Floats:
        """Standard error over seeds of :meth:`gain`, to first order; runs of two methods count as independent."""
        se = self.se * self._points if self.is_score else self.se / self.mean
        return np.hypot(se, se[..., [self.methods.index(over)], :])

    def units(self, values: Floats) -> Floats:
        """Values (T, ...) as they are, (M, T, L, ...) as :func:`tis_utils.evidence.statistics.by_unit` has them."""
        return stats.by_unit(values) if self.models else values

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


def lead_estimates(data: Cube, over: str, at: Sequence[int] | slice = slice(None)) -> dict[str, Estimate]:
    """Mean lead of every method over one at budgets number `at`, in :attr:`Cube.unit`, over :meth:`Cube.units`."""
    units = data.units(data.gain(over)[..., at].mean(axis=-1))  # (U, K)
    variance = data.gain_se(over)[..., at] ** 2  # (..., K, S')
    places = variance[..., 0, :].size / len(units)  # of a unit, all independent
    se = np.sqrt(data.units(variance.mean(axis=-1)) / places)  # (U, K)
    estimates = [stats.mean_estimate(*pair) for pair in zip(units.T, se.T, strict=True)]
    return dict(zip(data.methods, estimates if data.is_score else [e.per_cent() for e in estimates], strict=True))


def lead_estimate(data: Cube, over: str, method: str, at: Sequence[int] | slice = slice(None)) -> Estimate:
    """That of one method among :func:`lead_estimates`."""
    return lead_estimates(data, over, at)[method]


def leads(data: Cube, over: str) -> pd.DataFrame:
    """Mean lead over a method at each budget, with 95 % intervals over models or tasks.

    Returns
    -------
    DataFrame
        Columns ``method``, ``budget``, ``value``, ``low``, ``high``, in :attr:`Cube.unit`; the reference is left out.
    """
    ahead = [lead_estimates(data, over, [s]) for s in range(len(data.budgets))]
    rows = [
        (method, budget, *estimates[method])
        for method in data.methods
        for budget, estimates in zip(data.budgets, ahead, strict=True)
        if method != over
    ]
    return pd.DataFrame(rows, columns=["method", "budget", "value", "low", "high"])


def leads_text(table: pd.DataFrame, digits: int = 0) -> pd.DataFrame:
    """Spread the rows of :func:`leads` out as "value [low, high]", printed methods × budgets."""
    text = [Estimate(*row).text(digits) for row in table[["value", "low", "high"]].to_numpy(float)]
    wide = table.assign(text=text).pivot(index="method", columns="budget", values="text")
    return wide.reindex(table["method"].unique()).rename(label)


def mean_leads(data: Cube, over: str) -> pd.DataFrame:
    """Like :func:`leads`, mean over budgets: columns ``method``, ``value``, ``low``, ``high``."""
    rows = [(method, *ahead) for method, ahead in lead_estimates(data, over).items() if method != over]
    return pd.DataFrame(rows, columns=["method", "value", "low", "high"])


def spread(data: Cube, methods: Sequence[str], over: str) -> Floats:
    """Standard deviation over some methods in per cent of the mean of `over`, mean over budgets, (T,)."""
    at = [data.methods.index(method) for method in (over, *methods)]
    relative = 100 * data.mean[:, at[1:]] / data.mean[:, at[:1]]  # (T, K, S)
    return relative.std(axis=1, ddof=1).mean(axis=-1)


def lead_changes(old: Cube, new: Cube, over: str) -> pd.DataFrame:
    """By how many points the lead over a method, mean over budgets, is larger in `new`; paired by task.

    InputError if the experiments differ in tasks, methods or budgets.
    """
    if (old.tasks, old.methods, old.budgets) != (new.tasks, new.methods, new.budgets):
        raise InputError("The two experiments differ in tasks, methods or budgets: keep what both have.")
    change = old.units((new.lead(over) - old.lead(over)).mean(axis=-1))  # (U, K)
    rows = [(m, *stats.mean_estimate(change[:, k])) for k, m in enumerate(old.methods) if m != over]
    return pd.DataFrame(rows, columns=["method", "value", "low", "high"])
