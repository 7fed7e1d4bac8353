"""Similarity in blocks, exact ranking, exact Wasserstein distance."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance

import tis_utils
from tis_utils.errors import InputError, RunError
from tis_utils.selectors import similarity as geometry
from tis_utils.selectors import wasserstein
from tis_utils.selectors.similarity import largest, nearest, similarity
from tis_utils.selectors.wasserstein import w1


def unit(seed: int, n: int, d: int) -> NDArray[Any]:
    x = np.random.default_rng(seed).standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


# --- similarity ---------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.integers(1, 6), st.integers(1, 50), st.integers(1, 9), st.integers(0, 999))
def test_similarity_is_the_cosine(m: int, n: int, d: int, seed: int) -> None:
    Q, X = unit(seed, m, d), unit(seed + 1, n, d)
    S = similarity(Q, X)
    assert S.dtype == np.float32
    assert S.shape == (m, n)
    expected = [[math.fsum(float(a) * float(b) for a, b in zip(q, x, strict=True)) for x in X] for q in Q]
    np.testing.assert_allclose(S, expected, atol=1e-6)
    assert abs(S).max() <= 1


@pytest.mark.parametrize("block", [1, 100, 1000])
def test_similarity_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    Q, X = unit(0, 4, 8), unit(1, 333, 8)
    whole = similarity(Q, X)
    monkeypatch.setattr(geometry, "BLOCK_BYTES", block)
    np.testing.assert_allclose(similarity(Q, X), whole, atol=1e-6)


def test_similarity_from_and_to_files(tmp_path: Path) -> None:
    Q, X = unit(0, 4, 8), unit(1, 333, 8)
    np.save(tmp_path / "X.npy", X)
    out = np.lib.format.open_memmap(tmp_path / "S.npy", "w+", np.float32, (4, 333))
    result = similarity(Q, np.load(tmp_path / "X.npy", mmap_mode="r"), out=out)
    assert result is out
    out.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "S.npy"), similarity(Q, X))


def test_a_candidate_of_zeros_is_farthest_from_everything_and_a_query_of_zeros_has_no_preference() -> None:
    Q, X = unit(0, 2, 8), unit(1, 5, 8)
    X[3], Q[1] = 0, 0
    S = similarity(Q, X)
    assert (S[:, 3] == -1).all()
    assert (S[1, [0, 1, 2, 4]] == 0).all()
    np.testing.assert_allclose(S[0, [0, 1, 2, 4]], (Q @ X.T)[0, [0, 1, 2, 4]], atol=1e-6)


def test_rows_a_little_too_long_give_no_cosine_beyond_one() -> None:
    rows = np.eye(3, dtype=np.float32) * np.float32(1.004)
    assert np.abs(similarity(rows, np.concatenate([rows, -rows]))).max() == 1


def test_half_precision_features_are_accepted() -> None:
    Q, X = unit(0, 2, 300), unit(1, 5, 300)
    np.testing.assert_allclose(similarity(Q, X.astype(np.float16)), Q @ X.T, atol=2e-3)


ROWS = np.eye(3, dtype=np.float32)
LATE_NAN, LATE_LONG = np.tile(ROWS, (4, 1)), np.tile(ROWS, (4, 1))
LATE_NAN[10, 1], LATE_LONG[7] = np.nan, 2


@pytest.mark.parametrize(
    ("queries", "candidates", "out", "sentence"),
    [
        (ROWS, np.eye(4), None, "Queries have 3 columns, candidates have 4."),
        (np.ones(3), ROWS, None, "Queries must be a matrix of real numbers"),
        (ROWS, np.ones((0, 3)), None, "Candidates must be a matrix of real numbers with at least one row"),
        (ROWS, [["x"]], None, "Candidates must be a matrix of real numbers"),
        (ROWS, LATE_NAN, None, "Candidates hold NaN or infinite values, first in row 10."),
        (LATE_NAN, ROWS, None, "Queries hold NaN or infinite values, first in row 10."),
        (ROWS, LATE_LONG, None, "Row 7 of the candidates has length 3.464, expected 1"),
        (0.9 * ROWS, ROWS, None, "Row 0 of the queries has length 0.9, expected 1"),
        (ROWS, ROWS, np.empty((3, 4), np.float32), "`out` is float32 of shape (3, 4), expected float32 of"),
        (ROWS, ROWS, np.empty((3, 3)), "`out` is float64 of shape (3, 3), expected float32"),
    ],
)
def test_similarity_explains_misuse(
    monkeypatch: pytest.MonkeyPatch, queries: Any, candidates: Any, out: Any, sentence: str
) -> None:
    monkeypatch.setattr(geometry, "BLOCK_BYTES", 50)  # rows are counted over all blocks, not within one
    with pytest.raises(InputError, match=re.escape(sentence)):
        similarity(queries, candidates, out=out)


def test_similarity_is_public() -> None:
    assert tis_utils.similarity is similarity


# --- ranking ------------------------------------------------------------------------------------------

FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 0.5]), st.floats(-2, 2, width=16)
)


@settings(max_examples=2000)
@given(st.lists(FLOATS, min_size=1, max_size=60), st.integers(1, 70), st.sampled_from("efd"))
def test_largest_is_a_stable_sort(values: list[float], k: int, dtype: str) -> None:
    array = np.array([np.clip(v, -6e4, 6e4) if dtype == "e" else v for v in values], dtype=dtype)
    expected = sorted(range(len(array)), key=lambda j: (-float(array[j]), j))
    assert largest(array, k).tolist() == expected[:k]
    assert largest(array).tolist() == expected


def test_largest_takes_whole_numbers() -> None:
    assert largest(np.array([2, 3, 2, 3]), 3).tolist() == [1, 3, 0]


@settings(max_examples=300)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.floats(-1, 1, width=16)),
    st.data(),
)
def test_nearest_ranks_every_row(S: NDArray[Any], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, S.shape[1]))
    indices, similarities = nearest(S, k)
    assert indices.tolist() == [sorted(range(len(r)), key=lambda j: (-r[j], j))[:k] for r in S.tolist()]
    np.testing.assert_array_equal(similarities, [[row[j] for j in js] for row, js in zip(S, indices, strict=True)])


# --- Wasserstein --------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=15), st.lists(st.floats(-5, 5), min_size=1, max_size=15))
def test_w1_on_a_line_is_scipys(a: list[float], b: list[float]) -> None:
    assert w1(np.array(a)[:, None], np.array(b)[:, None]) == pytest.approx(wasserstein_distance(a, b), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_w1_is_the_optimum_of_its_linear_programme(seed: int) -> None:
    a, b = unit(seed, 6, 4).astype(float), unit(seed + 50, 9, 4).astype(float)
    cost = np.sqrt(2 * (1 - a @ b.T))  # unit rows: Euclidean distance from the cosine
    marginals = np.vstack([np.kron(np.eye(6), np.ones(9)), np.kron(np.ones(6), np.eye(9))])
    result = linprog(cost.ravel(), A_eq=marginals, b_eq=[1 / 6] * 6 + [1 / 9] * 9)
    assert w1(a, b) == pytest.approx(result.fun, abs=1e-7)


def test_w1_moves_half_the_mass_by_two() -> None:
    assert w1([[0.0], [0.0]], [[0.0], [2.0]]) == pytest.approx(1)  # the square root of a mean square would be 1.41


def test_w1_is_a_metric() -> None:
    a, b, c = unit(0, 5, 3), unit(1, 8, 3), unit(2, 4, 3)
    assert w1(a, a[::-1]) == pytest.approx(0, abs=1e-7)
    assert w1(a, b) == pytest.approx(w1(b, a))
    assert w1(a, c) <= w1(a, b) + w1(b, c) + 1e-9
    assert w1(a, np.repeat(a, 3, axis=0)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (ROWS, np.eye(2), "3 and 2 columns"),
        (ROWS, np.ones(3), "Points must be a matrix"),
        (ROWS, np.zeros((0, 3)), "Points must be a matrix"),
        (LATE_NAN, ROWS, "holds NaN or infinite values"),
    ],
)
def test_w1_explains_misuse(a: Any, b: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        w1(a, b)


@pytest.mark.filterwarnings("ignore:numItermax reached")
def test_w1_says_when_the_optimum_was_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasserstein, "ITERATIONS", 1)
    with pytest.raises(RunError, match="was not reached"):
        w1(unit(0, 40, 3), unit(1, 50, 3))


def test_tensors_of_any_kind_are_taken() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(7, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    expected = tis_utils.similarity(rows[:2], rows)
    np.testing.assert_array_equal(
        tis_utils.similarity(torch.tensor(rows[:2], requires_grad=True), torch.tensor(rows)), expected
    )
    half = torch.tensor(rows).bfloat16()
    np.testing.assert_allclose(tis_utils.similarity(half[:2], half), expected, atol=2e-2)
    picks = tis_utils.select("knn_kde", torch.tensor(expected).bfloat16(), 3, candidates=half)
    assert len(set(picks.tolist())) == 3


def test_a_query_without_direction_is_told() -> None:
    with pytest.warns(RuntimeWarning, match=r"1 of 2 queries are rows of zeros \(the first is row 1\)"):
        assert tis_utils.similarity([[1.0, 0.0], [0.0, 0.0]], [[0.6, 0.8]]).tolist() == [[np.float32(0.6)], [0.0]]


@pytest.mark.parametrize("where", ["S", "candidates"])
def test_masked_values_are_refused_unless_nothing_is_masked(where: str) -> None:
    values = np.array([[0.1, 0.9], [0.3, 0.4]])
    arrays = {"S": values, "candidates": values}
    expected = tis_utils.select("round_robin", values, 1, candidates=values).tolist()
    arrays[where] = np.ma.masked_greater(values, 2)
    assert tis_utils.select("round_robin", arrays["S"], 1, candidates=arrays["candidates"]).tolist() == expected
    arrays[where] = np.ma.masked_greater(values, 0.8)
    with pytest.raises(InputError, match=r"1 masked value"):
        tis_utils.select("round_robin", arrays["S"], 1, candidates=arrays["candidates"])
