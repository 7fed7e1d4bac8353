"""Deviation and expectation of W1 for a random sample: they hold, and no constant can be halved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tis_utils.errors import InputError
from tis_utils.evidence.concentration import (
    ClusterTree,
    binomial_surplus,
    dyadic_constant,
    expected_w1_dyadic,
    expected_w1_tree,
    mcdiarmid,
)
from tis_utils.selectors.wasserstein import w1


def weighted_w1(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Exact W1 of two weightings in hundredths, by repeating points."""
    rows = [np.repeat(points, np.rint(100 * w).astype(int), axis=0) for w in (a, b)]
    return w1(*rows)


def hundredths(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.multinomial(100, rng.dirichlet(np.ones(n) * 0.5)) / 100


def within_ten_percent(left: float, right: float) -> bool:
    return 0.9 * right <= left <= right * (1 + 1e-9)


# --- deviation ---


@pytest.mark.parametrize(("n", "delta"), [(10_000, 1e-8), (100_000, 1e-12), (2_000, 1e-8)])
def test_mcdiarmid_is_nearly_attained_by_coin_flips(n: int, delta: float) -> None:
    exceeded = binom.isf(delta, n, 0.5) / n - 0.5  # reached with probability above delta
    assert within_ten_percent(exceeded, float(mcdiarmid(1.0, n, delta)))


def test_w1_of_coin_flips_deviates_as_far_as_allowed() -> None:
    """Two points at distance 3: W1 is 3 |K / B - 1 / 2|, so its exact law is known."""
    n, delta, diameter = 10_000, 1e-30, 3.0
    k = np.arange(n + 1)
    mean = diameter * (np.abs(k / n - 0.5) * binom.pmf(k, n, 0.5)).sum()
    reached = np.flatnonzero(binom.logsf(k - 1, n, 0.5) > np.log(delta / 2)).max()  # both tails count
    exceeded = diameter * (reached / n - 0.5)
    assert within_ten_percent(exceeded - mean, float(mcdiarmid(diameter, n, delta)))


def test_one_replaced_draw_moves_w1_by_diameter_over_budget_at_most() -> None:
    worst = 0.0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        pool, budget = rng.normal(size=(rng.integers(2, 12), 3)), int(rng.integers(1, 8))
        picks = rng.integers(len(pool), size=budget)
        other = picks.copy()
        other[0] = rng.integers(len(pool))
        diameter = np.linalg.norm(pool[:, None] - pool, axis=2).max()
        change = abs(w1(pool[picks], pool) - w1(pool[other], pool)) / (diameter / budget)
        assert change <= 1 + 1e-9
        worst = max(worst, change)
    two = np.array([[0.0], [3.0]])
    assert w1(two[[0, 0, 0]], two) - w1(two[[0, 0, 1]], two) == pytest.approx(3.0 / 3)  # attained


# --- expectation ---


@given(st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_tree_bounds_w1_of_any_two_weightings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(int(rng.integers(2, 15)), int(rng.integers(1, 5))))
    a, b = hundredths(rng, len(points)), hundredths(rng, len(points))
    assert weighted_w1(points, a, b) <= ClusterTree.of(points).w1_bound(a, b) + 1e-6  # rounding of cross distances


def test_tree_is_exact_for_two_points_and_for_a_hierarchy() -> None:
    two = np.array([[0.0], [3.0]])
    assert ClusterTree.of(two).w1_bound([0.8, 0.2], [0.3, 0.7]) == pytest.approx(1.5)
    far = np.array([[0.0, 0.0], [0.0, 0.01], [100.0, 0.0], [100.0, 0.01]])
    a, b = np.array([0.5, 0.5, 0, 0]), np.array([0.0, 0.5, 0.25, 0.25])
    bound = ClusterTree.of(far).w1_bound(a, b)
    assert within_ten_percent(weighted_w1(far, a, b), bound)


def test_tree_diameters_are_the_largest_distances_inside() -> None:
    points = np.random.default_rng(1).normal(size=(25, 3))
    tree = ClusterTree.of(points)
    members: list[list[int]] = [[i] for i in range(25)]
    for pair in tree.children:
        members.append(members[pair[0]] + members[pair[1]])
    for group, diameter in zip(members, tree.diameter, strict=True):
        inside = np.linalg.norm(points[group][:, None] - points[group], axis=2).max()
        assert inside == pytest.approx(diameter, abs=1e-12)
    weights = np.random.default_rng(2).dirichlet(np.ones(25))
    np.testing.assert_allclose(tree.masses(weights), [weights[g].sum() for g in members])
    assert all(child in tree.children[tree.parent[child] - 25] for child in range(48))


def test_surplus_holds_for_every_binomial_and_is_attained() -> None:
    for n in (1, 2, 3, 10, 50):
        for p in np.linspace(0, 1, 21):
            k = np.arange(n + 1)
            mean = (np.maximum(k / n - p, 0) * binom.pmf(k, n, p)).sum()
            assert mean <= binomial_surplus(p, n) + 1e-12
    assert binomial_surplus(0.5, 1) == pytest.approx(0.25)  # one fair flip: E (K - 1/2)_+ is 1/4


def test_expectation_is_attained_by_two_points_and_one_draw() -> None:
    two = np.array([[0.0], [3.0]])
    exact = np.mean([w1(two[[i]], two) for i in range(2)])
    assert exact == pytest.approx(float(expected_w1_tree(two, 1)))


@pytest.mark.parametrize("dim", [3, 4, 6])
def test_expectation_bounds_hold_for_random_pools(dim: int) -> None:
    rng = np.random.default_rng(dim)
    pool = rng.uniform(size=(60, dim)) * rng.uniform(0.1, 2, size=dim)
    diameter = np.linalg.norm(pool[:, None] - pool, axis=2).max()
    budgets = np.array([1, 4, 16, 64, 256])
    tree, closed = expected_w1_tree(pool, budgets), expected_w1_dyadic(diameter, dim, budgets)
    for budget, small, large in zip(budgets, tree, closed, strict=True):
        mean = np.mean([w1(pool[rng.integers(60, size=budget)], pool) for _ in range(25)])
        assert mean <= small <= large


def test_cutting_the_tree_never_hurts() -> None:
    pool = np.random.default_rng(0).normal(size=(40, 3))
    tree = ClusterTree.of(pool)
    mass = tree.masses(np.full(40, 1 / 40))
    for budget in (1, 7, 90):
        whole = ((tree.diameter[tree.parent] - tree.diameter[:-1]) * binomial_surplus(mass[:-1], budget)).sum()
        assert expected_w1_tree(pool, budget) <= min(whole, tree.diameter[-1]) * (1 + 1e-12)


@pytest.mark.parametrize("dim", [3, 4, 5, 8])
def test_closed_form_is_the_sum_over_scales(dim: int) -> None:
    """The sum in the proof, at its own number of levels: never above, and near at the worst budgets."""
    ratios = []
    for levels in range(1, 16):
        for budget in np.unique(np.geomspace(2.0 ** (dim * levels), 2.0 ** (dim * (levels + 1)) * 0.999, 7)):
            scales = 2.0 ** (np.arange(1, levels + 1) * (dim / 2 - 1))
            total = np.sqrt(dim) * (2.0**-levels + 0.5 / np.sqrt(budget) * scales.sum())
            ratios.append(total / expected_w1_dyadic(1.0, dim, budget))
    assert 0.9 <= max(ratios) <= 1 + 1e-9


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_dyadic_cubes_bound_w1(seed: int) -> None:
    """Lemma "tree" on the grid of the proof, written out independently."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(int(rng.integers(2, 20)), 3))
    a, b = hundredths(rng, len(points)), hundredths(rng, len(points))
    levels = int(rng.integers(0, 5))
    total = np.sqrt(3) * 2.0**-levels
    for level in range(1, levels + 1):
        cells = np.unique(np.floor(points * 2**level), axis=0, return_inverse=True)[1].ravel()
        total += np.sqrt(3) * 2.0**-level * np.abs(np.bincount(cells, a - b)).sum() / 2
    assert weighted_w1(points, a, b) <= total + 1e-6


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InputError, match="dimension 3 or more"):
        dyadic_constant(2)
    with pytest.raises(InputError, match="at least 2 points"):
        ClusterTree.of([[1.0, 2.0]])
