"""Rank correlation and intervals against SciPy; grades against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import spearmanr, ttest_1samp

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


@given(hnp.arrays(float, st.integers(3, 12), elements=st.floats(-50, 50)), st.sampled_from([0.9, 0.95]))
def test_mean_estimate_is_students_interval(values: np.ndarray, level: float) -> None:
    value, low, high = stats.mean_estimate(values, level=level)
    assert value == pytest.approx(values.mean())
    if np.ptp(values) > 1e-6:
        assert (low, high) == pytest.approx(ttest_1samp(values, 0).confidence_interval(level), abs=1e-9)


def test_fewer_than_three_units_have_the_noise_of_their_seeds_or_nothing() -> None:
    value, low, high = stats.mean_estimate([1.0, 3.0], se=[0.6, 0.8])
    assert value == 2
    assert high - value == value - low == pytest.approx(1.96 * np.sqrt(0.36 + 0.64) / 2, rel=1e-3)
    assert np.isnan(stats.mean_estimate([1.0, 3.0])[1:]).all()


def test_per_cent_has_a_ceiling_and_keeps_the_order() -> None:
    estimate = stats.Estimate(np.log(2), -np.log(2), 50.0).per_cent()
    assert estimate == pytest.approx((50, -100, 100))
    assert stats.Estimate(0.2, -3, 4).clipped(-1, 1) == (0.2, -1, 1)
    assert stats.Estimate(-1.25, -2, 0.5).text() == "−1.2 [−2.0, +0.5]"
    assert stats.Estimate(-1.25, -2, 0.5).text(0, "points") == "−1 points [−2, +0]"
    assert stats.Estimate(1.25, -2, 3).text(2, plus=False) == "1.25 [−2.00, 3.00]"
    assert stats.Estimate(12.0, np.nan, np.nan).text(unit="%") == "+12.0 %"


def test_the_smallest_of_several_is_shown_only_if_each_is() -> None:
    near, far = stats.Estimate(1, -1, 3), stats.Estimate(5, 4, 6)
    assert stats.smallest([(near, near), (far, far)]) == (1, -1, 3)
    wide = stats.Estimate(1, -2, 4)
    assert stats.smallest([(near, wide), (far, far)]) == (1, -1, 4)  # refuting pays for looking at several


@pytest.mark.parametrize(
    ("ends", "in_favour", "units", "expected"),
    [
        ((1, 0.1, 2), 5, 5, "shown"),
        ((-1, -2, -0.1), 0, 5, "refuted"),
        ((1, -1, 3), 4, 5, "leaning"),
        ((1, -1, 3), 3, 5, "open"),
        ((-1, -3, 1), 1, 5, "leaning against"),
        ((-1, -3, 1), 2, 5, "open"),
        ((-1, -3, 1), 5, 5, "open"),  # the mean and the counts disagree
        ((1, 0.5, 3), 2, 2, "not testable"),
        ((np.nan,) * 3, 0, 5, "not testable"),
    ],
)
def test_grades(ends: tuple[float, float, float], in_favour: int, units: int, expected: str) -> None:
    assert stats.grade(stats.Estimate(*ends), in_favour, units) == expected
    assert expected in stats.GRADES


@given(st.floats(0.01, 5), st.floats(0.02, 10), st.integers(8, 20))
def test_nothing_that_points_one_way_everywhere_is_called_open(value: float, half: float, units: int) -> None:
    assert stats.grade(stats.Estimate(value, value - half, value + half), units, units) in ("shown", "leaning")


def test_times_the_rival_are_the_per_cent_below_it_with_the_ends_in_order() -> None:
    assert stats.Estimate(68, -64, 94).times_rival() == pytest.approx((0.32, 0.06, 1.64))
    assert stats.Estimate(np.log(2), -np.log(2), np.log(4)).per_cent().times_rival() == pytest.approx((0.5, 0.25, 2))


def test_percentiles_cut_equal_tails() -> None:
    assert stats.percentiles(np.arange(101.0), level=0.9) == pytest.approx((5.0, 95.0))
