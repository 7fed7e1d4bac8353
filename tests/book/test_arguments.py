"""Parameters on the command line, read and written."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tis_utils.book.arguments import from_here, join_pairs, parse_value, parse_values, run_line
from tis_utils.errors import InputError


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        (["run", "00", "-p", "a", "1"], ["run", "00", "-p", "a=1"]),
        (["run", "-p", "a", "-5", "-p", "b=2", "00"], ["run", "-p", "a=-5", "-p", "b=2", "00"]),
        (["run", "--parameter", "a", "x y", "-P", "smoke"], ["run", "--parameter", "a=x y", "-P", "smoke"]),
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
        ("[1, 2]", [1, 2]), ("null", None),
        ("None", None), ("true", True), ("-5", -5), ("1e-3", "1e-3"), ("a: [", "a: ["),
        ("x,'", "x,'"), ("yes,no", [True, False]),
    ],
)  # fmt: skip
def test_values_of_the_command_line(text: str, value: object) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("50,100", [50, 100]),
        ("0", [0]),
        ("words,pick", ["words", "pick"]),
        ("[25,50],[100]", [[25, 50], [100]]),
        ("None,2.5e-1", [None, 0.25]),
        ("true, a b", [True, "a b"]),
    ],
)
def test_values_from_the_command_line(text: str, values: list[object]) -> None:
    assert parse_values(text) == values


@pytest.mark.parametrize("text", ["[1,2", "", "{"])
def test_values_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match=r"comma|at least one value"):
        parse_values(text)


@pytest.mark.parametrize(
    "value", [3, 0.01, "pairs", None, True, [20, 80], [20], ["words"], ["words", "pick"], [0.5, 1], []]
)
def test_the_command_line_reads_back_what_the_page_ran_with(value: object) -> None:
    words = shlex.split(run_line("06_budgets", {"profile": "classroom", "x": value}))
    assert words[:6] == ["tis", "run", "06_budgets", "--profile", "classroom", "-p"]
    assert words[6] == "x"
    assert parse_value(words[7]) == value


def test_files_of_the_current_folder_are_found_by_notebooks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").touch()
    (tmp_path / "words").touch()
    assert from_here("my.yaml") == str(tmp_path / "my.yaml")
    assert [from_here(text) for text in ("words", "0.5", "none.jsonl")] == ["words", "0.5", "none.jsonl"]
