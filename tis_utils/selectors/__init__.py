"""Selectors: from a similarity matrix to an ordered list of candidates.

`SELECTORS` maps names to functions ``f(S, budget, **options) -> indices``. A keyword ``candidates`` or ``seed`` asks
for the candidates' features or the seed; every other keyword is an option that `select` hands through.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tis_utils.errors import InputError, check_choice
from tis_utils.selectors.arrays import Ints
from tis_utils.selectors.greedy import doubly_greedy, round_robin
from tis_utils.selectors.mass_order import check_count
from tis_utils.selectors.neighbours import knn_kde, knn_uniform
from tis_utils.selectors.random import random
from tis_utils.selectors.similarity import plain_array, real_matrix
from tis_utils.selectors.transport import uot
from tis_utils.storage.keys import step

VERSION = step("select", 1)

SELECTORS: dict[str, Callable[..., NDArray[Any]]] = {
    "random": random,
    "round_robin": round_robin,
    "doubly_greedy": doubly_greedy,
    "knn_uniform": knn_uniform,
    "knn_kde": knn_kde,
    "uot": uot,
}
PARTIAL = ("knn_uniform", "knn_kde")  # these order only candidates with mass, not the whole pool

__all__ = ["SELECTORS", "select"]


def select(
    name: str, S: ArrayLike, budget: int | None, *, candidates: ArrayLike | None = None, seed: int = 0, **options: Any
) -> Ints:
    """Select `budget` candidates with the named method.

    Parameters
    ----------
    name : str
        A key of `SELECTORS`: random, round_robin, doubly_greedy, knn_uniform, knn_kde, uot, or your own.
    S : array_like, shape (M, N)
        Similarities, see :func:`tis_utils.selectors.similarity.similarity`; may be memory-mapped.
    budget : int or None
        None orders the whole pool; knn_uniform and knn_kde order only candidates with mass, so they want a number
        (N has the others filled in by distance).
    candidates : array_like, shape (N, D), optional
        Unit rows; knn_kde needs them. Where given, candidates with a row of zeros come last, whatever the method.
    seed : int
        For random, and for knn_uniform and knn_kde with ``sample=True``.
    **options
        Of the method, see its docstring.

    Returns
    -------
    ndarray, int64 of shape (min(budget, N),)
        Distinct column indices of `S`, best first; among equals the lower index first.

    Raises
    ------
    InputError
        (a ValueError) For an unknown name or option, a matrix that is empty or not finite, a number out of range, or
        features that are missing or do not fit.

    Examples
    --------
    >>> S = np.array([[0.9, 0.8, 0.1], [0.7, 0.2, 0.6]])
    >>> select("round_robin", S, 2).tolist()
    [0, 2]
    >>> select("doubly_greedy", S, 2).tolist()
    [0, 1]
    """
    method = _method(name, options)
    S = _similarities(S)
    if budget is not None:
        check_count("The budget", budget)
    elif name in PARTIAL:
        raise InputError(
            f"{name} orders only the candidates it gives mass to, so budget=None has no answer. Ask for "
            f"budget={S.shape[1]} to get the whole pool, the rest filled in by distance."
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"The seed must be a whole number of at least 0; got {seed!r}.")
    keywords = inspect.signature(method).parameters
    n, features = S.shape[1], _features(name, candidates, S.shape[1], needed="candidates" in keywords)
    lost = _lost(features)
    if features is not None and 0 < len(lost) < n:
        kept = np.setdiff1d(np.arange(n), lost)
        few = None if budget is None else min(budget, len(kept))
        ranked = kept[select(name, S[:, kept], few, candidates=features[kept], seed=seed, **options)]
        return np.concatenate([ranked, lost])[:budget]
    given = {key: value for key, value in (("candidates", features), ("seed", seed)) if key in keywords}
    picks = np.asarray(method(S, budget, **options, **given))
    return _distinct(name, picks, n if budget is None else min(budget, n), n)


def _method(name: str, options: dict[str, Any]) -> Callable[..., NDArray[Any]]:
    check_choice("selector", name, SELECTORS)
    method = SELECTORS[name]
    keywords = inspect.signature(method).parameters.values()
    known = {p.name for p in keywords if p.kind is p.KEYWORD_ONLY} - {"candidates", "seed"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise InputError(
            f"{name} has no option {', '.join(unknown)}. Its options: {', '.join(sorted(known)) or 'none'}."
        )
    return method


def _similarities(S: ArrayLike) -> NDArray[Any]:
    matrix = real_matrix(S, "similarities")
    if matrix.dtype not in (np.float16, np.float32, np.float64):
        matrix = matrix.astype(np.float64)
    bad = np.array([row.size - np.count_nonzero(np.isfinite(row)) for row in matrix])  # (M,)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        column = int(np.isfinite(matrix[row]).argmin())
        raise InputError(
            f"The similarity matrix holds {bad.sum()} NaN or infinite values, the first in row {row} (query) "
            f"and column {column} (candidate). Find out which feature row they come from and compute it again."
        )
    return matrix


def _features(name: str, candidates: ArrayLike | None, n: int, *, needed: bool) -> NDArray[Any] | None:
    if candidates is None and not needed:
        return None
    if candidates is None:
        raise InputError(
            f"{name} compares candidates with each other: pass their features, candidates=(N, D) unit rows, "
            "the same rows the similarity matrix was computed from."
        )
    features = plain_array(candidates, "features")
    if features.ndim != 2 or len(features) != n or features.dtype.kind not in "fiu":
        raise InputError(
            f"The features are {features.dtype} of shape {features.shape}, but the similarity matrix has {n} "
            f"candidates (columns): expected real numbers of shape ({n}, D)."
        )
    return features


def _lost(features: NDArray[Any] | None) -> Ints:
    """Candidates that could not be represented: rows of zeros, whatever `S` says of them."""
    if features is None:
        return np.empty(0, dtype=np.int64)
    suspects = np.flatnonzero(~features[:, :1].any(axis=1))  # the other rows of a large file are not read
    return np.array([j for j in suspects if not features[j].any()], dtype=np.int64)


def _distinct(name: str, picks: NDArray[Any], count: int, size: int) -> Ints:
    """Hold every method, also one added by the reader, to the contract."""
    if picks.shape != (count,) or picks.dtype.kind not in "iu" or len(np.unique(picks)) != count:
        raise InputError(
            f"Selector {name!r} must return {count} distinct indices; it returned {picks.dtype} of shape "
            f"{picks.shape} with {len(np.unique(picks))} distinct values. Correct the function in SELECTORS."
        )
    if count and not 0 <= picks.min() <= picks.max() < size:
        raise InputError(
            f"Selector {name!r} must return indices from 0 to {size - 1}; it returned {picks.min()} to {picks.max()}. "
            "Correct the function in SELECTORS."
        )
    return picks.astype(np.int64, copy=False)
