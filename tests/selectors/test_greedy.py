"""Random, round-robin and doubly greedy against their definitions."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tis_utils.errors import InputError
from tis_utils.selectors import greedy, select

oracles = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("oracles.py"))))


@st.composite
def grids(draw: st.DrawFn, most: int = 40) -> NDArray[Any]:
    """Similarities on a coarse grid: many ties, duplicated and constant columns, few or many values."""
    m, n = draw(st.integers(1, 6)), draw(st.integers(1, most))
    levels = draw(st.sampled_from([1, 2, 8]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    S = rng.integers(-levels, levels + 1, (m, n)) / levels
    if draw(st.booleans()):
        S[:, rng.integers(n, size=n // 2)] = S[:, rng.integers(n, size=n // 2)]  # duplicates
    if draw(st.booleans()):
        S[:, rng.integers(n, size=n // 3)] = rng.integers(-levels, levels + 1) / levels  # constant columns
    return S.astype(draw(st.sampled_from([np.float16, np.float32, np.float64])))


@settings(max_examples=1500)
@given(grids(), st.integers(1, 45))
def test_round_robin_is_its_definition(S: NDArray[Any], budget: int) -> None:
    assert select("round_robin", S, budget).tolist() == oracles.round_robin(oracles.exact(S), budget)


@settings(max_examples=1500)
@given(grids(), st.integers(1, 45))
def test_doubly_greedy_is_its_definition(S: NDArray[Any], budget: int) -> None:
    assert select("doubly_greedy", S, budget).tolist() == oracles.doubly_greedy(oracles.exact(S), budget)


@settings(max_examples=1500)
@given(st.data(), grids(), st.integers(1, 45))
def test_groups_are_averaged_before_the_largest_is_taken(data: st.DataObject, S: NDArray[Any], budget: int) -> None:
    groups = data.draw(st.lists(st.sampled_from(["a", "b", 3]), min_size=len(S), max_size=len(S)))
    expected = oracles.best_group(oracles.exact(S), groups, budget)
    assert select("doubly_greedy", S, budget, groups=groups).tolist() == expected
    alone, together = list(range(len(S))), np.zeros(len(S), dtype=int)
    assert select("doubly_greedy", S, None, groups=alone).tolist() == select("doubly_greedy", S, None).tolist()
    mean = S.mean(axis=0, dtype=np.float64)
    assert select("doubly_greedy", S, None, groups=together).tolist() == np.argsort(-mean, kind="stable").tolist()


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([], "There are 0 group labels for 3 queries"),
        (["a", "b"], "There are 2 group labels for 3 queries"),
        (np.zeros(4), "There are 4 group labels for 3 queries"),
        (["a", None, "a"], "Query 1 belongs to no group"),
        ("abc", "a list with one label per query; got 'abc'"),
        (3, "a list with one label per query; got 3"),
    ],
)
def test_groups_must_cover_the_queries(groups: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        select("doubly_greedy", np.eye(3), 2, groups=groups)


@settings(max_examples=300)
@given(grids(), st.integers(1, 45))
@pytest.mark.parametrize("name", ["random", "round_robin", "doubly_greedy"])
def test_budgets_are_nested_prefixes_of_the_full_order(name: str, S: NDArray[Any], budget: int) -> None:
    order = select(name, S, None)
    assert sorted(order.tolist()) == list(range(S.shape[1]))
    assert select(name, S, budget).tolist() == order[:budget].tolist()


def rescanning(S: NDArray[Any], budget: int) -> list[int]:
    free = np.ones(S.shape[1], dtype=bool)
    picks = []
    for t in range(budget):
        best = int(np.where(free, S[t % len(S)], -np.inf).argmax())
        free[best] = False
        picks.append(best)
    return picks


@pytest.mark.parametrize("correlation", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("budget", [1, 700, 3000])
def test_round_robin_grows_its_lists(correlation: float, budget: int) -> None:
    """Queries that agree run off the end of their first list: others took everything on it."""
    rng = np.random.default_rng(7)
    S = correlation * rng.random(3000) + (1 - correlation) * rng.random((9, 3000))
    assert select("round_robin", S, budget).tolist() == rescanning(S, budget)


@pytest.mark.parametrize(("buffer", "growth"), [(1, 2), (3, 2), (500, 9)])
def test_round_robin_does_not_depend_on_its_step_sizes(
    monkeypatch: pytest.MonkeyPatch, buffer: int, growth: int
) -> None:
    monkeypatch.setattr(greedy, "BUFFER", buffer)
    monkeypatch.setattr(greedy, "GROWTH", growth)
    S = np.random.default_rng(3).integers(0, 50, (5, 400)).astype(np.float32)
    assert select("round_robin", S, None).tolist() == rescanning(S, 400)


def test_random_depends_on_the_seed_only() -> None:
    one, other = np.zeros((2, 500)), np.ones((7, 500))
    assert (select("random", one, 90, seed=4) == select("random", other, 90, seed=4)).all()
    assert (select("random", one, 90, seed=4) != select("random", one, 90, seed=5)).any()


def test_random_is_uniform() -> None:
    first = [int(select("random", np.zeros((1, 4)), 1, seed=seed)[0]) for seed in range(2000)]
    counts = np.bincount(first, minlength=4)  # 500 each, standard deviation 19
    assert (abs(counts - 500) < 100).all()
