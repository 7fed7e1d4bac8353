"""Pools and query sets through `datasets`, from folders written here; the Hub itself is never asked."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from tis_utils.errors import InputError, RunError
from tis_utils.examples import hub, jsonl
from tis_utils.examples.text import Example, Query, chat_prompt


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow files go to the test's folder, and no request leaves the machine."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def chat(i: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"question {i}\u2028é"}, {"role": "assistant", "content": f"answer {i}"}]


ROWS = [{"id": f"r{i}", "dataset": "flan" if i % 2 else "cot", "messages": chat(i), "group": i} for i in range(6)]
POOL = [Example(r["id"], r["messages"], r["dataset"], {"group": r["group"]}) for r in ROWS]


def save(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pd.DataFrame(rows).to_parquet(folder / name)
    else:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / name).write_text(lines, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl", "whatever.jsonl"])
def test_pool_from_a_folder(tmp_path: Path, name: str) -> None:
    assert hub.load_pool(save(tmp_path / "pool", name, ROWS)) == POOL


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_limit_takes_the_first_rows(tmp_path: Path, limit: int) -> None:
    assert hub.load_pool(str(save(tmp_path / "pool", "train.parquet", ROWS)), limit=limit) == POOL[:limit]


def test_pool_written_as_jsonl_loads_the_same(tmp_path: Path) -> None:
    jsonl.write_examples(tmp_path / "pool" / "train.jsonl", POOL)
    assert hub.load_pool(tmp_path / "pool") == jsonl.read_examples(tmp_path / "pool" / "train.jsonl")


def test_pool_without_id_and_source(tmp_path: Path) -> None:
    folder = save(tmp_path / "pool", "train.jsonl", [{"prompt": "p", "completion": "c"}])
    (example,) = hub.load_pool(folder)
    assert (example.id, example.source) == ("train:0", str(folder))


def test_repeated_ids_are_made_unique_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{**row, "id": "same"} for row in ROWS[:3]]
    with caplog.at_level(logging.WARNING, logger="tis_utils"):
        pool = hub.load_pool(save(tmp_path / "pool", "train.jsonl", rows))
    assert [e.id for e in pool] == ["same", "same#1", "same#2"]
    assert "2 of 3 ids" in caplog.text


QUERY_ROWS = [{"prompts": "plain", "labels": "l"}, {"prompts": "<|user|>\nr\n<|assistant|>\nA:", "labels": "m"}]


def queries(task: str, split: str) -> list[Query]:
    return [
        Query(f"{task}/{split}:0", chat_prompt("plain"), "l", task),
        Query(f"{task}/{split}:1", "<|user|>\nr\n<|assistant|>\nA:", "m", task),
    ]


@pytest.mark.parametrize("name", ["dev.parquet", "dev.jsonl"])
def test_queries_from_sub_folders(tmp_path: Path, name: str) -> None:
    save(tmp_path / "sets" / "bbh", name, QUERY_ROWS)
    assert hub.load_queries(tmp_path / "sets", "bbh") == queries("bbh", "dev")


def test_queries_from_a_data_set_card_as_on_the_hub(tmp_path: Path) -> None:
    save(tmp_path / "sets" / "a", "x.jsonl", QUERY_ROWS)
    save(tmp_path / "sets" / "b", "y.jsonl", QUERY_ROWS[:1])
    configs = "".join(
        f"- config_name: {task}\n  data_files:\n  - {{split: {split}, path: {path}}}\n"
        for task, split, path in [("gsm8k", "dev", "a/x.jsonl"), ("bbh", "test", "b/y.jsonl")]
    )
    (tmp_path / "sets" / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    assert hub.load_queries(tmp_path / "sets", "gsm8k") == queries("gsm8k", "dev")
    assert hub.load_queries(tmp_path / "sets", "bbh", split="test") == queries("bbh", "test")[:1]
    with pytest.raises(InputError, match=r"'codex' not found.*gsm8k"):
        hub.load_queries(tmp_path / "sets", "codex")


def test_unknown_task_and_split_are_named(tmp_path: Path) -> None:
    save(tmp_path / "sets" / "bbh", "dev.jsonl", QUERY_ROWS)
    with pytest.raises(InputError, match=r"no codex/dev\.parquet.*Tasks there: bbh"):
        hub.load_queries(tmp_path / "sets", "codex")
    with pytest.raises(InputError, match=r"validation.*Choose another"):
        hub.load_pool(save(tmp_path / "pool", "train.jsonl", ROWS), split="validation")


def test_bad_rows_are_named(tmp_path: Path) -> None:
    rows = [ROWS[0], {**ROWS[1], "messages": chat(1)[:1]}]
    with pytest.raises(InputError, match=r"train row 1: .*no assistant turn"):
        hub.load_pool(save(tmp_path / "pool", "train.jsonl", rows))
    save(tmp_path / "sets" / "t", "dev.jsonl", [{"question": "q"}])
    with pytest.raises(InputError, match=r"t/dev row 0: unknown format, keys are question"):
        hub.load_queries(tmp_path / "sets", "t")


@pytest.mark.parametrize("limit", [0, -3])
def test_limit_must_be_positive(tmp_path: Path, limit: int) -> None:
    with pytest.raises(InputError, match=rf"limit is {limit}"):
        hub.load_pool(tmp_path, limit=limit)


@pytest.mark.parametrize("how_many", [None, 1])
def test_broken_and_empty_folders(tmp_path: Path, how_many: int | None) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "train.jsonl").write_text('{"messages": [\n', encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for name in ("broken", "empty"):
        with pytest.raises(RunError, match=rf"{name}' could not be loaded: .*Check that the folder"):
            hub.load_pool(tmp_path / name, limit=how_many)


def test_unreachable_hub_says_which_data_set_and_what_to_do() -> None:
    with pytest.raises(RunError, match=r"Harvard-DCML/tulu-v2-197K-processed' could not be loaded: .*folder instead"):
        hub.load_pool("tulu")
    with pytest.raises(RunError, match=r"targeted-query-set-processed' could not be loaded"):
        hub.load_queries(hub.QUERY_SETS, "bbh")


@pytest.mark.parametrize("role", ["tool", "function", "environment"])
def test_rows_with_turns_of_tools_are_skipped_and_counted(tmp_path: Path, caplog, role: str) -> None:
    turns = [*chat(7)[:1], {"role": "assistant", "content": "f()"}, {"role": role, "content": "7"}, *chat(7)[1:]]
    rows = [*ROWS[:2], {**ROWS[2], "messages": turns}, ROWS[3]]
    with caplog.at_level(logging.WARNING, logger="tis_utils"):
        pool = hub.load_pool(save(tmp_path / "pool", "train.jsonl", rows))
    assert pool == [POOL[0], POOL[1], POOL[3]]
    assert "1 rows with turns of tools" in caplog.text
