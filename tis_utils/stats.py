"""The few statistics the book needs: rank correlation along an axis, bootstrap draws, intervals, verdicts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
LEVEL = 0.95


def spearman(x: ArrayLike, y: ArrayLike) -> Floats:
    """Spearman's rank correlation along the last axis (ties get their average rank).

    Parameters
    ----------
    x, y : array_like, shapes (..., S), broadcast against each other
        At least two values each along the last axis.

    Returns
    -------
    ndarray, shape (...)
        Between −1 and 1. Zero where x or y is constant: a constant says nothing about the order of the
        other (SciPy returns NaN there). NaN where a value is NaN.
    """
    a, b = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))  # (..., S)
    a, b = (rankdata(v, axis=-1, nan_policy="propagate") for v in (a, b))
    a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))  # (...)
    return np.divide((a * b).sum(axis=-1), scale, out=np.zeros_like(scale), where=scale != 0)


def bootstrap(mean: Floats, sd: Floats, n: ArrayLike, draws: int, rng: np.random.Generator) -> Floats:
    """Draw new tables of means: noise over seeds (parametric), then settings and tasks with replacement.

    Only mean, standard deviation and number of seeds of each cell are known, so single runs cannot be
    resampled. In each draw every cell's mean gets independent normal noise of its standard error sd/√n
    (none where sd is NaN: one run, spread unknown). Then settings (pool and model) and tasks are drawn with
    replacement, independently of each other: a drawn task is drawn in every setting, for all further axes.
    Seeds shared between cells count as independent, which makes the intervals of differences a little wide;
    with n = 3 the standard errors are rough themselves, and five tasks are few to resample.

    Parameters
    ----------
    mean, sd, n : arrays, shape (P, T, ...)
        P settings (1 for a single one), T tasks.
    draws : int
        Number of draws R.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (R, P·T, ...)
    """
    settings, tasks = mean.shape[:2]
    error = np.nan_to_num(sd) / np.sqrt(np.asarray(n, dtype=float))  # (P, T, ...)
    noisy = mean + error * rng.standard_normal((draws, *mean.shape))  # (R, P, T, ...)
    p = rng.integers(settings, size=(draws, settings, 1))
    t = rng.integers(tasks, size=(draws, 1, tasks))
    drawn = noisy[np.arange(draws)[:, None, None], p, t]  # (R, P, T, ...)
    return drawn.reshape(draws, settings * tasks, *mean.shape[2:])


def interval(values: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of bootstrap values, shape (R,), that holds `level` of them."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def verdict(low: float, high: float) -> str:
    """Read an interval of a statistic that is positive where the claim is right.

    "supported" if the whole interval is above zero, "contradicted" if it is below, "mixed" if zero is in
    it. Mixed may mean that tasks disagree or that the evidence is thin; the width tells which.
    """
    if low > 0:
        return "supported"
    return "contradicted" if high < 0 else "mixed"
