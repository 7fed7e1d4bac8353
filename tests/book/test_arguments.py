"""Parameters on the command line, read and written."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tis_utils.book.arguments import (
    from_here,
    join_pairs,
    parse_value,
    parse_values,
    read_each,
    read_file,
    run_line,
    typed,
)
from tis_utils.book.signature import NUMBER
from tis_utils.errors import InputError


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        (["run", "00", "-p", "a", "1"], ["run", "00", "-p", "a=1"]),
        (["run", "-p", "a", "-5", "-p", "b=2", "00"], ["run", "-p", "a=-5", "-p", "b=2", "00"]),
        (["run", "--parameter", "a", "x y", "-P", "smoke"], ["run", "--parameter", "a=x y", "-P", "smoke"]),
        (["run", "-r", "a", "b=c"], ["run", "-r", "a=b=c"]),
        (["run", "-p"], ["run", "-p"]),
        (["run", "-p", "a"], ["run", "-p", "a"]),
    ],
)
def test_parameters_are_given_as_name_and_value(words: list[str], joined: list[str]) -> None:
    assert join_pairs(words) == joined


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("0.5", 0.5), ("words", "words"), ("50,100", [50, 100]), ("a,b", ["a", "b"]),
        ("[1, 2]", [1, 2]), ("[20]", [20]), ("null", None), ("None", None), ("true", True), ("-5", -5),
        ("1e-3", 0.001), ("1e-6,2e-5", [1e-6, 2e-5]), ("a: [", "a: ["), ("x,'", ["x", "'"]),
        ("it's, fine", ["it's", "fine"]),
        ("yes,no", ["yes", "no"]), ("no", "no"), ("010", "010"), ("12:30", "12:30"), ("2024-01-05", "2024-01-05"),
        ('"1"', "1"), ('"a,b",c', ["a,b", "c"]), ("a: b", "a: b"), ("&a b", "&a b"), ("{a: 1e-5}", {"a": 1e-5}),
        ("", ""),
    ],
)  # fmt: skip
def test_values_of_which_no_type_is_known(text: str, value: object) -> None:
    read = parse_value(text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1e-5", float, 1e-5), ("2", float, 2.0), ("010", NUMBER, 10), ("1e3", NUMBER, 1000), ("2.5", NUMBER, 2.5),
        ("40", list[NUMBER], [40]), ("40,80", list[NUMBER], [40, 80]), ("[40]", list[NUMBER], [40]),
        ("", list[str], []), ("no,010", list[str], ["no", "010"]),
        ("[1,2],[3]", list[list[NUMBER]], [[1, 2], [3]]), ("None", list[str], None),
        ("Hello, world", str, "Hello, world"), ('"Hello, world"', str, "Hello, world"), ("no", str, "no"),
        ("3", str, "3"), ("[a]", str, "[a]"), ("'it''s'", str, "it's"), ('"a" and "b"', str, '"a" and "b"'),
        ('"None"', str, "None"), ("None", str, None), ("no", bool, False), ("Yes", bool, True),
        ('{"a": "1"}', dict, {"a": "1"}),
    ],
)  # fmt: skip
def test_values_are_read_by_the_type_of_the_default(text: str, kind: object, value: object) -> None:
    read = parse_value(text, kind)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        ("2.5", int, "a whole number"), ("a", float, "a number"), ("1,5", float, "a number"),
        ("[1]", NUMBER, "a number"),
        ("maybe", bool, "yes or no"), ("a", dict, "a mapping"), ("1,b", list[NUMBER], "a number"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(text: str, kind: object, what: str) -> None:
    with pytest.raises(InputError, match=f"the notebook has {what} here"):
        parse_value(text, kind)


def test_a_file_of_parameters_is_read_by_the_same_types(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text('rate: 1e-5\nsizes: 40\nday: 2024-01-05\nword: no\nid: "7"\nfree: [1, "1", null]\n')
    kinds = {"rate": float, "sizes": list[NUMBER], "day": str, "word": str}
    assert read_each(read_file(path), kinds, typed) == {
        "rate": 1e-5, "sizes": [40], "day": "2024-01-05", "word": "no", "id": "7", "free": [1, "1", None],
    }  # fmt: skip
    for text, message in (("- 1", "must hold lines"), ("a: [", "not valid YAML"), ("a: 1\na: 2", "'a' twice")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("50,100", [50, 100]),
        ("0", [0]),
        ("words,pick", ["words", "pick"]),
        ("[25,50],[100]", [[25, 50], [100]]),
        ("None,2.5e-1", [None, 0.25]),
        ("true, a b", [True, "a b"]),
        ("1e-5, it's", [1e-5, "it's"]),
    ],
)
def test_values_from_the_command_line(text: str, values: list[object]) -> None:
    assert parse_values(text) == values


@pytest.mark.parametrize("text", ["[1,2", "", "{"])
def test_values_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match=r"comma|at least one value"):
        parse_values(text)


@pytest.mark.parametrize(
    "value",
    [
        3, 0.01, 1e-5, "pairs", None, True, [20, 80], [20], ["words"], ["words", "pick"], [0.5, 1], [], "010", "true",
        "None", "a,b", "a b", '"x"', "it's", ["a: b, c"], ["a # b", "c"], [[1, 2], [3]], ["1", 1], {"a": [1, "1"]}, "",
        "&a",
    ],
)  # fmt: skip
def test_the_command_line_reads_back_what_the_page_ran_with(value: object) -> None:
    words = shlex.split(run_line("06_budgets", {"profile": "classroom", "x": value}))
    assert words[:6] == ["tis", "run", "06_budgets", "--profile", "classroom", "-p"]
    assert words[6] == "x"
    assert parse_value(words[7]) == value
    if isinstance(value, str):
        assert parse_value(words[7], str) == value


def test_what_lies_in_the_current_folder_is_found_from_everywhere(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my.yaml", "a,b #2.jsonl", "words", "models/own"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("my.yaml", "a,b #2.jsonl", "./words", "models/own"):
        assert from_here(name) == str(tmp_path / name)
        assert from_here({"x": [name]}, tmp_path) == {"x": [str(tmp_path / name)]}
    assert [from_here(text) for text in ("words", "0.5", "no/ne.jsonl", "x" * 999 + ".a", 3)] == [
        "words", "0.5", "no/ne.jsonl", "x" * 999 + ".a", 3,
    ]  # fmt: skip
