"""ILA: select by coverage and depth, without queries (Wu et al., arXiv 2509.06463). Arrays in, arrays out.

*Depth* says how much an example has to teach, *coverage* how much of the pool's map a subset touches. The published
description is in words; where it is silent, the docstrings say what was chosen.
"""

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from tis_utils.errors import InputError
from tis_utils.selectors.arrays import Floats, Ints
from tis_utils.storage.keys import step

VERSION = step("coverage_depth", 1)

log = logging.getLogger(__name__)

Projection = Literal["pca", "tsne"]
Rule = Literal["both", "depth", "coverage", "random"]


def depth(base: ArrayLike, tuned: ArrayLike, tokens: ArrayLike, labels: ArrayLike = 1) -> Floats:
    """Fall of each response's summed loss (nats) by tuning on other examples, per token, times ability labels, (N,).

    NaN for a response without tokens.
    """
    base, tuned, tokens, labels = (np.asarray(a, dtype=float) for a in (base, tuned, tokens, labels))
    gained = np.divide(base - tuned, tokens, out=np.full(base.shape, np.nan), where=tokens > 0)
    return gained * labels


def relative_depth(depths: ArrayLike, domains: ArrayLike) -> Floats:
    """Quantile of each depth within its domain, (average rank − ½) / size, (N,); NaN stays NaN."""
    depths, domains = np.asarray(depths, dtype=float), np.asarray(domains)
    known = np.isfinite(depths)  # (N,)
    values = depths[known]
    if not len(values) or (len(values) > 1 and np.ptp(values) == 0):
        raise InputError(
            f"All {len(values)} depths are equal: tuning changed the loss of every candidate by the same amount, or "
            "not at all, so depth cannot rank them. Tune on more examples or with a higher learning rate, or select "
            "by coverage alone."
        )
    result = np.full(len(depths), np.nan)  # (N,)
    for domain in np.unique(domains[known]):
        here = known & (domains == domain)
        result[here] = (rankdata(depths[here]) - 0.5) / here.sum()
    return result


def project(rows: ArrayLike, method: Projection = "pca", *, seed: int = 0) -> Floats:
    """Two coordinates for each embedding, (N, D) to float64 (N, 2).

    PCA is deterministic; t-SNE keeps neighbours, distorts distances and starts at random: its seed is a real choice.
    """
    rows = np.asarray(rows, dtype=float)
    if rows.ndim != 2 or min(rows.shape) < 2 or not np.isfinite(rows).all():
        raise InputError(
            f"The embeddings have shape {rows.shape}; a projection needs a finite matrix of at least two rows and two "
            "columns."
        )
    if method == "pca":
        with np.errstate(invalid="ignore"):  # the share of variance of equal rows, which nobody reads
            return np.asarray(PCA(2, svd_solver="full").fit_transform(rows))
    if method == "tsne":
        perplexity = min(30.0, (len(rows) - 1) / 3)
        tsne = TSNE(2, perplexity=perplexity, init="random", random_state=seed)
        return np.asarray(tsne.fit_transform(rows.astype(np.float32)), dtype=float)
    raise InputError(f"Unknown projection {method!r}; known: pca, tsne.")


def grid_cells(points: ArrayLike, bins: int) -> Ints:
    """Cell of each point, (N, 2), in a uniform grid over their bounding box: row × `bins` + column, int64 (N,)."""
    points = np.asarray(points, dtype=float)
    if not isinstance(bins, int | np.integer) or bins < 1:
        raise InputError(f"The grid needs a positive number of cells per axis, not {bins!r}.")
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise InputError(f"A grid is laid over finite points, two coordinates each; the shape is {points.shape}.")
    low, width = points.min(axis=0), np.ptp(points, axis=0)  # (2,) each
    steps = np.divide((points - low) * bins, width, out=np.zeros_like(points), where=width > 0)
    row, column = np.minimum(steps.astype(np.int64), bins - 1).T  # the highest point belongs to the last cell
    cells = row * bins + column
    if len(points) > 1 and bins > 1 and np.ptp(cells) == 0:
        log.warning("All %d candidates lie in one cell: coverage says nothing, depth alone decides.", len(points))
    return cells


def kmeans_cells(rows: ArrayLike, count: int, *, seed: int = 0) -> Ints:
    """Clusters of the embeddings instead of cells of a map, int64 of shape (N,); at most N clusters."""
    rows = np.asarray(rows, dtype=float)
    fitted = KMeans(min(count, len(rows)), n_init=1, random_state=seed).fit(rows)
    return np.asarray(fitted.labels_, dtype=np.int64)


def coverage(cells: ArrayLike, picks: ArrayLike) -> float:
    """Share of the pool's non-empty cells, given by the cell of each candidate, (N,), that the picks, (B,), occupy."""
    cells = np.asarray(cells)
    if not len(cells):
        raise InputError("There are no cells to cover: the pool is empty.")
    return len(np.unique(cells[np.asarray(picks, dtype=np.int64)])) / len(np.unique(cells))


def rounds(cells: ArrayLike, depths: ArrayLike, budget: int | None = None, *, seed: int = 0) -> Ints:
    """Rounds over the cells, each takes the deepest remaining candidate of every cell, until the budget: int64 (B,).

    Sources do not say in which order cells come: here a permutation drawn once with `seed`, so that a budget below the
    number of cells does not see one corner of the map only. NaN depths cannot be selected; ties go to the lower index.
    """
    cells, depths = np.asarray(cells), np.asarray(depths, dtype=float)
    free = np.flatnonzero(~np.isnan(depths))  # (n,)
    budget = checked_budget(budget, len(free))
    _, cell = np.unique(cells[free], return_inverse=True)  # (n,) 0 … C - 1
    turn = np.random.default_rng(seed).permutation(cell.max() + 1)[cell]  # (n,) when its cell is asked in a round
    sorted_ = np.lexsort((free, -depths[free], turn))  # cell after cell, the deepest first
    counts = np.bincount(turn)  # (C,)
    number = np.arange(len(free)) - np.repeat(np.cumsum(counts) - counts, counts)  # round of each
    return free[sorted_[np.argsort(number, kind="stable")]][:budget]


def deepest(depths: ArrayLike, budget: int | None = None) -> Ints:
    """Depth alone: the deepest candidates of the whole pool, ties to the lower index; errors as of :func:`rounds`."""
    return rounds(np.zeros(len(np.asarray(depths)), dtype=np.int64), depths, budget)


def checked_budget(budget: int | None, room: int) -> int:
    """Return the budget, or everything; an InputError where it is no positive integer or larger than the room."""
    if room < 1:
        raise InputError("There is no candidate to select from: none has a depth.")
    if budget is None:
        return room
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 1:
        raise InputError(f"The budget must be a positive number of examples, not {budget!r}.")
    if budget > room:
        raise InputError(
            f"Budget {budget} is larger than the {room} candidates that are left: the random subset that tuned the "
            "model is never selected. Lower the budget or take a larger pool."
        )
    return int(budget)


@dataclass(frozen=True)
class Landscape:
    """A pool, or part of one, as ILA sees it."""

    index: Ints  # (n,) which candidates of the pool
    cells: Ints  # (n,) where each lies on the map
    depths: Floats  # (n,) relative; NaN where there is none, above all for the examples that tuned the model
    points: Floats  # (n, 2) the map; empty for k-means

    def picks(self, rule: Rule, budget: int, seed: int = 0) -> Ints:
        """Indices into the pool, best first, int64 (B,)."""
        depths = self.depths  # (n,)
        if rule in ("coverage", "random"):
            depths = np.where(np.isnan(depths), np.nan, np.random.default_rng(seed).random(len(depths)))
        spread = rule in ("both", "coverage")
        return self.index[rounds(self.cells, depths, budget) if spread else deepest(depths, budget)]

    def measure(self, picks: Ints) -> tuple[float, float]:
        """Coverage and mean relative depth of a subset of `index`; picks without a depth count for coverage only."""
        place = np.searchsorted(self.index, picks)
        return coverage(self.cells, place), float(np.nanmean(self.depths[place]))
