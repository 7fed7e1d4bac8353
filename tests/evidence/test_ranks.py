"""Ranks, Friedman, Nemenyi, and regret against SciPy, published tables and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
import scikit_posthocs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import friedmanchisquare, rankdata

from tis_utils.errors import InputError
from tis_utils.evidence import ranks as ranking
from tis_utils.evidence.cube import cube

SMALL = st.integers(-3, 3).map(float)  # many ties


@settings(deadline=None)
@given(hnp.arrays(float, st.tuples(st.integers(2, 6), st.integers(3, 6)), elements=SMALL))
def test_mean_ranks_equal_counting(costs: np.ndarray) -> None:
    expected = np.zeros(costs.shape[1])
    for row in costs:
        for k, value in enumerate(row):
            expected[k] += (row < value).sum() + ((row == value).sum() + 1) / 2
    np.testing.assert_allclose(ranking.mean_ranks(costs), expected / len(costs))


def test_mean_ranks_keep_leading_axes() -> None:
    costs = np.random.default_rng(0).normal(size=(4, 7, 3))
    found = ranking.mean_ranks(costs)
    assert found.shape == (4, 3)
    np.testing.assert_allclose(found[2], rankdata(costs[2], axis=1).mean(axis=0))


def test_rank_test_is_scipys_friedman() -> None:
    costs = np.random.default_rng(1).integers(0, 5, size=(12, 4)).astype(float)
    found = ranking.rank_test(costs)
    assert (found.statistic, found.p) == pytest.approx(tuple(friedmanchisquare(*costs.T)))
    assert found.blocks == 12
    assert found.difference == ranking.critical_difference(4, 12)


def test_friedman_by_hand() -> None:
    """Three blocks that agree: ranks 1, 2, 3; 12/(3·3·4)·(9 + 36 + 81) − 3·3·4 = 6."""
    found = ranking.rank_test(np.array([[1.0, 2, 3], [10, 20, 30], [0, 5, 6]]))
    assert found.ranks.tolist() == [1, 2, 3]
    assert found.statistic == pytest.approx(6)
    assert found.p == pytest.approx(np.exp(-3))  # chi-squared with 2 degrees of freedom


@pytest.mark.parametrize(
    ("alpha", "methods", "q"),
    [(0.05, 2, 1.960), (0.05, 3, 2.343), (0.05, 4, 2.569), (0.05, 5, 2.728), (0.05, 10, 3.164), (0.10, 4, 2.291)],
)  # fmt: skip
def test_critical_difference_has_the_tabled_quantiles(alpha: float, methods: int, q: float) -> None:
    """Demšar 2006, table 5a."""
    expected = q * np.sqrt(methods * (methods + 1) / (6 * 30))
    assert ranking.critical_difference(methods, 30, alpha) == pytest.approx(expected, rel=1e-3)


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 6), st.integers(4, 15), st.integers(0, 10**6))
def test_methods_further_apart_than_the_critical_difference_are_nemenyis_pairs(k: int, blocks: int, seed: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 4, size=(blocks, k)) + np.arange(k)
    found = ranking.rank_test(costs)
    p = scikit_posthocs.posthoc_nemenyi_friedman(costs).to_numpy()
    apart = np.abs(found.ranks[:, None] - found.ranks) > found.difference
    clear = np.abs(p - 0.05) > 1e-3  # both take the same quantile, rounded differently
    np.testing.assert_array_equal(apart[clear], p[clear] < 0.05)
    cliques = {(i, j) for g in ranking.cliques(found.ranks, found.difference) for i in g for j in g if i != j}
    assert all(((i, j) in cliques) == (p[i, j] >= 0.05) for i, j in np.argwhere(clear) if i != j)


@pytest.mark.parametrize("shape", [(1, 4), (4, 2), (4,)])
def test_too_little_for_a_rank_test(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="at least 2 blocks × 3 methods"):
        ranking.rank_test(np.ones(shape))


def test_missing_costs_are_counted() -> None:
    with pytest.raises(InputError, match="2 missing values"):
        ranking.rank_test(np.array([[1, np.nan, 3], [1, 2, np.nan]]))


@pytest.mark.parametrize(
    ("ranks", "difference", "expected"),
    [
        ([1.0, 2.0, 3.0, 9.0], 1.5, [[0, 1], [1, 2]]),
        ([3.0, 1.0, 2.0], 5, [[1, 2, 0]]),
        ([1.0, 5.0, 9.0], 1, []),
        ([1.0, 2.0, 2.5, 2.6], 1.55, [[0, 1, 2], [1, 2, 3]]),
    ],
)
def test_cliques(ranks: list[float], difference: float, expected: list[list[int]]) -> None:
    assert ranking.cliques(np.array(ranks), difference) == expected


@settings(deadline=None)
@given(hnp.arrays(float, 6, elements=st.floats(1, 6)), st.floats(0.1, 5))
def test_cliques_hold_exactly_the_close_pairs(ranks: np.ndarray, difference: float) -> None:
    joined = {(i, j) for g in ranking.cliques(ranks, difference) for i in g for j in g if i < j}
    close = {(i, j) for i in range(6) for j in range(i + 1, 6) if abs(ranks[i] - ranks[j]) < difference}
    assert joined == close


def test_noise_regret_of_two_equal_methods() -> None:
    """Half of E|x − y| = 1/√π for two standard normals; no noise, no regret."""
    rng = np.random.default_rng(0)
    assert ranking.noise_regret(np.ones((500, 2)), 400, rng) == pytest.approx(1 / np.sqrt(np.pi), rel=0.02)
    assert ranking.noise_regret(np.zeros((5, 3)), 10, rng) == 0


def test_leave_one_out_by_plain_loops() -> None:
    costs = np.random.default_rng(3).normal(size=(5, 6, 4))
    paid, chosen = ranking.leave_one_out(costs)
    for u in range(5):
        others = [np.mean([costs[v, c, k] for v in range(5) if v != u for c in range(6)]) for k in range(4)]
        assert chosen[u] == int(np.argmin(others))
        np.testing.assert_array_equal(paid[u], costs[u, :, chosen[u]])


def test_leave_one_out_never_looks_at_the_unit_left_out() -> None:
    costs = np.random.default_rng(4).normal(size=(3, 2, 4))
    changed = costs.copy()
    changed[1] = np.random.default_rng(5).normal(size=(2, 4)) * 100
    assert ranking.leave_one_out(costs)[1][1] == ranking.leave_one_out(changed)[1][1]


def test_leave_one_out_needs_two_units() -> None:
    with pytest.raises(InputError, match="at least 2 units"):
        ranking.leave_one_out(np.zeros((1, 1, 3)))


def test_ranks_put_the_lowest_loss_and_the_highest_score_first(sweep_rows):
    for metric in ("test_loss", "exact_match"):
        data = cube(sweep_rows(metric), metric, "representation")
        signed = -data.mean if metric == "exact_match" else data.mean
        by_hand = [
            np.mean(
                [
                    1 + sum(x < cell[k] for x in cell) + sum(x == cell[k] for x in np.delete(cell, k)) / 2
                    for cell in np.swapaxes(signed, 1, 2).reshape(-1, 4)
                ]
            )
            for k in range(4)
        ]
        test = ranking.rank_test(data.blocks())
        np.testing.assert_allclose(test.ranks, by_hand)
        assert test.blocks == 6


def test_rank_tables_compare_sources_of_both_kinds(sweep_rows):
    own = sweep_rows("exact_match")
    keys = ["experiment", "task", "representation", "selector", "budget", "metric"]
    means = own.groupby(keys)["value"].agg(mean="mean", sd="std", n="count").reset_index()
    published = means.assign(metric="downstream")
    methods = ["less", "embed", "random", "zero_shot"]
    sources = {"ours": own, "theirs": published, "accuracy": own.assign(metric="acc")}
    table = ranking.rank_table(sources, "downstream", "representation", methods)
    assert list(table.columns) == methods
    np.testing.assert_allclose(table.loc[["ours", "accuracy"]], table.loc[["theirs"] * 2])
    np.testing.assert_allclose(table.sum(axis=1), 1 + 2 + 3 + 4)
    assert ranking.rank_table({"ours": own}, "query_loss", "representation", methods).isna().all(axis=None)


@given(hnp.arrays(float, (3, 4), elements=st.floats(-5, 5)))
def test_regret_is_the_distance_to_the_best(costs: np.ndarray) -> None:
    found = ranking.regret(costs)
    for row, line in zip(costs, found, strict=True):
        assert line.tolist() == [value - min(row) for value in row]
