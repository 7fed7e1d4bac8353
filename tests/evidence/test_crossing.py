"""Regret, the two-way decomposition, overlaps and spreads against brute force."""

from __future__ import annotations

import itertools
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tis_utils.errors import InputError
from tis_utils.evidence import crossing
from tis_utils.evidence.claim_statistics import RANDOM
from tis_utils.evidence.published_analysis import ZERO_SHOT
from tis_utils.selectors import overlap

VALUES = st.floats(-5, 5, allow_subnormal=False)
TABLES = hnp.arrays(float, st.tuples(*[st.integers(2, 4)] * 3), elements=VALUES)  # (T, R, S)
METHODS = ["a/x", "b/x", RANDOM, ZERO_SHOT]


def runs() -> pd.DataFrame:
    """Two tasks, two budgets, two seeds; zero-shot once; the value says what the cell is."""
    lines = []
    for t, task in enumerate("pq"):
        lines.append((task, "none", "none", 0, 0, "test_loss", 100.0 * t))
        for b, k, seed in itertools.product((10, 20), range(3), range(2)):
            representation, selector = METHODS[k].split("/")
            lines.append((task, representation, selector, b, seed, "test_loss", 100 * t + b + k + seed / 10))
    fields = ["task", "representation", "selector", "budget", "seed", "metric", "value"]
    return pd.DataFrame(lines, columns=fields)


def test_cube_puts_every_run_in_its_place() -> None:
    found = crossing.cube(runs(), "test_loss", METHODS)
    assert (found.tasks, found.budgets, found.methods) == (["p", "q"], [10, 20], METHODS)
    for t, b, k in itertools.product(range(2), range(2), range(3)):
        assert found.mean[t, b, k] == pytest.approx(100 * t + (10, 20)[b] + k + 0.05)
        assert found.se[t, b, k] == pytest.approx(stdev([0, 0.1]) / np.sqrt(2))
    assert found.mean[1, :, 3].tolist() == [100, 100]
    assert (found.se[..., 3] == 0).all()


def test_cube_leaves_out_a_task_with_a_gap_and_refuses_to_be_empty() -> None:
    rows = runs()
    gap = (rows["task"] == "p") & (rows["budget"] == 20) & (rows["representation"] == "b")
    assert crossing.cube(rows[~gap], "test_loss", METHODS).tasks == ["q"]
    rows.loc[rows["task"] == "q", "value"] = np.nan
    with pytest.raises(InputError, match="b/x"):
        crossing.cube(rows[~gap], "test_loss", METHODS)
    with pytest.raises(InputError, match="no_such"):
        crossing.cube(rows, "no_such", METHODS)


def test_cube_reads_aggregated_rows() -> None:
    whole = crossing.cube(runs(), "test_loss", METHODS)
    keys = ["task", "representation", "selector", "budget", "metric"]
    table = runs().groupby(keys)["value"].agg(mean="mean", sd="std", n="count").reset_index()
    found = crossing.cube(table, "test_loss", METHODS)
    np.testing.assert_allclose(found.mean, whole.mean)
    np.testing.assert_allclose(found.se, whole.se)


@given(hnp.arrays(float, (3, 4), elements=VALUES))
def test_regret_is_the_distance_to_the_best(costs: np.ndarray) -> None:
    found = crossing.regret(costs)
    for row, line in zip(costs, found, strict=True):
        assert line.tolist() == [value - min(row) for value in row]


@settings(deadline=None)
@given(TABLES)
def test_two_way_equals_loops_and_sums_to_the_whole(tables: np.ndarray) -> None:
    found = crossing.two_way(tables)
    for table, parts in zip(tables, found, strict=True):
        r, s = table.shape
        grand = mean(table.ravel().tolist())
        row = [mean(table[i].tolist()) - grand for i in range(r)]
        column = [mean(table[:, j].tolist()) - grand for j in range(s)]
        rest = sum((table[i, j] - grand - row[i] - column[j]) ** 2 for i in range(r) for j in range(s))
        expected = [s * sum(x * x for x in row), r * sum(x * x for x in column), rest]
        np.testing.assert_allclose(parts, expected, atol=1e-9)
        assert parts.sum() == pytest.approx(((table - grand) ** 2).sum(), abs=1e-9)


@given(TABLES)
def test_regret_and_loss_have_the_same_decomposition(tables: np.ndarray) -> None:
    flat = tables.reshape(len(tables), -1)
    np.testing.assert_allclose(
        crossing.two_way(crossing.regret(flat).reshape(tables.shape)), crossing.two_way(tables), atol=1e-9
    )


def test_noise_of_two_way_is_what_pure_noise_gives_on_average() -> None:
    rng = np.random.default_rng(0)
    se = rng.uniform(0.5, 2, size=(3, 5))
    drawn = crossing.two_way(se * rng.standard_normal((40_000, 3, 5)))
    np.testing.assert_allclose(crossing.noise_of_two_way(se), drawn.mean(axis=0), rtol=0.03)


@given(TABLES, st.floats(0, 2))
def test_variance_shares_sum_to_one(tables: np.ndarray, noise: float) -> None:
    found = crossing.variance_shares(tables, np.full_like(tables, noise))
    assert found.sum() == pytest.approx(1)
    assert (found > -1e-9).all()


def test_variance_shares_name_the_one_effect_there_is() -> None:
    rows = np.array([[[0.0, 0], [1, 1]]])  # (1, R, S)
    crossed = np.array([[[0.0, 1], [1, 0]]])
    zero = np.zeros((1, 2, 2))
    assert crossing.variance_shares(rows, zero).tolist() == [1, 0, 0, 0]
    assert crossing.variance_shares(rows.transpose(0, 2, 1), zero).tolist() == [0, 1, 0, 0]
    assert crossing.variance_shares(crossed, zero).tolist() == [0, 0, 1, 0]
    assert crossing.variance_shares(zero, zero + 1).tolist() == [0, 0, 0, 1]


def test_interaction_test_is_the_textbook_analysis_of_variance() -> None:
    """One task, 2 × 2 cells of 3 runs: F from sums over the single runs."""
    data = np.random.default_rng(1).normal(size=(2, 2, 3))
    means = data.mean(axis=2)
    inner = ((data - means[..., None]) ** 2).sum() / (4 * 2)
    contrast = means[0, 0] - means[0, 1] - means[1, 0] + means[1, 1]
    expected = 3 * contrast**2 / 4 / inner
    se = data.std(axis=2, ddof=1) / np.sqrt(3)
    statistic, p = crossing.interaction_test(means[None], se[None], np.full((1, 2, 2), 3.0))
    assert statistic == pytest.approx(expected)
    assert 0 < p < 1


def test_interaction_test_rarely_rejects_pure_noise() -> None:
    rng = np.random.default_rng(2)
    data = rng.normal(size=(400, 2, 3, 4, 3))  # (trials, T, R, S, seeds)
    mean_, se, n = data.mean(-1), data.std(-1, ddof=1) / np.sqrt(3), np.full((2, 3, 4), 3.0)
    rejected = [crossing.interaction_test(m, e, n)[1] < 0.05 for m, e in zip(mean_, se, strict=True)]
    assert 0.02 < np.mean(rejected) < 0.09


def test_interaction_test_needs_two_seeds() -> None:
    ones = np.ones((1, 2, 2))
    assert np.isnan(crossing.interaction_test(ones, 0 * ones, ones)).all()
    table = np.array([[[0.0, 1], [1, 0]]])  # rounding is no noise to test against
    assert np.isnan(crossing.interaction_test(table, 1e-9 * ones, 2 * ones)).all()


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_jaccard_is_intersection_over_union(a: set[int], b: set[int]) -> None:
    expected = len(a & b) / len(a | b) if a | b else 1
    assert overlap.jaccard(sorted(a), sorted(b)) == expected


@pytest.mark.parametrize(("pool", "size"), [(4, 1), (5, 2), (6, 3), (4, 4)])
def test_chance_jaccard_equals_all_pairs_of_subsets(pool: int, size: int) -> None:
    subsets = [set(c) for c in itertools.combinations(range(pool), size)]
    expected = mean(len(a & b) / len(a | b) for a in subsets for b in subsets)
    assert overlap.chance_jaccard(pool, size) == pytest.approx(expected)


def test_spread_finds_the_standard_deviations_it_was_given() -> None:
    rng = np.random.default_rng(3)
    values = 2 * rng.standard_normal((4000, 1)) + 0.7 * rng.standard_normal((4000, 3))
    assert crossing.spread(values) == pytest.approx((2, 0.7), rel=0.05)


def test_spread_without_a_difference_between_draws_or_seeds() -> None:
    assert crossing.spread(np.ones((3, 2))) == (0, 0)
    of_draws, of_seeds = crossing.spread(np.array([[1.0], [3.0]]))
    assert of_draws == pytest.approx(np.sqrt(2))
    assert np.isnan(of_seeds)
