"""How much two selections share."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import hypergeom


def jaccard(a: Sequence[int] | np.ndarray, b: Sequence[int] | np.ndarray) -> float:
    """Size of the intersection over size of the union of two sets of indices; 1 for two empty ones."""
    union = np.union1d(a, b).size
    return np.intersect1d(a, b).size / union if union else 1.0


def mean_jaccard(selections: Iterable[Sequence[int] | np.ndarray]) -> float:
    """Mean :func:`jaccard` over all pairs of selections; 0 where there is no pair."""
    return float(np.mean([jaccard(a, b) for a, b in combinations(list(selections), 2)] or [0.0]))


def chance_jaccard(pool: int, size: int) -> float:
    """Expected Jaccard overlap of two independent random subsets of `size` out of `pool`."""
    common = np.arange(size + 1)
    return float(hypergeom.pmf(common, pool, size, size) @ (common / (2 * size - common)))
