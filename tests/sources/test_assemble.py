from __future__ import annotations

from pathlib import Path

import pytest

from tis_utils.errors import InputError
from tis_utils.profiles import load_profile
from tis_utils.sources.assemble import load_data
from tis_utils.sources.files import write_examples


def test_the_classroom_profile_gets_pool_queries_and_test() -> None:
    profile = load_profile("smoke")
    data = load_data(profile)
    assert len(data.pool) == profile.pool_size
    assert set(data.queries) == set(data.test) == set(profile.tasks)
    assert all(len(data.queries[t]) == profile.n_queries for t in profile.tasks)
    assert all(len(data.test[t]) == profile.n_test for t in profile.tasks)


def test_a_jsonl_pool_with_benchmark_queries(tmp_path: Path) -> None:
    pool = load_data(load_profile("smoke")).pool[:7]
    write_examples(tmp_path / "pool.jsonl", pool)
    profile = load_profile("smoke", pool=str(tmp_path / "pool.jsonl"), queries="benchmarks", tasks=["gsm8k"])
    data = load_data(profile)
    assert [e.messages for e in data.pool] == [e.messages for e in pool]
    assert len(data.queries["gsm8k"]) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pool": "natural"}, "mixes pool 'natural' with queries 'classroom'"),
        ({"queries": "benchmarks"}, "mixes pool 'classroom' with queries 'benchmarks'"),
        ({"tasks": ["sewing"]}, "sewing"),
        ({"pool": "natural", "queries": "benchmarks", "tasks": ["sewing"]}, "Unknown benchmark 'sewing'"),
        ({"pool": "nowhere/pool.jsonl", "queries": "benchmarks", "tasks": ["gsm8k"]}, "nowhere/pool.jsonl"),
    ],
)
def test_impossible_combinations_are_one_sentence(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_data(load_profile("smoke", **change))
