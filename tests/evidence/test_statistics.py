"""Rank correlation against SciPy; bootstrap, interval and verdict against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import spearmanr
from scipy.stats import t as student_t

from tis_utils.evidence import statistics as stats

SMALL = st.integers(-3, 3).map(float)  # many ties


@settings(deadline=None)
@given(st.data(), st.integers(2, 9))
def test_spearman_equals_scipy_row_by_row(data: st.DataObject, length: int) -> None:
    x = data.draw(hnp.arrays(float, (3, length), elements=SMALL))
    y = data.draw(hnp.arrays(float, (3, length), elements=SMALL))
    found = stats.spearman(x, y)
    assert found.shape == (3,)
    for value, a, b in zip(found, x, y, strict=True):
        constant = np.ptp(a) == 0 or np.ptp(b) == 0
        assert value == pytest.approx(0.0 if constant else spearmanr(a, b).statistic, abs=1e-12)


def test_spearman_broadcasts_and_passes_missing_values_on() -> None:
    y = np.array([[[1.0, 2, 3], [3, 2, 1]], [[1, 3, 2], [np.nan, 1, 2]]])
    np.testing.assert_allclose(stats.spearman([0, 1, 2], y), [[1, -1], [0.5, np.nan]])


def test_bootstrap_without_noise_only_repeats_tasks() -> None:
    mean = np.arange(6.0).reshape(1, 3, 2)
    draws = stats.bootstrap(mean, np.full(mean.shape, np.nan), np.ones(mean.shape), 500, np.random.default_rng(0))
    assert draws.shape == (500, 3, 2)
    assert {tuple(row) for row in draws.reshape(-1, 2)} == {(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)}
    counts = np.unique(draws[..., 0], return_counts=True)[1]
    assert counts.min() > 0.9 * counts.max()


def test_bootstrap_noise_is_the_standard_error() -> None:
    mean, sd = np.full((1, 1, 2), 5.0), np.array([[[2.0, 0.0]]])
    draws = stats.bootstrap(mean, sd, np.full(mean.shape, 4), 20_000, np.random.default_rng(0))[:, 0]
    assert draws[:, 0].mean() == pytest.approx(5, abs=0.03)
    assert draws[:, 0].std() == pytest.approx(2 / np.sqrt(4), rel=0.03)
    assert (draws[:, 1] == 5).all()


@pytest.mark.parametrize("units", [1, 2])
def test_bootstrap_keeps_fewer_than_three_tasks_and_settings_as_they_are(units: int) -> None:
    mean = np.arange(6.0).reshape(units, -1, 1)
    draws = stats.bootstrap(mean, 0 * mean, np.ones(mean.shape), 50, np.random.default_rng(0))
    by_setting = draws.reshape(50, units, -1)
    assert (by_setting % mean.shape[1] == by_setting[:, :1] % mean.shape[1]).all()
    assert (by_setting // mean.shape[1] == np.arange(units)[:, None]).all()
    mean = np.arange(3.0 * units).reshape(-1, units, 1)
    draws = stats.bootstrap(mean, 0 * mean, np.ones(mean.shape), 50, np.random.default_rng(0))
    assert (draws.reshape(50, -1, units) % units == np.arange(units)).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 12), st.integers(0, 99), st.sampled_from([0.9, 0.95, 0.99]))
def test_interval_of_few_independent_values_is_students(n: int, seed: int, level: float) -> None:
    half = np.random.default_rng(seed).normal(size=n)
    values = np.concatenate([half, -half])  # symmetric, so that the quantiles of the means are nearly normal
    drawn = np.random.default_rng(1).choice(values, (40_000, 2 * n)).mean(axis=1)
    low, high = stats.interval(drawn, level, units=[1, 2, 2 * n, 10**6])
    expected = student_t.interval(level, 2 * n - 1, 0, values.std(ddof=1) / np.sqrt(2 * n))
    assert (low, high) == pytest.approx(expected, rel=0.15)


@given(hnp.arrays(float, 50, elements=st.floats(-300, 99)), st.sampled_from([(), (3,), (5, 1)]))
def test_interval_stays_below_the_ceiling_and_is_the_same_where_nothing_is_widened(values, units) -> None:
    low, high = stats.interval(values, units=units, ceiling=100)
    assert low <= high < 100
    middle = np.median(values)
    assert low <= middle + 1e-6
    assert high >= middle - 1e-6
    if not units:
        assert (low, high) == pytest.approx(
            stats.interval(np.sort(values)), abs=1.5 * np.diff(np.sort(values)).max() + 1e-6
        )


@pytest.mark.parametrize("tasks", [3, 4, 5])
def test_interval_over_few_tasks_holds_the_truth_as_often_as_it_says(tasks: int) -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(600):
        means = rng.normal(size=(1, tasks))
        cloud = stats.bootstrap(means, 0 * means, np.ones(means.shape), 300, rng).mean(axis=1)
        low, high = stats.interval(cloud, units=[tasks])
        hits += low < 0 < high
    assert 0.92 < hits / 600 < 0.98  # without the widening: 0.72 to 0.84


def test_bootstrap_draws_the_same_tasks_in_every_setting() -> None:
    mean = (10.0 * np.arange(3)[:, None] + np.arange(4))[..., None]  # (3, 4, 1): tens = setting, ones = task
    draws = stats.bootstrap(mean, 0 * mean, np.ones(mean.shape), 200, np.random.default_rng(1)).reshape(200, 3, 4)
    assert (draws % 10 == draws[:, :1] % 10).all()
    assert (draws // 10 == draws[:, :, :1] // 10).all()
    assert len({tuple(d) for d in draws[:, 0] % 10}) > 50
    assert len({tuple(d) for d in draws[:, :, 0] // 10}) == 27


def test_bootstrap_interval_of_a_mean_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).normal(size=30)
    mine = stats.bootstrap(values.reshape(1, -1), np.zeros((1, 30)), np.ones((1, 30)), 20_000, np.random.default_rng(0))
    theirs = scipy_bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert stats.interval(mine.mean(axis=1)) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_interval_cuts_equal_tails() -> None:
    assert stats.interval(np.arange(101.0), level=0.9) == pytest.approx((5.0, 95.0))
    assert stats.interval(np.arange(101.0), level=0.9, units=[1, 2]) == pytest.approx((5.0, 95.0))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 1, "supported"), (-1, -0.1, "contradicted"), (-1, 1, "mixed"), (0, 1, "mixed"), (-1, 0, "mixed")],
)
def test_verdict(low: float, high: float, expected: str) -> None:
    assert stats.verdict(low, high) == expected


def test_per_cent_below_resamples_tasks() -> None:
    value, low, high = stats.per_cent_below([1, 2, 3], [2, 4, 6], draws=50)
    assert (value, low, high) == (50, 50, 50)
    value, low, high = stats.per_cent_below([1, 1, 1], [2, 4, 1], draws=500)
    assert value == pytest.approx((50 + 75 + 0) / 3)
    assert low < 0 < value < high  # three tasks say little
