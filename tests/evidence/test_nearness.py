"""Neighbourhoods of a query, and a map of pool and queries."""

from __future__ import annotations

import numpy as np
import pytest

from tis_utils.evidence.nearness import neighbourhood, on_axes
from tis_utils.examples.kinds import view
from tis_utils.experiments import Study
from tis_utils.labels import KINDS
from tis_utils.profiles import load_profile


@pytest.fixture(scope="module")
def study() -> Study:
    study = Study(load_profile("smoke"))
    n, rng = len(study.data.pool), np.random.default_rng(0)
    rows = rng.normal(size=(n, 3)) * (3, 1, 0.001)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    study.add_features("mine", rows, {task: rows[: len(study.data.queries[task])] for task in study.profile.tasks})
    return study


def test_a_neighbourhood_begins_with_the_nearest_and_ends_with_the_farthest(study: Study) -> None:
    lines = neighbourhood(study, "mine", study.profile.tasks[0])
    assert [line.split(".")[0] for line in lines] == ["1", "2", "3", *(f"{len(study.data.pool) - k:,}" for k in (1, 0))]
    cosines = [float(line.rsplit("; ", 1)[1].rstrip(")")) for line in lines]
    assert cosines[0] == 1
    assert cosines == sorted(cosines, reverse=True)


def test_the_map_shows_the_own_kinds_first_and_says_how_much_two_axes_hold(study: Study) -> None:
    task = study.profile.tasks[0]
    tables, kinds, held = on_axes(study, {"Mine": "mine"}, task, limit=30)
    table = tables["Mine"]
    assert len(table) == 30 + len(study.data.queries[task])
    own = sum(view(e, task) in KINDS for e in study.data.pool)
    assert table["kind"].isin(KINDS).sum() == min(own, 30)
    assert kinds[-1] == "query"
    assert set(kinds) == set(table["kind"])
    assert held["Mine"] == pytest.approx(100, abs=0.1)
