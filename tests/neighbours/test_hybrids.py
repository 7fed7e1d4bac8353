"""Hybrids of ILA, INSTA and LESS: against loops written from the definition, and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tis_utils.errors import InputError
from tis_utils.examples.load import Data
from tis_utils.experiments.grids import GRIDS, HYBRIDS, INSTA_TASKS
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours import hybrids
from tis_utils.neighbours.ila import selector as ila
from tis_utils.neighbours.insta import selector as insta
from tis_utils.neighbours.insta.pool_tasks import tasks_of
from tis_utils.profiles import load_profile
from tis_utils.storage.cache import Store


def spec(selector: str, budget: int = 8, **other: object) -> RunSpec:
    return RunSpec("words", NONE, selector, budget, 0, **other)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(load_profile("smoke", pool_size=120), Store(tmp_path_factory.mktemp("store")))


def by_loops(cells: list[int], ranks: list[int], merits: list[float], budget: int) -> list[int]:
    """Cells in the order of their nearest member; each turn takes the best one left, the lower index first."""
    left = [i for i in range(len(cells)) if not np.isnan(merits[i])]
    turns = list(dict.fromkeys(cells[i] for i in sorted(left, key=lambda i: ranks[i])))
    picks: list[int] = []
    while len(picks) < min(budget, len(cells)) and left:
        for cell in turns:
            inside = [i for i in left if cells[i] == cell]
            if inside:
                picks.append(min(inside, key=lambda i: (-merits[i], i)))
                left.remove(picks[-1])
    return picks[:budget]


@pytest.mark.parametrize("seed", range(5))
def test_targeted_rounds_go_from_cell_to_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells, ranks = rng.integers(0, 6, 30), rng.permutation(30)
    merits = np.where(rng.random(30) < 0.2, np.nan, rng.integers(0, 4, 30))
    room = int(np.isfinite(merits).sum())
    for budget in (1, 7, room):
        picks = hybrids.targeted_rounds(cells, ranks, merits, budget)
        assert picks.tolist() == by_loops(cells.tolist(), ranks.tolist(), merits.tolist(), budget)
    with pytest.raises(InputError, match=f"Budget {room + 1} is larger"):
        hybrids.targeted_rounds(cells, ranks, merits, room + 1)


def test_with_one_cell_the_nearest_are_the_round_robin_order() -> None:
    order = np.random.default_rng(0).permutation(12)
    ranks = np.argsort(order)
    assert hybrids.targeted_rounds(np.zeros(12), ranks, -ranks, 12).tolist() == order.tolist()


def test_the_deepest_of_the_first_tasks_come_first_and_the_next_tasks_fill_up() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    depths = np.array([0.9, 0.1, 0.8, 0.2, np.nan, 0.7, 0.7])
    assert hybrids.deepest_of_tasks(labels, [2, 1, 0], 2, depths, 6).tolist() == [2, 5, 6, 3, 0, 1]
    assert hybrids.deepest_of_tasks(labels, [2, 1, 0], 1, depths, 3).tolist() == [5, 6, 2]


@pytest.mark.parametrize("name", HYBRIDS)
def test_picks_of_a_study(study: Study, name: str) -> None:
    many, few = study.picks(spec(name)), study.picks(spec(name, 4))
    assert many.dtype == np.int64
    assert len(set(many.tolist())) == 8
    assert many[:4].tolist() == few.tolist()
    assert study.recipe(spec(name))["chooser"]["versions"]["hybrids"] == 1


def test_what_the_hybrids_keep_of_each_part(study: Study) -> None:
    land = ila.explore(study, ila.Settings())
    cells = len(np.unique(land.cells[~np.isnan(land.depths)]))
    budget = min(cells, 10)
    for name in ("hybrid@nearest", "hybrid@deepest"):
        assert len(set(land.cells[study.picks(spec(name, budget))])) == budget  # a new cell with every pick
    assert study.picks(spec("hybrid@nearest", 1))[0] == study.order("less", "words")[0]
    assert not np.isnan(land.depths[study.picks(spec("hybrid@deepest", budget))]).any()
    kind = f"insta@{INSTA_TASKS}"
    names, labels = tasks_of(study)
    chosen = insta.task_order(study, spec(kind))[:INSTA_TASKS]
    inside = np.flatnonzero(np.isin(labels, chosen) & ~np.isnan(land.depths))
    picks = study.picks(spec(f"hybrid@{kind}", 3))
    assert land.depths[picks].tolist() == sorted(land.depths[inside])[-3:][::-1]
    assert len(names) > INSTA_TASKS


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ("hybrid", "Write hybrid@nearest, hybrid@deepest or hybrid@insta@5:cards"),
        ("hybrid@farthest", "is no hybrid"),
        ("hybrid@insta@0", "no INSTA selector"),
        ("hybrid@insta@5:nothing", "no INSTA selector"),
        ("hybrid@insta@900", "there are"),
    ],
)
def test_what_is_no_hybrid_says_what_is(study: Study, selector: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        study.picks(spec(selector))


def test_other_experiments_are_refused(study: Study) -> None:
    with pytest.raises(InputError, match="cannot run the quantile experiment"):
        study.picks(spec("hybrid@nearest", experiment="quantile", bin=0))


def of_tasks(families: list[str | None], study: Study, folder: Path) -> Study:
    """A study whose first candidates belong to these tasks."""
    pairs = zip(study.data.pool, families, strict=False)
    pool = [replace(e, source="one", meta={"family": family} if family else {}) for e, family in pairs]
    return Study(study.profile, Store(folder), data=Data(pool, study.data.queries, study.data.test))


def test_tasks_that_are_missing_or_one_only(study: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="belong to no task"):
        of_tasks(["a", None] * 10, study, tmp_path).picks(spec("hybrid@insta@1", 2))
    one = of_tasks(["a"] * 20, study, tmp_path)
    with pytest.raises(InputError, match="2 nearest tasks, and there are 1"):
        one.picks(spec("hybrid@insta@2", 2))
    land = ila.explore(one, ila.Settings())
    assert np.nanmax(land.depths) == land.depths[one.picks(spec("hybrid@insta@1", 2))[0]]


def test_all_depths_equal(study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ila, "tuned_model", lambda study, *_: study.model)
    data = Data(study.data.pool[:40], study.data.queries, study.data.test)
    other = Study(study.profile, Store(tmp_path), data=data)
    for name in ("hybrid@deepest", f"hybrid@insta@{INSTA_TASKS}"):
        with pytest.raises(InputError, match="depths are equal"):
            other.picks(spec(name))


def test_the_grid_names_every_hybrid_at_the_lowest_budget() -> None:
    profile = load_profile("classroom")
    specs = GRIDS["hybrids"](profile)
    assert {s.selector for s in specs} == set(HYBRIDS)
    assert {s.budget for s in specs} == {min(profile.budgets)}
    assert len(specs) == len(HYBRIDS) * len(profile.tasks) * len(profile.seeds)


def test_a_pool_without_task_cards_has_no_hybrid_by_cards() -> None:
    names = {s.selector for s in GRIDS["hybrids"](load_profile("smollm2"))}
    assert names == {name for name in HYBRIDS if not name.endswith(":cards")}
