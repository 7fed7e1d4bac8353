"""The two selectors of TSDS: probability mass over nearest neighbours (Liu et al. 2024, arXiv 2410.11303)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.errors import InputError, check_choice
from tis_utils.selectors.arrays import Floats, Ints
from tis_utils.selectors.density import densities
from tis_utils.selectors.mass_order import by_mass, check_count, check_number, sampling_keys
from tis_utils.selectors.similarity import nearest
from tis_utils.storage.keys import step

VERSION = step("neighbours", 1)

MAX_K, KDE_K = 5000, 1000  # the paper's most neighbours per query, and per density
EXACT = 8192  # up to this many neighbours, densities are computed in double precision


def knn_uniform(
    S: NDArray[Any],
    budget: int,
    *,
    seed: int = 0,
    alpha: float = 0.01,
    C: float = 5.0,
    max_k: int = MAX_K,
    distance: str = "cosine",
    sample: bool = False,
) -> Ints:
    """Order candidates by how many queries have them among their K nearest (TSDS, Liu et al. 2024).

    Only candidates with mass are ordered; where they are too few, the rest is filled in by distance, with a warning.

    Parameters
    ----------
    seed : int
        Only used when `sample` is true.
    alpha : float
        Between 0 and 1: weight of diversity against closeness.
    C : float
        Scale of the distances.
    max_k : int
        Largest K considered (L in the paper).
    distance : {"cosine", "euclidean"}
        ``1 - S``, or ``sqrt(2 (1 - S))`` as TSDS was published.
    sample : bool
        Draw in proportion to the mass, not the largest masses: without replacement, where TSDS draws with, so that
        no candidate comes twice.
    """
    mass = uniform_mass(S, alpha=alpha, C=C, max_k=max_k, distance=distance)
    return by_mass("knn_uniform", sampling_keys(mass, seed) if sample else mass, S, budget)


def uniform_mass(
    S: NDArray[Any], *, alpha: float = 0.01, C: float = 5.0, max_k: int = MAX_K, distance: str = "cosine"
) -> Floats:
    """Share of each candidate, float64 (N,), sum 1: (queries that have it among their K nearest) / (K·M).

    K grows until ``alpha/C · Σ_i Σ_{k≤K} (d[i,K+1] - d[i,k]) >= (1 - alpha) M``; the left side never falls as it does.
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
) -> Ints:
    """Order candidates by transported mass, near-duplicates sharing theirs (TSDS, Liu et al. 2024).

    Parameters
    ----------
    candidates : ndarray, shape (N, D)
        Features of any length; may be memory-mapped. Only neighbours' rows are read, in double precision up to 8,192 of
        them, else in single.
    seed, alpha, C, distance, sample
        As in :func:`knn_uniform`, and so is what happens when too few candidates have mass.
    sigma : float
        Width of the kernel ``max(0, 1 - D²/sigma²)``, a Euclidean distance between unit rows.
    max_k : int, optional
        Neighbours per query; default min(5000, max(1, N // 10)).
    kde_k : int, optional
        Neighbours per density; default min(1000, max(1, N // 10)).
    """
    mass = kde_mass(S, candidates, alpha=alpha, C=C, sigma=sigma, max_k=max_k, kde_k=kde_k, distance=distance)
    return by_mass("knn_kde", sampling_keys(mass, seed) if sample else mass, S, budget)


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
) -> Floats:
    """Mass of each candidate, float64 (N,): every query hands out 1/M. The options are those of :func:`knn_kde`."""
    n = S.shape[1]
    max_k = min(MAX_K, max(1, n // 10)) if max_k is None else max_k
    kde_k = min(KDE_K, max(1, n // 10)) if kde_k is None else kde_k
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


def transported(d: Floats, density: Floats, *, alpha: float, C: float) -> Floats:
    """Mass each query gives to each neighbour (TSDS), rows sum to 1/M; `d` (M, K) ascends, `density` (M, K) at each.

    Pairs are popped by cumulative mass s until the cost reaches its limit; who was not popped gives all to its nearest.
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


def _directions(candidates: NDArray[Any], union: Ints) -> NDArray[Any]:
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


def _distances(similarities: Floats, distance: str) -> Floats:
    """Distances of the chosen kind; rounding may push a cosine just above 1, never a distance below 0."""
    gap = 1 - similarities
    return gap if distance == "cosine" else np.sqrt(2 * np.maximum(gap, 0))


def _check_tsds(alpha: float, C: float, max_k: int, distance: str) -> None:
    check_number("alpha", alpha, 0, 1)
    check_number("C", C, 0)
    check_count("Option max_k", max_k)
    check_choice("distance", distance, ("cosine", "euclidean"))
