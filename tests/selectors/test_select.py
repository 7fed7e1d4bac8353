"""The contract of `select`: what comes back, and the sentence for everything that cannot be done."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tis_utils
from tis_utils.errors import InputError
from tis_utils.selectors import SELECTORS, select

NAMES = ["random", "round_robin", "doubly_greedy", "knn_uniform", "knn_kde", "uot"]


def pool(m: int, n: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows[rng.integers(n, size=m)] @ rows.T).clip(-1, 1), rows


def quietly(*args: Any, **options: Any) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return select(*args, **options)


def test_the_six_methods_of_the_paper_are_there() -> None:
    assert list(SELECTORS) == NAMES
    assert tis_utils.select is select


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 7), (3, 2), (4, 30), (12, 5)])
def test_distinct_int64_of_the_asked_length(name: str, m: int, n: int) -> None:
    S, rows = pool(m, n)
    for budget in {1, max(1, n - 1), n, n + 9}:
        picks = quietly(name, S, budget, candidates=rows)
        assert picks.dtype == np.int64
        assert picks.shape == (min(budget, n),)
        assert len(set(picks.tolist())) == len(picks)
        assert set(picks.tolist()) <= set(range(n))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_call_gives_the_same_picks_and_changes_nothing(name: str) -> None:
    S, rows = pool(6, 80)
    before = S.copy(), rows.copy()
    first = quietly(name, S, 20, candidates=rows, seed=3)
    assert first.tolist() == quietly(name, S, np.int32(20), candidates=rows, seed=3).tolist()
    np.testing.assert_array_equal(S, before[0])
    np.testing.assert_array_equal(rows, before[1])


@pytest.mark.parametrize("name", NAMES)
def test_memory_mapped_matrices_give_the_same_picks(name: str, tmp_path: Path) -> None:
    S, rows = pool(6, 300)
    for key, matrix in {"S": S, "rows": rows}.items():
        np.save(tmp_path / f"{key}.npy", matrix)
    mapped = {key: np.load(tmp_path / f"{key}.npy", mmap_mode="r") for key in ("S", "rows")}
    picks = quietly(name, mapped["S"], 40, candidates=mapped["rows"])
    assert picks.tolist() == quietly(name, S, 40, candidates=rows).tolist()


@pytest.mark.parametrize("name", ["round_robin", "doubly_greedy", "knn_uniform", "knn_kde", "uot"])
def test_equal_candidates_are_taken_in_index_order(name: str) -> None:
    rows = np.tile(np.eye(3, dtype=np.float32)[:1], (50, 1))
    assert quietly(name, np.full((4, 50), 0.5), 50, candidates=rows).tolist() == list(range(50))


@pytest.mark.parametrize("name", ["round_robin", "doubly_greedy", "knn_uniform", "knn_kde", "uot"])
def test_examples_that_could_not_be_represented_need_no_special_case(name: str) -> None:
    """Rows of zeros are merely dissimilar to everything: they come after the similar ones."""
    S, rows = pool(5, 60)
    rows[::3], S[:, ::3] = 0, 0
    S = np.abs(S)
    picks = quietly(name, S, 60, candidates=rows)
    assert sorted(picks.tolist()) == list(range(60))
    assert (quietly(name, S, 5, candidates=rows, **({"max_k": 6} if "knn" in name else {})) % 3 > 0).all()


def test_lengths_of_features_do_not_matter() -> None:
    S, rows = pool(5, 60)
    lengths = np.random.default_rng(1).uniform(0.1, 9, (60, 1))
    picks = quietly("knn_kde", S, 30, candidates=rows, max_k=12)
    assert quietly("knn_kde", S, 30, candidates=rows * lengths, max_k=12).tolist() == picks.tolist()


def test_a_method_of_your_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def farthest(S: NDArray[Any], budget: int, *, skip: int = 0) -> NDArray[Any]:
        return np.argsort(S.max(axis=0))[skip : skip + budget]

    monkeypatch.setitem(SELECTORS, "farthest", farthest)
    S = np.array([[0.3, 0.1, 0.2]])
    assert select("farthest", S, 2, skip=1).tolist() == [2, 0]
    with pytest.raises(InputError, match=r"'farthest' must return 2 distinct indices; .* shape \(1,\)"):
        select("farthest", S, 2, skip=2)
    monkeypatch.setitem(SELECTORS, "before", lambda S, budget: np.arange(budget) - 1)
    with pytest.raises(InputError, match=r"'before' must return indices from 0 to 2; it returned -1 to 0"):
        select("before", S, 2)
    monkeypatch.setitem(SELECTORS, "twice", lambda S, budget: np.zeros(budget, dtype=int))
    with pytest.raises(InputError, match=r"'twice' must return 2 distinct indices; .* with 1 distinct"):
        select("twice", S, 2)


SQUARE = np.eye(4)
BROKEN = np.ones((3, 5))
BROKEN[1, 3], BROKEN[2, 0] = np.nan, np.inf
TSDS = {"candidates": np.eye(4)}

MISUSE: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("lss", SQUARE, 2), {}, f"Unknown selector 'lss'; known: {', '.join(NAMES)}."),
    ((SQUARE, "random", 2), {}, "Unknown selector array("),
    (("roundrobin", SQUARE, 2), {}, "Did you mean 'round_robin'?"),
    (("uot", np.ones(4), 2), {}, "got float64 of shape (4,)"),
    (("uot", np.ones((2, 2, 2)), 2), {}, "got float64 of shape (2, 2, 2)"),
    (("uot", [["a", "b"]], 2), {}, "must be a matrix of real numbers"),
    (("uot", np.ones((2, 2), dtype=complex), 2), {}, "must be a matrix of real numbers"),
    (("random", np.ones((0, 4)), 2), {}, "got an empty one, float64 of shape (0, 4)"),
    (("random", np.ones((4, 0)), 2), {}, "got an empty one, float64 of shape (4, 0)"),
    (("round_robin", BROKEN, 2), {}, "2 NaN or infinite values, the first in row 1 (query) and column 3"),
    (("random", BROKEN, 2), {}, "2 NaN or infinite values"),
    *((("random", SQUARE, b), {}, "budget must be a positive whole number") for b in (0, -1, 2.0, True, "2")),
    (("knn_uniform", SQUARE, None), {}, "budget=None has no answer. Ask for budget=4"),
    (("knn_kde", SQUARE, None), TSDS, "budget=None has no answer"),
    *((("random", SQUARE, 2), {"seed": s}, "seed must be a whole number") for s in (-1, 0.5, True, None)),
    (("knn_kde", SQUARE, 2), {}, "pass their features"),
    (("knn_kde", SQUARE, 2), {"candidates": np.eye(3)}, "shape (3, 3), but the similarity matrix has 4"),
    (("knn_kde", SQUARE, 2), {"candidates": np.ones(4)}, "expected real numbers of shape (4, D)"),
    (("random", SQUARE, 2), {"candidates": np.eye(3)}, "shape (3, 3), but the similarity matrix has 4"),
    (("knn_kde", SQUARE, 2), {"candidates": [["a"]] * 4}, "The features are <U1 of shape (4, 1)"),
    (("knn_kde", SQUARE, 2), {"candidates": np.full((4, 2), np.nan)}, "features hold NaN or infinite values, first"),
    (("uot", SQUARE, 2), {"alpha": 0.1}, "uot has no option alpha. Its options: reg, reg_m."),
    (("random", SQUARE, 2), {"b": 0, "a": 1}, "random has no option a, b. Its options: none."),
    (("knn_uniform", SQUARE, 2), {"K": 5}, "Its options: C, alpha, distance, max_k, sample."),
    (("knn_kde", SQUARE, 2), {"k": 5, **TSDS}, "options: C, alpha, distance, kde_k, max_k, sample, sigma."),
    *((("knn_uniform", SQUARE, 2), {"alpha": a}, "alpha must be a finite number between 0 and 1") for a in (0, 1)),
    *((("knn_uniform", SQUARE, 2), {"C": c}, "C must be a finite number greater") for c in (0, math.nan, "5")),
    (("knn_uniform", SQUARE, 2), {"max_k": 0}, "max_k must be a positive whole number"),
    (("knn_uniform", SQUARE, 2), {"distance": "l2"}, "Unknown distance 'l2'; known: cosine, euclidean"),
    (("knn_kde", SQUARE, 2), {"sigma": -1, **TSDS}, "sigma must be a finite number greater than 0"),
    (("knn_kde", SQUARE, 2), {"kde_k": 1.5, **TSDS}, "kde_k must be a positive whole number"),
    (("uot", SQUARE, 2), {"reg": math.inf}, "reg must be a finite number greater than 0"),
    (("uot", SQUARE, 2), {"reg_m": (math.inf, 0)}, "reg_m must be a finite number greater than 0"),
    (("uot", SQUARE, 2), {"reg_m": 0.1}, "reg_m must be a pair (query side, candidate side); got 0.1"),
]


@pytest.mark.parametrize(("args", "options", "sentence"), MISUSE)
def test_misuse_is_explained(args: tuple[Any, ...], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        select(*args, **options)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 2


def with_zeros(m: int, n: int, lost: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Similarities (m, n), features of the candidates, and which `lost` of their rows are zero."""
    _, rows = pool(m, n, seed)
    rng = np.random.default_rng(seed)
    queries = rows[rng.choice(n, m, replace=False)]
    zero = rng.choice(n, lost, replace=False)
    rows[zero] = 0
    S = tis_utils.similarity(queries, rows)
    return S, rows, zero


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(1, 5), st.integers(12, 60), st.integers(1, 4), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_what_could_not_be_represented_is_picked_last(name: str, m: int, n: int, lost: int, seed: int) -> None:
    S, rows, zero = with_zeros(m, n, lost, seed)
    picks = quietly(name, S, n, candidates=rows)
    assert picks[-lost:].tolist() == sorted(zero.tolist())
    assert quietly(name, S, n - lost, candidates=rows).tolist() == picks[:-lost].tolist()


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(1, 5), st.integers(12, 60), st.integers(1, 4), st.integers(0, 10_000), st.sampled_from([0, -1, 0.5]))
@settings(max_examples=40, deadline=None)
def test_rows_of_zeros_are_last_whatever_the_similarities_say(
    name: str, m: int, n: int, lost: int, seed: int, value: float
) -> None:
    """With ``Q @ C.T`` a row of zeros looks nearer than whatever points away from the queries."""
    S, rows, zero = with_zeros(m, n, lost, seed)
    expected = quietly(name, S, n, candidates=rows).tolist()
    S[:, zero] = value
    picks = quietly(name, S, n, candidates=rows).tolist()
    assert picks == expected
    assert picks[-lost:] == sorted(zero.tolist())


def test_a_row_that_only_begins_with_zero_is_no_row_of_zeros() -> None:
    rows = np.array([[0, 0], [0, 1], [1, 0]], dtype=np.float32)
    assert select("round_robin", rows[[1]] @ rows.T, 3, candidates=rows).tolist() == [1, 2, 0]
    assert select("random", np.ones((1, 2)), 2, candidates=np.empty((2, 0))).size == 2
