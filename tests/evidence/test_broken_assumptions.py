"""Each assumption is needed: without it its inequality becomes false; with it none does."""

from __future__ import annotations

import numpy as np
import pytest

from tis_utils.evidence import broken_assumptions as broken
from tis_utils.evidence.bounds import RidgeSetting
from tis_utils.evidence.ridge_problems import ridge_problem
from tis_utils.selectors import select
from tis_utils.selectors.similarity import similarity

SETTING = RidgeSetting(1.0, 1.0, 0.5)


@pytest.fixture(scope="module")
def problem():
    return ridge_problem(SETTING, 7, candidates=3000, queries=40)


def test_every_assumption_is_needed(problem) -> None:
    candidates, queries = problem.directions
    order = select("round_robin", similarity(queries, candidates), 1000)
    rows = broken.broken_assumptions(problem, order, 0.05)
    assert rows["assumption"].nunique() == 6
    assert (rows.groupby("assumption")["ratio"].max() > 1).all()


def test_where_the_assumption_holds_the_bound_does(problem) -> None:
    assert broken.no_regulariser(1.0, SETTING) <= 1
    assert broken.outside_the_domain(1.0, SETTING) <= 1
    assert broken.early_stopping(400, problem) <= 1
    assert broken.blind_to_answers(1.0, SETTING) <= 1
    assert broken.power_loss(1.0) <= 1
    drawn = np.random.default_rng(0).permutation(3000)
    assert broken.selected_is_not_sampled(500, problem, drawn, 0.05) <= 1
