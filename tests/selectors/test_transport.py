"""UOT: the library's plan, the scaling equations, blocks, ties, and matrices the library cannot handle."""

from __future__ import annotations

import math
import runpy
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tis_utils.errors import RunError
from tis_utils.selectors import select, transport
from tis_utils.selectors.transport import plan_mass

oracles = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("oracles.py"))))


def close(x: float, y: float) -> bool:
    return math.isclose(x, y, rel_tol=1e-10)


@st.composite
def grids(draw: st.DrawFn) -> NDArray[Any]:
    m, n = draw(st.integers(1, 5)), draw(st.integers(1, 30))
    levels = draw(st.sampled_from([1, 2, 8, 64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    S = rng.integers(-levels, levels + 1, (m, n)) / levels
    if draw(st.booleans()):
        S[:, rng.integers(n, size=n // 2)] = S[:, rng.integers(n, size=n // 2)]
    return S.astype(draw(st.sampled_from([np.float32, np.float64])))


@settings(max_examples=600)
@given(grids(), st.integers(1, 34), st.sampled_from([(0.01, 1e-4), (0.05, 1e-4), (0.02, 0.01)]))
def test_uot_is_its_definition(S: NDArray[Any], budget: int, weights: tuple[float, float]) -> None:
    reg, reg_m = weights
    expected = oracles.uot_mass(S, reg, reg_m)
    mass = plan_mass(S, reg=reg, reg_m=(math.inf, reg_m))
    np.testing.assert_allclose(mass, expected, rtol=1e-8)
    picks = select("uot", S, budget, reg=reg, reg_m=(math.inf, reg_m))
    assert picks.tolist() == oracles.ranked(expected, oracles.exact(S), budget, close)


@pytest.mark.parametrize("block", [64, 1 << 19])
@pytest.mark.parametrize("reg_m", [(math.inf, 1e-4), (math.inf, 0.05), (0.02, 0.03)])
def test_plan_is_the_librarys(monkeypatch: pytest.MonkeyPatch, block: int, reg_m: tuple[float, float]) -> None:
    """Many small blocks or one: the same column sums as POT's plan."""
    monkeypatch.setattr(transport, "BLOCK", block)
    S = np.random.default_rng(1).uniform(-1, 1, (9, 500)).astype(np.float32)
    cost = (1 - S.astype(np.float64)) / 2
    plan = ot.unbalanced.sinkhorn_unbalanced([], [], cost, 0.01, reg_m, reg_type="kl", stopThr=1e-12)
    np.testing.assert_allclose(plan_mass(S, reg_m=reg_m), plan.sum(axis=0), rtol=1e-6)


def test_column_mass_satisfies_the_scaling_equations() -> None:
    """mass = v·(K'u) with v = (b/K'u)^f gives K'u, hence v and K v, hence u: one consistent fixed point."""
    S = np.random.default_rng(2).uniform(-0.2, 1, (5, 300))
    reg, reg_m = 0.01, 1e-4
    f = reg_m / (reg_m + reg)
    mass = plan_mass(S)
    kernel = np.exp(-(1 - S) / 2 / reg) / S.size
    ktu = (mass * 300**f) ** (1 / (1 - f))  # mass = (1/300)^f · ktu^(1-f)
    v = (1 / 300 / ktu) ** f
    u = 1 / 5 / (kernel @ v)
    np.testing.assert_allclose(kernel.T @ u, ktu, rtol=1e-6)
    plan = u[:, None] * kernel * v
    np.testing.assert_allclose(plan.sum(axis=0), mass, rtol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 5, rtol=1e-6)  # every query hands out all its mass


@pytest.mark.parametrize("name", ["uot"])
@settings(max_examples=200)
@given(grids(), st.integers(1, 34))
def test_budgets_are_nested_prefixes_of_the_full_order(name: str, S: NDArray[Any], budget: int) -> None:
    order = select(name, S, None)
    assert sorted(order.tolist()) == list(range(S.shape[1]))
    assert select(name, S, budget).tolist() == order[:budget].tolist()


def test_ties_up_to_rounding_go_to_the_lower_index() -> None:
    """Mirrored columns weigh the same for mirrored queries, whatever order the sums are taken in."""
    rng = np.random.default_rng(3)
    half = rng.uniform(-1, 1, (3, 400))
    S = np.concatenate([half, half[::-1]], axis=1)[:, rng.permutation(800)]
    order = select("uot", S, None)
    mass = plan_mass(S)[order]
    tied = np.isclose(mass[1:], mass[:-1], rtol=1e-11, atol=0)
    assert tied.sum() >= 400 - 1
    assert (order[1:] > order[:-1])[tied].all()


def test_values_far_from_cosines_do_not_break_it() -> None:
    """A row whose kernel would underflow as a whole still hands out its mass; the rest is filled in."""
    S = np.array([[-900.0, -901.0, -2000.0, -2500.0], [-1e5, -1e5, -3e5, -2e5]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert select("uot", S, 4).tolist() == [0, 1, 2, 3]
    assert [str(w.message)[:30] for w in caught] == ["uot gives mass to 2 candidates"]
    assert plan_mass(S).sum() == pytest.approx(1)


def test_no_convergence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ITERATIONS", 3)
    S = np.random.default_rng(4).uniform(-1, 1, (4, 20))
    with pytest.raises(RunError, match=r"UOT did not converge in 3 iterations with reg=0\.001"):
        plan_mass(S, reg=0.001, reg_m=(math.inf, 5.0))
