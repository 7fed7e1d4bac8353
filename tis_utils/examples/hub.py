"""Pools and query sets through Hugging Face ``datasets``, from the Hub or a folder; no code of theirs is executed."""

import itertools
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tis_utils.errors import InputError, RunError
from tis_utils.examples.fields import Skip
from tis_utils.examples.formats import to_example, to_query
from tis_utils.examples.text import Example, Query

log = logging.getLogger(__name__)

POOLS = {"tulu": "Harvard-DCML/tulu-v2-197K-processed", "dolci": "Harvard-DCML/dolci-instruct-sft-200K-processed"}
QUERY_SETS = "Harvard-DCML/targeted-query-set-processed"

ROWS = 32  # of a table that are held at a time
_OF_FOLDERS = "Check that the folder holds parquet or JSON files and that they open."
_OF_THE_HUB = (
    "Check the spelling and the network (the Hub may be unreachable or HF_HUB_OFFLINE set). On a machine without "
    "network, copy the data set's files here and pass them, or their folder instead."
)


def load_pool(
    name_or_path: str | Path, *, config: str | None = None, split: str = "train", limit: int | None = None
) -> list[Example]:
    """Candidates of a key of `POOLS`, a Hub data set, a folder or a file; only the first `limit` rows are fetched.

    Repeated ids get the row number appended, with a warning. In a folder, files whose names carry no split are "train".
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}; expected a positive number of rows, or None for all of them.")
    name = POOLS.get(str(name_or_path), str(name_or_path))
    pool, skipped = [], 0
    for i, row in enumerate(rows(name, config, split, limit)):
        try:
            example = to_example(row, where=f"{name}, {split} row {i}", name=name, default_id=f"{split}:{i}")
        except Skip:
            example = None
        if example is None or any(turn["role"] == "tool" for turn in example.messages):
            skipped += 1
        else:
            pool.append(example)
    if skipped:
        log.warning("%s: %d rows with turns of tools, or without an answer to learn, were skipped.", name, skipped)
    return _unique(pool, name)


def load_queries(name_or_path: str | Path, task: str, *, split: str = "dev") -> list[Query]:
    """Queries of one task: a configuration of a Hub data set, or a sub-folder; columns ``prompts`` and ``labels``."""
    name = str(name_or_path)
    for part in (task, split):
        if part in ("", ".", "..") or not set("/\\\0").isdisjoint(part):
            raise InputError(f"{part!r} is no name of a task or split. Write it without slashes, as in 'gsm8k'.")
    place = f"{name}, {task}/{split}"
    names = {"prompts": "prompt", "labels": "label"}
    singular = ({names.get(key, key): value for key, value in row.items()} for row in rows(name, task, split))
    return [
        to_query(row, where=f"{place} row {i}", name=task, default_id=f"{task}/{split}:{i}")
        for i, row in enumerate(singular)
    ]


def rows(name: str, config: str | None, split: str, limit: int | None = None) -> list[Mapping[str, Any]]:
    """Rows of one split of a data set of the Hub, a folder of files, or a folder that ``save_to_disk`` wrote.

    What goes wrong in `datasets` is said in our words.
    """
    import datasets  # slow to import, and most users never come here
    import pyarrow  # type: ignore[import-untyped]

    local = Path(name).is_dir()
    arguments: dict[str, Any] = {"path": str(Path(name).absolute()) if local else name, "name": config}
    file = Path(name)
    if local and config and not (file / "README.md").exists():
        file = _task_file(file, config, split)
    if file.is_file():
        arguments = {"path": "parquet" if file.suffix == ".parquet" else "json", "data_files": {split: str(file)}}
    try:
        if is_saved(Path(name)):
            return list(itertools.islice(_saved(name, split), limit))
        data = datasets.load_dataset(**arguments, split=split, streaming=limit is not None)
        return list(itertools.islice(data, limit))  # a streamed file is only read, and found broken, here
    except (OSError, datasets.exceptions.DatasetsError, pyarrow.ArrowInvalid) as error:
        advice = _OF_FOLDERS if local else _OF_THE_HUB
        raise RunError(f"Data set {name!r} could not be loaded: {error}. {advice}") from error
    except ValueError as error:  # unknown split or configuration; the text lists the known ones
        raise InputError(f"Data set {name!r}: {error} Choose another task or split.") from error


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote a folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def other_splits(folder: Path, split: str = "train") -> list[str]:
    """Splits beside the one that is read of a folder that ``save_to_disk`` wrote."""
    try:
        names = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, LookupError, TypeError):
        return []  # one split, or a folder that cannot be read and says so then
    return [name for name in names if name != split] if split in names else []


def _saved(folder: str, split: str) -> Any:
    """What ``save_to_disk`` wrote; of several splits the one asked for, or the only one."""
    import datasets

    data = datasets.load_from_disk(folder)
    if isinstance(data, datasets.DatasetDict):
        names = list(data)
        if split not in names and len(names) != 1:
            raise InputError(
                f"{folder} has no split {split!r}, it has {', '.join(names)}. Give the folder of one of them."
            )
        data = data[split if split in names else names[0]]
    return (row for table in data.with_format("arrow").iter(ROWS) for row in table.to_pylist())


def _task_file(folder: Path, task: str, split: str) -> Path:
    for suffix in (".parquet", ".jsonl", ".json"):
        if (file := folder / task / f"{split}{suffix}").is_file():
            return file
    known = sorted(p.name for p in folder.iterdir() if p.is_dir())
    raise InputError(
        f"{folder} has no {task}/{split}.parquet or {task}/{split}.jsonl. Tasks there: {', '.join(known) or 'none'}."
    )


def _unique(pool: list[Example], name: str) -> list[Example]:
    seen: set[str] = set()
    repeated = 0
    for i, example in enumerate(pool):
        if example.id in seen:
            pool[i] = replace(example, id=f"{example.id}#{i}")
            repeated += 1
        seen.add(pool[i].id)
    if repeated:
        log.warning("%s: %d of %d ids occur more than once; the row number was appended", name, repeated, len(pool))
    return pool
