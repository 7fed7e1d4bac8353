"""Rank correlation against SciPy; bootstrap, interval and verdict against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import spearmanr

from tis_utils import stats

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
    draws = stats.bootstrap(
        mean, np.full(mean.shape, np.nan), np.ones(mean.shape), 500, np.random.default_rng(0)
    )
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


def test_bootstrap_draws_the_same_tasks_in_every_setting() -> None:
    mean = (10.0 * np.arange(3)[:, None] + np.arange(4))[..., None]  # (3, 4, 1): tens = setting, ones = task
    draws = stats.bootstrap(mean, 0 * mean, np.ones(mean.shape), 200, np.random.default_rng(1)).reshape(
        200, 3, 4
    )
    assert (draws % 10 == draws[:, :1] % 10).all()
    assert (draws // 10 == draws[:, :, :1] // 10).all()
    assert len({tuple(d) for d in draws[:, 0] % 10}) > 50
    assert len({tuple(d) for d in draws[:, :, 0] // 10}) == 27


def test_bootstrap_interval_of_a_mean_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).normal(size=30)
    mine = stats.bootstrap(
        values.reshape(1, -1), np.zeros((1, 30)), np.ones((1, 30)), 20_000, np.random.default_rng(0)
    )
    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    assert stats.interval(mine.mean(axis=1)) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_interval_cuts_equal_tails() -> None:
    assert stats.interval(np.arange(101.0), level=0.9) == pytest.approx((5.0, 95.0))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 1, "supported"), (-1, -0.1, "contradicted"), (-1, 1, "mixed"), (0, 1, "mixed"), (-1, 0, "mixed")],
)
def test_verdict(low: float, high: float, expected: str) -> None:
    assert stats.verdict(low, high) == expected
