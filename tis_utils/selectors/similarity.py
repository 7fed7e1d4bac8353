"""Geometry of unit rows: cosine similarity in blocks, nearest neighbours; ``|x - y|² = 2 (1 - x·y)``.

A row of zeros could not be represented (for instance, no token carries a loss): similarity -1 to everything.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tis_utils.errors import InputError
from tis_utils.selectors.arrays import Floats, Ints
from tis_utils.storage.keys import step

VERSION = step("similarity", 1)

NORM_TOLERANCE = 5e-3  # rows stored in bfloat16 are of length one only up to this
BLOCK_BYTES = 1 << 26  # 64 MiB of candidate features at a time


def similarity(queries: ArrayLike, candidates: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Cosine similarity of every query with every candidate.

    Parameters
    ----------
    queries : array_like, shape (M, D)
        Unit rows, or rows of zeros for what could not be represented.
    candidates : array_like, shape (N, D)
        The same; a ``np.memmap`` larger than memory is read in blocks of 64 MiB.
    out : ndarray, float32 of shape (M, N), optional
        Where to write the result, for instance a ``np.memmap``.

    Returns
    -------
    ndarray, float32 of shape (M, N)
        Clipped to [-1, 1]; -1 for a candidate of zeros, 0 for a query of zeros and any other candidate.

    Raises
    ------
    InputError
        If shapes or the dtype of `out` disagree, a value is not finite, or a row is neither of length one nor zero.
    """
    queries, candidates = real_matrix(queries, "queries"), real_matrix(candidates, "candidates")
    if queries.shape[1] != candidates.shape[1]:
        raise InputError(
            f"Queries have {queries.shape[1]} columns, candidates have {candidates.shape[1]}. Both must come "
            "from the same representation: compute them again with one model and the same settings."
        )
    shape = (len(queries), len(candidates))
    if out is None:
        out = np.empty(shape, dtype=np.float32)
    elif out.shape != shape or out.dtype != np.float32:
        raise InputError(
            f"`out` is {out.dtype} of shape {out.shape}, expected float32 of shape {shape} (queries by candidates)."
        )
    queries = _unit_rows(queries, "queries", 0)
    if len(mute := np.flatnonzero(~queries.any(axis=1))):
        warnings.warn(
            f"{len(mute)} of {len(queries)} queries are rows of zeros (the first is row {mute[0]}): every candidate is "
            "equally near to them, so what they take is arbitrary. Leave them out.",
            RuntimeWarning,
            stacklevel=2,
        )
    rows = max(1, BLOCK_BYTES // (4 * queries.shape[1]))
    for start in range(0, len(candidates), rows):
        block = _unit_rows(candidates[start : start + rows], "candidates", start)  # (rows, D)
        part = out[:, start : start + rows]
        np.clip(queries @ block.T, -1, 1, out=part)
        part[:, ~block.any(axis=1)] = -1
    return out


def real_matrix(values: ArrayLike, name: str) -> NDArray[Any]:
    """See `values` as a real matrix with at least one row and column, without copying."""
    try:
        matrix = plain_array(values, name)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name.capitalize()} must be a matrix of real numbers, but its rows differ in length. Give one row per "
            "example, all with the same number of values."
        ) from error
    if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype.kind not in "fiub":
        raise InputError(
            f"{name.capitalize()} must be a matrix of real numbers with at least one row and one column; "
            f"got {'' if matrix.size else 'an empty one, '}{matrix.dtype} of shape {matrix.shape}."
        )
    return matrix


def plain_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """See an array, nested lists or a PyTorch tensor as a NumPy array; masked values are none, so they are refused."""
    if np.ma.is_masked(values):
        raise InputError(
            f"{name.capitalize()} are a masked array with {np.ma.count_masked(values)} masked values, and a masked "
            "value is none. Say what is meant: leave those columns out, or fill them, for instance S.filled(-1) for "
            "candidates that a query must not take while others are left."
        )
    tensor: Any = values
    if hasattr(tensor, "detach") and hasattr(tensor, "cpu"):  # part of a graph, on a GPU, or in a type NumPy lacks
        tensor = tensor.detach().cpu()
        values = tensor.float() if "bfloat16" in str(tensor.dtype) else tensor
    return np.asarray(values)


def _unit_rows(rows: NDArray[Any], name: str, first: int) -> NDArray[np.float32]:
    """Float32 copy of `rows`; complain about the first one that is neither of length one nor zero."""
    rows = np.asarray(rows, dtype=np.float32)
    norm = np.sqrt(np.einsum("ij,ij->i", rows, rows))  # (rows,); NaN or inf wherever a row has one
    wrong = np.flatnonzero(~((np.abs(norm - 1) <= NORM_TOLERANCE) | (norm == 0)))
    if wrong.size == 0:
        return rows
    worst = int(wrong[0])
    if not np.isfinite(rows[wrong]).all():
        worst = int(next(i for i in wrong if not np.isfinite(rows[i]).all()))
        raise InputError(
            f"{name.capitalize()} hold NaN or infinite values, first in row {first + worst}. Find out which "
            "example made them (an empty answer, or an overflow in half precision) and compute it again."
        )
    raise InputError(
        f"Row {first + worst} of the {name} has length {norm[worst]:.4g}, expected 1 (or 0 for an example "
        "that could not be represented). Divide every row by its Euclidean norm first."
    )


def largest(values: NDArray[Any], k: int | None = None) -> Ints:
    """Indices of the `k` largest of N finite values (default: all): ``argsort(-values, kind="stable")[:k]``, faster."""
    n = len(values)
    k = n if k is None else min(k, n)
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    if k == n:
        return _stable_descending(values)
    kth = np.partition(values, n - k)[n - k]  # the k-th largest value
    among = np.flatnonzero(values >= kth)  # at least k, more when kth is tied
    return among[_stable_descending(values[among])[:k]]


def _stable_descending(values: NDArray[Any]) -> Ints:
    if values.dtype.itemsize > 4 or len(values) >= 1 << 32:
        return np.argsort(-values, kind="stable")
    bits = (np.float32(0) - values.astype(np.float32)).view(np.uint32)  # ascending now; no -0.0 is left
    # IEEE floats sort like integers once negative ones are flipped whole and the others in their sign
    flip = (bits.view(np.int32) >> 31).view(np.uint32) | np.uint32(1 << 31)
    keys = ((bits ^ flip).astype(np.uint64) << np.uint64(32)) | np.arange(len(values), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def nearest(S: NDArray[Any], k: int) -> tuple[Ints, Floats]:
    """Each row's `k` most similar candidates, ties to the lower index: indices int64, similarities float64, (M, k)."""
    indices = np.stack([largest(row, k) for row in S])  # (M, k)
    return indices, np.take_along_axis(S, indices, axis=1).astype(np.float64)
