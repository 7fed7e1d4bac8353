"""Subsets of others found again in a pool, from local files in place of the Hub."""

from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import pytest

from tests_support import example
from tis_utils.errors import InputError, RunError
from tis_utils.examples import benchmarks, jsonl
from tis_utils.examples.published_subset import positions
from tis_utils.examples.text import Example, Query

POOL = [example(f"answer {i % 4}", name=f"e{i}") for i in range(6)]  # e4 and e5 repeat e0 and e1


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def parquet(file: Path, rows: list[Example], *, ids: bool = True) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([{"messages": e.messages} | ({"id": e.id} if ids else {}) for e in rows]).to_parquet(file)
    return file


@pytest.mark.parametrize("form", ["folder:configuration", "folder", "parquet", "jsonl"])
def test_rows_are_found_in_their_order(form: str, tmp_path: Path) -> None:
    rows = [POOL[i] for i in (3, 4, 0, 1)]
    if form == "folder:configuration":
        parquet(tmp_path / "theirs" / "less_rr_bbh_10000" / "train.parquet", rows)
        name = f"{tmp_path / 'theirs'}:less_rr_bbh_10000"
    elif form == "jsonl":
        name = str(tmp_path / "theirs.jsonl")
        jsonl.write_examples(name, rows)
    else:
        file = parquet(tmp_path / "theirs" / "train.parquet", rows)
        name = str(file if form == "parquet" else file.parent)
    assert positions(POOL, name).tolist() == [3, 4, 0, 1]


def test_rows_without_ids_are_found_by_their_text_each_once(tmp_path: Path) -> None:
    file = parquet(tmp_path / "a.parquet", [POOL[1], POOL[0], POOL[5]], ids=False)
    assert positions(POOL, str(file)).tolist() == [1, 0, 5]


def test_rows_of_another_pool_are_counted(tmp_path: Path) -> None:
    foreign = [example("other", name="e2"), POOL[2], POOL[2]]  # changed text, fine, a second time
    file = parquet(tmp_path / "b.parquet", foreign)
    with pytest.raises(InputError, match=r"2 of the 3 rows of .*b\.parquet.* are not among the 6 .*'e2'.*pool_size"):
        positions(POOL, str(file))


def test_the_hub_is_asked_for_a_name_that_is_no_path() -> None:
    with pytest.raises(RunError, match=r"'Harvard-DCML/tis-subset-datasets-gtr-t5-base' could not be loaded"):
        positions(POOL, "Harvard-DCML/tis-subset-datasets-gtr-t5-base:embed_rr_bbh_10000")


def test_humaneval_problems_of_another_source_get_their_tests() -> None:
    known, chat = benchmarks.held_out("codex")[0], "<|user|>\nnothing known\n<|assistant|>\n"
    bare = [Query("q0", known.prompt, known.label, "codex"), Query("q1", chat, "x", "codex")]
    first, second = benchmarks.with_tests(bare)
    assert {key: first.meta[key] for key in ("prompt", "entry_point", "test")}.items() <= known.meta.items()
    assert second == bare[1]
