"""Maps of a pool, and what can be said of picks without training: coverage of the queries, a folded space for W1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from tis_utils.errors import InputError

DIGITS = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~", np.uint8)  # ascending
STEPS = len(DIGITS) ** 2 - 1  # positions are stored as two digits per axis: finer than a screen
Numbers = NDArray[np.float64]


def budget_grid(largest: int, include: Iterable[int] = ()) -> list[int]:
    """Budgets of the slider: every one up to 20, then steps of about 8 %, and those in `include`.

    Raises
    ------
    InputError
        If `largest` is not a positive whole number.
    """
    if isinstance(largest, bool) or not isinstance(largest, int | np.integer) or largest < 1:
        raise InputError(f"The largest budget must be a positive whole number; got {largest!r}.")
    budgets = list(range(1, min(20, int(largest)) + 1))
    while budgets[-1] < largest:
        budgets.append(min(int(largest), int(np.ceil(1.08 * budgets[-1]))))
    return sorted({*budgets, *(int(b) for b in include if 1 <= b <= largest)})


def facing(queries: NDArray[Any], candidates: NDArray[Any]) -> tuple[Numbers, Numbers]:
    """Rotate and fold the space so that M + 1 coordinates keep every query–candidate distance.

    Parameters
    ----------
    queries : ndarray, shape (M, D)
    candidates : ndarray, shape (N, D)

    Returns
    -------
    queries, candidates : ndarray, shape (M, R) and (N, R), float64
        R = min(M, D) + 1.

    Notes
    -----
    The first coordinates are those in an orthonormal basis of the queries' span; the last one is the length of
    what a candidate has outside of it. Distances between queries and candidates stay as they are (Pythagoras),
    hence W1 between them too; distances among candidates do not. Exact, and much faster than D = 16,384.
    """
    rows = np.asarray(queries, dtype=np.float64)
    basis = np.linalg.qr(rows.T)[0]  # (D, min(M, D))
    inside = np.asarray(candidates @ basis.astype(candidates.dtype), dtype=np.float64)  # (N, min(M, D))
    squares = np.einsum("ij,ij->i", candidates, candidates, dtype=np.float64)  # (N,)
    outside = np.sqrt(np.maximum(squares - np.einsum("ij,ij->i", inside, inside), 0))
    return np.column_stack([rows @ basis, np.zeros(len(rows))]), np.column_stack([inside, outside])


def coverage(S: NDArray[Any], order: Sequence[int]) -> tuple[list[int], list[list[float]]]:
    """Follow what each query gets while the picks come in.

    Parameters
    ----------
    S : ndarray, shape (M, N)
    order : sequence of int, length B
        Picks, best first.

    Returns
    -------
    nearest : list of int, length B
        For every pick the query it is most similar to (ties: the lower index).
    records : list of list of float, length M
        For every query triples ``place, similarity, rank``, one after the other: at which place of `order` (1
        first) came a pick more similar to it than all before, how similar, and how many candidates of the whole
        pool are more similar still, plus one (1: it is the query's nearest candidate).
    """
    S = np.asarray(S, dtype=np.float64)
    seen = S[:, np.asarray(order)]  # (M, B)
    best = np.maximum.accumulate(seen, axis=1)
    new = np.column_stack([np.ones(len(S), dtype=bool), best[:, 1:] > best[:, :-1]])  # (M, B)
    records: list[list[float]] = [[] for _ in S]
    for i, at in zip(*np.nonzero(new), strict=True):
        value = best[i, at]
        records[i] += [int(at) + 1, round(float(value), 3), 1 + int(np.count_nonzero(S[i] > value))]
    return seen.argmax(axis=0).tolist(), records


def flatten(candidates: NDArray[Any], queries: Mapping[str, NDArray[Any]]) -> tuple[Numbers, dict[str, Numbers], float]:
    """Project on the plane of the two largest principal components of the candidates.

    Classical scaling of the candidates' Euclidean distances gives the same picture.

    Parameters
    ----------
    candidates : ndarray, shape (N, D)
    queries : mapping of task to ndarray, shape (M, D)
        Projected on the same plane; they have no say in where it lies.

    Returns
    -------
    candidates : ndarray, shape (N, 2)
    queries : dict of task to ndarray, shape (M, 2)
    share : float
        Part of the candidates' variance that the map shows.
    """
    plane = PCA(2, svd_solver="randomized", random_state=0).fit(candidates)
    placed = {task: plane.transform(rows).astype(np.float64) for task, rows in queries.items()}
    share = float(plane.explained_variance_ratio_.sum())
    return plane.transform(candidates).astype(np.float64), placed, share


def faithfulness(queries: Numbers, candidates: Numbers, S: NDArray[Any]) -> float:
    """Spearman's correlation, over all pairs, of distance on the map and distance in the space."""
    gaps = np.linalg.norm(queries[:, None] - candidates[None], axis=2)  # (M, N)
    return float(spearmanr(gaps.ravel(), -np.asarray(S).ravel()).statistic)


def pack(values: NDArray[Any], low: float, high: float) -> str:
    """Write values between `low` and `high` in 4,096 steps, two characters each."""
    steps = np.rint((np.asarray(values, dtype=np.float64) - low) / ((high - low) or 1.0) * STEPS)
    pairs = np.divmod(np.clip(steps, 0, STEPS).astype(np.int64), len(DIGITS))  # two of (n,)
    return DIGITS[np.stack(pairs, axis=-1)].tobytes().decode("ascii")
