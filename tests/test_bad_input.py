"""Bad input: malformed pools, queries, profiles, matrices and command lines.

Whatever is wrong, the user reads one paragraph that names the place and the remedy, and gets exit code 1 or 2; never
a traceback, unless ``--debug`` asks for it. Files, profiles and command lines go through ``tis`` itself, matrices
through the public functions.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tis_utils
from tis_utils import cli
from tis_utils.errors import InputError
from tis_utils.evidence.bounds import RidgeSetting
from tis_utils.selectors.similarity import similarity
from tis_utils.selectors.wasserstein import w1

ROOT = Path(__file__).resolve().parent.parent
SMOKE = (ROOT / "notebooks" / "profiles" / "smoke.yaml").read_text(encoding="utf-8")
GOOD = '{"prompt": "Add 1 and 2.", "response": "3"}\n'
UNFORESEEN = "nobody foresaw"  # how the command line introduces what it has no sentence for


@dataclass
class Told:
    code: int
    text: str


@pytest.fixture
def tis(monkeypatch, capsys, tmp_path: Path) -> Callable[..., Told]:
    """The command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*words: str) -> Told:
        monkeypatch.setattr(sys, "argv", ["tis", *words])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Told(code, capsys.readouterr().err)

    return call


def is_one_paragraph(told: Told, *words: str) -> None:
    text = " ".join(told.text.split())
    assert told.code in (1, 2), told
    assert "Traceback" not in told.text, told.text
    assert UNFORESEEN not in told.text, told.text
    for word in words:
        assert word in text, told.text
    if text.startswith("tis: "):  # ours; what the option parser says has a usage line and a box
        assert "\n\n" not in told.text.strip(), told.text
        assert len(text) < 1200, told.text
        assert text.endswith((".", "?", "!")), told.text
    else:
        assert "Error" in text, told.text


# --- pools ------------------------------------------------------------------------------------------


def line(**record: Any) -> bytes:
    return json.dumps(record).encode() + b"\n"


def chat(*turns: Any, **more: Any) -> bytes:
    return line(messages=list(turns), **more)


USER, ANSWER = {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}

POOLS: dict[str, tuple[bytes, list[str]]] = {
    "empty file": (b"", ["own.jsonl is empty", "at least one example"]),
    "only blank lines": (b"\n \n\r\n", ["own.jsonl is empty"]),
    "only a byte order mark": (b"\xef\xbb\xbf", ["own.jsonl is empty"]),
    "Latin-1": (line(prompt="a", response="b") + '{"prompt": "é", "response": "b"}'.encode("latin-1"),
                ["line 2", "not UTF-8", "0xe9", "Save the file in UTF-8"]),
    "UTF-16": (GOOD.encode("utf-16"), ["line 1", "not UTF-8"]),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), ["line 1", "zero bytes", "UTF-16"]),
    "a damaged gzip file": (b"\x1f\x8b\x08\x00" + bytes(range(128, 256)), ["own.jsonl", "gzip file is damaged"]),
    "half a gzip file": (gzip.compress(GOOD.encode() * 99)[:-9], ["own.jsonl", "gzip file is damaged or cut off"]),
    "a gzip bomb": (gzip.compress(bytes(300_000_000), 9), ["own.jsonl", "200 times its own size", "unpack it"]),
    "half a Parquet file": (b"PAR1" + bytes(99), ["own.jsonl", "damaged or cut off"]),
    "a ZIP archive": (b"PK\x03\x04" + bytes(99), ["own.jsonl", "ZIP archive", "What is read"]),
    "a pickle": (b"\x80\x04\x95" + bytes(99), ["own.jsonl", "pickle"]),
    "NUL bytes": (b"\x00" * 64, ["line 1", "zero bytes"]),
    "NUL in a text": (b'{"prompt": "a\x00", "response": "b"}', ["line 1", "zero bytes"]),
    "an array of numbers": (b"[1, 2]", ["item 1", "expected a JSON object", "int"]),
    "an array that does not end": (b'[\n{"prompt": "a", "response": "b"}\n', ["own.jsonl", "invalid JSON at line 3"]),
    "two arrays": (b'[{"prompt": "a", "response": "b"}]\n[]', ["own.jsonl", "Extra data"]),
    "nested 900 deep": (line(prompt="a", response="b", meta={"x": json.loads("[" * 900 + "]" * 900)}),
                        ["line 1", "nested too deeply"]),
    "truncated": (GOOD.encode() + b'{"prompt": "Add", "resp', ["line 2", "invalid JSON at column"]),
    "trailing comma": (b'{"prompt": "a", "response": "b",}', ["line 1", "invalid JSON"]),
    "single quotes": (b"{'prompt': 'a', 'response': 'b'}", ["line 1", "invalid JSON"]),
    "two objects on a line": (b'{"prompt": "a", "response": "b"} {"prompt": "c"}', ["line 1", "Extra data"]),
    "a number": (b"17\n", ["line 1", "expected a JSON object", "int"]),
    "null": (b"null\n", ["line 1", "expected a JSON object", "NoneType"]),
    "CSV": (b"prompt,response\na,b\n", ["line 1", "invalid JSON"]),
    "half a surrogate pair": (b'{"prompt": "\\ud800", "response": "b"}', ["line 1", "without its other half"]),
    "deep nesting": (b'{"prompt": ' + b"[" * 100_000, ["line 1", "nested"]),
    "a number of 5000 digits": (b'{"prompt": "a", "response": "b", "n": ' + b"9" * 5000 + b"}",
                                ["line 1", "number"]),
    "huge broken line": (b'{"prompt": "' + b"a" * 5_000_000, ["line 1", "Unterminated string"]),
    "huge line of an unknown format": (line(quiz="a" * 1_000_000), ["line 1", "unknown format"]),
    "an object without keys": (b"{}\n", ["line 1", "unknown format, keys are none"]),
    "unknown columns": (line(question="a", answer="b"), ["line 1", "unknown format", "question, answer"]),
    "thousand columns": (line(**{f"column_{i}": i for i in range(1000)}), ["line 1", "unknown format"]),
    "CRLF and an unknown format": (b'{"prompt": "a", "response": "b"}\r\n{"q": 1}\r\n', ["line 2", "unknown format"]),
    "mixed formats, one wrong": (GOOD.encode() + line(instruction="a", output="b") + line(instruction="a"),
                                 ["line 3", "unknown format"]),
    "queries as pool": (line(prompt="a", label="b"), ["line 1", "is a query", "'response'"]),
    "prompt is null": (line(prompt=None, response="b"), ["line 1", "unknown format, keys are response"]),
    "answer is a number": (line(prompt="a", response=3), ["line 1", "'response' must be a string", "int"]),
    "answer is a list": (line(prompt="a", response=["b"]), ["line 1", "'response' must be a string", "list"]),
    "input is an object": (line(instruction="a", input={"x": 1}, output="b"), ["line 1", "'input'", "dict"]),
    "system is a list": (line(prompt="a", response="b", system=["c"]), ["line 1", "'system'", "list"]),
    "meta is a list": (line(prompt="a", response="b", meta=[1]), ["line 1", "'meta'", "list"]),
    "id is an object": (line(prompt="a", response="b", id={"a": 1}), ["line 1", "'id'", "dict"]),
    "source is a list": (line(prompt="a", response="b", source=["a"]), ["line 1", "'source'", "list"]),
    "messages is a string": (line(messages="hello"), ["line 1", "'messages' must be a list"]),
    "messages is null": (line(messages=None), ["line 1", "unknown format", "keys are none"]),
    "history is a text": (line(instruction="a", output="b", history="c"), ["line 1", "'history' must be a list"]),
    "history of triples": (line(prompt="a", response="b", history=[["c", "d", "e"]]), ["line 1", "pairs"]),
    "half a turn is learnt": (chat(USER, {**ANSWER, "weight": 0.5}), ["line 1", "message 1", "'weight' is 0.5"]),
    "a part is a number": (chat(USER, {"role": "assistant", "content": [3]}), ["line 1", "message 1", "part"]),
    "every answer was rejected": (line(prompt="a", completion="b", label=False) * 2, ["all 2 lines", "rejected"]),
    "no turn is learnt": (chat(USER, {**ANSWER, "train": False}), ["all 1 lines", "no answer is to be learnt"]),
    "input is zero": (line(instruction="a", input=0, output="b"), ["line 1", "'input' must be a string", "int"]),
    "meta is zero": (line(prompt="a", response="b", meta=0), ["line 1", "'meta' must be a JSON object", "int"]),
    "no messages": (line(messages=[]), ["line 1", "at least one"]),
    "a message is a string": (chat("hello"), ["line 1", "must be an object with 'role' and 'content'"]),
    "a message without a role": (chat({"content": "a"}), ["line 1", "'role' and 'content'"]),
    "null content": (chat(USER, {"role": "assistant", "content": None}), ["line 1", "message 1: no content", "null"]),
    "unknown role": (chat(USER, {"role": "judge", "content": "x"}, ANSWER), ["line 1", "role is 'judge'", "system"]),
    "role is a list": (chat({"role": ["user"], "content": "x"}, ANSWER), ["line 1", "role is ['user']"]),
    "only system messages": (chat({"role": "system", "content": "x"}), ["line 1", "no assistant turn"]),
    "only user messages": (chat(USER, USER), ["line 1", "no assistant turn"]),
    "every answer is empty": (line(prompt="a", response="") * 2, ["own.jsonl", "no answer", "empty"]),
    "every answer is white space": (chat(USER, {"role": "assistant", "content": " \n"}), ["own.jsonl", "empty"]),
    "repeated ids": (line(prompt="a", response="b", id="x") * 2, ["lines 1 and 2", "same id 'x'", "unique"]),
    "ids equal as text": (line(prompt="a", response="b", id=1) + line(prompt="a", response="b", id="1"),
                          ["lines 1 and 2", "same id '1'"]),
    "an id that a line without one gets": (GOOD.encode() + line(prompt="a", response="b", id="own:1"),
                                           ["lines 1 and 2", "same id 'own:1'"]),
    "one candidate, two wanted": (GOOD.encode(), ["Budget 2 is larger than the pool", "1 example"]),
}  # fmt: skip


@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str, tis, tmp_path: Path) -> None:
    content, words = POOLS[name]
    (tmp_path / "own.jsonl").write_bytes(content)
    told = tis("select", "--pool", "own.jsonl", "--output", "out/subset.jsonl", "-S", "random", "--budget", "2")
    is_one_paragraph(told, *words)
    assert not (tmp_path / "out" / "subset.jsonl").exists()


GOOD_IN_DISGUISE = {
    "byte order mark": b"\xef\xbb\xbf" + 3 * GOOD.encode(),
    "CRLF": 3 * GOOD.encode().replace(b"\n", b"\r\n"),
    "no newline at the end": (3 * GOOD.encode()).rstrip(),
    "blank lines": (GOOD.encode() + b"\n \n") * 3,
    "NUL as an escape": 3 * line(prompt="a\x00", response="b"),
    "mixed formats": GOOD.encode() + line(instruction="a", output="b") + chat(USER, ANSWER),
    "unknown columns beside known ones": 3 * line(prompt="a", response="b", stars=5, nested={"a": [None]}),
    "unpacked by nobody": gzip.compress(3 * GOOD.encode()),
    "a JSON array": b"[\n" + b",".join([GOOD.encode()] * 3) + b"]",
    "columns filled with null": 3 * line(messages=None, prompt="a", response="b", instruction=None, output=None),
    "some empty answers": GOOD.encode() + 2 * line(prompt="a", response=""),
    "a line of a megabyte": 3 * line(prompt="a" * 1_000_000, response="b"),
    "ids are numbers": b"".join(line(prompt="a", response="b", id=i) for i in range(3)),
}


@pytest.mark.parametrize("name", GOOD_IN_DISGUISE)
def test_pools_that_only_look_malformed(name: str, tis, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_bytes(GOOD_IN_DISGUISE[name])
    told = tis("select", "--pool", "own.jsonl", "--output", "subset.jsonl", "-S", "random", "--budget", "2")
    assert told.code == 0, told.text
    assert len((tmp_path / "subset.jsonl").read_bytes().splitlines()) == 2


# --- queries ----------------------------------------------------------------------------------------

QUERIES: dict[str, tuple[bytes, list[str]]] = {
    "empty file": (b"", ["task.jsonl is empty"]),
    "label is null": (line(prompt="a", label=None), ["line 1", "unknown format, keys are prompt"]),
    "label is a list of options": (line(prompt="a", label=["b", "c"]), ["line 1", "'label'", "list"]),
    "prompt is a list of texts": (line(prompt=["a"], label="b"), ["line 1", "'prompt' must be a string", "list"]),
    "prompt without a label": (line(prompt="a"), ["line 1", "unknown format", "label"]),
    "the chat ends with the user": (chat(USER, ANSWER, USER), ["line 1", "must end with the assistant turn"]),
    "null content": (chat(USER, {"role": "assistant", "content": None}), ["line 1", "no content", "null, in content"]),
    "a user turn without text": (chat({"role": "user", "content": None}, ANSWER), ["line 1", "no content"]),
    "unknown role": (chat({"role": "judge", "content": "a"}, ANSWER), ["line 1", "role is 'judge'"]),
    "system is a number": (line(prompt="a", label="b", system=3), ["line 1", "'system'", "int"]),
    "task is an object": (line(prompt="a", label="b", task={"name": 1}), ["line 1", "'task'", "dict"]),
    "repeated ids": (line(prompt="a", label="b", id=7) * 2, ["lines 1 and 2", "same id '7'"]),
    "every label is empty": (line(prompt="a", label=""), ["task.jsonl", "no answer"]),
}  # fmt: skip


@pytest.mark.parametrize("name", QUERIES)
def test_queries(name: str, tis, tmp_path: Path) -> None:
    content, words = QUERIES[name]
    (tmp_path / "pool.jsonl").write_text(GOOD * 3, encoding="utf-8")
    (tmp_path / "task.jsonl").write_bytes(content)
    told = tis("select", "--pool", "pool.jsonl", "--queries", "task.jsonl", "-o", "subset.jsonl", "-B", "1")
    is_one_paragraph(told, *words)


@settings(max_examples=60)
@given(content=st.one_of(st.binary(max_size=80), st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["messages", "role", "content", "prompt", "response", "label", "id", "meta", "system", "x"]),
        inner, max_size=5), max_leaves=12,
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_any_bytes_as_a_pool_or_as_queries(content: bytes, tmp_path_factory) -> None:
    from tis_utils.examples.jsonl import read_examples, read_queries

    path = tmp_path_factory.mktemp("any") / "any.jsonl"
    path.write_bytes(content)
    for read in (read_examples, read_queries):
        told = ""
        try:
            items: list[Any] = list(read(path))
        except InputError as error:
            items, told = [], str(error)
        assert "any.jsonl" in told if not items else all(isinstance(item.id, str) for item in items)


# --- profiles ---------------------------------------------------------------------------------------


def smoke(old: str = "", new: str = "") -> str:
    assert old in SMOKE
    return SMOKE.replace(old, new, 1) if old else SMOKE + new


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)

PROFILES: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["own.yaml", "must be a mapping", "NoneType"]),
    "only a comment": ("# nothing\n", ["own.yaml", "must be a mapping"]),
    "a list": ("- name: x\n- model: y\n", ["own.yaml", "must be a mapping", "list"]),
    "a text": ("smoke\n", ["own.yaml", "must be a mapping", "str"]),
    "two documents": (SMOKE + "---\n" + SMOKE, ["own.yaml", "not valid YAML", "line"]),
    "syntax error": (smoke(new="tasks: [words\n"), ["own.yaml", "not valid YAML", "line"]),
    "a tab": (smoke(new="plan:\n\tparameters: 1\n"), ["own.yaml", "not valid YAML", "line"]),
    "python object": (smoke(new="proxy: !!python/object/apply:os.system ['touch pwned']\n"),
                      ["own.yaml", "not valid YAML", "python/object"]),
    "python name": (smoke(new="needs: !!python/name:os.system\n"), ["own.yaml", "python/name"]),
    "unknown anchor": (smoke(new="needs: *nothing\n"), ["own.yaml", "nothing"]),
    "a million laughs": (smoke(new=LAUGHS), ["own.yaml", "unknown key 'a0'"]),
    "anchors that explode in a value": (smoke(new=LAUGHS + "needs: *a11\n"), ["own.yaml", "needs"]),
    "repeated key": (smoke(new="budgets: [5]\n"), ["own.yaml", "'budgets'", "twice", "line"]),
    "repeated inner key": (smoke("rank: 8", "rank: 8\n  rank: 9"), ["own.yaml", "'rank'", "twice"]),
    "a number as key": (smoke(new="5: 6\n"), ["own.yaml", "unknown key '5'"]),
    "a list as key": (smoke(new="[a, b]: 6\n"), ["own.yaml"]),
    "not UTF-8": (SMOKE.encode().replace(b"seconds", b"\xe9"), ["own.yaml", "UTF-8"]),
    "control characters": (smoke("smoke", "smo\x07ke"), ["own.yaml", "not valid YAML"]),
    "deep nesting": ("[" * 20_000, ["own.yaml", "nested"]),
    "a key is missing": (smoke("model: tiny\n"), ["own.yaml", "key 'model' is missing"]),
    "unknown key": (smoke(new="bugdets: [1]\n"), ["unknown key 'bugdets'", "did you mean 'budgets'"]),
    "unknown key of the training": (smoke("epochs: 1,", "epoch: 1,"), ["'training.epoch'", "'epochs'"]),
    "unknown key of the plan": (smoke(new="plan: {parameters: 1, hidden_size: 2, gpus: 8}\n"), ["'plan.gpus'"]),
    "a mapping where a number belongs": (smoke("pool_size: 600", "pool_size: {a: 1}"), ["pool_size", "not possible"]),
    "a number where a mapping belongs": (smoke(new="plan: 7\n"), ["plan", "7", "not possible"]),
    "text where a number belongs": (smoke("pool_size: 600", "pool_size: many"), ["pool_size = 'many'"]),
    "yes where a number belongs": (smoke("pool_size: 600", "pool_size: yes"), ["pool_size = True", "yes or no"]),
    "zero candidates": (smoke("pool_size: 600", "pool_size: 0"), ["pool_size = 0", "greater than 0"]),
    "half a candidate": (smoke("pool_size: 600", "pool_size: 0.5"), ["pool_size = 0.5"]),
    "negative budget": (smoke("[10, 20]", "[10, -20]"), ["budgets.1 = -20"]),
    "no budgets": (smoke("[10, 20]", "[]"), ["budgets = []", "at least 1"]),
    "repeated budgets": (smoke("[10, 20]", "[10, 10]"), ["budgets = [10, 10]", "10 is repeated"]),
    "falling budgets": (smoke("[10, 20]", "[20, 10]"), ["budgets", "increasing"]),
    "repeated seeds": (smoke("[0, 1]", "[1, 1]"), ["seeds", "repeated"]),
    "repeated tasks": (smoke("[words, pick]", "[words, words]"), ["tasks", "repeated"]),
    "negative seed": (smoke("[0, 1]", "[-1]"), ["seeds.0 = -1"]),
    "a seed beyond 32 bits": (smoke("[0, 1]", "[99999999999999]"), ["seeds.0 = 99999999999999", "less than"]),
    "no tasks": (smoke("[words, pick]", "[]"), ["tasks = []"]),
    "a task is null": (smoke("[words, pick]", "[words, null]"), ["tasks.1 = None"]),
    "negative rate": (smoke("learning_rate: 1.0e-3", "learning_rate: -1"), ["training.learning_rate = -1"]),
    "infinite rate": (smoke("learning_rate: 1.0e-3", "learning_rate: .inf"), ["learning_rate = inf", "finite"]),
    "a rate that is not a number": (smoke("learning_rate: 1.0e-3", "learning_rate: .nan"), ["learning_rate = nan"]),
    "warm-up longer than the training": (smoke("warmup_ratio: 0.05", "warmup_ratio: 1.5"), ["warmup_ratio = 1.5"]),
    "dropout of everything": (smoke("dropout: 0.1", "dropout: 1"), ["less.dropout = 1"]),
    "no tokens": (smoke("max_length: 256", "max_length: 0"), ["max_length = 0"]),
    "unknown dtype": (smoke(new="dtype: float8\n"), ["dtype = 'float8'", "float32"]),
    "unknown sketch": (smoke("sketch: count", "sketch: gaussian"), ["less.sketch = 'gaussian'", "rademacher"]),
    "a name that climbs": (smoke("name: smoke", "name: ../../smoke"), ["name = '../../smoke'"]),
    "a task that climbs": (smoke("[words, pick]", "[../words]"), ["tasks.0 = '../words'"]),
    "extends itself": ("extends: own.yaml\n", ["own.yaml extends itself", "own.yaml → own.yaml"]),
    "extends nothing": ("extends: nobody\n", ["own.yaml", "missing", "nobody", "classroom"]),
    "unknown metric": (smoke(new="metrics: {words: bleu}\n"), ["metrics", "'bleu'", "pass@K"]),
    "metric of no task": (smoke(new="metrics: {chess: none}\n"), ["metrics", "'chess'", "words"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PROFILES)
def test_profiles(name: str, tis, tmp_path: Path) -> None:
    text, words = PROFILES[name]
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "own.yaml").write_bytes(content)
    is_one_paragraph(tis("grid", "budgets", "--profile", "own.yaml", "--dry-run"), *words)
    assert not (tmp_path / "pwned").exists()


SMALL = smoke("pool_size: 600", "pool_size: 100")

NAMES: dict[str, tuple[tuple[str, str], list[str]]] = {
    "unknown model": (("model: tiny", "model: tny"), ["'tny'", "tiny, mini, smollm2"]),
    "a model folder that is not there": (("model: tiny", "model: ./nowhere"), ["no folder", "nowhere'"]),
    "a model folder without a model": (("model: tiny", "model: ."), ["config.json"]),
    "unknown task": (("[words, pick]", "[words, chess]"), ["chess", "words"]),
    "unknown pool": (("pool: classroom", "pool: clasroom"), ["clasroom"]),
    "unknown pool and queries": (("pool: classroom", "pool: clasroom\nqueries: nobody/nothing"), ["nobody/nothing"]),
    "pool file that is not there": (("pool: classroom", "pool: own.jsonl\nqueries: benchmarks"), ["own.jsonl"]),
    "unknown benchmark": (("pool: classroom", "pool: own.jsonl\nqueries: benchmarks"), ["words", "gsm8k"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_in_profiles(name: str, tis, tmp_path: Path) -> None:
    (old, new), words = NAMES[name]
    text = SMALL.replace("proxy: mini\n", "")
    if "file" in name:
        text = text.replace("[words, pick]", "[gsm8k]")
    assert old in text
    (tmp_path / "own.yaml").write_text(text.replace(old, new), encoding="utf-8")
    is_one_paragraph(tis("represent", "--profile", "own.yaml", "-R", "rds"), *words)


# --- command lines ----------------------------------------------------------------------------------

SELECT = ("select", "--pool", "pool.jsonl", "--queries", "task.jsonl", "-o", "subset.jsonl", "-B", "1")

LINES: dict[str, tuple[list[str], list[str]]] = {
    "nothing to do": (["--debg"], ["No such option", "--debug"]),
    "unknown command": (["selct"], ["No such command 'selct'", "select"]),
    "unknown option": (["grid", "budgets", "--task", "words", "--piece", "0/2"], ["No such option", "--piece"]),
    "unknown notebook": (["run", "99_nothing"], ["no notebook '99_nothing'", "00_quickstart"]),
    "a notebook by an empty name": (["run", ""], ["no notebook"]),
    "no such chapter": (["run", "99"], ["no notebook '99'"]),
    "a folder as notebook": (["run", "/tmp"], ["no notebook"]),
    "a text as notebook": (["run", "pool.jsonl"], ["pool.jsonl", "notebook"]),
    "unknown parameter": (["run", "00", "-p", "budgte", "5"], ["no parameter 'budgte'", "Did you mean"]),
    "a parameter without a value": (["run", "00", "-p", "budgets"], ["-p budgets", "no value"]),
    "a parameter without a name": (["run", "00", "-p", "=5"], ["-p", "name"]),
    "an impossible parameter": (["run", "00", "-p", "pool_size", "none"], ["pool_size = 'none'"]),
    "a parameter's value is YAML that acts": (["run", "00", "-p", "pool_size", "!!python/object/apply:os.getcwd []"],
                                              ["pool_size"]),
    "two profiles": (["run", "00", "-p", "profile", "[a, b]"], ["profile"]),
    "no such grid": (["grid", "budget"], ["no grid 'budget'", "budgets"]),
    "no such task": (["grid", "budgets", "-t", "word"], ["no task 'word'", "words"]),
    "no such engine for a grid": (["grid", "budgets", "-P", "smoke", "--engine", "slurm"], ["'slurm'", "loky"]),
    "no such engine for a sweep": (["sweep", "00", "-p", "seeds", "1,2", "--engine", "slurm"], ["'slurm'", "loky"]),
    "no jobs": (["grid", "budgets", "-P", "smoke", "--jobs", "0"], ["--jobs", "greater than or equal to 1"]),
    "fewer than no jobs": (["sweep", "00", "-p", "seeds", "1", "--jobs", "-2"], ["--jobs", "greater than or equal"]),
    "jobs in words": (["grid", "budgets", "--jobs", "many"], ["--jobs", "integer"]),
    "no values": (["sweep", "00", "-p", "seeds", ""], ["at least one value"]),
    "values that cannot be read": (["sweep", "00", "-p", "budgets", "[5"], ["cannot be read as values"]),
    "the same parameter twice": (["sweep", "00", "-p", "seeds", "1", "-p", "seeds", "2"], ["seeds", "twice"]),
    "the same value twice": (["sweep", "00", "-p", "seeds", "1,1"], ["1 is given twice", "'1,1'"]),
    "shard beyond the last": (["represent", "-P", "smoke", "--shard", "4/4"], ["'4/4'", "I/N"]),
    "shard of nothing": (["represent", "-P", "smoke", "--shard", "0/0"], ["'0/0'", "I/N"]),
    "shard that is negative": (["represent", "-P", "smoke", "--shard", "-1/2"], ["'-1/2'", "I/N"]),
    "shard that is no number": (["represent", "-P", "smoke", "--shard", "a/b"], ["'a/b'", "I/N"]),
    "shard in other digits": (["represent", "-P", "smoke", "--shard", "²/4"], ["'²/4'", "I/N"]),
    "shards to ship": (["represent", "-P", "smoke", "--shard", "0/2", "--ship"], ["--ship", "--shard"]),
    "no such representation": (["represent", "-P", "smoke", "-R", "bert"], ["'bert'", "rds"]),
    "no such profile": (["doctor", "-P", "huge"], ["no profile 'huge'", "classroom"]),
    "an empty profile name": (["doctor", "-P", ""], ["no profile ''"]),
    "a profile outside": (["doctor", "-P", "../../etc/passwd"], ["no profile '../../etc/passwd'"]),
    "a profile file that is not there": (["doctor", "-P", "mine/own.yaml"], ["mine/own.yaml does not exist"]),
    "a folder as profile": (["doctor", "-P", "folder.yaml"], ["folder.yaml", "folder"]),
    "a book into a file": (["book", "-P", "smoke", "--into", "pool.jsonl"], ["pool.jsonl", "folder"]),
    "a book into itself": (["book", "-P", "smoke", "--into", str(ROOT / "book/again")], ["again", "outside of book/"]),
    "a sweep into a file": (["sweep", "00", "-p", "seeds", "1", "--into", "pool.jsonl"], ["pool.jsonl", "folder"]),
    "an executed notebook below a file": (["run", "00", "-P", "smoke", "-o", "pool.jsonl/x.ipynb"], ["pool.jsonl"]),
    "an executed notebook into a folder": (["run", "00", "-P", "smoke", "-o", "folder.yaml"], ["folder"]),
    "an executed notebook over its source": (["run", "00", "-o", str(ROOT / "notebooks/00_quickstart.ipynb")],
                                             ["00_quickstart.ipynb", "--output"]),
    "a grid's table below a file": (["grid", "budgets", "-P", "smoke", "-o", "pool.jsonl/x.csv"], ["pool.jsonl"]),
    "no pool": (["select", "-o", "x.jsonl"], ["Missing option", "--pool"]),
    "a pool that is not there": ([*SELECT, "--pool", "nothing.jsonl"], ["nothing.jsonl does not exist"]),
    "a folder as pool": ([*SELECT, "--pool", "."], ["is a folder", "Give its files"]),
    "no queries": (["select", "--pool", "pool.jsonl", "-o", "x.jsonl", "-B", "1"], ["needs --queries"]),
    "queries that are not there": ([*SELECT, "--queries", "nothing.jsonl"], ["nothing.jsonl does not exist"]),
    "the pool as queries": ([*SELECT, "--queries", "pool.jsonl"], ["--queries", "pool.jsonl twice"]),
    "budget 0": ([*SELECT, "-B", "0"], ["budget must be a positive number", "0"]),
    "budget beyond the pool": ([*SELECT, "-B", "1000000000"], ["Budget 1000000000", "3 examples"]),
    "budget in words": ([*SELECT, "-B", "five"], ["--budget", "neither a number of examples"]),
    "half a budget": ([*SELECT, "-B", "2.5"], ["--budget", "neither a number of examples"]),
    "negative seed": ([*SELECT, "--seed", "-1"], ["--seed", "greater than or equal to 0"]),
    "no such selector": ([*SELECT, "-S", "best"], ["selector 'best'", "uot"]),
    "a setting for a selector without one": ([*SELECT, "-S", "uot@3"], ["selector 'uot@3'"]),
    "a wrong setting": ([*SELECT, "-S", "insta@many"], ["insta@many"]),
    "no tasks of insta": ([*SELECT, "-S", "insta@0"], ["insta@0"]),
    "an unknown map of ila": (["select", "--pool", "pool.jsonl", "-o", "x.jsonl", "-B", "1", "-S", "ila@umap"],
                              ["ila@umap"]),
    "no such embedder": ([*SELECT, "--model", "nothing-like-it"], ["nothing-like-it"]),
    "a file as model": ([*SELECT, "-R", "rds", "--model", "./pool.jsonl"], ["pool.jsonl"]),
    "the subset over the pool": ([*SELECT, "-o", "pool.jsonl"], ["would replace", "pool.jsonl", "--output"]),
    "the subset over the queries": ([*SELECT, "-o", "task.jsonl"], ["would replace", "task.jsonl"]),
    "the report over the subset": ([*SELECT, "-o", "subset.html"], ["subset.html", "--output", ".jsonl"]),
    "the table over the subset": ([*SELECT, "-o", "subset.csv"], ["subset.csv", "--output", ".jsonl"]),
    "the table over the pool": (["select", "--pool", "own.csv", "-o", "own.jsonl", "-S", "random", "-B", "1"],
                                ["would replace", "own.csv"]),
    "the subset into a folder": ([*SELECT, "-o", "folder.yaml"], ["folder.yaml", "folder"]),
    "the subset below a file": ([*SELECT, "-o", "task.jsonl/x.jsonl"], ["task.jsonl", "--output"]),
    "a very long name": ([*SELECT, "-o", "x" * 300 + ".jsonl"], ["name", "long"]),
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "pool.jsonl").write_text(GOOD * 3, encoding="utf-8")
    (tmp_path / "own.csv").write_text(GOOD * 3, encoding="utf-8")
    (tmp_path / "task.jsonl").write_text('{"prompt": "Add 2 and 2.", "label": "4"}\n', encoding="utf-8")
    (tmp_path / "folder.yaml").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", LINES)
def test_command_lines(name: str, tis, desk: Path) -> None:
    words, told = LINES[name]
    before = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()}
    is_one_paragraph(tis(*words), *told)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("budget", ["100", "601"])
def test_a_grid_with_a_budget_that_no_bin_or_pool_has(budget: str, tis, tmp_path: Path) -> None:
    text = SMOKE.replace("[10, 20]", f"[10, {budget}]").replace("bin_budget: 10", f"bin_budget: {budget}")
    (tmp_path / "own.yaml").write_text(text.replace("600", "100"), encoding="utf-8")
    grid, place = ("budgets", "pool of 100") if budget == "601" else ("quantiles", "bin of 10")
    is_one_paragraph(tis("grid", grid, "-P", "own.yaml"), f"Budget {budget}", place, "raise pool_size")


def test_a_file_that_may_not_be_read(tis, desk: Path) -> None:
    for name in ("pool.jsonl", "own.yaml"):
        (desk / name).write_text(SMOKE, encoding="utf-8")
        (desk / name).chmod(0)
    try:
        (desk / "pool.jsonl").read_bytes()
    except PermissionError:
        is_one_paragraph(tis(*SELECT), "pool.jsonl", "permission")
        is_one_paragraph(tis("doctor", "-P", "own.yaml"), "own.yaml", "permission")
    else:
        pytest.skip("this user may read every file")


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_file_that_cannot_be_opened(error: OSError, tis, desk: Path, monkeypatch) -> None:
    """The same for users who may read everything: the system's refusal is made up."""
    (desk / "own.yaml").write_text(SMOKE, encoding="utf-8")
    opened = Path.open

    def refused(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name in ("pool.jsonl", "own.yaml"):
            raise error
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refused)
    is_one_paragraph(tis(*SELECT), "pool.jsonl", str(error.strerror), "permissions")
    is_one_paragraph(tis("doctor", "-P", "own.yaml"), "own.yaml", str(error.strerror), "permissions")


def test_a_cache_that_is_a_file(tis, desk: Path, monkeypatch) -> None:
    monkeypatch.setenv("TIS_CACHE", str(desk / "own.csv"))
    is_one_paragraph(tis(*SELECT, "-S", "random"), "own.csv", "TIS_CACHE")


# --- matrices ---------------------------------------------------------------------------------------

S = np.array([[0.9, 0.8, 0.1, 0.0], [0.7, 0.2, 0.6, 0.0]])
UNIT = np.eye(4)


def with_(value: Any, matrix: np.ndarray = S) -> np.ndarray:
    changed = matrix.copy()
    changed[1, 2] = value
    return changed


def pick(matrix: Any, budget: Any = 2, name: str = "round_robin", **options: Any) -> Callable[[], Any]:
    return lambda: tis_utils.select(name, matrix, budget, **options)


MATRICES: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "ragged features": (lambda: similarity([[1.0, 0.0], [1.0]], UNIT[:, :2]), ["rows differ in length", "same number"]),
    "NaN": (pick(with_(np.nan)), ["1 NaN", "row 1", "column 2", "compute it again"]),
    "infinity": (pick(with_(-np.inf)), ["infinite", "row 1", "column 2"]),
    "empty": (pick(np.empty((0, 4))), ["empty", "(0, 4)"]),
    "no candidates": (pick(np.empty((3, 0))), ["empty", "(3, 0)"]),
    "ragged": (pick([[1.0, 2.0], [3.0]]), ["matrix of real numbers"]),
    "a vector": (pick(S[0]), ["must be a matrix", "(4,)"]),
    "a cube": (pick(S[None]), ["must be a matrix", "(1, 2, 4)"]),
    "a number": (pick(0.5), ["must be a matrix", "()"]),
    "complex": (pick(S + 1j), ["real numbers", "complex128"]),
    "objects": (pick(S.astype(object)), ["real numbers", "object"]),
    "texts": (pick(S.astype(str)), ["real numbers"]),
    "dates": (pick(S.astype("datetime64[s]")), ["real numbers", "datetime64"]),
    "None": (pick(None), ["must be a matrix"]),
    "unknown selector": (pick(S, name="best"), ["selector 'best'", "uot"]),
    "unknown option": (pick(S, temperature=2), ["round_robin has no option temperature", "none"]),
    "budget 0": (pick(S, 0), ["budget must be a positive whole number", "0"]),
    "negative budget": (pick(S, -3), ["positive whole number", "-3"]),
    "half a budget": (pick(S, 2.5), ["positive whole number", "2.5"]),
    "a budget that is true": (pick(S, True), ["positive whole number", "True"]),
    "a budget in words": (pick(S, "two"), ["positive whole number", "'two'"]),
    "a budget that is NaN": (pick(S, np.nan), ["positive whole number", "nan"]),
    "negative seed": (pick(S, name="random", seed=-1), ["seed", "-1"]),
    "half a seed": (pick(S, name="random", seed=0.5), ["seed", "0.5"]),
    "features missing": (pick(S, name="knn_kde"), ["knn_kde", "candidates=(N, D)"]),
    "features of other candidates": (pick(S, candidates=UNIT[:3]), ["(3, 4)", "4 candidates"]),
    "features that are one row": (pick(S, candidates=UNIT[0]), ["(4,)", "(4, D)"]),
    "complex features": (pick(S, name="knn_kde", candidates=UNIT + 0j), ["complex128"]),
    "features that are NaN": (pick(S, name="knn_kde", candidates=np.nan * UNIT), ["NaN", "row 0"]),
    "whole order of a partial method": (pick(S, None, "knn_uniform"), ["knn_uniform", "budget=4"]),
    "queries not normalised": (lambda: similarity(2 * UNIT, UNIT), ["Row 0 of the queries has length 2"]),
    "candidates not normalised": (lambda: similarity(UNIT, with_(3, UNIT)), ["Row 1 of the candidates", "norm"]),
    "other columns": (lambda: similarity(UNIT, UNIT[:, :3]), ["4 columns", "3"]),
    "NaN in the queries": (lambda: similarity(with_(np.nan, UNIT), UNIT), ["Queries hold NaN", "row 1"]),
    "no rows": (lambda: similarity(UNIT[:0], UNIT), ["at least one row", "(0, 4)"]),
    "wrong room for the result": (lambda: similarity(UNIT, UNIT, out=np.empty((4, 4))), ["float64", "float32"]),
    "W1 of nothing": (lambda: w1(UNIT[:0], UNIT), ["at least one row"]),
    "W1 with NaN": (lambda: w1(with_(np.nan, UNIT), UNIT), ["NaN"]),
    "W1 in two spaces": (lambda: w1(UNIT, UNIT[:, :2]), ["4 and 2 columns"]),
    "W1 of complex points": (lambda: w1(UNIT + 0j, UNIT), ["complex128"]),
    "a bound without a regulariser": (lambda: RidgeSetting(1.0, 1.0, 0.0), ["mu is 0.0", "positive"]),
    "a bound with NaN": (lambda: RidgeSetting(np.nan, 1.0, 1.0), ["x_max is nan", "positive"]),
    "a bound of data outside": (lambda: RidgeSetting(1.0, 1.0, 1.0).check(5 * UNIT, np.ones(4)), ["4 examples"]),
    "a bound of data with NaN": (lambda: RidgeSetting.of(with_(np.nan, UNIT), np.ones(4), 1.0), ["x_max is nan"]),
    "a bound of no data": (lambda: RidgeSetting.of(UNIT[:0], np.ones(0), 1.0), ["no examples"]),
}  # fmt: skip

# options of the selectors: what is given, and the option that the message must name
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *(("knn_uniform", {"alpha": bad}) for bad in (0, 1, -0.1, np.nan, np.inf, "a", None, True)),
    *(("knn_uniform", {"C": bad}) for bad in (0, -1, np.nan, "a")),
    *(("knn_uniform", {"max_k": bad}) for bad in (0, -1, 2.5, "a", True)),
    *(("knn_uniform", {"distance": bad}) for bad in ("manhattan", None, 3)),
    *(("knn_kde", {"sigma": bad}) for bad in (0, -1, np.nan, np.inf, "a")),
    *(("knn_kde", {"kde_k": bad}) for bad in (0, -1, 2.5, "a")),
    *(("uot", {"reg": bad}) for bad in (0, -1, np.nan, np.inf, "a", None)),
    *(("uot", {"reg_m": bad}) for bad in (0, (1, 2, 3), (1, -1), (np.nan, 1), "ab", (0, 0), None)),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_options_of_selectors(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        tis_utils.select(name, S, 2, candidates=UNIT, **options)
    is_one_paragraph(Told(2, f"tis: {caught.value}"), *options)


@pytest.mark.parametrize("name", MATRICES)
def test_matrices(name: str) -> None:
    call, words = MATRICES[name]
    with pytest.raises(InputError) as caught:
        call()
    is_one_paragraph(Told(2, f"tis: {caught.value}"), *words)


def test_features_need_not_be_normalised_for_knn_kde() -> None:
    """It looks at directions; lengths play no part."""
    told = [pick(S, name="knn_kde", candidates=scale * UNIT)().tolist() for scale in (1.0, 3.0)]
    assert told[0] == told[1]


# --- debugging, and a process of its own ------------------------------------------------------------


def process(*words: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from tis_utils.cli import main; main()", *words]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TIS_CACHE": str(folder / "cache"), **variables}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env=environment,
        cwd=folder,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["doctor", "-P", "huge"], "no profile 'huge'"),
        (["grid", "budgets", "-P", "folder.yaml", "--dry-run"], "folder.yaml is a folder"),
        (["run", "00", "-p", "budgets"], "no value"),
        (["book", "-P", "smoke", "--into", "pool.jsonl"], "pool.jsonl is a file"),
    ],
)
def test_a_process_of_its_own(words: list[str], told: str, desk: Path) -> None:
    done = process(*words, folder=desk)
    is_one_paragraph(Told(done.returncode, done.stderr), told)
    assert done.stdout == ""


def test_words_that_are_not_text_in_an_ascii_world(desk: Path) -> None:
    """Python turns bytes that it cannot read into half surrogates, which cannot be printed."""
    done = process("doctor", "-P", "h\udcffge", folder=desk, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    is_one_paragraph(Told(done.returncode, done.stderr), "no profile")


def test_debug_shows_the_traceback(tis, desk: Path, monkeypatch) -> None:
    with pytest.raises(InputError):
        tis("--debug", "doctor", "-P", "huge")
    assert "Traceback" not in tis("doctor", "-P", "huge").text


def test_what_nobody_foresaw_is_one_paragraph_too(tis, desk: Path, monkeypatch) -> None:
    from tis_utils.book import doctor as health

    monkeypatch.setattr(health, "examine", lambda profile: {}[profile])
    told = tis("doctor")
    assert told.code == 1
    assert "Traceback" not in told.text
    assert told.text.count("\n") == 1
    for word in (UNFORESEEN, "KeyError: 'classroom'", "--debug"):
        assert word in told.text
    with pytest.raises(KeyError):
        tis("--debug", "doctor")
