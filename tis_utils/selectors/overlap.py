"""How much two selections share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import hypergeom


def jaccard(a: Sequence[int] | np.ndarray, b: Sequence[int] | np.ndarray) -> float:
    """Size of the intersection over size of the union of two sets of indices; 1 for two empty ones."""
    union = np.union1d(a, b).size
    return np.intersect1d(a, b).size / union if union else 1.0


def chance_jaccard(pool: int, size: int) -> float:
    """Expected Jaccard overlap of two independent random subsets of `size` out of `pool`."""
    common = np.arange(size + 1)
    return float(hypergeom.pmf(common, pool, size, size) @ (common / (2 * size - common)))
