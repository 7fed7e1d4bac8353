"""Results that are shipped must belong to the data and code of this commit."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tis_utils.examples.text import encode_all
from tis_utils.experiments.run_spec import SPEC_COLUMNS, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import designed_subsets as ila_subsets
from tis_utils.neighbours.ila import languages
from tis_utils.neighbours.ila.selector import LOSSES, LOSSES_NAME, losses_key
from tis_utils.neighbours.ila.table_claims import LARGE, read_large
from tis_utils.neighbours.insta import transfer
from tis_utils.neighbours.many_targets import MATHS, POOLS
from tis_utils.profiles import load_profile
from tis_utils.storage.stored_results import RESULTS, read_keyed, run_key


@pytest.fixture(scope="module")
def smollm2() -> Study:
    return Study(load_profile("smollm2"), compute=False)


@pytest.mark.slow  # loads a 135M-parameter model to know its identity
@pytest.mark.parametrize("name", ["embed", "rds", "less", "lexical"])
def test_stored_features_are_current_and_whole(smollm2: Study, name: str) -> None:
    candidates, queries = smollm2.features(name)
    assert len(candidates) == smollm2.profile.pool_size
    assert {task: len(rows) for task, rows in queries.items()} == {"gsm8k": 8, "codex": 16, "bbh": 27, "mmlu": 27}
    encoded = encode_all(smollm2.data.pool, smollm2.model.tokenizer, smollm2.profile.max_length)
    learnable = np.array([text.trainable or name != "less" for text in encoded])  # others have no gradient
    np.testing.assert_allclose(np.linalg.norm(candidates, axis=1), learnable, atol=1e-5)
    for rows in queries.values():
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_stored_features_are_what_this_machine_computes(smollm2: Study) -> None:
    """The shortest candidates of the pool, through EMBED and RDS+, here and now."""
    pool = smollm2.data.pool
    few = sorted(range(len(pool)), key=lambda i: len(pool[i].messages[0]["content"]))[:6]
    for name in ("embed", "rds"):
        stored = smollm2.features(name)[0]
        live = smollm2.representation(name).candidates([pool[i] for i in few])
        np.testing.assert_allclose(stored[few] @ stored[few].T, live @ live.T, atol=4e-3)


def test_stored_results_are_small_and_say_where_they_come_from() -> None:
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20_000_000
    for path in files:
        if path.suffix != ".json":
            manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            assert {"sha256", "environment"} <= set(manifest)


TABLES = {path: pd.read_csv(path) for path in sorted(RESULTS.rglob("*.csv"))}
RUNS = {path: table for path, table in TABLES.items() if {"key", *SPEC_COLUMNS} <= set(table)}


@pytest.mark.parametrize("profile", sorted({path.parent.relative_to(RESULTS).as_posix() for path in RUNS}))
def test_stored_runs_belong_to_this_commit(profile: str) -> None:
    """Every row's key is that of the cell it names, with today's data, models, settings and code."""
    rows = pd.concat([table for path, table in RUNS.items() if path.parent == RESULTS / profile]).drop_duplicates(
        [*SPEC_COLUMNS, "key"]
    )
    study = Study(load_profile(profile), compute=False)
    for cell, key in zip(rows[SPEC_COLUMNS].to_dict("records"), rows["key"], strict=True):
        assert run_key(study.recipe(RunSpec(**cell))) == key


def test_the_stored_tables_belong_to_this_commit() -> None:
    tiny, mini = (Study(load_profile(name), compute=False) for name in ("classroom", "classroom/mini"))
    for study in (tiny, mini):
        for table in (transfer, languages, ila_subsets, MATHS):
            assert len(table.stored(study))
    assert len(POOLS.stored(mini))


@pytest.mark.slow  # a model of 135M parameters, a pool of 30,000
def test_the_larger_stored_tables_belong_to_this_commit() -> None:
    real, large = (Study(load_profile(name), compute=False) for name in ("smollm2/gpu", LARGE))
    assert len(transfer.stored(real)) == 58 * 4 * 3  # sources, targets, seeds
    assert len(read_keyed("smollm2/gpu", LOSSES_NAME, losses_key(real), LOSSES)) == real.profile.pool_size
    assert len(POOLS.stored(large)) == len(read_large().pools) > 0
