"""Random selection: the baseline that is never left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.storage.keys import step

VERSION = step("random", 1)


def random(S: NDArray[Any], budget: int | None, *, seed: int = 0) -> NDArray[np.int64]:
    """Shuffle the pool; smaller budgets are prefixes of larger ones (METHODS §3, Random).

    Parameters
    ----------
    S : ndarray, shape (M, N)
        Only its width is used.
    budget : int or None
        How many; None for the whole shuffled pool.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    ndarray, shape (min(budget, N),), int64
    """
    return np.random.default_rng(seed).permutation(S.shape[1])[:budget]
