"""The subset in the format that its name says, beside a table that a spreadsheet can open."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tis_utils.errors import InputError
from tis_utils.examples.jsonl import read_examples, read_pool
from tis_utils.examples.records import Source
from tis_utils.own_data.output import defused, outputs, write_subset

LINES = [b'{"prompt":"p%d",  "response":"r", "big":1e400}' % i for i in range(4)]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    rejected = b'{"prompt": "p", "completion": "", "label": false}'
    path.write_bytes(b"\n".join([b"\xef\xbb\xbf" + LINES[0], rejected, *LINES[1:]]))
    return path


def written(pool: Path, name: str) -> bytes:
    output = pool.with_name(name)
    write_subset(read_pool([Source(pool)]), [3, 0], output)
    return output.read_bytes()


def test_lines_are_copied_byte_by_byte(pool: Path) -> None:
    wanted = LINES[3] + b"\n" + LINES[0] + b"\n"
    assert written(pool, "s.jsonl") == wanted
    assert gzip.decompress(written(pool, "s.jsonl.gz")) == wanted
    assert written(pool, "s.json") == b"[\n" + LINES[3] + b",\n" + LINES[0] + b"\n]\n"
    written(pool, "s.jsonl.zst")
    for name in ("s.jsonl", "s.jsonl.gz", "s.jsonl.zst", "s.json"):
        assert [e.messages[0]["content"] for e in read_examples(pool.with_name(name))] == ["p3", "p0"]


def test_tables_keep_their_columns_and_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "prompt": ["a", "b"],
            "response": ["c", "d"],
            "score": pa.array([1.5, float("nan")], pa.float32()),
            "tags": pa.array([["x"], None]),
            "day": pa.array([0, 1], pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "pool.parquet")
    reading = read_pool([Source(tmp_path / "pool.parquet")])
    write_subset(reading, [1, 0], tmp_path / "s.parquet")
    copied = pq.read_table(tmp_path / "s.parquet")
    assert copied.schema == table.schema
    assert copied["tags"].to_pylist() == [None, ["x"]]
    write_subset(reading, [1, 0], tmp_path / "s.jsonl")
    last, first = map(json.loads, (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines())
    assert first == {"prompt": "a", "response": "c", "score": 1.5, "tags": ["x"], "day": "1970-01-01"}
    assert (last["score"], last["tags"]) == (None, None)


def test_records_of_several_files_become_one_table_if_they_can(tmp_path: Path) -> None:
    for name, extra in (("a", 1), ("b", "one")):
        line = json.dumps({"prompt": name, "response": "r", **({"n": extra} if name == "a" else {"m": extra})})
        (tmp_path / f"{name}.jsonl").write_text(line, encoding="utf-8")
    reading = read_pool([Source(tmp_path / "a.jsonl"), Source(tmp_path / "b.jsonl")])
    write_subset(reading, [1, 0], tmp_path / "s.parquet")
    assert pq.read_table(tmp_path / "s.parquet")["n"].to_pylist() == [None, 1]
    (tmp_path / "b.jsonl").write_text('{"prompt": "b", "response": "r", "n": "one"}', encoding="utf-8")
    reading = read_pool([Source(tmp_path / "a.jsonl"), Source(tmp_path / "b.jsonl")])
    with pytest.raises(InputError, match=r"do not fit one table.*\.jsonl"):
        write_subset(reading, [1, 0], tmp_path / "s.parquet")


def test_a_pool_that_has_changed_is_noticed(pool: Path, tmp_path: Path) -> None:
    reading = read_pool([Source(pool)])
    pool.write_bytes(LINES[0])
    with pytest.raises(InputError, match="has changed"):
        write_subset(reading, [3], tmp_path / "s.jsonl")


@pytest.mark.parametrize("name", ["s", "s.txt", "s.csv", ".jsonl", "-", "s.jsonl.bz2"])
def test_names_that_say_no_format_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"Give --output a name"):
        outputs({}, Path(name))


def test_what_stands_beside_the_subset(tmp_path: Path) -> None:
    assert [p.name for p in outputs({}, tmp_path / "a.b.jsonl.gz").values()] == ["a.b.jsonl.gz", "a.b.csv", "a.b.html"]
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        outputs({}, tmp_path / "folder.jsonl")


def test_a_link_is_followed_and_a_device_is_left_alone(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_bytes(b"old")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    write_subset(read_pool([Source(pool)]), [0], tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_bytes() == LINES[0] + b"\n"
    (tmp_path / "null.jsonl").symlink_to("/dev/null")
    with pytest.raises(InputError, match="no ordinary file"):
        outputs({}, tmp_path / "null.jsonl")


def test_a_spreadsheet_runs_nothing() -> None:
    table = pd.DataFrame({"id": ["=1+1", "+x", "@a", "-5", "a=b"], "similarity": [-0.5, 1, 1, 1, 1]})
    safe = defused(table)
    assert safe["id"].tolist() == ["'=1+1", "'+x", "'@a", "-5", "a=b"]
    assert safe["similarity"].tolist() == table["similarity"].tolist()
