"""Maps of a pool, and what can be said of picks without training: coverage of the queries, a folded space for W1."""

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
    """Budgets of the slider: every one up to 20, then steps of about 8 %, and those in `include`."""
    if isinstance(largest, bool) or not isinstance(largest, int | np.integer) or largest < 1:
        raise InputError(f"The largest budget must be a positive whole number; got {largest!r}.")
    budgets = list(range(1, min(20, int(largest)) + 1))
    while budgets[-1] < largest:
        budgets.append(min(int(largest), int(np.ceil(1.08 * budgets[-1]))))
    return sorted({*budgets, *(int(b) for b in include if 1 <= b <= largest)})


def facing(queries: NDArray[Any], candidates: NDArray[Any]) -> tuple[Numbers, Numbers]:
    """Fold (M, D) and (N, D) to R = min(M, D) + 1 coordinates, float64, that keep query–candidate distances, so W1 too.

    These are the coordinates in an orthonormal basis of the queries' span, and the length of what lies outside of it.
    """
    rows = np.asarray(queries, dtype=np.float64)
    basis = np.linalg.qr(rows.T)[0]  # (D, min(M, D))
    inside = np.asarray(candidates @ basis.astype(candidates.dtype), dtype=np.float64)  # (N, min(M, D))
    squares = np.einsum("ij,ij->i", candidates, candidates, dtype=np.float64)  # (N,)
    outside = np.sqrt(np.maximum(squares - np.einsum("ij,ij->i", inside, inside), 0))
    return np.column_stack([rows @ basis, np.zeros(len(rows))]), np.column_stack([inside, outside])


def coverage(S: NDArray[Any], order: Sequence[int]) -> tuple[list[int], list[list[float]]]:
    """For every pick in `order` its nearest query, and for every query its records while the picks come in.

    Records are triples in a row: place (from 1) of a pick nearer than all before, its similarity, its rank in the pool.
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
    """Project all on the plane of the candidates' two largest principal components: (N, 2), (M, 2) per task.

    The third value is the share of the candidates' variance that the plane shows.
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
