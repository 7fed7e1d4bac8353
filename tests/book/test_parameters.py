"""What a notebook's parameters are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests_support import notebook
from tis_utils.book.parameters import (
    check_parameters,
    explain_parameters,
    find_notebook,
    inspect,
    parameters,
    read_grid,
    read_values,
)
from tis_utils.book.signature import NUMBER
from tis_utils.errors import InputError
from tis_utils.profiles import load_profile


def test_parameters_are_read_in_order(folder: Path) -> None:
    path = notebook(folder / "00_x.ipynb")
    assert parameters(path) == {"profile": "smoke", "budgets": None, "tasks": None, "word": "a"}


@pytest.mark.parametrize(
    "code",
    [
        "settings = load_profile(\n    profile, sweep_budgets=budgets\n)",
        'own = {"budgets": budgets, "sweep_budgets": budgets}\nsettings = load_profile(profile, **own)',
    ],
)
def test_parameters_are_explained_with_their_values_under_a_profile(folder: Path, code: str) -> None:
    path = notebook(folder / "00_x.ipynb", code)
    book = nbformat.read(path, as_version=4)
    book.cells[1].source = 'profile = "smoke"  # how large\nbudgets = None  # how many\nword = "a"'
    nbformat.write(book, path)
    settings = load_profile("classroom")
    assert explain_parameters(path, "classroom") == [
        "profile = 'classroom'   # how large",
        f"budgets = {','.join(map(str, settings.sweep_budgets))}   # how many",
        'word = "a"',
    ]


def test_a_notebook_without_parameters_cell_has_none_and_says_how_to_have_some(folder: Path) -> None:
    path = notebook(folder / "00_x.ipynb", tags=("other",))
    assert parameters(path) == {}
    check_parameters(path, {})
    with pytest.raises(InputError, match="no parameter 'x'; it has none: tag a cell"):
        check_parameters(path, {"x": 1})


def foreign(path: Path, source: str, **metadata: object) -> Path:
    """A notebook as other programs leave it: no kernel, no ids, an older version of the format."""
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source, "outputs": []}
    use = {"cell_type": "code", "metadata": {}, "source": "print(x)", "outputs": [], "execution_count": None}
    cell["execution_count"] = None
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": [cell, use]}))
    return path


def test_everything_that_the_parameters_cell_assigns_is_a_parameter_with_its_type(folder: Path) -> None:
    source = """%matplotlib inline
from pathlib import Path
a, (b, c) = 1, ("x", [0.5])  # three
d: float = None  # how fast
e = None  # type: list[int] how many
f: "Optional[str]" = None
g = Path("x")
h = {
    "a": 1,
}  # several lines
i = j = True
k: Literal["u", "v"] = "u"
l: int = 3"""
    known = inspect(foreign(folder / "x.ipynb", source))
    assert {name: about.type for name, about in known.items()} == {
        "a": NUMBER, "b": str, "c": list[float], "d": float, "e": list[int], "f": str, "g": Any, "h": dict, "i": bool,
        "j": bool, "k": str, "l": int,
    }  # fmt: skip
    assert [known[name].help for name in "adeh"] == ["three", "how fast", "how many", "several lines"]
    assert (known["c"].default, known["g"].default, known["g"].written) == ([0.5], None, 'Path("x")')


def test_values_are_read_by_type_from_pairs_files_and_raw_texts(folder: Path) -> None:
    path = foreign(folder / "x.ipynb", 'rate = 0.1\nsizes = [1]\nword = ""\npool = None\ncount = 1')
    (folder / "a, b.jsonl").touch()
    (folder / "own.yaml").write_text("rate: 2e-5\ncount: 7")
    pairs = ["rate=1e-5", "sizes=40", "word=no", "pool=a, b.jsonl"]
    assert read_values(path, pairs, [], folder / "own.yaml", folder) == {
        "rate": 1e-5, "count": 7, "sizes": [40], "word": "no", "pool": str(folder / "a, b.jsonl"),
    }  # fmt: skip
    assert read_values(path, [], ["pool=a, b.jsonl", "sizes=1,2"], None, folder) == {
        "pool": "a, b.jsonl",
        "sizes": "1,2",
    }
    assert read_grid(path, ["pool=a, b.jsonl", "sizes=1,2", "rate=1e-5,1"], folder) == {
        "pool": [str(folder / "a, b.jsonl")], "sizes": [[1], [2]], "rate": [1e-5, 1.0],
    }  # fmt: skip
    with pytest.raises(InputError, match="Parameter count: the notebook has a number here, and 'many' is none"):
        read_values(path, ["count=many"])
    with pytest.raises(InputError, match="rate is given by -p and by -r"):
        read_values(path, ["rate=1"], ["rate=1"])


def test_parameters_of_a_foreign_notebook_are_its_own(folder: Path) -> None:
    path = foreign(folder / "x.ipynb", 'profile = "me@home"\nseeds = "abc"\nmodel = None')
    check_parameters(path, {"seeds": "x", "model": 3, "profile": "you"})
    assert explain_parameters(path, None) == ['profile = "me@home"', 'seeds = "abc"', "model = None"]
    other = foreign(folder / "r.ipynb", "x <- 1", kernelspec={"language": "R"})
    with pytest.raises(InputError, match="a notebook in R"):
        parameters(other)


@pytest.mark.parametrize("text", ["not json", "{}", "[]", '{"nbformat": 4, "metadata": [], "cells": {}}'])
def test_a_file_that_is_no_notebook_is_refused(folder: Path, text: str) -> None:
    (folder / "x.ipynb").write_text(text, encoding="utf-8")
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
