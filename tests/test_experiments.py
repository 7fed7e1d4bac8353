from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests_support import example, query
from tis_utils import runs
from tis_utils.errors import InputError
from tis_utils.experiments import NONE, ROW_COLUMNS, Cell, Study, grid
from tis_utils.profiles import Profile
from tis_utils.sources.assemble import Data
from tis_utils.store import Store


@pytest.fixture
def profile(tmp_path: Path, random_model) -> Profile:
    folder = tmp_path / "model"
    random_model.model.save_pretrained(folder)
    random_model.tokenizer.save_pretrained(folder)
    return Profile(
        name="test", description="", model=str(folder), pool="x.jsonl", pool_size=12, n_queries=2, n_test=3,
        tasks=("letters", "digits"), budgets=(2, 4), seeds=(0, 1), max_length=64,
        training={"epochs": 1, "learning_rate": 1e-3, "batch_size": 2},
        less={"rank": 2, "alpha": 4, "epochs": 2, "lr": 1e-3, "batch_size": 2,
              "warmup_fraction": 0.5, "dim": 64, "sketch": "count"},
    )  # fmt: skip


@pytest.fixture
def study(tmp_path: Path, profile: Profile) -> Study:
    made = Study(profile, Store(tmp_path / "cache"))
    pool = [example(str(i) * 3, prompt=f"digit {i}", name=f"d{i}") for i in range(6)]
    pool += [example(c * 3, prompt=f"letter {c}", name=f"l{c}") for c in "abcdef"]
    queries = {"digits": [query("777", prompt="digit 7")], "letters": [query("ggg"), query("hhh")]}
    test = {"digits": [query("888"), query("999")], "letters": []}
    made.__dict__["data"] = Data(pool, queries, test)  # what the cached property would have loaded
    return made


def test_a_grid_has_every_cell_once_and_never_forgets_the_baselines() -> None:
    cells = grid(["a", "b"], [("less", "round_robin"), ("rds", "uot")], [5, 9], [0, 1, 2])
    assert len(cells) == len(set(cells)) == 2 + 2 * 3 * 2 * 3
    assert {(c.representation, c.selector) for c in cells if c.budget == 0} == {(NONE, NONE)}
    assert sum(c.selector == "random" for c in cells) == 2 * 2 * 3
    assert all(c.selector == "uot" for c in grid(["a"], [("rds", "uot")], [5], [0], baselines=False))


@pytest.mark.parametrize("name", ["rds", "less"])
def test_features_are_unit_rows_split_by_task_and_computed_once(study: Study, name: str, monkeypatch) -> None:
    candidates, queries = study.features(name)
    assert {task: len(rows) for task, rows in queries.items()} == {"digits": 1, "letters": 2}
    assert candidates.shape[0] == 12
    for rows in (candidates, *queries.values()):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    alone = study.representation(name)
    np.testing.assert_allclose(alone.candidates(study.data.pool), candidates, atol=1e-5)
    np.testing.assert_allclose(alone.queries(study.data.queries["letters"]), queries["letters"], atol=1e-5)
    monkeypatch.setattr(type(alone), "candidates", lambda self, pool: pytest.fail("computed again"))
    later = Study(study.profile, study.store)
    later.__dict__["data"] = study.data
    np.testing.assert_array_equal(later.features(name)[0], candidates)


def test_picks_come_from_the_similarity_of_the_cells_own_task(study: Study) -> None:
    letters = study.picks(Cell("letters", "rds", "doubly_greedy", 4, 0))
    similarity = study.similarity("rds", "letters")
    assert list(letters) == list(np.argsort(-similarity.max(0), kind="stable")[:4])


def test_random_is_seeded_and_nested(study: Study) -> None:
    few, many = (study.picks(Cell("digits", NONE, "random", b, 1)) for b in (3, 8))
    assert list(many[:3]) == list(few)
    assert list(few) != list(study.picks(Cell("digits", NONE, "random", 3, 2)))


def test_rows_are_tidy_and_the_zero_shot_row_is_the_untuned_model(study: Study) -> None:
    cells = grid(["digits", "letters"], [("rds", "round_robin")], [2], [0])
    rows = study.run(cells, jobs=1)
    assert list(rows.columns) == ROW_COLUMNS
    assert not rows.duplicated(["task", "representation", "selector", "budget", "seed", "metric"]).any()
    zero = rows.query("task == 'digits' and budget == 0 and metric == 'query_loss'")["value"].item()
    assert zero == pytest.approx(runs.mean_loss(study.model, study.data.queries["digits"]))
    missing = rows.query("task == 'letters' and metric == 'test_loss'")
    assert missing["value"].isna().all()
    assert set(missing["status"]) == {"no held-out examples"}
    assert set(rows.query("metric == 'query_loss'")["status"]) == {"ok"}


@pytest.mark.slow  # two worker processes import everything
def test_finished_cells_are_not_run_again_and_jobs_do_not_change_numbers(
    study: Study, tmp_path, monkeypatch
) -> None:
    cells = grid(["digits"], [("rds", "round_robin")], [2, 4], [0, 1])
    alone = study.run(cells, jobs=1)
    other = Study(study.profile, Store(tmp_path / "other"))
    other.__dict__["data"] = study.data
    pd.testing.assert_frame_equal(other.run(cells, jobs=2), alone)
    monkeypatch.setattr(runs, "_train_and_evaluate", lambda task: pytest.fail("run again"))
    pd.testing.assert_frame_equal(study.run(cells, jobs=1), alone)


def test_a_changed_setting_is_another_cell(study: Study) -> None:
    cell = Cell("digits", NONE, "random", 3, 0)
    first = study.run([cell], jobs=1)
    slower = study.profile.training.model_copy(update={"learning_rate": 3e-3})
    changed = Study(study.profile.model_copy(update={"training": slower}), study.store)
    changed.__dict__["data"] = study.data
    assert not changed.run([cell], jobs=1)["value"].equals(first["value"])


def test_a_diverging_run_is_kept_with_its_status(study: Study) -> None:
    wild = study.profile.training.model_copy(update={"learning_rate": 1e30, "epochs": 3})
    study.profile = study.profile.model_copy(update={"training": wild})
    rows = study.run([Cell("digits", NONE, "random", 4, 0)], jobs=1).set_index("metric")
    assert rows.loc["query_loss", "status"] == "diverged"
    assert not np.isfinite(rows.loc["query_loss", "value"])


def test_a_budget_above_the_pool_is_refused_before_training(study: Study) -> None:
    with pytest.raises(InputError, match="Budget 13 is larger than the pool of 12"):
        study.run([Cell("digits", NONE, "random", 13, 0)])


def test_unknown_representation(study: Study) -> None:
    with pytest.raises(InputError, match="Unknown representation 'bert'; known: embed, rds, less"):
        study.representation("bert")


def test_manifests_hold_the_whole_key(study: Study) -> None:
    study.run([Cell("digits", NONE, "random", 3, 0)], jobs=1)
    manifest = json.loads(next((study.store.root / "cells").glob("*.json")).read_text())
    assert manifest["key"]["seed"] == 0
    assert {"subset", "queries", "test", "model", "training", "code"} <= set(manifest["key"])
