"""Tables of one training and many targets: rows by an oracle, keys, recheck, and which pools they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tis_utils.errors import InputError
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.models.evaluation import mean_loss
from tis_utils.neighbours import many_targets
from tis_utils.neighbours.leads import common_cube
from tis_utils.neighbours.many_targets import MATHS, MATHS_TASK, POOLS, RUN, sizes, tidy
from tis_utils.neighbours.training import tuned_model
from tis_utils.profiles import load_profile
from tis_utils.storage import stored_results
from tis_utils.storage.cache import Store


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(many_targets, "DOUBLINGS", 2)
    monkeypatch.setattr(stored_results, "RESULTS", tmp_path / "results")
    profile = load_profile("smoke", pool_size=200, seeds=[0], budgets=[4], tasks=["words", "numbers"], n_test=3)
    return Study(profile, Store(tmp_path / "cache"))


def test_each_run_is_trained_once_and_measured_on_every_target(study: Study) -> None:
    part = POOLS.part(study)
    spec = RunSpec("words", NONE, "random", 4, 1)
    row = POOLS.compute(study, [spec]).iloc[0]
    picks = [int(i) for i in row["picks"].split()]
    assert picks == part.picks(spec).tolist()
    assert len(part.data.pool) == 200
    tuned = tuned_model(part, [part.data.pool[i] for i in picks], 1)
    for target, queries in POOLS.targets(part).items():
        assert row[target] == pytest.approx(mean_loss(tuned, queries, max_length=256), rel=1e-4)
    assert {"words", "numbers", "gcd"} <= set(row.index)


def test_pools_double_up_to_what_did_not_tune_the_model(study: Study) -> None:
    part = POOLS.part(study)
    assert sizes(len(part.data.pool)) == [45, 90, 180]
    names = {spec.selector for spec in POOLS.specs(part)}
    assert names == {"ila@pool45", "ila@pool90", "ila", "random"}


def test_the_maths_pool_holds_mathematics_only(study: Study) -> None:
    part = MATHS.part(study)
    families = {str(example.meta["family"]) for example in part.data.pool}
    assert {"numbers/last_digits", "gcd", "simple_equations", "simple_geometry"} <= families
    assert not families & {"words/reverse", "spell_backward", "syllogism", "caesar_cipher"}
    assert part.profile.tasks == (MATHS_TASK,) == tuple(part.data.queries)
    assert len(part.data.pool) == part.profile.pool_size < study.profile.pool_size
    targets = set(MATHS.targets(part))
    assert MATHS_TASK in targets
    assert targets - {MATHS_TASK} < families
    methods = {(spec.representation, spec.selector) for spec in MATHS.specs(part)}
    assert {("none", "random"), ("less", "round_robin"), ("none", "insta@5:cards")} < methods


def test_a_table_is_stored_under_its_key_and_repeated(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [RunSpec("words", NONE, "random", 4, 0), RunSpec("words", NONE, "random", 4, 1)]
    small = many_targets.Measured("small", POOLS.part, lambda part: few, POOLS.targets)
    assert small.stored(study).empty
    small.keep(study)
    rows = small.stored(study)
    assert rows[RUN].to_numpy().tolist() == [["none", "random", 4, 0], ["none", "random", 4, 1]]
    assert small.recheck(study, rows, count=2) == pytest.approx(0, abs=1e-6)
    moved = rows.assign(gcd=rows["gcd"] + 0.5)
    assert small.recheck(study, moved, count=1) == pytest.approx(0.5, abs=1e-4)
    assert np.isnan(small.recheck(study, rows.iloc[:0]))
    other = many_targets.Measured("small", POOLS.part, lambda part: few[:1], POOLS.targets)
    assert other.stored(study).empty  # another list of runs is another table
    assert small.stored(Study(study.profile, study.store, live=True)).empty


def test_tidy_rows_are_read_like_any_experiment() -> None:
    rows = pd.DataFrame(
        [("none", "ila", 4, 0, "1 2", 1.0, 3.0), ("none", "random", 4, 0, "3 4", 2.0, 3.0)],
        columns=[*RUN, "picks", "gcd", "lcm"],
    )
    data = common_cube(tidy(rows), "test_loss", ["none/ila", "none/random"])
    assert data.tasks == ("gcd", "lcm")
    assert data.lead("none/random")[:, 0, 0] == pytest.approx([50, 0])


def test_another_pool_is_refused_and_has_nothing_stored(tmp_path: Path) -> None:
    own = Study(load_profile("smollm2"), Store(tmp_path), compute=False)
    assert POOLS.stored(own).empty
    with pytest.raises(InputError, match="has a pool of its own"):
        POOLS.part(own)
