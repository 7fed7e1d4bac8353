"""ILA's pieces against their definitions (METHODS §8), its guarantees as properties, and bad input."""

from __future__ import annotations

import itertools
import logging
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.neighbours.ila import coverage_depth as landscape

seeds = st.integers(0, 2**32 - 1)


@st.composite
def landscapes(draw: st.DrawFn, most: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Cells and depths with many ties; some candidates have no depth."""
    n, cells, levels = draw(st.integers(1, most)), draw(st.integers(1, 8)), draw(st.sampled_from([1, 3, 50]))
    rng = np.random.default_rng(draw(seeds))
    depths = rng.integers(levels, size=n) / levels
    if draw(st.booleans()):
        depths[rng.random(n) < 0.3] = np.nan
    depths[rng.integers(n)] = 0.5  # at least one can be selected
    return rng.integers(cells, size=n) * 7, depths


# --- depth -------------------------------------------------------------------------------------------


def test_depth_is_the_loss_difference_per_token_times_the_labels() -> None:
    found = landscape.depth([6.0, 6.0, 1.0], [2.0, 9.0, 1.0], [4, 3, 0], [1, 2, 5])
    np.testing.assert_allclose(found, [1.0, -2.0, np.nan])


def quantile_by_counting(depths: list[float], domains: list[int]) -> list[Fraction]:
    """Of the domain's members: those below, and half of those level, each with itself."""
    result = []
    for depth, domain in zip(depths, domains, strict=True):
        own = [d for d, other in zip(depths, domains, strict=True) if other == domain]
        below, level = sum(d < depth for d in own), sum(d == depth for d in own)
        result.append((below + Fraction(level, 2)) / len(own))
    return result


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=30))
def test_relative_depth_is_a_quantile_within_its_domain(pairs: list[tuple[int, int]]) -> None:
    depths, domains = ([float(p[0]) for p in pairs], [p[1] for p in pairs])
    if len(set(depths)) == 1:
        with pytest.raises(InputError, match="depths are equal"):
            landscape.relative_depth(depths, domains)
        return
    found = landscape.relative_depth(depths, domains)
    np.testing.assert_allclose(found, [float(q) for q in quantile_by_counting(depths, domains)])
    for domain in set(domains):
        assert found[np.array(domains) == domain].mean() == pytest.approx(0.5)


@given(st.integers(2, 30), seeds)
def test_labels_that_a_domain_shares_do_not_change_the_relative_depth(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    domains, base, tuned = rng.integers(4, size=n), rng.random(n), rng.random(n)
    labels = rng.integers(1, 9, size=4)[domains]
    plain, counted = (landscape.depth(base, tuned, np.full(n, 2), k) for k in (1, labels))
    np.testing.assert_allclose(landscape.relative_depth(plain, domains), landscape.relative_depth(counted, domains))


def test_candidates_without_a_depth_count_nowhere() -> None:
    found = landscape.relative_depth([3.0, np.nan, 1.0, np.nan], ["a", "a", "a", "b"])
    np.testing.assert_allclose(found, [0.75, np.nan, 0.25, np.nan])
    with pytest.raises(InputError, match="All 0 depths"):
        landscape.relative_depth([np.nan, np.nan], [0, 0])


# --- map and cells -----------------------------------------------------------------------------------


def cell_by_comparing(points: np.ndarray, bins: int) -> list[tuple[int, int]]:
    """Count, exactly, how many inner grid lines lie at or below each coordinate."""
    columns = []
    for axis in points.T.tolist():
        low, high = Fraction(min(axis)), Fraction(max(axis))
        lines = [low + (high - low) * k / bins for k in range(1, bins)] if high > low else []
        columns.append([sum(Fraction(x) >= line for line in lines) for x in axis])
    return list(zip(*columns, strict=True))


@given(st.lists(st.tuples(st.integers(-30, 30), st.integers(-5, 5)), min_size=1, max_size=30), st.integers(1, 9))
def test_grid_cells_are_those_of_a_uniform_grid(points: list[tuple[int, int]], bins: int) -> None:
    grid = np.array(points, dtype=float)
    found = landscape.grid_cells(grid, bins)
    assert [divmod(int(cell), bins) for cell in found] == cell_by_comparing(grid, bins)


def test_a_degenerate_map_is_one_cell_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    rows = np.ones((6, 4))
    with caplog.at_level(logging.WARNING):
        cells = landscape.grid_cells(landscape.project(rows), 5)
    assert len(set(cells)) == 1
    assert "one cell" in caplog.text
    depths = np.array([0.1, 0.9, 0.5, 0.9, 0.3, 0.2])
    assert landscape.rounds(cells, depths, 3).tolist() == landscape.deepest(depths, 3).tolist() == [1, 3, 2]


def test_pca_keeps_the_plane_of_largest_variance() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 5)) * [1, 9, 0.1, 4, 0.1]
    centred = rows - rows.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    wanted = centred @ vectors[:, ::-1][:, :2]
    found = landscape.project(rows)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-8)


def test_tsne_depends_on_its_seed_and_on_nothing_else() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 5))
    first, again, other = (landscape.project(rows, "tsne", seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_kmeans_cells_keep_separate_clouds_apart() -> None:
    rng = np.random.default_rng(0)
    cloud = np.repeat([0, 1, 2], 10)
    rows = 20 * np.eye(3)[cloud] + rng.normal(size=(30, 3))
    cells = landscape.kmeans_cells(rows, 3)
    assert len({(int(a), int(b)) for a, b in zip(cloud, cells, strict=True)}) == len(set(cells)) == 3
    assert len(set(landscape.kmeans_cells(rows[:2], 9))) == 2


@pytest.mark.parametrize("rows", [np.ones((3, 1)), np.ones((1, 3)), np.ones(4), np.full((3, 3), np.nan)])
def test_embeddings_that_cannot_be_projected(rows: np.ndarray) -> None:
    with pytest.raises(InputError, match="finite matrix of at least two rows and two columns"):
        landscape.project(rows)


def test_unknown_projection_and_grid() -> None:
    with pytest.raises(InputError, match="Unknown projection 'umap'; known: pca, tsne"):
        landscape.project(np.eye(3), "umap")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="positive number of cells per axis, not 0"):
        landscape.grid_cells(np.eye(3)[:, :2], 0)


# --- selection ---------------------------------------------------------------------------------------


def rounds_by_hand(cells: list[int], depths: list[float], budget: int, seed: int) -> list[int]:
    """METHODS §8, literally: round after round, cell after cell, the deepest that is left."""
    left = {i for i, depth in enumerate(depths) if depth == depth}
    names = sorted({cells[i] for i in left})
    order = [0] * len(names)
    for name, turn in zip(names, np.random.default_rng(seed).permutation(len(names)), strict=True):
        order[turn] = name
    chosen: list[int] = []
    while len(chosen) < budget:
        for cell in order:
            inside = [i for i in left if cells[i] == cell]
            if inside and len(chosen) < budget:
                best = min(inside, key=lambda i: (-depths[i], i))
                chosen.append(best)
                left.remove(best)
    return chosen


@settings(max_examples=500)
@given(landscapes(), st.integers(1, 40), st.integers(0, 3))
def test_rounds_are_their_definition(data: tuple[np.ndarray, np.ndarray], budget: int, seed: int) -> None:
    cells, depths = data
    room = int((~np.isnan(depths)).sum())
    if budget > room:
        with pytest.raises(InputError, match=f"Budget {budget} is larger than the {room} candidates"):
            landscape.rounds(cells, depths, budget, seed=seed)
        return
    found = landscape.rounds(cells, depths, budget, seed=seed).tolist()
    assert found == rounds_by_hand(cells.tolist(), depths.tolist(), budget, seed)
    assert found == landscape.rounds(cells, depths, None, seed=seed).tolist()[:budget]


@settings(max_examples=60)
@given(landscapes(most=9), st.integers(1, 5))
def test_no_subset_covers_more(data: tuple[np.ndarray, np.ndarray], budget: int) -> None:
    """Against every subset of that size, so against Random and depth alone as well."""
    cells, depths = data
    free = np.flatnonzero(~np.isnan(depths))
    budget = min(budget, len(free))
    most = max(landscape.coverage(cells, s) for s in itertools.combinations(free, budget))
    assert landscape.coverage(cells, landscape.rounds(cells, depths, budget)) == most


@settings(max_examples=60)
@given(landscapes(most=9), st.integers(1, 5))
def test_no_subset_is_deeper_than_depth_alone(data: tuple[np.ndarray, np.ndarray], budget: int) -> None:
    _, depths = data
    free = np.flatnonzero(~np.isnan(depths))
    budget = min(budget, len(free))
    most = max(depths[list(s)].sum() for s in itertools.combinations(free, budget))
    assert depths[landscape.deepest(depths, budget)].sum() == pytest.approx(most)


@settings(max_examples=200)
@given(landscapes(), st.integers(1, 40), seeds)
def test_ila_is_at_least_as_deep_as_coverage_alone(data: tuple[np.ndarray, np.ndarray], budget: int, seed: int) -> None:
    """The same number from every cell, the deepest instead of random ones."""
    cells, depths = data
    budget = min(budget, int((~np.isnan(depths)).sum()))
    noise = np.where(np.isnan(depths), np.nan, np.random.default_rng(seed).random(len(depths)))
    both, alone = landscape.rounds(cells, depths, budget), landscape.rounds(cells, noise, budget)
    np.testing.assert_array_equal(np.sort(cells[both]), np.sort(cells[alone]))
    assert depths[both].sum() >= depths[alone].sum() - 1e-12


def test_equal_depths_go_by_index_within_a_cell() -> None:
    cells, depths = np.array([3, 3, 3, 3]), np.full(4, 0.5)
    assert landscape.rounds(cells, depths, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("budget", [0, -1, True, 2.5])
def test_budgets_that_are_none(budget: object) -> None:
    with pytest.raises(InputError, match="positive number of examples"):
        landscape.rounds([0, 1], [0.1, 0.2], budget)  # type: ignore[arg-type]


def test_nothing_to_select_from() -> None:
    with pytest.raises(InputError, match="none has a depth"):
        landscape.deepest([np.nan, np.nan], 1)
