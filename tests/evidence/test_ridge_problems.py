"""Problems of the chapter on bounds: drawn within the assumptions, and no bound fails on them."""

from __future__ import annotations

import numpy as np
import pytest

from tis_utils.errors import InputError
from tis_utils.evidence.bounds import RidgeSetting
from tis_utils.evidence.ridge_problems import (
    best_picks,
    both_sides,
    experiment,
    random_against_best,
    ridge_problem,
    whole_budgets,
)
from tis_utils.selectors import SELECTORS
from tis_utils.selectors.optimal_subset import best_subset_bound

SETTING = RidgeSetting(1.0, 1.0, 0.5)
TERMS = ["train_error", "transport", "joint_error", "sampling"]
LINKS = ["train_error", "subset_to_queries", "queries_to_target", "joint_error"]


@pytest.fixture
def problem():
    return ridge_problem(SETTING, 3, candidates=60, queries=5)


def test_the_same_seeds_give_the_same_problem_and_others_another(problem) -> None:
    again = ridge_problem(SETTING, 3, candidates=60, queries=5)
    other = ridge_problem(SETTING, 3, candidates=60, queries=5, base_seed=1)
    assert np.array_equal(again.points[0], problem.points[0])
    assert not np.allclose(other.points[0], problem.points[0])
    assert problem.cost.shape == (5, 60)


def test_a_setting_whose_assumptions_are_not_met_is_refused() -> None:
    with pytest.raises(InputError, match="outside"):
        ridge_problem(RidgeSetting(0.5, 1.0, 0.5), 0, candidates=12, queries=2)


@pytest.mark.parametrize("seed", range(4))
def test_no_bound_on_a_subset_fails(seed) -> None:
    problem = ridge_problem(SETTING, seed, candidates=60, queries=5)
    sides = both_sides(problem, np.arange(10), 0.05)
    assert sides["moved"] <= sides["moved_bound"]
    assert sides["gap"] <= sides["gap_bound"]
    assert sides["target_risk"] <= sides["bound"] == pytest.approx(sum(sides[t] for t in TERMS))
    assert sides["target_risk"] <= sides["chain_bound"] == pytest.approx(sum(sides[f"chain_{t}"] for t in LINKS))
    assert sides["chain_subset_to_queries"] == sides["transport"]


def test_budgets_are_multiples_of_the_queries() -> None:
    assert whole_budgets(80, 40, 320) == [80]
    assert whole_budgets([40, 320], 40, 320) == [40, 320]
    for wrong in (50, 0, 360):
        with pytest.raises(InputError, match=f"The budget {wrong} does not work here: only at multiples of the 40"):
            whole_budgets([80, wrong], 40, 320)


def test_random_draws_stay_below_both_bounds(problem) -> None:
    best = {b: np.argsort(-best_subset_bound(problem.cost, b)[1], kind="stable")[:b] for b in (5, 20)}
    rows = random_against_best(problem, best, 0.05, draws=7)
    assert rows.groupby(["budget", "kind"]).size().eq(7).all()
    assert set(rows["budget"]) == {5, 20}
    assert (rows["gap"] <= rows["bound"]).all()
    assert np.allclose(rows["bound"], rows[["expectation", "deviation", "pool_mismatch", "residual"]].sum(axis=1))


def test_the_experiment_has_every_selector_and_the_best_subset_at_every_budget(problem) -> None:
    runs, contests = experiment([problem], [5, 10], 0.05)
    assert sorted(runs["selector"].unique()) == sorted([*SELECTORS, "best"])
    assert len(runs) == 2 * (len(SELECTORS) + 1)
    assert set(contests["budget"]) == {5, 10}
    best = runs[runs["selector"] == "best"].set_index("budget")["w1"]
    assert (runs["w1"] >= runs["budget"].map(best) - 1e-9).all()  # another selector may find it too
    direct = both_sides(problem, best_picks(problem, 10), 0.05)
    row = runs.query("selector == 'best' and budget == 10").iloc[0]
    assert row[list(direct)].to_dict() == pytest.approx(direct)
