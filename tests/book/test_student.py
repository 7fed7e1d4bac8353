"""Copies for a class: nothing that answers a question is in the student's, everything else is in both, and both run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode
from typer.testing import CliRunner

from tis_utils import cli
from tis_utils.book.execute import execute
from tis_utils.book.parameters import chapters
from tis_utils.book.student import plain, write_copies

TEXT = """Before.

:::{exercise} 1.1 Count (level 1, 5 minutes)
:label: count
:nonumber:
How many?
:::

:::{solution} count
:class: dropdown
Seven.
:::

::::{admonition} Is it so?
:class: tis-quiz

1. Yes
2. No

:::{dropdown} Answer
1. **Right.** It is.
2. It is not.
:::
::::

:::{dropdown} Why at all?
Because.
:::

After.
"""


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    written = write_copies(chapters(), folder)
    assert len(written) == 2 * len(chapters())
    return folder


def text_of(path: Path, kind: str) -> str:
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind)


def test_a_student_reads_the_questions_and_a_teacher_the_answers_too():
    student, teacher = plain(TEXT, solved=False), plain(TEXT, solved=True)
    for shown in ("Before.", "### Exercise 1.1 Count", "How many?", "**Is it so?**", "1. Yes", "Why at all?", "After."):
        assert shown in student
        assert shown in teacher
    for hidden in ("Seven.", "It is.", "It is not.", "Because.", "Right"):
        assert hidden not in student
        assert hidden in teacher
    assert "\n:" not in student + teacher


@given(st.lists(st.sampled_from(["text", "- item", "", "$a:b$", ": not an option", "| a | b |"]), max_size=8))
def test_what_is_no_directive_stays_as_it_is(lines):
    text = "\n".join(lines)
    assert plain(text, solved=True) == plain(text, solved=False) == text


def code(cells: list[NotebookNode]) -> list[tuple[str, list[str]]]:
    """Sources and tags, but for those that fold a cell."""
    shown = [(c.source, c.metadata.get("tags", [])) for c in cells if c.cell_type == "code"]
    return [(source, [tag for tag in tags if not tag.startswith("hide-")]) for source, tags in shown]


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_no_solution_is_in_a_students_copy(copies: Path, path: Path):
    student, teacher = copies / path.name, copies / "solutions" / path.name
    for copy in (student, teacher):
        assert not re.search(r"^:{3,}", text_of(copy, "markdown"), re.MULTILINE)  # raw text in plain Jupyter
        nbformat.validate(nbformat.read(copy, as_version=4))
    assert "# Solution" not in text_of(student, "code")
    assert "**Right.**" not in text_of(student, "markdown")
    original = nbformat.read(path, as_version=4).cells
    assert code(nbformat.read(teacher, as_version=4).cells) == code(original)  # so it runs as the chapter does
    solved = sum(c.source.startswith("# Solution") for c in original)
    assert text_of(student, "code").count("# Your solution") == solved > 0


def test_nothing_that_stays_needs_a_name_from_a_solution(copies: Path):
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", str(copies)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_command_writes_both_and_not_among_the_chapters(tmp_path):
    done = CliRunner().invoke(cli.app, ["student", "04", "--into", str(tmp_path / "x")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "x" / "04_quantiles.ipynb").is_file()
    assert (tmp_path / "x" / "solutions" / "04_quantiles.ipynb").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["01_data", "15_add_your_method"])
def test_a_students_copy_runs(copies: Path, tmp_path, name: str):
    execute(copies / f"{name}.ipynb", tmp_path / "out.ipynb", {"profile": "smoke"})
