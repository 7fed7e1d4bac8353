"""Overlap of selections against counting."""

from __future__ import annotations

import itertools
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.selectors import overlap


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_jaccard_is_intersection_over_union(a: set[int], b: set[int]) -> None:
    expected = len(a & b) / len(a | b) if a | b else 1
    assert overlap.jaccard(sorted(a), sorted(b)) == expected


@pytest.mark.parametrize(("pool", "size"), [(4, 1), (5, 2), (6, 3), (4, 4)])
def test_chance_jaccard_equals_all_pairs_of_subsets(pool: int, size: int) -> None:
    subsets = [set(c) for c in itertools.combinations(range(pool), size)]
    expected = mean(len(a & b) / len(a | b) for a in subsets for b in subsets)
    assert overlap.chance_jaccard(pool, size) == pytest.approx(expected)


def test_mean_jaccard_is_over_all_pairs_and_zero_without_one() -> None:
    assert overlap.mean_jaccard([[1, 2], [2, 3], [1, 2]]) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert overlap.mean_jaccard([[1, 2]]) == 0
