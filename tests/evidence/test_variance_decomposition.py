"""The two-way decomposition and its noise, the spread of draws and of seeds, against brute force."""

from __future__ import annotations

from statistics import mean

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tis_utils.evidence import variance_decomposition as anova
from tis_utils.evidence.ranks import regret

VALUES = st.floats(-5, 5, allow_subnormal=False)
TABLES = hnp.arrays(float, st.tuples(*[st.integers(2, 4)] * 3), elements=VALUES)  # (T, R, S)


@settings(deadline=None)
@given(TABLES)
def test_two_way_equals_loops_and_sums_to_the_whole(tables: np.ndarray) -> None:
    found = anova.two_way(tables)
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
    np.testing.assert_allclose(anova.two_way(regret(flat).reshape(tables.shape)), anova.two_way(tables), atol=1e-9)


def test_noise_of_two_way_is_what_pure_noise_gives_on_average() -> None:
    rng = np.random.default_rng(0)
    se = rng.uniform(0.5, 2, size=(3, 5))
    drawn = anova.two_way(se * rng.standard_normal((40_000, 3, 5)))
    np.testing.assert_allclose(anova.noise_of_two_way(se), drawn.mean(axis=0), rtol=0.03)


@given(TABLES, st.floats(0, 2))
def test_variance_shares_sum_to_one(tables: np.ndarray, noise: float) -> None:
    found = anova.variance_shares(tables, np.full_like(tables, noise))
    assert found.sum() == pytest.approx(1)
    assert (found > -1e-9).all()


def test_variance_shares_name_the_one_effect_there_is() -> None:
    rows = np.array([[[0.0, 0], [1, 1]]])  # (1, R, S)
    crossed = np.array([[[0.0, 1], [1, 0]]])
    zero = np.zeros((1, 2, 2))
    assert anova.variance_shares(rows, zero).tolist() == [1, 0, 0, 0]
    assert anova.variance_shares(rows.transpose(0, 2, 1), zero).tolist() == [0, 1, 0, 0]
    assert anova.variance_shares(crossed, zero).tolist() == [0, 0, 1, 0]
    assert anova.variance_shares(zero, zero + 1).tolist() == [0, 0, 0, 1]


def test_interaction_test_is_the_textbook_analysis_of_variance() -> None:
    """One task, 2 × 2 cells of 3 runs: F from sums over the single runs."""
    data = np.random.default_rng(1).normal(size=(2, 2, 3))
    means = data.mean(axis=2)
    inner = ((data - means[..., None]) ** 2).sum() / (4 * 2)
    contrast = means[0, 0] - means[0, 1] - means[1, 0] + means[1, 1]
    expected = 3 * contrast**2 / 4 / inner
    se = data.std(axis=2, ddof=1) / np.sqrt(3)
    statistic, p = anova.interaction_test(means[None], se[None], np.full((1, 2, 2), 3.0))
    assert statistic == pytest.approx(expected)
    assert 0 < p < 1


def test_interaction_test_rarely_rejects_pure_noise() -> None:
    rng = np.random.default_rng(2)
    data = rng.normal(size=(400, 2, 3, 4, 3))  # (trials, T, R, S, seeds)
    mean_, se, n = data.mean(-1), data.std(-1, ddof=1) / np.sqrt(3), np.full((2, 3, 4), 3.0)
    rejected = [anova.interaction_test(m, e, n)[1] < 0.05 for m, e in zip(mean_, se, strict=True)]
    assert 0.02 < np.mean(rejected) < 0.09


def test_interaction_test_needs_two_seeds() -> None:
    ones = np.ones((1, 2, 2))
    assert np.isnan(anova.interaction_test(ones, 0 * ones, ones)).all()
    table = np.array([[[0.0, 1], [1, 0]]])  # rounding is no noise to test against
    assert np.isnan(anova.interaction_test(table, 1e-9 * ones, 2 * ones)).all()


def test_spread_finds_the_standard_deviations_it_was_given() -> None:
    rng = np.random.default_rng(3)
    values = 2 * rng.standard_normal((4000, 1)) + 0.7 * rng.standard_normal((4000, 3))
    assert anova.draw_and_seed_sd(values) == pytest.approx((2, 0.7), rel=0.05)


def test_spread_without_a_difference_between_draws_or_seeds() -> None:
    assert anova.draw_and_seed_sd(np.ones((3, 2))) == (0, 0)
    of_draws, of_seeds = anova.draw_and_seed_sd(np.array([[1.0], [3.0]]))
    assert of_draws == pytest.approx(np.sqrt(2))
    assert np.isnan(of_seeds)


def test_spreads_of_every_task_and_representation_leave_out_unfinished_draws() -> None:
    values = np.array([[1.0, 1.2], [2.0, 2.4], [9.0, np.nan]])
    rows = [("words", "less", d, s, values[d, s]) for d in range(3) for s in range(2)] + [("pick", "rds", 0, 0, 1.0)]
    table = anova.draw_and_seed_spreads(pd.DataFrame(rows, columns=["task", "representation", "draw", "seed", "value"]))
    assert table.index.tolist() == [("words", "less")]
    assert tuple(table.iloc[0]) == pytest.approx((*anova.draw_and_seed_sd(values[:2]), values[:2].mean()))
