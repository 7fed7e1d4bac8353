"""The measured transfer matrix against runs done by hand, and its stored form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tis_utils.errors import InputError
from tis_utils.examples.load import Data
from tis_utils.experiments.study import Study
from tis_utils.models.evaluation import mean_loss
from tis_utils.models.fine_tuning import fine_tune
from tis_utils.neighbours import training
from tis_utils.neighbours.insta import transfer
from tis_utils.profiles import load_profile
from tis_utils.storage import stored_results as shipped
from tis_utils.storage.cache import Store

SOURCES = ["gcd", "pick/last"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(shipped, "RESULTS", tmp_path / "results")
    known = transfer.source_tasks
    monkeypatch.setattr(transfer, "source_tasks", lambda study: {name: known(study)[name] for name in SOURCES})
    few = transfer.target_tasks
    monkeypatch.setattr(
        transfer, "target_tasks", lambda study: {name: few(study)[name][:4] for name in ("pick", "gcd", "syllogism")}
    )
    return Study(load_profile("smoke", seeds=[0]), Store(tmp_path / "store"))


def test_sources_are_equally_large_and_targets_are_held_out() -> None:
    study = Study(load_profile("smoke"))
    sources, targets = transfer.source_tasks(study), transfer.target_tasks(study)
    assert len({len(examples) for examples in sources.values()}) == 1
    assert all({e.meta["family"] for e in examples} == {name} for name, examples in sources.items())
    pool = {m["content"] for e in study.data.pool for m in e.messages}
    for queries in targets.values():
        assert queries
        assert not pool & {q.prompt.split("\n", 1)[1].removesuffix("\n<|assistant|>\n") for q in queries}
    assert set(targets) > set(study.profile.tasks)


def test_rows_equal_a_training_done_by_hand(study: Study) -> None:
    rows = transfer.matrix(study)
    assert rows.columns.tolist() == transfer.COLUMNS
    assert len(rows) == 2 * 3
    targets = transfer.target_tasks(study)
    tuned = fine_tune(study.model, transfer.source_tasks(study)["gcd"], study.profile.training, seed=0, max_length=256)
    for row in rows[rows["source_task"] == "gcd"].itertuples():
        assert row.loss == pytest.approx(mean_loss(tuned, targets[row.target_task], max_length=256), abs=1e-5)
        zero = mean_loss(study.model, targets[row.target_task], max_length=256)
        assert row.zero_shot_loss == pytest.approx(zero, abs=1e-5)


def test_a_second_call_trains_nothing(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    first = transfer.matrix(study, sources=["gcd"])

    def forbidden(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "fine_tune", forbidden)
    pd.testing.assert_frame_equal(transfer.matrix(study, sources=["gcd"]), first)
    with pytest.raises(AssertionError, match="trained again"):
        transfer.matrix(study, sources=["gcd"], seeds=[1])


def test_shipped_rows_come_back_while_their_key_fits(study: Study) -> None:
    assert transfer.stored(study).empty
    path = transfer.keep(study)
    rows = transfer.stored(study)
    pd.testing.assert_frame_equal(rows, transfer.matrix(study), rtol=1e-5, check_dtype=False)
    other = Study(load_profile("smoke", seeds=[1]), study.store)
    assert transfer.stored(other).empty
    path.write_text(path.read_text() + "gcd,pick,0,1,1\n")
    assert transfer.stored(study).empty
    assert transfer.stored(Study(study.profile, study.store, live=True)).empty


def test_a_recheck_repeats_some_trainings(study: Study) -> None:
    transfer.keep(study)
    rows = transfer.stored(study)
    rows.loc[rows["source_task"] == "gcd", "loss"] += 1
    checked = transfer.recheck(study, rows, share=1)
    assert len(checked) == len(rows)
    np.testing.assert_allclose(checked["difference"], np.where(checked["source_task"] == "gcd", -1, 0), atol=1e-4)
    assert checked[checked["source_task"] == "gcd"]["seed"].tolist() == [0, 0, 0]
    assert len(transfer.recheck(study, rows, share=0.01)) == 3  # one training at least
    assert transfer.recheck(study, rows.iloc[:0]).empty


def test_gains_are_losses_saved() -> None:
    rows = pd.DataFrame(
        [("a", "t", 0, 1.0, 3.0), ("a", "t", 1, 2.0, 3.0), ("b", "t", 0, 4.0, 3.0), ("a", "u", 0, 1.0, 1.5)],
        columns=transfer.COLUMNS,
    )
    gains = transfer.gains(rows)
    assert gains.loc["a", "t"] == 1.5
    assert gains.loc["b", "t"] == -1
    assert gains.loc["a", "u"] == 0.5
    assert np.isnan(gains.loc["b", "u"])


def test_bad_input_is_said(study: Study) -> None:
    with pytest.raises(InputError, match="no task 'nothing'"):
        transfer.matrix(study, sources=["nothing"])


def test_a_task_without_held_out_examples_cannot_be_a_target() -> None:
    study = Study(load_profile("smoke"))
    study.__dict__["data"] = Data(study.data.pool, study.data.queries, study.data.test | {"pick": []})
    with pytest.raises(InputError, match="no held-out examples of pick"):
        transfer.target_tasks(study)
