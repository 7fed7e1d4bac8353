"""The best subset by W1 against brute force, and its lower bound."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tis_utils.errors import InputError, RunError
from tis_utils.selectors import optimal_subset
from tis_utils.selectors.optimal_subset import best_subset, best_subset_bound
from tis_utils.selectors.wasserstein import w1


def instance(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(seed)
    queries, pool = rng.normal(size=(rng.integers(1, 5), 3)), rng.normal(size=(9, 3))
    return queries, pool, ot.dist(queries, pool, "euclidean"), int(rng.integers(1, 10))


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_best_subset_is_the_best_of_all(seed: int) -> None:
    queries, pool, cost, budget = instance(seed)
    brute = min(w1(pool[list(picks)], queries) for picks in combinations(range(9), budget))
    found = best_subset(cost, budget)
    assert found.proved
    assert len(set(found.picks)) == budget
    assert found.w1 == pytest.approx(brute)
    assert w1(pool[found.picks], queries) == pytest.approx(brute)
    bound, share = best_subset_bound(cost, budget)
    assert bound <= brute + 1e-9
    assert share.sum() == pytest.approx(budget)
    assert share.min() >= -1e-12
    assert share.max() <= 1 + 1e-12
    if budget % len(queries) == 0:
        assert bound == pytest.approx(brute)


def test_relaxation_can_be_strictly_lower() -> None:
    """Three queries, one pick: sharing candidates would be cheaper than any single one."""
    cost = 1 - np.eye(3)
    assert best_subset(cost, 1).w1 == pytest.approx(2 / 3)
    assert best_subset_bound(cost, 1)[0] == pytest.approx(0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="finite matrix"):
        best_subset(np.array([[np.nan]]), 1)
    with pytest.raises(InputError, match="between 1 and the 3"):
        best_subset_bound(np.ones((2, 3)), 4)


def test_a_plan_short_of_the_optimum_is_a_run_error(monkeypatch: pytest.MonkeyPatch) -> None:
    full, cost = ot.emd, np.random.default_rng(0).random((10, 60))

    def short(*args: object, **options: object) -> object:
        return full(*args, **{**options, "numItermax": 1})

    monkeypatch.setattr(ot, "emd", short)
    with pytest.warns(UserWarning, match="numItermax"), pytest.raises(RunError, match="not reached"):
        best_subset_bound(cost, 20)


def test_no_time_is_a_run_error() -> None:
    cost = np.random.default_rng(0).random((30, 400))
    with pytest.raises(RunError, match="No subset was found"):
        best_subset(cost, 37, time_limit=1e-6)


@pytest.mark.parametrize(("status", "proved"), [(0, True), (1, False)])  # SciPy: optimal, time limit reached
def test_a_subset_found_when_time_ran_out_is_not_proved(
    monkeypatch: pytest.MonkeyPatch, status: int, proved: bool
) -> None:
    cost, solve = np.random.default_rng(0).random((3, 8)), optimal_subset.milp

    def interrupted(*args: object, **options: object) -> object:
        result = solve(*args, **options)
        result.status = status
        return result

    monkeypatch.setattr(optimal_subset, "milp", interrupted)
    assert best_subset(cost, 3).proved is proved


def test_the_gap_at_which_a_subset_counts_as_the_best_is_a_billionth(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    solve = optimal_subset.milp
    monkeypatch.setattr(optimal_subset, "milp", lambda *a, **o: (given.update(o["options"]), solve(*a, **o))[1])
    best_subset(np.eye(3), 2, time_limit=7)
    assert given == {"time_limit": 7, "mip_rel_gap": 1e-9}
