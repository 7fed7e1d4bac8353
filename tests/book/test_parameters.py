"""What a notebook's parameters are."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests_support import notebook
from tis_utils.book.parameters import explain_parameters, find_notebook, parameters
from tis_utils.errors import InputError
from tis_utils.profiles import load_profile


def test_parameters_are_read_in_order(folder: Path) -> None:
    path = notebook(folder / "00_x.ipynb")
    assert parameters(path) == {"profile": "smoke", "budgets": None, "tasks": None, "word": "a"}


def test_parameters_are_explained_with_their_values_under_a_profile(folder: Path) -> None:
    path = notebook(folder / "00_x.ipynb", "settings = load_profile(\n    profile, sweep_budgets=budgets\n)")
    book = nbformat.read(path, as_version=4)
    book.cells[1].source = 'profile = "smoke"  # how large\nbudgets = None  # how many\nword = "a"'
    nbformat.write(book, path)
    settings = load_profile("classroom")
    assert explain_parameters(path, "classroom") == [
        "profile = 'classroom'   # how large",
        f"budgets = {','.join(map(str, settings.sweep_budgets))}   # how many",
        "word = 'a'",
    ]


@pytest.mark.parametrize("tags", [(), ("other",)])
def test_a_notebook_without_parameters_cell_is_refused(folder: Path, tags: tuple[str, ...]) -> None:
    path = notebook(folder / "00_x.ipynb", tags=tags)
    with pytest.raises(InputError, match="0 cells tagged 'parameters', expected exactly one"):
        parameters(path)


def test_a_file_that_is_no_notebook_is_refused(folder: Path) -> None:
    (folder / "x.ipynb").write_text("not json", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read as a notebook"):
        parameters(folder / "x.ipynb")


def test_find_notebook_accepts_numbers_names_and_paths(folder: Path) -> None:
    path = notebook(folder / "33_letters.ipynb")
    for name in ("33", "33_letters", "33_letters.ipynb", "notebooks/33_letters.ipynb", str(path)):
        assert find_notebook(name) == path
    seventh = notebook(folder / "07_one.ipynb")
    assert find_notebook("7") == seventh
    with pytest.raises(InputError, match="no notebook '04'; known: 07_one, 33_letters"):
        find_notebook("04")
