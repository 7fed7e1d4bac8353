"""Rank correlation along an axis, bootstrap draws, intervals, verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata
from scipy.stats import t as student

from tis_utils.selectors.arrays import Floats

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
    """Spearman's rank correlation along the last axis, ties with their average rank.

    Parameters
    ----------
    x, y : arrays, shapes (..., S)
        Broadcast against each other.
    constant : float
        The result where x or y does not vary.

    Returns
    -------
    ndarray, shape (...)
        NaN where a value is NaN.
    """
    a, b = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))  # (..., S)
    a, b = (rankdata(v, axis=-1, nan_policy="propagate") for v in (a, b))
    a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))  # (...)
    return np.divide((a * b).sum(axis=-1), scale, out=np.full_like(scale, constant), where=scale != 0)


def bootstrap(mean: Floats, sd: Floats, n: ArrayLike, draws: int, rng: np.random.Generator) -> Floats:
    """Draws of the table of means (P settings, T tasks, ...), shape (R, P·T, ...).

    Every cell gets normal noise of its standard error (none where sd is NaN), then settings and tasks are drawn with
    replacement, a task in all settings alike; fewer than `MIN_UNITS` stay as they are.
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
    """Interval that holds `level` of the bootstrap values (R,), widened by √(n/(n − 1)) · t/z for n resampled units.

    The fewest of `units` (from `MIN_UNITS` on) count (Hesterberg 2015, The American Statistician 69(4), section 4);
    with a `ceiling` that values cannot pass, ends are moved on the scale of log(1 − value / ceiling).
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
    """Supported, contradicted or mixed as the interval lies above, below or around zero."""
    if low > 0:
        return "supported"
    return "contradicted" if high < 0 else "mixed"
