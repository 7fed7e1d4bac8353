"""Shared text and shares of the own group, on a pool of six where both can be seen."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tis_utils.evidence.pool_sources import pool_sources, sources_table
from tis_utils.examples.text import Data, Example, Query, chat_prompt, exchange
from tis_utils.experiments.study import Study
from tis_utils.profiles import load_profile
from tis_utils.storage.stored_results import table_file

SAME = "one two three four five six seven eight nine"


def example(name: str, source: str, asked: str) -> Example:
    return Example(name, exchange(asked, "yes"), source, {"kind": "natural", "family": "sums", "group": source})


@pytest.fixture(scope="module")
def study() -> Study:
    pool = [example("a", "bfcl", f"{SAME} ten"), example("b", "bfcl", "call it")]
    pool += [example(str(i), "mmlu", f"question {i}") for i in range(4)]
    queries = [Query(asked, chat_prompt(asked), "yes", "bfcl", {}) for asked in (SAME, "other words")]
    data = Data(pool, {"bfcl": queries, "codex": queries[1:]}, {"bfcl": queries[1:], "codex": []})
    study = Study(load_profile("smoke", tasks=["bfcl", "codex"]), data=data)
    rows = np.eye(6)
    study.add_features("mine", rows, {"bfcl": rows[[0, 2]], "codex": rows[:1]})
    return study


def test_text_in_common_and_what_is_taken(study: Study) -> None:
    rows = pool_sources(study, ["mine"], budget=2).set_index(["task", "measure", "method"])["value"]
    bfcl = rows["bfcl"]
    assert bfcl["shared queries", "random"] == 1  # both runs of eight words stand in candidate "a"
    assert bfcl["shared held out", "random"] == 0
    assert bfcl["own", "random"] == pytest.approx(2 / 6)
    assert bfcl["own", "mine"] == 0.5  # the first picks are candidates 0 and 2
    # query 0: one of two own ones is nearest, the other ties with four; query 1: both tie with three behind one
    assert bfcl["auc", "mine"] == pytest.approx((0.75 + 0.375) / 2)
    assert set(rows["codex"].index.get_level_values("measure")) == {"shared queries", "shared held out"}


def test_the_page_shows_shares_in_per_cent(study: Study) -> None:
    table = sources_table(pool_sources(study, ["mine"], budget=2))
    assert table.loc["Function calls (BFCL)", "own group, mine"] == 50
    assert table.columns.tolist() == [
        "largest 8-gram share, queries", "largest 8-gram share, held out", "own group, Random", "own group, mine",
    ]  # fmt: skip


def test_the_stored_table_has_no_text_in_common_worth_the_name() -> None:
    """And its key is that of the stored features; the pool itself needs a package that not everybody has."""
    path = table_file("smollm2/calls", "pool_sources")
    stored = pd.read_csv(path)
    assert stored.loc[stored["measure"].str.startswith("shared"), "value"].max() < 1 / 3
    key = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["key"]
    for name, recipe in ((name, key["features"][name]) for name in ("embed", "rds")):
        features = json.loads((path.parent / f"features-{name}.json").read_text(encoding="utf-8"))
        assert features["key"] == recipe
