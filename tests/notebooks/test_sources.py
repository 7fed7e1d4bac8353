"""The committed notebooks are clean, parameterised and follow the chapter template."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tis_utils import driver, paths
from tis_utils.profiles import load_profile

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
PARTS = ("You will learn", "Before you start", "Predict, then run", "Caveats", "Exercises", "Quiz", "Take-away",
         "Try other parameters")  # fmt: skip


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> Path:
    return request.param


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


def test_no_outputs_are_committed(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs, "clear all outputs before committing"
            assert cell.execution_count is None


def test_one_parameters_cell_whose_defaults_are_a_valid_profile(notebook: Path) -> None:
    defaults = driver.parameters(notebook)
    assert defaults["profile"] == "classroom"
    driver.check_parameters(notebook, {})
    load_profile(defaults["profile"])


def test_the_kernel_names_its_language(notebook: Path) -> None:
    """Papermill cannot inject parameters without it."""
    kernel = nbformat.read(notebook, as_version=4).metadata["kernelspec"]
    assert (kernel["name"], kernel["language"]) == ("python3", "python")


def test_every_part_of_the_chapter_template_is_there_in_order(notebook: Path) -> None:
    text = "\n".join(
        c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "markdown"
    )
    places = [text.find(part) for part in PARTS]
    assert -1 not in places, f"missing: {[p for p, at in zip(PARTS, places, strict=True) if at < 0]}"
    assert places == sorted(places)
    assert text.count("{exercise}") >= 3
    assert f"tis run {notebook.stem}" in text


def test_some_outputs_are_compared_between_runs(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    assert any("nbval-check-output" in c.metadata.get("tags", []) for c in cells)


def test_every_chapter_is_in_the_table_of_contents(notebook: Path) -> None:
    assert f"chapters/{notebook.stem}" in (paths.BOOK / "_toc.yml").read_text(encoding="utf-8")
