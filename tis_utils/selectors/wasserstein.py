"""Exact Wasserstein distance between point sets."""

import numpy as np
import ot
from numpy.typing import ArrayLike

from tis_utils.errors import InputError, RunError
from tis_utils.selectors.similarity import real_matrix

ITERATIONS = 10_000_000  # of the network simplex; far more than subsets of 10,000 need


def w1(a: ArrayLike, b: ArrayLike) -> float:
    """Exact Wasserstein-1 distance between two point sets, uniform weights, Euclidean ground distance.

    Parameters
    ----------
    a, b : array_like, shapes (A, D) and (B, D)
        For unit rows the ground distance is ``sqrt(2 (1 - cosine))``, a metric, which ``1 - cosine`` is not. Memory and
        time grow with A·B.

    Raises
    ------
    InputError
        If the shapes disagree or a value is not finite.
    RunError
        If the network simplex stops before the optimum.
    """
    first, second = (np.asarray(real_matrix(x, "points"), dtype=np.float64) for x in (a, b))
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"The two point sets have {first.shape[1]} and {second.shape[1]} columns; a distance needs both "
            "in the same space."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("A point set holds NaN or infinite values, so it has no distances.")
    cost = ot.dist(first, second, metric="euclidean")  # (A, B)
    value, log = ot.emd2([], [], cost, numItermax=ITERATIONS, log=True)
    if log["warning"]:
        raise RunError(f"The exact Wasserstein distance was not reached: {log['warning']}")
    return float(value)
