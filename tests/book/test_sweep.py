"""A notebook under a grid of parameters."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.book import execute
from tis_utils.book.sweep import INDEX, combinations, sweep
from tis_utils.errors import InputError


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=3), max_size=3))
def test_combinations_are_the_product_in_order(grid: dict[str, list[int]]) -> None:
    found = combinations(grid)
    assert [tuple(c.values()) for c in found] == list(product(*grid.values()))
    assert all(list(c) == list(grid) for c in found)


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    code = "profile = 'smoke'\nnumber = 1\nword = 'a'"
    cells = [
        nbformat.v4.new_code_cell(code, id="p", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(word * (6 // number))", id="work"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path / "00_x.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


@pytest.mark.slow
def test_every_combination_is_run_once_and_a_failure_is_a_row(notebook: Path, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "out"
    index = sweep(notebook, {"number": [2, 0], "word": ["x", "y"]}, folder, profile="smoke", jobs=2)
    assert index[["number", "word", "status"]].to_numpy().tolist() == [
        [2, "x", "ok"], [2, "y", "ok"], [0, "x", "failed"], [0, "y", "failed"],
    ]  # fmt: skip
    assert index["error"].str.contains("ZeroDivisionError").tolist() == [False, False, True, True]
    for row in index[:2].itertuples():
        executed = nbformat.read(folder / row.notebook, as_version=4)
        assert executed.cells[-1].outputs[0]["text"] == f"{row.word * 3}\n"
    stored = pd.read_csv(folder / INDEX, keep_default_na=False)
    assert stored["notebook"].tolist() == index["notebook"].tolist()
    monkeypatch.setattr(execute, "execute", lambda *a, **k: pytest.fail("executed again"))
    again = sweep(notebook, {"number": [2], "word": ["x", "y"]}, folder, profile="smoke")
    assert again["seconds"].tolist() == index["seconds"].tolist()[:2]


def test_a_wrong_parameter_stops_before_anything_runs(notebook: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no parameter 'wrd'.*Did you mean 'word'"):
        sweep(notebook, {"wrd": ["x"]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
