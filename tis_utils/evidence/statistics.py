"""The few statistics the book needs: rank correlation along an axis, bootstrap draws, intervals, verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata
from scipy.stats import t as student

Floats = NDArray[np.float64]
LEVEL = 0.95
WHOLE = 100.0  # per cent: no loss is lower by more
MIN_UNITS = 3  # fewer tasks or settings than these say nothing about others, so they are not resampled


class Estimate(NamedTuple):
    """A number with its bootstrap interval."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 1) -> str:
        """Value and interval with signs, for prose."""
        parts = (f"{v:+.{digits}f}".replace("-", "−") for v in self)
        return "{} [{}, {}]".format(*parts)


def spearman(x: ArrayLike, y: ArrayLike, constant: float = 0.0) -> Floats:
    """Spearman's rank correlation along the last axis (ties get their average rank).

    Shapes (..., S) are broadcast against each other and give (...); SciPy's function takes no leading axes. Where x or
    y is constant the result is `constant` (no order, so no relation to the other's order); NaN where a value is NaN.
    """
    a, b = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))  # (..., S)
    a, b = (rankdata(v, axis=-1, nan_policy="propagate") for v in (a, b))
    a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))  # (...)
    return np.divide((a * b).sum(axis=-1), scale, out=np.full_like(scale, constant), where=scale != 0)


def bootstrap(mean: Floats, sd: Floats, n: ArrayLike, draws: int, rng: np.random.Generator) -> Floats:
    """Draw new tables of means: noise over seeds (parametric), then settings and tasks with replacement.

    Only mean, standard deviation and number of seeds of each cell are known, so single runs cannot be
    resampled. In each draw every cell's mean gets independent normal noise of its standard error sd/√n
    (none where sd is NaN: one run, spread unknown). Then settings (pool and model) and tasks are drawn with
    replacement, independently of each other: a drawn task is drawn in every setting, for all further axes.
    Fewer than three settings or tasks stay as they are: the draws then speak about these only.
    Seeds shared between cells count as independent, which makes the intervals of differences a little wide;
    with n = 3 the standard errors are rough themselves.

    Parameters
    ----------
    mean, sd, n : arrays, shape (P, T, ...)
        P settings (1 for a single one), T tasks.
    draws : int
        Number of draws R; the result has shape (R, P·T, ...).
    """
    settings, tasks = mean.shape[:2]
    error = np.nan_to_num(sd) / np.sqrt(np.asarray(n, dtype=float))  # (P, T, ...)
    noisy = mean + error * rng.standard_normal((draws, *mean.shape))  # (R, P, T, ...)
    p = _resampled(settings, draws, rng)[:, :, None]
    t = _resampled(tasks, draws, rng)[:, None, :]
    drawn = noisy[np.arange(draws)[:, None, None], p, t]  # (R, P, T, ...)
    return drawn.reshape(draws, settings * tasks, *mean.shape[2:])


def _resampled(units: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of units with replacement, shape (R, units); each one once where there are few."""
    if units < MIN_UNITS:
        return np.broadcast_to(np.arange(units), (draws, units))
    return rng.integers(units, size=(draws, units))


def interval(
    values: Floats, level: float = LEVEL, units: Iterable[int] = (), ceiling: float | None = None
) -> tuple[float, float]:
    """Interval of bootstrap values that holds `level` of them, widened where few units were resampled.

    Resampling n units shows a mean that varies too little, by √((n − 1)/n), and its quantiles are those of a
    normal distribution, although the spread is estimated from n values. So both ends are moved away from the
    median by the factor √(n/(n − 1)) · t/z, with the quantiles of Student's t (n − 1 degrees of freedom) and of the
    normal distribution: 2.7 for three units, 1.6 for five, 1.2 for ten. Without this, five tasks that differ by
    chance alone would give a verdict in one case of six instead of one of twenty.

    Parameters
    ----------
    values : array, shape (R,)
        Draws of the statistic.
    level : float
    units : iterable of int
        How many tasks, settings … :func:`bootstrap` resampled; the fewest decide. Numbers below three do not count:
        these were not resampled.
    ceiling : float, optional
        What all values are below by definition, such as 100 for "per cent lower than": the ends are then moved on the
        scale of log(1 − value / ceiling), and stay below it.

    References
    ----------
    Hesterberg (2015), "What Teachers Should Know About the Bootstrap", The American Statistician 69(4), section 4.
    """
    if ceiling is not None:
        logs = np.log1p(-np.minimum(values / ceiling, 1 - 1e-12))
        nearest, farthest = interval(logs, level, units)
        return -ceiling * float(np.expm1(farthest)), -ceiling * float(np.expm1(nearest))
    low, middle, high = np.quantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2])
    n = min((n for n in units if n >= MIN_UNITS), default=None)
    if n is not None:
        upper = (1 + level) / 2
        wider = np.sqrt(n / (n - 1)) * student.ppf(upper, n - 1) / norm.ppf(upper)
        low, high = middle - wider * (middle - low), middle + wider * (high - middle)
    return float(low), float(high)


def per_cent_below(values: ArrayLike, rival: ArrayLike, draws: int, seed: int = 0) -> Estimate:
    """By how many per cent `values` (T,) are below those of a rival, mean over tasks; the interval resamples tasks."""
    gain = 100 * (1 - np.asarray(values, dtype=float) / np.asarray(rival, dtype=float))  # (T,)
    drawn = np.random.default_rng(seed).integers(len(gain), size=(draws, len(gain)))
    return Estimate(float(gain.mean()), *interval(gain[drawn].mean(axis=1), units=[len(gain)]))


def verdict(low: float, high: float) -> str:
    """Read an interval of a statistic that is positive where the claim is right.

    "supported" if the whole interval is above zero, "contradicted" if it is below, "mixed" if zero is in
    it. Mixed may mean that tasks disagree or that the evidence is thin; the width tells which.
    """
    if low > 0:
        return "supported"
    return "contradicted" if high < 0 else "mixed"
