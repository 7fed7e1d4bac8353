from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.examples import benchmarks
from tis_utils.examples.jsonl import write_examples
from tis_utils.examples.load import Data, load_data, spread, unused
from tis_utils.examples.text import Query, chat_text, request
from tis_utils.profiles import load_profile
from tis_utils.storage.keys import digest
from tis_utils.storage.stored_results import feature_file


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


def worked(number: int, text: int, subject: int) -> Query:
    return Query(f"t/{number}", f"text {text}", "label", "t", {"subject": f"subject {subject}"})


items = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=25).map(
    lambda pairs: [worked(i, *pair) for i, pair in enumerate(pairs)]
)


@given(items, st.integers(1, 8))
def test_unused_examples_are_of_the_queries_subjects_and_no_queries(found: list[Query], count: int) -> None:
    queries = spread(found, count)
    asked = {query.prompt for query in queries}
    subjects = {query.meta["subject"] for query in queries}
    kept = unused(found, queries)
    texts = [item.prompt for item in kept]
    assert len(set(texts)) == len(texts)
    assert not set(texts) & asked
    assert {item.meta["subject"] for item in kept} <= subjects
    assert [item for item in found if item in kept] == kept  # in their order
    # nothing is lost: every other text of these subjects is there
    assert set(texts) == {item.prompt for item in found if item.meta["subject"] in subjects} - asked


def test_unused_leaves_its_arguments_alone() -> None:
    found = [worked(0, 1, 0), worked(1, 2, 0), worked(2, 3, 1), worked(3, 2, 0), worked(4, 1, 0)]
    assert unused(found, found[:1]) == [found[1]]
    assert unused(found, found) == []
    assert unused([], []) == []
    assert len(found) == 5


class TestHeldOutOfTheRealModel:
    """The profile smollm2: tasks without a test split are measured on worked examples that are no queries."""

    @pytest.fixture(scope="class")
    def data(self) -> Data:
        return load_data(load_profile("smollm2"))

    def test_what_is_there(self, data: Data) -> None:
        profile = load_profile("smollm2")
        assert data.test["gsm8k"] == []  # its eight examples are the queries
        assert 0 < len(data.test["bbh"]) <= profile.n_test
        assert len(data.test["mmlu"]) == len(data.test["codex"]) == profile.n_test

    @pytest.mark.parametrize("task", ["bbh", "mmlu", "codex"])
    def test_nothing_of_it_is_a_query_or_in_the_pool(self, data: Data, task: str) -> None:
        held_out = {query.prompt for query in data.test[task]}
        assert len(held_out) == len(data.test[task])
        assert not held_out & {query.prompt for part in data.queries.values() for query in part}
        pool = [chat_text(example) for example in data.pool]
        for query in data.test[task]:
            assert not any(request(query) in text for text in pool), query.id

    @pytest.mark.parametrize("task", ["bbh", "mmlu"])
    def test_it_is_of_the_queries_subjects(self, data: Data, task: str) -> None:
        asked = {query.meta["subject"] for query in data.queries[task]}
        assert {query.meta["subject"] for query in data.test[task]} <= asked
        known = {query.id for query in benchmarks.queries(task)}
        assert {query.id for query in data.test[task]} <= known

    @pytest.mark.parametrize("name", ["embed", "rds", "less"])
    def test_the_pool_is_the_one_whose_features_are_stored(self, data: Data, name: str) -> None:
        manifest = json.loads(feature_file("smollm2", name).with_suffix(".json").read_text(encoding="utf-8"))
        assert manifest["key"]["pool"] == digest(data.pool)
