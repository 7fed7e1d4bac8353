"""Kernel density of many unit rows among each other, exactly and in blocks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.selectors.arrays import Floats, Ints
from tis_utils.storage.keys import step

VERSION = step("density", 1)

CROWDED = 0.01  # share of close pairs from which on densities are computed row by row
SIDE = 1024  # pairs are taken in squares of so many rows (4 MiB in single precision: they stay in the cache)
BLOCK = 1 << 24  # cosines of crowded rows held at a time (64 MiB in single precision)


def densities(rows: NDArray[Any], *, sigma: float, k: int) -> Floats:
    """Sum of ``max(0, 1 - D²/sigma²)`` over the `k` nearest unit (or zero) rows, float64 (P,); itself counts, so >= 1.

    ``D² = 2 (1 - cosine)``, so the kernel is ``2/sigma² · max(0, cosine - limit)``: only rows so close need a look.
    """
    limit = 1 - sigma**2 / 2
    if _is_crowded(rows, limit):
        excess, crowded = np.empty(len(rows)), np.arange(len(rows))
    else:
        excess, close = _over_pairs(rows, limit)
        crowded = np.flatnonzero(close > k)
    excess[crowded] = _over_nearest(rows, crowded, limit, k)
    return np.maximum(1.0, excess * (2 / sigma**2))  # where rounding hides a very narrow kernel


def _is_crowded(rows: NDArray[Any], limit: float) -> bool:
    """Guess from a sample whether so many pairs are close that collecting them costs more than it saves."""
    sample = rows[:: max(1, len(rows) // 64)]
    return bool(np.count_nonzero(sample @ rows.T > limit) > CROWDED * len(sample) * len(rows))


def _over_pairs(rows: NDArray[Any], limit: float) -> tuple[Floats, Ints]:
    """For every row: sum of (cosine - limit) over all close rows, and how many those are; itself counts."""
    p = len(rows)
    excess, close = np.full(p, 1 - limit), np.ones(p, dtype=np.int64)
    for top in range(0, p, SIDE):
        for left in range(top, p, SIDE):
            cosines = rows[top : top + SIDE] @ rows[left : left + SIDE].T  # (SIDE, SIDE), less at the edges
            if left == top:
                cosines[np.tril_indices(len(cosines))] = -np.inf  # each pair once, and none with itself
            hits = np.flatnonzero(cosines > limit)
            values = cosines.ravel()[hits].astype(np.float64) - limit
            first, second = np.divmod(hits, cosines.shape[1])
            for index in (top + first, left + second):
                np.add.at(excess, index, values)
                np.add.at(close, index, 1)
    return excess, close


def _over_nearest(rows: NDArray[Any], which: Ints, limit: float, k: int) -> Floats:
    """For the given rows: sum of (cosine - limit) over the close ones among their `k` nearest."""
    excess = np.empty(len(which))
    height = min(len(which), max(1, BLOCK // len(rows)))
    buffer = np.empty((height, len(rows)), rows.dtype)  # fresh memory for every block would double the time
    for start in range(0, len(which), max(1, height)):
        some = which[start : start + height]
        cosines = np.matmul(rows[some], rows.T, out=buffer[: len(some)])  # (height, P)
        cosines[np.arange(len(some)), some] = 1
        close = cosines > limit
        for i, (row, mask) in enumerate(zip(cosines, close, strict=True), start=start):
            values = row[mask]
            if len(values) > k:
                values = np.partition(values, len(values) - k)[len(values) - k :]
            excess[i] = values.sum(dtype=np.float64) - len(values) * limit
    return excess
