"""How far a random sample can be from what it was drawn from, with explicit constants (proofs: page ``05_bounds``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import linkage

from tis_utils.errors import InputError
from tis_utils.evidence.statistics import Floats


def rademacher_linear(rho: float, x_max: float, n: ArrayLike) -> Floats:
    """Bound E sup_{|theta| <= rho} mean_i s_i <theta, x_i> for random signs s (Lemma "uniform deviation")."""
    return rho * x_max / np.sqrt(np.asarray(n, dtype=np.float64))


def mcdiarmid(width: float, n: ArrayLike, delta: float) -> Floats:
    """Deviation above the mean exceeded with probability delta at most (Lemma "bounded differences").

    One of the n independent draws moves the statistic by ``width / n`` at most. InputError for delta outside (0, 1).
    """
    if not 0 < delta < 1:
        raise InputError(f"delta is {delta!r}; it is a probability of failure, so give a number between 0 and 1.")
    return width * np.sqrt(np.log(1 / delta) / (2 * np.asarray(n, dtype=np.float64)))


def dyadic_constant(dim: int) -> float:
    """C_d of E W1(P_B, P) <= C_d diameter B^(-1/d) (Theorem "expected distance of a random subset"); d >= 3."""
    if dim < 3:
        raise InputError(f"The rate B^(-1/d) needs dimension 3 or more, got {dim}; use expected_w1_tree instead.")
    growth = 2.0 ** (dim / 2 - 1)
    return np.sqrt(dim) * (2 + 1 / (2 * (growth - 1)))


def expected_w1_dyadic(diameter: float, dim: int, budget: ArrayLike) -> Floats:
    """Bound E W1(P_B, P) by C_d diameter B^(-1/d), whatever the pool."""
    return dyadic_constant(dim) * diameter * np.asarray(budget, dtype=np.float64) ** (-1 / dim)


@dataclass(frozen=True)
class ClusterTree:
    """Nested clusters of a pool of N points: N single points first, then N - 1 merged clusters."""

    children: NDArray[np.intp]  # (N - 1, 2): the two clusters that each merged cluster consists of
    diameter: Floats  # (2 N - 1,): largest distance inside each cluster; 0 for single points

    @classmethod
    def of(cls, points: ArrayLike) -> ClusterTree:
        """Complete linkage of points (N, d): the height of a merge is the diameter of the merged cluster."""
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or len(points) < 2:
            raise InputError(f"A cluster tree needs a matrix of at least 2 points, got shape {points.shape}.")
        merges = linkage(points, "complete")  # (N - 1, 4)
        return cls(merges[:, :2].astype(np.intp), np.concatenate([np.zeros(len(points)), merges[:, 2]]))

    @property
    def parent(self) -> NDArray[np.intp]:
        """Parent of every cluster but the last, the whole pool, shape (2 N - 2,)."""
        n_merges = len(self.children)
        parent = np.empty(2 * n_merges, dtype=np.intp)
        parent[self.children] = np.arange(n_merges + 1, 2 * n_merges + 1)[:, None]
        return parent

    def masses(self, weights: ArrayLike) -> Floats:
        """Mass of every cluster, shape (2 N - 1,), from the masses of the N points."""
        n_points = len(self.children) + 1
        mass = np.concatenate([np.asarray(weights, dtype=np.float64), np.zeros(n_points - 1)])
        for node, pair in enumerate(self.children, start=n_points):
            mass[node] = mass[pair].sum()
        return mass

    def w1_bound(self, weights_a: ArrayLike, weights_b: ArrayLike) -> float:
        """Upper bound of W1 between two weightings of the pool (Lemma "tree")."""
        surplus = np.maximum(self.masses(weights_a) - self.masses(weights_b), 0)[:-1]
        return float((self.diameter[self.parent] - self.diameter[:-1]) @ surplus)


def binomial_surplus(mass: ArrayLike, budget: ArrayLike) -> Floats:
    """Bound E (K / B - p)_+ for K ~ Binomial(B, p) by half a standard deviation (Lemma "surplus")."""
    mass = np.clip(np.asarray(mass, dtype=np.float64), 0, 1)
    return 0.5 * np.sqrt(mass * (1 - mass) / np.asarray(budget, dtype=np.float64))


def expected_w1_tree(points: ArrayLike, budget: ArrayLike) -> Floats:
    """Bound E W1(P_B, P) for `budget` draws from this pool, points (N, d); the shape of `budget`.

    Theorem "expected distance of a random subset"; clusters too fine to matter at a budget are cut off.
    """
    tree = ClusterTree.of(points)
    n_points = len(tree.children) + 1
    mass = tree.masses(np.full(n_points, 1 / n_points))
    budgets = np.atleast_1d(np.asarray(budget, dtype=np.float64))
    cost = np.zeros((len(mass), len(budgets)))  # of moving mass inside each cluster
    for node, pair in enumerate(tree.children, start=n_points):
        step = (tree.diameter[node] - tree.diameter[pair])[:, None]  # (2, 1)
        split = (step * binomial_surplus(mass[pair, None], budgets) + cost[pair]).sum(0)
        cost[node] = np.minimum(split, tree.diameter[node] * mass[node])
    return cost[-1].reshape(np.shape(budget))
