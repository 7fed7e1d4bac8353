"""Deita's rule: an oracle from the definition, properties, and what it says about bad input."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import deita
from tis_utils.neighbours.ila import selector as ila
from tis_utils.neighbours.ila.coverage_depth import coverage, grid_cells, rounds

taus = st.sampled_from([0.05, 0.5, 0.9, 1.0])


def by_hand(scores: list[float], rows: np.ndarray, budget: int, tau: float) -> list[int]:
    """Go through all candidates, comparing each with everything kept, one pair at a time."""

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        lengths = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
        return float(a @ b) / lengths if lengths else 0.0

    known = [i for i, score in enumerate(scores) if not math.isnan(score)]
    kept: list[int] = []
    others: list[int] = []
    for i in sorted(known, key=lambda i: (-scores[i], i)):
        similar = any(cosine(rows[i], rows[j]) > tau - 1e-6 for j in kept)
        (others if similar else kept).append(i)
    return (kept + others)[:budget]


@given(st.integers(2, 25), st.integers(1, 3), taus, st.integers(0, 10_000))
def test_it_is_what_the_definition_says(n: int, width: int, tau: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, (n, width)).astype(float)  # many repetitions, some of length zero
    scores = rng.integers(4, size=n).astype(float)
    scores[:2] = 0, 1  # not all are equal
    scores[2:][rng.random(n - 2) < 0.2] = np.nan
    room = int(np.isfinite(scores).sum())
    everything = deita.score_first(scores, rows, tau=tau).tolist()
    assert everything == by_hand(scores.tolist(), rows, room, tau)
    budget = int(rng.integers(1, room + 1))
    assert deita.score_first(scores, rows, budget, tau=tau).tolist() == everything[:budget]


def test_a_near_copy_is_turned_down_and_a_high_tau_keeps_it() -> None:
    rows, scores = [[1, 0], [1, 0.1], [0, 1]], [3.0, 2.0, 1.0]
    assert deita.score_first(scores, rows, 2).tolist() == [0, 2]
    assert deita.score_first(scores, rows, 2, tau=0.999).tolist() == [0, 1]


def test_exact_repetitions_are_turned_down_at_any_length(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    row = rng.normal(size=384).astype(np.float32)
    rows = np.array([row, 3 * row, row / 7, rng.normal(size=384)])
    with caplog.at_level(logging.WARNING):
        assert deita.score_first([4, 3, 2, 1], rows, 3, tau=1).tolist() == [0, 3, 1]
    assert "2 are less than 1 similar" in caplog.text
    assert "the 1 deepest of the others fill up" in caplog.text


@pytest.mark.parametrize("tau", [0, -0.5, 1.01, 90, math.nan, math.inf, True, "0.9", None])
def test_tau_out_of_range_is_an_error(tau: object) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        deita.score_first([1, 2], np.eye(2), 1, tau=tau)  # type: ignore[arg-type]


@pytest.mark.parametrize("scores", [[2.0, 2.0, 2.0], [0.0, np.nan, 0.0]])
def test_equal_scores_have_no_order(scores: list[float]) -> None:
    with pytest.raises(InputError, match="scores are equal"):
        deita.score_first(scores, np.eye(3), 1)


def test_no_candidate_too_large_a_budget_and_arrays_that_do_not_fit_are_errors() -> None:
    for scores in ([], [np.nan, np.nan]):
        with pytest.raises(InputError, match="none has a depth"):
            deita.score_first(scores, np.ones((len(scores), 2)))
    for budget in (0, -1, 2.5, 3):
        with pytest.raises(InputError, match=r"[Bb]udget"):
            deita.score_first([1, 2], np.eye(2), budget)  # type: ignore[arg-type]
    for rows in (np.eye(3), np.ones(2), np.array([[1, np.nan], [1, 2]])):
        with pytest.raises(InputError, match="one score and one finite embedding"):
            deita.score_first([1, 2], rows, 1)


def test_one_candidate_is_selected() -> None:
    assert deita.score_first([0.3], [[1.0, 2.0]], 1).tolist() == [0]


# --- in the frame of the experiments --------------------------------------------------------------------


def spec(selector: str, budget: int = 5, **other: object) -> RunSpec:
    return RunSpec("letters", NONE, selector, budget, **{"seed": 0, **other})  # type: ignore[arg-type]


def test_a_run_goes_by_ilas_depths_and_embeddings(study: Study) -> None:
    depths, rows = ila.explore(study, ila.Settings()).depths, study.features("embed")[0]
    for name, tau in {"deita": 0.9, "deita@0.3": 0.3}.items():
        found = study.picks(spec(name)).tolist()
        assert found == by_hand(depths.tolist(), rows, 5, tau)
        assert found == study.picks(spec(name, seed=1)).tolist()
    assert study.picks(spec("deita@1")).tolist() == study.picks(spec("ila@depth")).tolist()


def test_settings_that_do_not_exist_are_errors(study: Study) -> None:
    for name, words in {"deita@much": "deita@0.7", "deita@2": "above 0", "deita@nan": "above 0"}.items():
        with pytest.raises(InputError, match=words):
            study.picks(spec(name))
    with pytest.raises(InputError, match="no queries and no distance"):
        study.picks(spec("deita", experiment="tokens"))


def test_what_the_picks_depend_on_is_in_the_key(study: Study) -> None:
    keys = [deita.recipe(study, spec(name)) for name in ("deita", "deita@0.9", "deita@0.8")]
    assert keys[0] == keys[1] != keys[2]
    assert keys[0]["versions"]["deita"] == deita.VERSION


# --- the map's own bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("points", [np.empty((0, 2)), np.ones((3, 1)), [[0, np.nan], [1, 1]]])
def test_a_map_without_points_is_an_error(points: object) -> None:
    with pytest.raises(InputError, match="two coordinates"):
        grid_cells(points, 4)  # type: ignore[arg-type]


def test_an_empty_grid_is_an_error() -> None:
    with pytest.raises(InputError, match="none has a depth"):
        rounds([], [], 1)
    with pytest.raises(InputError, match="no cells"):
        coverage([], [])
