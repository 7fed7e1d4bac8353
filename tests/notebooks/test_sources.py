"""The committed notebooks are clean, parameterised and follow the chapter template."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from tis_utils import paths
from tis_utils.book.parameters import check_parameters, parameters
from tis_utils.profiles import load_profile

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
PARTS = ("You will learn", "Before you start", "Predict, then run", "Caveats", "Exercises", "Quiz", "Take-away",
         "Try other parameters")  # fmt: skip

LONGEST, ALL_TOGETHER = 450, 5_500  # lines of code that are not blank

QUIZ = re.compile(
    r"^:{4}\{admonition\} ([^\n]+)\n:class: tis-quiz\n\n(.*?)\n\n:::\{dropdown\} Answer\n(.*?)\n:::\n:{4}$", re.M | re.S
)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> Path:
    return request.param


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


def code_lines(notebook: Path) -> int:
    cells = nbformat.read(notebook, as_version=4).cells
    return sum(bool(line.strip()) for c in cells if c.cell_type == "code" for line in c.source.splitlines())


def test_notebooks_stay_short() -> None:
    lines = {path.stem: code_lines(path) for path in NOTEBOOKS}
    assert {stem: n for stem, n in lines.items() if n > LONGEST} == {}
    assert sum(lines.values()) <= ALL_TOGETHER


def test_no_outputs_are_committed(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs, "clear all outputs before committing"
            assert cell.execution_count is None


def test_one_parameters_cell_whose_defaults_are_a_valid_profile(notebook: Path) -> None:
    defaults = parameters(notebook)
    assert defaults["profile"] == "classroom"
    cells = (
        cell for cell in nbformat.read(notebook, as_version=4).cells if "parameters" in cell.metadata.get("tags", [])
    )
    lines = ast.parse(next(cells).source).body
    assert len(lines) == len(defaults), "papermill reads no line with two equals signs"
    check_parameters(notebook, {})
    load_profile(defaults["profile"])


def test_the_kernel_names_its_language(notebook: Path) -> None:
    """Papermill cannot inject parameters without it."""
    kernel = nbformat.read(notebook, as_version=4).metadata["kernelspec"]
    assert (kernel["name"], kernel["language"]) == ("python3", "python")


def test_every_part_of_the_chapter_template_is_there_in_order(notebook: Path) -> None:
    text = prose(notebook)
    places = [text.find(part) for part in PARTS]
    assert -1 not in places, f"missing: {[p for p, at in zip(PARTS, places, strict=True) if at < 0]}"
    assert places == sorted(places)
    assert text.count("{exercise}") >= 3
    assert f"tis run {notebook.stem}" in text


def prose(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def numbered(block: str) -> list[str]:
    """Entries of a list `1. …` with one line each; a gap or a line of another kind fails."""
    lines = [line.partition(". ") for line in block.splitlines()]
    assert [number for number, _, _ in lines] == [str(i + 1) for i in range(len(lines))], block
    return [entry for _, _, entry in lines]


def test_every_quiz_has_one_right_option_and_explains_each(notebook: Path) -> None:
    text = prose(notebook)
    quizzes = QUIZ.findall(text)
    assert len(quizzes) >= 2
    assert len(quizzes) == text.count("tis-quiz"), "a quiz is not in the form of CONTRIBUTING.md"
    places = [match.start() for match in QUIZ.finditer(text)]
    assert text.index("## Quiz") < places[0]
    assert places[-1] < text.index("## Take-away")
    for question, options, reasons in quizzes:
        assert 3 <= len(numbered(options)) <= 4, question
        assert len(set(numbered(options))) == len(numbered(options)), question
        explained = numbered(reasons)
        assert len(explained) == len(numbered(options)), question
        assert sum(reason.startswith("**Right.** ") for reason in explained) == 1, question
        assert all(len(reason.removeprefix("**Right.** ").split()) >= 4 for reason in explained), question
        assert len(set(explained)) == len(explained), question


def test_the_right_option_is_not_always_in_one_place(notebook: Path) -> None:
    reasons = [numbered(block) for _, _, block in QUIZ.findall(prose(notebook))]
    assert len({[r.startswith("**Right.**") for r in block].index(True) for block in reasons}) > 1


def test_some_outputs_are_compared_between_runs(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    assert any("nbval-check-output" in c.metadata.get("tags", []) for c in cells)


def test_every_chapter_is_in_the_table_of_contents(notebook: Path) -> None:
    assert f"chapters/{notebook.stem}" in (paths.BOOK / "_toc.yml").read_text(encoding="utf-8")


def test_cells_whose_outputs_are_compared_show_no_styled_tables(notebook: Path) -> None:
    """The HTML of a styled table holds a random identifier."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if "nbval-check-output" in cell.metadata.get("tags", []):
            assert ".style" not in cell.source, cell.source
