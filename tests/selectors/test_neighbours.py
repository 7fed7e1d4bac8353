"""KNN-Uniform and KNN-KDE against exact fractions, their defining equations and their edge cases."""

from __future__ import annotations

import inspect
import runpy
import warnings
from operator import eq
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tis_utils.selectors import SELECTORS, density, neighbours, select
from tis_utils.selectors.density import densities
from tis_utils.selectors.neighbours import kde_mass, transported, uniform_mass
from tis_utils.selectors.similarity import similarity

oracles = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("oracles.py"))))

# stop early, in the middle, never; not on the grid, so that no limit is met with exact equality
WEIGHTS = st.sampled_from([(0.01, 5.0), (0.3137, 0.0171), (0.6271, 0.413), (0.871, 0.0931), (0.999, 0.01)])


@st.composite
def grids(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any]]:
    """Similarities and unit rows whose inner products are exact: entries 0 or ±1/2, some rows zero."""
    m, n = draw(st.integers(1, 5)), draw(st.integers(1, 36))
    levels = draw(st.sampled_from([1, 2, 8]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = np.stack([rng.permutation([0.5] * 4 + [0.0] * 2) for _ in range(n)]) * rng.choice([-1, 1], (n, 6))
    if draw(st.booleans()):
        rows = np.abs(rows)  # a narrow cone: dense neighbourhoods
    rows[rng.random(n) < draw(st.sampled_from([0, 0.2]))] = 0
    S = rng.integers(-levels, levels + 1, (m, n)) / levels
    if draw(st.booleans()):
        queries = np.abs(rows[rng.integers(n, size=m)])
        S = queries @ rows.T
    if draw(st.booleans()):
        old, new = rng.integers(n, size=(2, n // 2))
        S[:, new], rows[new] = S[:, old], rows[old]
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return S.astype(dtype), rows.astype(np.float32)


def quietly(*args: Any, **options: Any) -> list[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return select(*args, **options).tolist()


def directly(name: str, *args: Any, **options: Any) -> list[int]:
    """The method itself, without what `select` adds (rows of zeros come last there)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SELECTORS[name](*args, **options).tolist()


@settings(max_examples=1500)
@given(grids(), WEIGHTS, st.integers(1, 40), st.integers(1, 40))
def test_knn_uniform_is_its_definition(
    case: tuple[Any, Any], weights: tuple[float, float], max_k: int, budget: int
) -> None:
    S, (alpha, C) = oracles.exact(case[0]), weights
    expected = oracles.knn_uniform_mass(S, alpha, C, max_k)
    np.testing.assert_allclose(
        uniform_mass(case[0], alpha=alpha, C=C, max_k=max_k), np.array(expected, dtype=float), atol=1e-12
    )
    picks = quietly("knn_uniform", case[0], budget, alpha=alpha, C=C, max_k=max_k)
    assert picks == oracles.ranked(expected, S, budget, eq)


@settings(max_examples=800)
@given(
    grids(), WEIGHTS, st.sampled_from([0.3, 0.75, 1.1, 2.5]), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)
)
def test_knn_kde_is_its_definition(
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[Any, Any],
    weights: tuple[float, float],
    sigma: float,
    max_k: int,
    kde_k: int,
    budget: int,
) -> None:
    S, rows, (alpha, C) = oracles.exact(case[0]), oracles.exact(case[1]), weights
    expected = oracles.knn_kde_mass(S, rows, alpha, C, sigma, max_k, kde_k)
    order = oracles.ranked(expected, S, budget, eq)
    options: dict[str, Any] = {"alpha": alpha, "C": C, "sigma": sigma, "max_k": max_k, "kde_k": kde_k}
    for crowded in (0, 1):  # densities row by row, or pair by pair
        monkeypatch.setattr(density, "CROWDED", crowded)
        np.testing.assert_allclose(kde_mass(*case, **options), np.array(expected, dtype=float), atol=1e-9)
        assert directly("knn_kde", case[0], budget, candidates=case[1], **options) == order


@settings(max_examples=400)
@given(grids(), st.integers(1, 40))
def test_defaults_follow_the_size_of_the_pool(case: tuple[Any, Any], budget: int) -> None:
    S, rows = oracles.exact(case[0]), oracles.exact(case[1])
    tenth = max(1, len(S[0]) // 10)
    kde = oracles.knn_kde_mass(S, rows, 0.01, 5.0, 0.75, tenth, tenth)
    assert directly("knn_kde", case[0], budget, candidates=case[1]) == oracles.ranked(kde, S, budget, eq)
    uniform = oracles.knn_uniform_mass(S, 0.01, 5.0, 5000)
    assert quietly("knn_uniform", case[0], budget) == oracles.ranked(uniform, S, budget, eq)


def unit(rng: np.random.Generator, n: int, d: int) -> NDArray[Any]:
    x = rng.standard_normal((n, d)) + 0.6
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("crowded", [0, 1])  # row by row, or pair by pair
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("block", "side"), [(700, 17), (1 << 22, 1024)])
def test_densities_satisfy_their_equation(
    monkeypatch: pytest.MonkeyPatch, crowded: int, dtype: type, block: int, side: int
) -> None:
    monkeypatch.setattr(density, "CROWDED", crowded)
    monkeypatch.setattr(density, "BLOCK", block)
    monkeypatch.setattr(density, "SIDE", side)
    rows = np.concatenate([unit(np.random.default_rng(1), 300, 12), np.zeros((2, 12), np.float32)])
    gaps = 2 * (1 - rows.astype(np.float64) @ rows.astype(np.float64).T)
    np.fill_diagonal(gaps, 0)
    kernel = np.maximum(0, 1 - np.sort(gaps, axis=1)[:, :10] / 0.75**2)
    assert ((gaps < 0.75**2).sum(axis=1) > 10).any()  # some neighbourhoods are cut at 10 …
    assert ((gaps < 0.75**2).sum(axis=1) < 10).any()  # … and some are not
    np.testing.assert_allclose(densities(rows.astype(dtype), sigma=0.75, k=10), kernel.sum(axis=1), rtol=1e-6)


def test_many_neighbours_are_treated_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit(np.random.default_rng(1), 500, 12)
    S = similarity(rows[:4], rows)
    expected = kde_mass(S, rows, max_k=80)
    monkeypatch.setattr(neighbours, "EXACT", 79)
    np.testing.assert_allclose(kde_mass(S, rows, max_k=80), expected, rtol=1e-5)


def test_kde_mass_satisfies_its_equations() -> None:
    """Full shares are 1/(M·s·kde), every query hands out 1/M, and s is where the cost meets the limit."""
    rng = np.random.default_rng(2)
    m, k, alpha, C = 7, 60, 0.4, 0.5
    d = np.sort(rng.random((m, k)), axis=1)
    kde = 1 + 4 * rng.random((m, k))
    shares = transported(d, kde, alpha=alpha, C=C)
    np.testing.assert_allclose(shares.sum(axis=1), 1 / m, rtol=1e-12)
    given_to = (shares > 0).sum(axis=1)  # the last of them takes the remainder
    assert ((given_to > 1) & (given_to < k)).all()
    s = 1 / (m * shares[:, 0] * kde[:, 0])
    np.testing.assert_allclose(s, s[0], rtol=1e-9)  # one s for all queries
    for row in range(m):
        full = given_to[row] - 1
        np.testing.assert_allclose(shares[row, :full], 1 / (m * s[0] * kde[row, :full]), rtol=1e-9)
        assert 0 < shares[row, full] <= 1 / (m * s[0] * kde[row, full]) * (1 + 1e-9)

    def total(mass: float) -> float:  # cost of all queries once everything up to `mass` is popped
        popped = np.cumsum(1 / kde, axis=1)[:, :-1] <= mass * (1 + 1e-9)
        each = d[:, 1:] * np.cumsum(1 / kde, axis=1)[:, :-1] - np.cumsum(d / kde, axis=1)[:, :-1]
        return float(sum(row[p].max(initial=0) for row, p in zip(each, popped, strict=True)))

    assert alpha / C * total(s[0]) >= (1 - alpha) * m > alpha / C * total(s[0] * (1 - 1e-6))


def test_uniform_k_is_where_the_rule_stops() -> None:
    rng = np.random.default_rng(3)
    S = rng.random((6, 200))
    mass = uniform_mass(S, alpha=0.3, C=0.5)
    d = np.sort(1 - S, axis=1)
    k = round(1 / (6 * mass[mass > 0].min()))

    def left(size: int) -> float:
        return float(0.3 / 0.5 * (d[:, [size]] - d[:, :size]).sum())

    assert 1 < k < 200
    assert left(k) >= 0.7 * 6 > left(k - 1)


def test_near_duplicates_share_mass() -> None:
    """Twenty copies of one example get together what one example without copies gets."""
    rng = np.random.default_rng(4)
    rows = unit(rng, 400, 16)
    rows[100:120] = rows[100]
    query = rows[100:101]
    mass = kde_mass(similarity(query, rows), rows, sigma=0.2, max_k=200, kde_k=50)
    alone = mass[(mass > 0) & (mass < mass.max())]
    assert mass[100:120].sum() == pytest.approx(np.median(mass[mass > mass[100] * 2]), rel=0.2)
    assert len(alone)


@pytest.mark.parametrize("name", ["knn_uniform", "knn_kde"])
def test_euclidean_is_the_distance_tsds_was_published_with(name: str) -> None:
    """The same as giving a matrix whose cosine distance 1 - S is the Euclidean one."""
    rng = np.random.default_rng(5)
    rows, queries = unit(rng, 500, 8).astype(np.float64), unit(rng, 6, 8).astype(np.float64)
    S = queries @ rows.T
    shifted = 1 - np.linalg.norm(queries[:, None] - rows[None], axis=2)
    options: dict[str, Any] = {"alpha": 0.4, "C": 0.5, "max_k": 100}
    if name == "knn_kde":
        options["candidates"] = rows
    euclidean = quietly(name, S, 60, distance="euclidean", **options)
    assert euclidean == quietly(name, shifted, 60, **options)
    assert euclidean != quietly(name, S, 60, **options)


@pytest.mark.parametrize("name", ["knn_uniform", "knn_kde"])
def test_too_little_mass_is_said_and_filled_by_distance(name: str) -> None:
    rng = np.random.default_rng(6)
    rows = unit(rng, 100, 8)
    S = similarity(unit(rng, 3, 8), rows)
    if name == "knn_kde":
        options: dict[str, Any] = {"max_k": 5, "candidates": rows}
        some = int((kde_mass(S, rows, max_k=5) > 0).sum())
    else:
        options = {"max_k": 5}
        some = len({j for row in S for j in oracles.closest_first(row)[:5]})
    with pytest.warns(UserWarning, match=f"{name} gives mass to {some} candidates, the budget asks for 90"):
        picks = select(name, S, 90, **options)
    assert 5 <= some <= 15
    assert len(set(picks.tolist())) == 90
    fill = picks[some:]
    assert (np.diff(S.max(axis=0)[fill]) <= 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert select(name, S, some, **options).tolist() == picks[:some].tolist()


@pytest.mark.parametrize("name", ["knn_uniform", "knn_kde"])
def test_sampling_draws_in_proportion_to_mass_and_is_nested(name: str) -> None:
    rows = unit(np.random.default_rng(8), 12, 4)
    S = np.array([[0.9, 0.8, 0.7] + [0.0] * 9, [0.9, 0.8, 0.1] + [0.0] * 9], dtype=np.float32)
    options: dict[str, Any] = {"max_k": 3, "sample": True}
    if name == "knn_kde":
        options["candidates"] = rows
        mass = kde_mass(S, rows, max_k=3)
    else:
        mass = uniform_mass(S, max_k=3)
    first = np.bincount([quietly(name, S, 1, seed=seed, **options)[0] for seed in range(2000)], minlength=12)
    np.testing.assert_allclose(first / 2000, mass, atol=0.05)  # four standard deviations
    longer = quietly(name, S, 10, seed=3, **options)
    assert longer[:2] == quietly(name, S, 2, seed=3, **options)
    assert len(set(longer)) == 10


def test_defaults_are_the_papers() -> None:
    """METHODS §3: alpha 0.01, C 5, sigma 0.75; L at most 5,000; KNN-KDE takes a tenth, up to 5,000 and 1,000."""
    paper = {"alpha": 0.01, "C": 5.0, "distance": "cosine", "sample": False, "seed": 0}
    options = {name: inspect.signature(SELECTORS[name]).parameters for name in ("knn_uniform", "knn_kde")}
    assert all(options[name][option].default == value for name in options for option, value in paper.items())
    assert options["knn_uniform"]["max_k"].default == 5000
    assert options["knn_kde"]["sigma"].default == 0.75
    for function in (uniform_mass, kde_mass):  # called by themselves in the book
        own = inspect.signature(function).parameters
        assert all(own[option].default == value for option, value in paper.items() if option in own)
    assert inspect.signature(uniform_mass).parameters["max_k"].default == 5000
    assert inspect.signature(kde_mass).parameters["sigma"].default == 0.75
    assert inspect.signature(SELECTORS["random"]).parameters["seed"].default == 0


@pytest.mark.parametrize(
    ("n", "width", "density_k"), [(9, 1, 1), (9_990, 999, 999), (20_000, 2000, 1000), (60_000, 5000, 1000)]
)
def test_neighbours_of_knn_kde_are_a_tenth_up_to_the_papers_caps(
    monkeypatch: pytest.MonkeyPatch, n: int, width: int, density_k: int
) -> None:
    asked: list[int] = []

    def near(S: NDArray[Any], k: int) -> tuple[NDArray[Any], NDArray[Any]]:
        asked.append(k)
        return np.zeros((len(S), 1), dtype=int), np.ones((len(S), 1))

    def dense(rows: NDArray[Any], *, sigma: float, k: int) -> NDArray[Any]:
        asked.append(k)
        return np.ones(len(rows))

    monkeypatch.setattr(neighbours, "nearest", near)
    monkeypatch.setattr(neighbours, "densities", dense)
    kde_mass(np.ones((2, n), dtype=np.float32), np.ones((n, 1)))
    assert asked == [width, density_k]
