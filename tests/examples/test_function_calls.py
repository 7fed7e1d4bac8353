"""Function calls of bfcl-eval, from a small copy of its files: queries, candidates, answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tis_utils.errors import InputError, RunError
from tis_utils.examples import function_calls, load, natural
from tis_utils.examples.benchmarks import queries as benchmark
from tis_utils.examples.kinds import contrasts
from tis_utils.examples.text import request
from tis_utils.profiles import load_profile


def entry(name: str, asked: str, roles: tuple[str, ...] = ("user",), turns: int = 1) -> dict:
    messages = [{"role": role, "content": asked} for role in roles]
    return {"id": name, "question": [messages] * turns, "function": [{"name": "area", "parameters": {}}]}


def answer(name: str, *sides: int) -> dict:
    return {"id": name, "ground_truth": [{"area": {"side": [side, side + 1], "unit": ["cm", ""]}} for side in sides]}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four requests of users; of the authors' one each, the last two hard to use."""
    data = tmp_path / "bfcl_eval" / "data"
    (data / "possible_answer").mkdir(parents=True)
    (tmp_path / "bfcl_eval" / "__init__.py").write_text("raise ImportError('only its data files are read')")
    known = {category: [entry(f"{category}_0", f"A square of {category}?")] for category in function_calls.OFFERED}
    known["simple_python"] += [
        entry("simple_python_1", "Two turns?", turns=2),
        entry("simple_python_2", "With a system message?", ("system", "user")),
        entry("simple_python_3", "Without an answer?"),
        entry("simple_python_4", "long " * natural.MAX_CHARACTERS),
        entry("simple_python_5", "A square of 3?"),  # a query has it
    ]
    known["live_simple"] = [entry(f"live_simple_{i}", f"A square of {i}?") for i in range(4)]
    for category, rows in known.items():
        answers = [answer(row["id"], 2) for row in rows if row["id"] != "simple_python_3"]
        if category == "parallel":
            answers = [answer("parallel_0", 2, 5)]
        for folder, lines in ((data, rows), (data / "possible_answer", answers)):
            text = "\n".join(json.dumps(line) for line in lines)
            (folder / f"BFCL_v4_{category}.json").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return data


def test_a_query_shows_the_functions_and_wants_the_call(wheel: Path) -> None:
    asked = function_calls.queries()
    assert [query.id for query in asked] == [f"bfcl/live_simple_{i}" for i in range(4)]
    assert request(asked[1]).endswith('{"name": "area", "parameters": {}}\n\nA square of 1?')
    assert {query.label for query in asked} == {"area(side=2)"}


def test_candidates_are_what_can_be_used_and_no_query(wheel: Path) -> None:
    pool = function_calls.load_pool(40, tasks=("bfcl",), reserved=function_calls.queries())
    calls = {example.id: example.messages[-1]["content"] for example in pool if example.source == "bfcl"}
    assert set(calls) == {f"{category}_0" for category in function_calls.OFFERED}
    assert calls["parallel_0"] == "area(side=2)\narea(side=5)"
    assert len({example.id for example in pool}) == len(pool) == 40
    own, others = contrasts(pool, "bfcl")["own group vs the rest"]
    assert (len(own), len(others)) == (4, 36)
    assert pool != function_calls.load_pool(40, tasks=("bfcl",), reserved=function_calls.queries(), seed=1)


def test_the_profile_finds_queries_held_out_examples_and_pool(wheel: Path) -> None:
    profile = load_profile("smollm2/calls", n_queries=2, pool_size=40, tasks=["bfcl", "codex"])
    data = load.load_data(profile)
    assert (len(data.queries["bfcl"]), len(data.test["bfcl"])) == (2, 2)
    assert not {q.prompt for q in data.queries["bfcl"]} & {q.prompt for q in data.test["bfcl"]}
    assert len(data.queries["codex"]) == 2
    assert len(data.pool) == 40


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"'bfcl-eval' is not installed; .*pip install --no-deps bfcl-eval=="):
        function_calls.queries()


def test_another_layout_is_reported(wheel: Path) -> None:
    (wheel / "BFCL_v4_live_simple.json").unlink()
    with pytest.raises(RunError, match=r"no data/BFCL_v4_live_simple\.json.*pip install --no-deps bfcl-eval=="):
        function_calls.queries()


def test_it_is_no_benchmark_of_its_own_package() -> None:
    with pytest.raises(InputError, match="'bfcl'"):
        benchmark("bfcl")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({"f": {}}, "f()"),
        ({"m.f": {"x": [[1, 2], [2, 1]], "y": [True]}}, "m.f(x=[1, 2], y=True)"),
        ({"f": {"rows": [[{"k": ["v", "w"], "o": ["", 1]}]]}}, "f(rows=[{'k': 'v'}])"),
        ({"f": {"none": [], "bare": [{"k": 10.5}]}}, "f(bare={'k': 10.5})"),
    ],
)
def test_the_first_allowed_value_counts_and_what_may_be_left_out_is(call: dict, text: str) -> None:
    assert function_calls.call_text(call) == text


def test_two_functions_in_one_answer_are_an_error() -> None:
    with pytest.raises(RunError, match="2 functions"):
        function_calls.call_text({"f": {}, "g": {}})
