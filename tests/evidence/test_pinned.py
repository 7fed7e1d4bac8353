"""Numbers and choices behind bounds and claims that a small slip would change without anything else noticing."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from tis_utils.errors import InputError
from tis_utils.evidence import bounds, claims
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.bounds import RidgeSetting, reference_parameter
from tis_utils.evidence.cube import Cube, Leads
from tis_utils.evidence.published import MODELS
from tis_utils.evidence.ridge_problems import ridge_problem

UNIT = RidgeSetting(x_max=1.0, y_max=1.0, mu=0.5)


# --- bounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("subset", "queries"), [(3, 8), (8, 3)])
def test_the_sampling_term_counts_queries_not_the_subset(subset: int, queries: int) -> None:
    """The bound is over the draw of the M queries; the subset may have been chosen in any way."""
    s, q = (ridge_problem(UNIT, seed, candidates=n, queries=n).queries for seed, n in ((0, subset), (1, queries)))
    terms = bounds.query_risk_bound(UNIT, np.zeros(3), s, q, w1_x=0.1, delta=0.05)
    assert terms["sampling"] == pytest.approx(float(bounds.sampling_term(UNIT, queries, 0.05)))
    assert terms["sampling"] != pytest.approx(float(bounds.sampling_term(UNIT, subset, 0.05)))
    assert terms["bound"] == pytest.approx(sum(v for name, v in terms.items() if name != "bound"))


@pytest.mark.parametrize(("x", "y"), [([[1.00001, 0]], [0]), ([[0, 0]], [-1.00001])])
def test_only_rounding_is_forgiven_at_the_edge_of_the_domain(x: list[list[float]], y: list[float]) -> None:
    UNIT.check([[1 + 1e-12, 0]], [1 + 1e-12])
    with pytest.raises(InputError, match="1 examples lie outside"):
        UNIT.check(x, y)


def test_only_rounding_is_forgiven_at_the_edge_of_the_ball() -> None:
    data = np.zeros((2, 1)), np.zeros(2)
    bounds.query_risk_bound(UNIT, [UNIT.rho * (1 + 1e-12)], data, data, 0.0, 0.1)
    with pytest.raises(InputError, match="theta has norm"):
        bounds.query_risk_bound(UNIT, [UNIT.rho * 1.00001], data, data, 0.0, 0.1)


def test_the_reference_parameter_takes_three_hundred_steps() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), rng.normal(size=40)
    weights = np.full(40, 1 / 40)
    assert inspect.signature(reference_parameter).parameters["steps"].default == 300
    errors = [weights @ np.abs(x @ reference_parameter(x, y, weights, 2.0, steps) - y) for steps in (150, 300)]
    assert errors[1] < errors[0]
    np.testing.assert_array_equal(
        reference_parameter(x, y, weights, 2.0), reference_parameter(x, y, weights, 2.0, steps=300)
    )


def test_costs_and_diameters_of_problems_are_distances_not_squares() -> None:
    problem = ridge_problem(UNIT, 0, candidates=12, queries=5)
    pool, queries = problem.points
    distances = np.linalg.norm(queries[:, None] - pool, axis=2)
    np.testing.assert_allclose(problem.cost, distances, atol=1e-6)
    assert problem.diameter == pytest.approx(np.linalg.norm(pool[:, None] - pool, axis=2).max())


# --- claims -------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, ...], float | None]]:
    """Units and ceiling of every interval of a scorecard."""
    calls: list[tuple[tuple[int, ...], float | None]] = []

    def interval(values: np.ndarray, level: float = 0.95, units: tuple = (), ceiling: float | None = None):
        calls.append((tuple(units), ceiling))
        return 0.0, 1.0

    monkeypatch.setattr(stats, "interval", interval)
    return calls


def test_pools_of_a_model_are_not_counted_as_independent(asked: list, tmp_path) -> None:
    """Five models and at most five tasks are resampled; that each model has two pools makes the evidence no larger."""
    table = claims.scorecard(sources=["paper", "tulu/llama2-7b"], results=tmp_path, draws=3)
    answered = table[table["verdict"] != "not testable"]
    assert set(answered["source"]) == {"paper", "tulu/llama2-7b"}
    assert {units[0] for units, _ in asked} == {len(MODELS), 1}
    assert {units[1] for units, _ in asked} <= {3, 4, 5}
    assert {len(units) for units, _ in asked} == {2}


def test_leads_in_per_cent_have_a_ceiling_and_nothing_else_has(asked: list, tmp_path) -> None:
    """A loss cannot be lower by more than 100 %; that says nothing of correlations, points and differences of leads."""
    table = claims.scorecard(sources=["paper"], results=tmp_path, draws=3)
    answered = table[table["tasks"] > 0]
    ceilings = [ceiling for _, ceiling in asked]
    shrinks = next(c.name for c in claims.CLAIMS if c.statistic is claims.less_lead_shrinks)
    expected = [
        100.0 if unit == "% of loss" and not name.startswith(shrinks) else None
        for name, unit in zip(answered["claim"], answered["unit"], strict=True)
    ]
    assert ceilings == expected
    assert {100.0, None} == set(ceilings)


def cube(metric: str, models: int = 2, tasks: int = 3, pools: int = 2) -> Cube:
    values = np.random.default_rng(0).random((models, tasks, pools, 2, 1)) + 0.5
    names = [tuple(f"{kind}{i}" for i in range(size)) for kind, size in (("t", tasks), ("m", models), ("p", pools))]
    return Cube(metric, values, 0 * values, 0 * values + 3, names[0], ("a", "b"), (1,), names[1], names[2])


@pytest.mark.parametrize(
    ("metric", "minus", "ceiling"), [("query_loss", None, 100.0), ("query_loss", "a", None), ("downstream", None, None)]
)
def test_leads_of_a_cube_know_their_units_and_ceiling(metric: str, minus: str | None, ceiling: float | None) -> None:
    data = cube(metric, models=4)
    ahead = Leads.of(data, "b", data.draws(5), minus)
    assert ahead.units == (4, 3)
    assert ahead.ceiling == ceiling


def test_a_lead_never_reaches_beyond_the_whole_loss() -> None:
    values = np.array([97.0, 98.0, 99.9, 60.0, 20.0])
    assert stats.interval(values, units=(3,))[1] > 100
    assert 90 < stats.interval(values, units=(3,), ceiling=100.0)[1] < 100


def test_the_pools_of_a_drawn_model_are_drawn_together() -> None:
    """Pools lie behind models and tasks: a draw repeats a model with all its pools or not at all."""
    data = cube("query_loss", models=5)
    for draw in data.draws(20).reshape(20, 5, 3, 2, 2):
        for row in draw[:, 0]:  # (L, K): one of the five models, both pools from the same one
            assert any(np.allclose(row, data.mean[m, t, ..., 0]) for m in range(5) for t in range(3))
