"""Numbers and choices behind bounds and claims that a small slip would change without anything else noticing."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from tis_utils.errors import InputError
from tis_utils.evidence import bounds, claims
from tis_utils.evidence.bounds import RidgeSetting, reference_parameter
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


def test_pools_of_a_model_are_not_counted_as_independent() -> None:
    """That each of five models has two pools makes the evidence no larger."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(5, 4, 1, 1))
    alone, twice = claims.judged(one, "points"), claims.judged(np.repeat(one, 2, axis=2), "points")
    assert [alone[end] for end in ("low", "high")] == pytest.approx([twice[end] for end in ("low", "high")])
    assert (alone["n"], twice["n"]) == (5, 10)


def test_a_lead_never_reaches_beyond_the_whole_loss_nor_a_correlation_beyond_one() -> None:
    values = np.array([3.0, 5.0, 9.0, 0.1])[None, :, None, None]
    assert claims.judged(values, "points")["high"] > 9
    loss = claims.judged(values, "% of loss")
    assert 90 < loss["estimate"] < loss["high"] < 100
    rho = claims.judged(np.array([1.0, 0.9, 0.2])[None, :, None, None], "Spearman")
    assert rho["high"] == 1
    assert claims.judged(np.array([0.5, 0.4, 0.1])[None, :, None, None], "share under ½")["high"] == 0.5
