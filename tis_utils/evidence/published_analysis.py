"""The paper's budget experiment as arrays: every method, model, task, pool and budget in fixed places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind_from_stats

from tis_utils.errors import InputError
from tis_utils.evidence import published
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.claim_statistics import METHODS
from tis_utils.evidence.statistics import Floats
from tis_utils.labels import label

ZERO_SHOT = "none/none"
SHORT = {"round_robin": "RR", "doubly_greedy": "DG", "knn_uniform": "KNN-Uniform"}
MODELS = {
    "llama2-7b": "Llama 2 7B",
    "llama3.2-3b": "Llama 3.2 3B",
    "olmo3-7b": "Olmo 3 7B",
    "qwen3-4b-base": "Qwen3 4B",
    "smollm3-3b-base": "SmolLM3 3B",
}
POOLS = {"tulu": "Tulu", "dolci": "Dolci"}


def name(method: str) -> str:
    """Print "representation/selector" as the book does: "LESS, RR", "Random", "Zero-shot"."""
    representation, selector = method.split("/")
    if representation == "none":
        return label("zero_shot" if selector == "none" else selector)
    return f"{label(representation)}, {SHORT.get(selector, label(selector))}"


class Estimate(NamedTuple):
    """A number with its bootstrap interval."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 1) -> str:
        """Value and interval with signs, for prose."""
        parts = (f"{v:+.{digits}f}".replace("-", "−") for v in self)
        return "{} [{}, {}]".format(*parts)


@dataclass(frozen=True)
class Cube:
    """One metric of the budget experiment; `mean`, `sd`, `n` have shape (M, T, L, K, S).

    M models, T tasks, L pools, K methods (the eight of the paper, then zero-shot), S budgets. Models come
    first because they are what ``bootstrap`` resamples together with tasks: both pools
    of a model stay together, since they are not independent. `relative` says how methods are compared: in
    per cent of loss, or (downstream metrics) in points.
    """

    metric: str
    mean: Floats
    sd: Floats
    n: Floats
    budgets: tuple[int, ...]
    models: tuple[str, ...] = published.MODELS
    tasks: tuple[str, ...] = published.TASKS
    pools: tuple[str, ...] = published.POOLS
    methods: tuple[str, ...] = (*METHODS, ZERO_SHOT)

    @property
    def relative(self) -> bool:
        """Whether differences are per cent of a loss."""
        return self.metric != "downstream"

    @property
    def unit(self) -> str:
        """Unit of :meth:`lead`."""
        return "% of loss" if self.relative else "points"

    def lead(self, values: Floats, over: str) -> Floats:
        """How much better each method is than `over`, shape of `values` (..., K, S); positive is better."""
        k = self.methods.index(over)
        reference = values[..., k : k + 1, :]
        return 100 * (reference - values) / reference if self.relative else values - reference

    def costs(self, values: Floats) -> Floats:
        """The same numbers with lower always better."""
        return values if self.relative else -values

    def part(self, models: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> Cube:
        """The same with these models and tasks only."""
        models, tasks = tuple(models or self.models), tuple(tasks or self.tasks)
        at = np.ix_([self.models.index(m) for m in models], [self.tasks.index(t) for t in tasks])
        return replace(self, mean=self.mean[at], sd=self.sd[at], n=self.n[at], models=models, tasks=tasks)

    def draws(self, draws: int, seed: int) -> Floats:
        """Bootstrap over seeds, models and tasks, shape (R, M·T, L, K, S)."""
        return stats.bootstrap(self.mean, self.sd, self.n, draws, np.random.default_rng(seed))


@cache
def cube(metric: str) -> Cube:
    """Return the published budget experiment of one metric.

    Parameters
    ----------
    metric : {"query_loss", "test_loss", "downstream"}

    Raises
    ------
    InputError
        If `metric` is another one.
    """
    rows = published.figures()
    rows = rows[rows["experiment"].isin(["budget", "zero_shot"]) & (rows["metric"] == metric)]
    if rows.empty:
        raise InputError(f"metric = {metric!r}, expected query_loss, test_loss or downstream.")
    budgets = tuple(sorted(int(b) for b in rows["budget"].dropna().unique()))
    rows = rows.assign(method=rows["representation"] + "/" + rows["selector"])
    every = [rows[rows["experiment"] == "budget"]]
    every += [rows[rows["experiment"] == "zero_shot"].assign(budget=b) for b in budgets]
    axes = {
        "model": published.MODELS,
        "task": published.TASKS,
        "pool": published.POOLS,
        "method": (*METHODS, ZERO_SHOT),
        "budget": budgets,
    }
    table = pd.concat(every).set_index(list(axes))[["mean", "sd", "n"]]
    grid = pd.MultiIndex.from_product(list(axes.values()))
    array = table.reindex(grid).to_numpy(float).reshape(*map(len, axes.values()), 3)
    mean, sd, n = np.moveaxis(array, -1, 0)  # each (M, T, L, K, S)
    return Cube(metric, mean, sd, n, budgets)


def estimate(values: Floats, draws: int, seed: int = 0, *, tasks: bool = False) -> Estimate:
    """Mean of values that belong to models, shape (M, ...), with an interval from resampling models.

    With `tasks`, the second axis is resampled as well. Five models are few, so the interval is widened
    (:func:`tis_utils.evidence.statistics.interval`).
    """
    cells = values.reshape(len(values), values.shape[1] if tasks else 1, -1).mean(axis=2)  # (M, T or 1)
    nothing = np.zeros_like(cells)
    cloud = stats.bootstrap(cells, nothing, nothing + 1, draws, np.random.default_rng(seed))
    return Estimate(float(cells.mean()), *stats.interval(cloud.mean(axis=1), units=cells.shape))


def below_zero_shot(data: Cube) -> Floats:
    """Whether a fine-tuned cell is worse than the untuned model, shape (M, T, L, K − 1, S), 0 or 1."""
    return (data.lead(data.mean, ZERO_SHOT)[..., :-1, :] < 0).astype(float)


def agreement(a: Cube, b: Cube) -> Floats:
    """Spearman over the eight trained methods between two metrics within each cell, shape (M, T, L, S).

    Positive if the better method by one metric is the better one by the other.
    """
    x, y = (np.moveaxis(c.costs(c.mean)[..., :-1, :], -2, -1) for c in (a, b))  # (M, T, L, S, K)
    return stats.spearman(x, y)


def separable(data: Cube, level: float = 0.05) -> Floats:
    """Share of the pairs of trained methods that Welch's t-test tells apart, shape (M, T, L, S).

    Only mean, sd and n of each cell are needed. Two methods without any spread count as different if
    their means differ. Equal methods would give about `level`, or less: with three seeds the test is careful.
    """
    k = len(data.methods) - 1
    i, j = np.triu_indices(k, 1)
    mean, sd, n = (np.moveaxis(v, -2, 0)[:k] for v in (data.mean, data.sd, data.n))  # (K, M, T, L, S)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = ttest_ind_from_stats(mean[i], sd[i], n[i], mean[j], sd[j], n[j], equal_var=False).pvalue
    p = np.where((sd[i] == 0) & (sd[j] == 0), mean[i] == mean[j], p)
    return (p < level).mean(axis=0)


def reliability(data: Cube, axis: tuple[int, ...]) -> Floats:
    """Share of the variance between methods' means that is not seed noise, averaged over cells along `axis`.

    ``1 − E[sd²/n] / E[variance of the method means]`` over the axes of (M, T, L, S); cut at 0.
    """
    mean, noise = data.mean[..., :-1, :], (data.sd**2 / data.n)[..., :-1, :]  # (M, T, L, K, S)
    between, within = mean.var(axis=-2, ddof=1), noise.mean(axis=-2)  # (M, T, L, S)
    if data.relative:  # losses of different tasks have different scales
        scale = mean.mean(axis=-2) ** 2
        between, within = between / scale, within / scale
    return np.maximum(0, 1 - within.mean(axis=axis) / between.mean(axis=axis))
