"""The two TSDS selectors: probability mass over nearest neighbours (Liu et al. 2024)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.errors import InputError
from tis_utils.selectors.density import densities
from tis_utils.selectors.mass_order import by_mass, check_count, check_number, sampling_keys
from tis_utils.selectors.similarity import nearest
from tis_utils.storage.keys import step

VERSION = step("neighbours", 1)

EXACT = 8192  # up to this many neighbours, densities are computed in double precision


def knn_uniform(
    S: NDArray[Any],
    budget: int,
    *,
    seed: int = 0,
    alpha: float = 0.01,
    C: float = 5.0,
    max_k: int = 5000,
    distance: str = "cosine",
    sample: bool = False,
) -> NDArray[np.int64]:
    """Order candidates by how many queries have them among their K nearest (METHODS §3, KNN-Uniform).

    Parameters
    ----------
    S : ndarray, shape (M, N)
        Similarities; may be memory-mapped.
    budget : int
        How many. The method orders only candidates with mass, so there is no ``None``.
    seed : int
        Only used when `sample` is true.
    alpha : float
        Between 0 and 1: weight of diversity against closeness.
    C : float
        Scale of the distances.
    max_k : int
        Largest K considered (L in the paper), at most N.
    distance : {"cosine", "euclidean"}
        ``1 - S``, or ``sqrt(2 (1 - S))`` as TSDS was published.
    sample : bool
        Draw without replacement in proportion to the mass, as TSDS does, not the largest masses.

    Returns
    -------
    ndarray, shape (min(budget, N),), int64
        Filled up in distance order, with a warning, when fewer candidates have mass.

    Raises
    ------
    InputError
        If an option is out of range.
    """
    mass = uniform_mass(S, alpha=alpha, C=C, max_k=max_k, distance=distance)
    keys = sampling_keys(mass, seed) if sample else mass
    return by_mass("knn_uniform", keys, S, min(budget, S.shape[1]))


def uniform_mass(
    S: NDArray[Any], *, alpha: float = 0.01, C: float = 5.0, max_k: int = 5000, distance: str = "cosine"
) -> NDArray[np.float64]:
    """Probability of every candidate under KNN-Uniform; parameters as in :func:`knn_uniform`.

    Returns
    -------
    ndarray, shape (N,), float64
        (queries that have the candidate among their K nearest) / (K·M); sums to 1.

    Notes
    -----
    The left side of the stopping rule never falls as K grows, and running sums of the sorted distances
    give it for all K at once: ``sum_{k<=K} (d[K+1] - d[k]) = K d[K+1] - sum_{k<=K} d[k]``.
    """
    _check_tsds(alpha, C, max_k, distance)
    m, n = S.shape
    indices, similarities = nearest(S, min(max_k, n))
    d = _distances(similarities, distance)  # (M, L)
    ks = np.arange(1, d.shape[1])  # the K for which a (K+1)-th neighbour exists
    gaps = ks * d[:, 1:] - np.cumsum(d, axis=1)[:, :-1]  # (M, L-1)
    stop = (alpha / C) * gaps.sum(axis=0) >= (1 - alpha) * m  # (L-1,)
    k = int(ks[stop.argmax()]) if stop.any() else d.shape[1]
    counts = np.zeros(n)
    np.add.at(counts, indices[:, :k].ravel(), 1)
    return counts / (k * m)


def knn_kde(
    S: NDArray[Any],
    budget: int,
    *,
    candidates: NDArray[Any],
    seed: int = 0,
    alpha: float = 0.01,
    C: float = 5.0,
    sigma: float = 0.75,
    max_k: int | None = None,
    kde_k: int | None = None,
    distance: str = "cosine",
    sample: bool = False,
) -> NDArray[np.int64]:
    """Order candidates by transported mass, near-duplicates sharing theirs (METHODS §3, KNN-KDE).

    Parameters
    ----------
    S : ndarray, shape (M, N)
        Similarities; may be memory-mapped.
    budget : int
        How many. The method orders only candidates with mass, so there is no ``None``.
    candidates : ndarray, shape (N, D)
        Features; the cosine between two rows is used, so lengths do not matter. May be memory-mapped:
        only the rows of neighbours are read, in double precision up to 8,192 of them, else in single.
    seed : int
        Only used when `sample` is true.
    alpha : float
        Between 0 and 1: weight of diversity against closeness.
    C : float
        Scale of the distances.
    sigma : float
        Width of the kernel ``max(0, 1 - D²/sigma²)``, a Euclidean distance between unit rows.
    max_k : int, optional
        Neighbours per query; default min(5000, max(1, N // 10)).
    kde_k : int, optional
        Neighbours per density; default min(1000, max(1, N // 10)).
    distance : {"cosine", "euclidean"}
        Query–candidate distance: ``1 - S``, or ``sqrt(2 (1 - S))`` as TSDS was published.
    sample : bool
        Draw without replacement in proportion to the mass, as TSDS does, not the largest masses.

    Returns
    -------
    ndarray, shape (min(budget, N),), int64
        Filled up in distance order, with a warning, when fewer candidates have mass.

    Raises
    ------
    InputError
        If an option is out of range.
    """
    mass = kde_mass(S, candidates, alpha=alpha, C=C, sigma=sigma, max_k=max_k, kde_k=kde_k, distance=distance)
    keys = sampling_keys(mass, seed) if sample else mass
    return by_mass("knn_kde", keys, S, min(budget, S.shape[1]))


def kde_mass(
    S: NDArray[Any],
    candidates: NDArray[Any],
    *,
    alpha: float = 0.01,
    C: float = 5.0,
    sigma: float = 0.75,
    max_k: int | None = None,
    kde_k: int | None = None,
    distance: str = "cosine",
) -> NDArray[np.float64]:
    """Probability of every candidate under KNN-KDE; parameters as in :func:`knn_kde`.

    Returns
    -------
    ndarray, shape (N,), float64
        Sums to 1; every query hands out exactly 1/M.
    """
    n = S.shape[1]
    max_k = min(5000, max(1, n // 10)) if max_k is None else max_k
    kde_k = min(1000, max(1, n // 10)) if kde_k is None else kde_k
    _check_tsds(alpha, C, max_k, distance)
    check_number("sigma", sigma, 0)
    check_count("Option kde_k", kde_k)
    indices, similarities = nearest(S, min(max_k, n))  # (M, K)
    union, place = np.unique(indices, return_inverse=True)
    density = densities(_directions(candidates, union), sigma=sigma, k=kde_k)  # (P,)
    shares = transported(
        _distances(similarities, distance), density[place.reshape(indices.shape)], alpha=alpha, C=C
    )  # (M, K)
    mass = np.zeros(n)
    np.add.at(mass, indices.ravel(), shares.ravel())
    return mass


def transported(d: NDArray[np.float64], density: NDArray[np.float64], *, alpha: float, C: float) -> NDArray[np.float64]:
    """Mass each query gives to each of its neighbours.

    Parameters
    ----------
    d : ndarray, shape (M, K)
        Distances, ascending in every row.
    density : ndarray, shape (M, K)
        Density at each neighbour.
    alpha, C : float
        As in :func:`knn_kde`.

    Returns
    -------
    ndarray, shape (M, K), float64
        Rows sum to 1/M.

    Notes
    -----
    METHODS describes a heap over queries: pop the smallest cumulative mass ``s``, replace that query's
    cost, stop once the weighted total reaches its limit. Every query's cumulative masses ascend, so the
    pops are simply all (query, neighbour) pairs sorted by ``s``, and the totals one running sum.

    Read where METHODS leaves room: the K-th neighbour has no successor and is never popped, it can only
    take a remainder; if no pop reaches the limit, the last one sets ``s``; a query that was not popped
    before the stop gives all its mass to its nearest candidate; with K = 1 so does every query.
    """
    m, k = d.shape
    shares = np.zeros((m, k))
    if k == 1:
        return shares + 1 / m
    weight = 1 / density
    s = np.cumsum(weight, axis=1)[:, :-1]  # (M, K-1) mass at which each pair is popped
    cost = d[:, 1:] * s - np.cumsum(d * weight, axis=1)[:, :-1]  # (M, K-1)
    step = np.diff(cost, axis=1, prepend=0.0)  # a pop replaces the query's former cost
    order = np.argsort(s, axis=None, kind="stable")
    reached = (alpha / C) * np.cumsum(step.ravel()[order]) >= (1 - alpha) * m
    final = s.ravel()[order[reached.argmax() if reached.any() else -1]]
    covered = (s < final * (1 - 1e-12)).sum(axis=1)  # (M,) neighbours that take their full share
    shares = np.where(np.arange(k) < covered[:, None], weight / (m * final), 0.0)
    queries = np.arange(m)
    handed_out = np.where(covered > 0, s[queries, covered - 1], 0.0)
    shares[queries, covered] = (final - handed_out) / (m * final)
    return shares


def _directions(candidates: NDArray[Any], union: NDArray[np.int64]) -> NDArray[Any]:
    """Rows of the given candidates, each divided by its length; zero rows stay zero."""
    rows: Any = candidates[union].astype(np.float64 if len(union) <= EXACT else np.float32)  # (P, D), a copy
    norm = np.sqrt(np.einsum("ij,ij->i", rows, rows))  # (P,); NaN or inf wherever a row has one
    if not np.isfinite(norm).all():
        first = int(union[np.isfinite(norm).argmin()])
        raise InputError(
            f"The candidates' features hold NaN or infinite values, first in row {first}. Find out which "
            "example made them and compute its features again."
        )
    rows /= np.where(norm > 0, norm, 1)[:, None]
    return rows


def _distances(similarities: NDArray[np.float64], distance: str) -> NDArray[np.float64]:
    """Distances of the chosen kind; rounding may push a cosine just above 1, never a distance below 0."""
    gap = 1 - similarities
    return gap if distance == "cosine" else np.sqrt(2 * np.maximum(gap, 0))


def _check_tsds(alpha: float, C: float, max_k: int, distance: str) -> None:
    """Check the options both TSDS selectors have."""
    check_number("alpha", alpha, 0, 1)
    check_number("C", C, 0)
    check_count("Option max_k", max_k)
    if distance not in ("cosine", "euclidean"):
        raise InputError(f"Option distance must be 'cosine' or 'euclidean'; got {distance!r}.")
