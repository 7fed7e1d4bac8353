"""Random selection: the baseline that is never left out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.selectors.arrays import Ints
from tis_utils.storage.keys import step

VERSION = step("random", 1)


def random(S: NDArray[Any], budget: int | None, *, seed: int = 0) -> Ints:
    """Shuffle the pool; smaller budgets are prefixes of larger ones. Only the width of `S` is used."""
    return np.random.default_rng(seed).permutation(S.shape[1])[:budget]
