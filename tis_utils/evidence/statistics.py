"""The few statistics the book needs: rank correlation, a mean with its interval, and the grade of a claim.

Every interval is Student's over *units* that stand for others of their kind: tasks where there is one model, models
where there are several (tasks and pools are then averaged first). Runs of a unit are averaged before, so that its
noise over seeds is in the spread of the units already. With five units a bootstrap interval would hold the truth in 83
of 100 cases, this one in 95 (``tests/evidence/test_coverage.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata
from scipy.stats import t as student

from tis_utils.selectors.arrays import Floats

LEVEL = 0.95
MIN_UNITS = 3  # fewer tasks or models say nothing about others: the interval then holds the noise of the seeds
AGREEMENT = 0.75  # share of the units that must point one way for a claim to lean
GRADES = {
    "shown": "the whole 95 % interval is on the claim's side of zero",
    "leaning": "zero is in the interval, but at least three of four units and the mean are on the claim's side",
    "open": "neither side",
    "leaning against": "zero is in the interval, but at least three of four units and the mean are on the other side",
    "refuted": "the whole interval is on the other side",
    "not testable": "a method has no runs, or there are fewer than three units",
}


class Estimate(NamedTuple):
    """A number with its 95 % interval; NaN ends where nothing is known of its spread."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 1, unit: str = "", *, plus: bool = True) -> str:
        """Value and interval, with `plus` signs or without; the value alone where its spread is not known."""
        number, *ends = (f"{v:{'+' * plus}.{digits}f}".replace("-", "−") for v in self)
        known = " [{}, {}]".format(*ends) * bool(np.isfinite(self.low) and np.isfinite(self.high))
        return f"{number} {unit}".rstrip() + known

    def per_cent(self) -> Estimate:
        """Logarithms of (rival's loss / loss) as "per cent below the rival", which never exceeds 100."""
        return Estimate(*(float(-100 * np.expm1(-v)) for v in self))

    def times_rival(self) -> Estimate:
        """Per cent below the rival as times the rival's loss: −200 to 90 % reads 0.10 to 3."""
        return Estimate(*(1 - v / 100 for v in (self.value, self.high, self.low)))

    def clipped(self, low: float, high: float) -> Estimate:
        """Cut to what the number can be."""
        return Estimate(*(float(np.clip(v, low, high)) for v in self))


def by_unit(values: Floats) -> Floats:
    """Mean of values (M, T, L, ...) for every model if there are three or more, else for every task: (U, ...)."""
    return values.mean(axis=(1, 2) if len(values) >= MIN_UNITS else (0, 2))


def mean_estimate(units: ArrayLike, se: ArrayLike | None = None, *, level: float = LEVEL) -> Estimate:
    """Mean of independent units with Student's interval.

    Parameters
    ----------
    units : array, shape (U,)
        One number per task or model.
    se : array, shape (U,), optional
        Standard error of each over seeds: with fewer than three units these alone make the interval; NaN ends without.
    level : float
        Share of such intervals that hold the truth.
    """
    units = np.asarray(units, dtype=float)
    value, half = float(units.mean()), np.nan
    if len(units) >= MIN_UNITS:
        half = student.ppf((1 + level) / 2, len(units) - 1) * units.std(ddof=1) / np.sqrt(len(units))
    elif se is not None:
        half = norm.ppf((1 + level) / 2) * np.sqrt((np.asarray(se, dtype=float) ** 2).sum()) / len(units)
    return Estimate(value, value - float(half), value + float(half))


def smallest(estimates: Sequence[tuple[Estimate, Estimate]]) -> Estimate:
    """The smallest of several means, from each one's interval at 95 % and at the level for all of them together.

    "Better than every rival" is shown if it is shown for each (an intersection-union test, no correction needed), and
    refuted if one rival's lead is beyond what the best of that many would reach by chance (Bonferroni).
    """
    each, together = zip(*estimates, strict=True)
    return Estimate(min(e.value for e in each), min(e.low for e in each), min(e.high for e in together))


def grade(estimate: Estimate, in_favour: int, units: int) -> str:
    """One of ``GRADES`` for a statistic that is positive where the claim is right, in `in_favour` of `units`."""
    if units < MIN_UNITS or np.isnan(estimate.value):
        return "not testable"
    if estimate.low > 0:
        return "shown"
    if estimate.high < 0:
        return "refuted"
    if estimate.value > 0 and in_favour >= AGREEMENT * units:
        return "leaning"
    return "leaning against" if estimate.value < 0 and units - in_favour >= AGREEMENT * units else "open"


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


def percentiles(draws: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Ends that hold `level` of bootstrap draws, (R,), of many resampled units (for few use :func:`mean_estimate`)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
