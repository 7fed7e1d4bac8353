"""JSONL in and out: what is written comes back, every format is understood, every mistake is named."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tis_utils.errors import InputError, RunError
from tis_utils.examples import jsonl
from tis_utils.examples.text import Example, Query, chat_prompt

SEPARATORS = '\n\r\t\u2028\u2029\x85\x0b\x0c\x1c\ufeff\x00"\\{}é漢🙂'
TEXT = st.text(st.one_of(st.sampled_from(SEPARATORS), st.characters(codec="utf-8")), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
META = st.dictionaries(TEXT, JSON, max_size=3)
TURN = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT})
NAME = st.text(min_size=1, max_size=8)
ID = TEXT.filter(bool)  # an empty one is made anew
EXAMPLE = st.builds(
    Example,
    id=ID,
    messages=st.lists(TURN, min_size=1, max_size=4).filter(lambda m: any(t["role"] == "assistant" for t in m)),
    source=NAME,
    meta=META,
)
QUERY = st.builds(Query, id=ID, prompt=TEXT, label=TEXT, task=NAME, meta=META)
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FAST
@given(st.lists(EXAMPLE, min_size=1, max_size=4, unique_by=lambda e: e.id))
def test_examples_come_back_equal(tmp_path: Path, examples: list[Example]) -> None:
    jsonl.write_examples(tmp_path / "pool.jsonl", examples)
    assert jsonl.read_examples(tmp_path / "pool.jsonl") == examples


@FAST
@given(st.lists(QUERY, min_size=1, max_size=4, unique_by=lambda q: q.id))
def test_queries_come_back_equal(tmp_path: Path, queries: list[Query]) -> None:
    jsonl.write_queries(tmp_path / "queries.jsonl", queries)
    assert jsonl.read_queries(tmp_path / "queries.jsonl") == queries


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(*lines: Any, name: str = "pool.jsonl") -> Path:
        path = tmp_path / name
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return path

    return make


CHAT = {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}


@pytest.mark.parametrize(
    ("record", "user", "answer"),
    [
        (CHAT, "u", "a"),
        ({"prompt": "p", "response": "r"}, "p", "r"),
        ({"prompt": "p", "completion": "c"}, "p", "c"),
        ({"instruction": "i", "input": "in", "output": "o"}, "i\n\nin", "o"),
        ({"instruction": "i", "input": "", "output": "o"}, "i", "o"),
        ({"instruction": "i", "output": "o"}, "i", "o"),
    ],
)
def test_formats(write: Callable[..., Path], record: dict[str, Any], user: str, answer: str) -> None:
    (example,) = jsonl.read_examples(write(record))
    assert example == Example(
        "pool:1", [{"role": "user", "content": user}, {"role": "assistant", "content": answer}], "pool"
    )
    (query,) = jsonl.read_queries(write(record))
    assert query == Query("pool:1", chat_prompt(user), answer, "pool")


def test_system_text_opens_the_chat(write: Callable[..., Path]) -> None:
    path = write({"prompt": "p", "response": "r", "system": "s"})
    assert [m["role"] for m in jsonl.read_examples(path)[0].messages] == ["system", "user", "assistant"]
    assert jsonl.read_queries(path)[0].prompt == chat_prompt("p", "s")
    assert jsonl.read_queries(write({"prompt": "p", "label": "r", "system": "s"}))[0].prompt == chat_prompt("p", "s")


def test_optional_keys_defaults_and_meta(write: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    path = write(
        {**CHAT, "id": 7, "source": "web", "difficulty": 3, "meta": {"group": "x"}},
        "",
        {"prompt": "p", "response": "r", "dataset": "flan"},
    )
    with caplog.at_level(logging.INFO, logger="tis_utils"):
        first, second = jsonl.read_examples(path)
    assert (first.id, first.source, first.meta) == ("7", "web", {"difficulty": 3, "group": "x"})
    assert (second.id, second.source, second.meta) == ("pool:3", "flan", {})
    assert "2 lines read, format chat (1), response (1)" in caplog.text


def test_query_lines(write: Callable[..., Path]) -> None:
    path = write(
        {"prompt": "plain", "label": "l", "task": "sums", "id": "q1"},
        {"prompt": "<|user|>\nrendered\n<|assistant|>\nA:", "label": "l"},
        name="dev.jsonl",
    )
    plain, rendered = jsonl.read_queries(path)
    assert plain == Query("q1", chat_prompt("plain"), "l", "sums")
    assert rendered == Query("dev:2", "<|user|>\nrendered\n<|assistant|>\nA:", "l", "dev")


def test_multi_turn_query_keeps_the_earlier_turns_in_the_prompt(write: Callable[..., Path]) -> None:
    turns = [("system", "s"), ("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")]
    (query,) = jsonl.read_queries(write({"messages": [{"role": r, "content": c} for r, c in turns]}))
    assert query.prompt == "<|system|>\ns\n<|user|>\n1\n<|assistant|>\n2\n<|user|>\n3\n<|assistant|>\n"
    assert query.label == "4"


def test_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    line = json.dumps(CHAT).encode()
    path.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n" + line + b"\r\n")
    assert [e.id for e in jsonl.read_examples(path)] == ["pool:1", "pool:2"]


def test_raw_line_separators_inside_a_string_do_not_end_the_line(write: Callable[..., Path]) -> None:
    text = "a\u2028b\u2029c\x85d"
    path = write(json.dumps({"prompt": text, "response": "r"}, ensure_ascii=False))
    assert jsonl.read_examples(path)[0].messages[0]["content"] == text


GOOD = json.dumps(CHAT)
USER_ONLY = {"messages": [{"role": "user", "content": "u"}]}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([GOOD, '{"prompt": "x",'], r"line 2: invalid JSON at column \d+ \(.+\)"),
        ([GOOD, "[1, 2]"], r"line 2: expected a JSON object .* got list"),
        ([GOOD, "null"], r"line 2: expected a JSON object .* got NoneType"),
        ([GOOD, USER_ONLY], r"line 2: .*no assistant turn"),
        ([{"messages": []}], r"line 1: 'messages' must be a list"),
        ([{"messages": "hello"}], r"line 1: 'messages' must be a list"),
        ([{"messages": ["hello"]}], r"line 1: a message must be an object"),
        ([{"messages": [{"role": "bot", "content": "x"}]}], r"line 1: .*role is 'bot'"),
        ([{"messages": [{"role": "assistant", "content": 3}]}], r"line 1: .*content must be a string"),
        ([{"prompt": "p", "response": 3}], r"line 1: 'response' must be a string, got int"),
        ([{"quiz": "p"}], r"line 1: unknown format, keys are quiz. Expected chat: messages"),
        ([{}], r"line 1: unknown format, keys are none"),
        ([{"prompt": "p", "label": "l"}], r"line 1: .*is a query"),
        ([{**CHAT, "meta": [1]}], r"line 1: 'meta' must be a JSON object, got list"),
        ([{**CHAT, "id": "x"}, GOOD, {**CHAT, "id": "x"}], r"lines 1 and 3 have the same id 'x'"),
        (['{"prompt": "\\ud800", "response": "r"}'], r"line 1: .*without its other half"),
        ([], r"is empty"),
        (["", "  "], r"is empty"),
    ],
)
def test_mistakes_in_candidate_files(write: Callable[..., Path], lines: list[Any], expected: str) -> None:
    path = write(*lines)
    with pytest.raises(InputError, match=expected) as caught:
        jsonl.read_examples(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (USER_ONLY, r"line 1: .*must end with the assistant turn"),
        ({"messages": [*CHAT["messages"], USER_ONLY["messages"][0]]}, r"line 1: .*must end with the assistant turn"),
        ({"prompt": 1, "label": "l"}, r"line 1: 'prompt' must be a string"),
        ({"prompt": "p", "label": ["l"]}, r"line 1: 'label' must be a string, got list"),
        ({"question": "p"}, r"line 1: unknown format"),
    ],
)
def test_mistakes_in_query_files(write: Callable[..., Path], record: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        jsonl.read_queries(write(record))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nope\.jsonl does not exist"):
        jsonl.read_examples(tmp_path / "nope.jsonl")
    with pytest.raises(InputError, match="is a folder"):
        jsonl.read_queries(tmp_path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_named_with_the_line(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text('{"prompt": "caf\u00e9", "response": "r"}\n', encoding=encoding)
    with pytest.raises(InputError, match=r"line 1: not UTF-8 .*Save the file in UTF-8"):
        jsonl.read_examples(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    jsonl.write_examples(path, [Example("1", CHAT["messages"], "s")])
    before = path.read_bytes()
    for value in (object(), "\ud800"):
        bad = [Example("1", CHAT["messages"], "s"), Example("2", CHAT["messages"], "s", {"x": value})]
        with pytest.raises(InputError, match="Keep only JSON values"):
            jsonl.write_examples(path, bad)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["pool.jsonl"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match="Cannot write"):
        jsonl.write_examples(tmp_path / "file" / "pool.jsonl", [Example("1", CHAT["messages"], "s")])
