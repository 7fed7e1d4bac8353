"""One pool in every container gives the same examples, can be read twice, and is written as it was."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from tis_utils.errors import InputError
from tis_utils.examples import packed, records
from tis_utils.examples.jsonl import read_examples, read_pool
from tis_utils.examples.records import Source

ROWS = [{"prompt": f"What is {i}?\nSay, {i} \u2028 é", "response": f"“{i}”", "id": f"r{i}"} for i in range(70)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def table(separator: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(ROWS[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def arrow(write: Callable[[pa.Table, pa.BufferOutputStream], None]) -> bytes:
    buffer = pa.BufferOutputStream()
    write(pa.Table.from_pylist(ROWS), buffer)
    return bytes(buffer.getvalue())


FILES = {
    "pool.jsonl": LINES,
    "pool.json": json.dumps(ROWS, indent=1, ensure_ascii=False).encode(),
    "pool.txt": b"\xef\xbb\xbf" + json.dumps(ROWS).encode(),
    "pool.csv": table(","),
    "pool.CSV": b"\xef\xbb\xbf" + table(";"),
    "pool.tsv": table("\t"),
    "pool.parquet": arrow(pq.write_table),
    "pool.arrow": arrow(pyarrow.feather.write_feather),
    "pool.jsonl.gz": gzip.compress(LINES[:1000]) + gzip.compress(LINES[1000:]),
    "pool.jsonl.bz2": bz2.compress(LINES),
    "pool.jsonl.xz": lzma.compress(LINES),
    "pool.jsonl.zst": pa.compress(LINES, "zstd", asbytes=True),
    "pool.csv.gz": gzip.compress(table(",")),
}


@pytest.mark.parametrize("name", FILES)
def test_every_container_holds_the_same(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    examples = read_examples(tmp_path / name)
    assert [(e.id, *(m["content"] for m in e.messages)) for e in examples] == [
        (row["id"], row["prompt"], row["response"]) for row in ROWS
    ]
    assert {e.source for e in examples} == {"pool"}


def test_folders_of_datasets(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list(ROWS)
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "splits")
    for folder in ("one", "splits"):
        assert [e.id for e in read_examples(tmp_path / folder)] == [row["id"] for row in ROWS]
    datasets.DatasetDict({"a": data, "b": data}).save_to_disk(tmp_path / "others")
    with pytest.raises(InputError, match="has no split 'train', it has a, b"):
        read_examples(tmp_path / "others")


def test_standard_input_and_pipes_can_be_read_twice(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES)))
    source = Source("-")
    assert len(list(source.records())) == len(list(source.records())) == len(ROWS)
    assert (source.name, source.stem) == ("standard input", "stdin")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(FILES["pool.jsonl.gz"],))
    writer.start()
    source = Source(tmp_path / "pipe")
    writer.join()
    assert len(list(source.records())) == len(list(source.records())) == len(ROWS)


def test_lines_keep_their_bytes_and_nan_becomes_null(tmp_path: Path, caplog) -> None:
    exact = b'{"prompt":"caf\\u00e9", "response":"NaN \\"NaN", "n":0.10000000000000000555,"big":1e400, "n":2}\r\n'
    broken = b'{"prompt": "a", "response": "NaN", "n": NaN, "m": [-Infinity, "Infinity"]}'
    (tmp_path / "pool.jsonl").write_bytes(exact + broken)
    first, second = Source(tmp_path / "pool.jsonl").records()
    assert first.raw == exact
    assert json.loads(second.raw or b"") == {"prompt": "a", "response": "NaN", "n": None, "m": [None, "Infinity"]}
    (twice, remark, unread) = read_pool([Source(tmp_path / "pool.jsonl")]).remarks
    assert twice == "pool.jsonl: 1 line with the key 'n' twice in one object, of which the last is read."
    assert "1 line with NaN or Infinity" in remark
    assert "'big' (1 line)" in unread
    assert remark in caplog.text


def test_items_of_an_array_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "pool.json").write_bytes(b'[ {"prompt": "a\\n]",\n "response": "b", "x": 1.10}\n,\n{"text": "c"} ]\n')
    first, second = Source(tmp_path / "pool.json").records()
    assert first.raw == b'{"prompt": "a\\n]", "response": "b", "x": 1.10}\n'
    assert (second.place, second.values) == ("item 2", {"text": "c"})


def test_what_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(packed, "LONGEST_LINE", 100_000)
    monkeypatch.setattr(records, "LONGEST_LINE", 100_000)
    bomb = LINES + bytes(5_000_000)
    packers = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    for name, pack in packers.items():
        (tmp_path / f"pool.{name}").write_bytes(pack(bomb))
        with pytest.raises(InputError, match=r"times its own size|longer than"):
            read_examples(tmp_path / f"pool.{name}")
    pq.write_table(pa.table({"text": ["a" * 100_000] * 2_000}), tmp_path / "pool.parquet")
    with pytest.raises(InputError, match="times its own size"):
        read_examples(tmp_path / "pool.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"prompt,response\na,b,c\n", r"line 2: 3 cells, but the header has 2"),
        (b"prompt,response\na\n", r"line 2: 1 cells, but the header has 2"),
        (b'prompt,response\na,"b', r"no valid CSV"),
        (b"prompt,response\n\xe9,b\n", r"not UTF-8 \(byte 0xe9"),
        (b"question,answer\na,b\n", r"line 2: unknown format, keys are question, answer"),
        (b"", r"is empty"),
        (b"prompt,prompt,response\na,b,c\n", r"two columns named 'prompt'"),
    ],
)
def test_mistakes_in_tables(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_examples(tmp_path / "pool.csv")


def test_empty_cells_hold_nothing_where_formats_are_mixed(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("prompt,response,instruction,output\n,,i,o\np,,,\n", encoding="utf-8")
    assert [e.messages[-1]["content"] for e in read_examples(tmp_path / "pool.csv")] == ["o", ""]
    first, _ = Source(tmp_path / "pool.csv").records()
    assert json.loads(first.raw or b"") == {"prompt": "", "response": "", "instruction": "i", "output": "o"}


def test_ids_of_several_files_and_names_of_equal_ones(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train.jsonl").write_bytes(LINES)
    reading = read_pool([Source(tmp_path / name / "train.jsonl") for name in ("a", "b")])
    assert len({e.id for e in reading.items}) == 2 * len(ROWS)
    assert reading.places[-1] == (1, 70)
    assert reading.names == [str(tmp_path / name / "train.jsonl") for name in ("a", "b")]
    assert "repeat each other" in reading.remarks[0]


def test_a_data_set_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nobody\.jsonl does not exist.*standard input"):
        Source(tmp_path / "nobody.jsonl")
    assert Source("nobody/nothing").hub


def test_errors_name_the_id_of_a_row(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"prompt": ["a", "b"], "response": ["c", None], "id": ["x", "y"]}), tmp_path / "pool.parquet"
    )
    with pytest.raises(InputError, match=r"row 2 \(id 'y'\): unknown format"):
        read_examples(tmp_path / "pool.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}'.encode("utf-16-le"), r"zero bytes, as files in UTF-16 do"),
        (b'{"text": "a"}\n\0\0', r"line 2: holds zero bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", r"a Git LFS pointer .*git lfs pull"),
        (b"<!DOCTYPE html>", r"is a web page"),
        (b"pool.jsonl".ljust(257, b"\0") + b"ustar", r"is a tar archive"),
        (gzip.compress(gzip.compress(b'{"text": "a"}', mtime=0), mtime=0), r"compressed twice"),
        (gzip.compress(b"PAR1", mtime=0), r"a compressed Parquet or Arrow file"),
        (b"Obj\x01avro", r"is an Avro file\. What is read: JSON lines"),
    ],
)
def test_what_could_only_be_read_in_part_or_not_at_all_says_what_it_is(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "pool").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_examples(tmp_path / "pool")


def test_a_key_that_stands_twice_is_counted_in_items_of_an_array_too(tmp_path: Path) -> None:
    (tmp_path / "pool.json").write_bytes(b'[{"text": "a"}, {"text": "b", "text": "c", "meta": {}}]')
    reading = read_pool([Source(tmp_path / "pool.json")])
    assert [example.messages[0]["content"] for example in reading.items] == ["a", "c"]
    assert reading.remarks == ["pool.json: 1 line with the key 'text' twice in one object, of which the last is read."]


def test_columns_of_one_name_are_refused_and_splits_that_are_not_read_are_named(tmp_path: Path) -> None:
    twice = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(InputError, match="two columns named 'text'"):
        read_examples(tmp_path / "twice.parquet")
    rows = datasets.Dataset.from_list([{"text": "a"}])
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(tmp_path / "both")
    reading = read_pool([Source(tmp_path / "both")])
    assert len(reading.items) == 1
    assert reading.remarks == [f"{tmp_path / 'both'}: splits that are not read: test (give their folders)."]
