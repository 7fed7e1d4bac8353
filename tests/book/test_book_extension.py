"""The book's Sphinx extension: folded parameters, bundled scripts; and the configuration around it."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests_support import extension as load_extension

BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    return load_extension("tis_book")


def cell(*tags: str, **more: object) -> dict:
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": "budget = 50", "outputs": []} | more


def test_parameters_and_imports_are_one_fold(extension):
    imports = cell("hide-input", source=["import numpy\n", "import pandas"])
    shown = cell("hide-input", "finding", outputs=[{"data": {}}])
    notebook = {
        "cells": [{"cell_type": "markdown"}, cell("parameters"), cell("injected-parameters"), imports, shown, cell()]
    }
    before = copy.deepcopy(notebook)
    extension.fold_parameters(notebook)
    assert [notebook["cells"][i] for i in (0, 2, 3)] == [before["cells"][i] for i in (0, 4, 5)]
    fold = notebook["cells"][1]
    assert fold["metadata"]["tags"] == ["hide-input", "injected-parameters", "parameters"]
    assert fold["source"] == "budget = 50\n\n\nbudget = 50\n\n\nimport numpy\nimport pandas"
    assert "parameters" in fold["metadata"]["mystnb"]["code_prompt_show"]
    folded = copy.deepcopy(notebook)
    extension.fold_parameters(notebook)
    assert notebook == folded  # nothing left to do


def test_code_that_readers_should_see_is_not_folded(extension):
    for other in (cell(), cell("finding"), cell("hide-input", outputs=[{"data": {}}])):
        notebook = {"cells": [cell("parameters"), copy.deepcopy(other)]}
        extension.fold_parameters(notebook)
        assert notebook["cells"][1:] == [other]
    extension.fold_parameters({"cells": [cell()]})  # a page without parameters


def test_titles_of_exercises_have_no_bracket_of_their_own(extension):
    text = [":::{exercise} 1.2 Modify (a bit) (level 2, 10 minutes)\n", ":label: x\n"]
    notebook = {"cells": [{"cell_type": "markdown", "source": text}]}
    extension.name_levels(notebook)
    assert notebook["cells"][0]["source"] == ":::{exercise} 1.2 Modify (a bit), level 2, 10 minutes\n:label: x\n"


def test_solutions_say_what_they_are(extension):
    notebook = {"cells": [cell("hide-cell", source=["# Solution\n", "1 + 1"]), cell("hide-input")]}
    extension.name_solutions(notebook)
    assert notebook["cells"][0]["metadata"]["mystnb"]["code_prompt_show"] == "Show the solution"
    assert "mystnb" not in notebook["cells"][1]["metadata"]


def test_live_only_output_is_dropped_where_html_stands_beside_it(extension):
    live = "application/vnd.plotly.v1+json"
    outputs = [{"data": {live: {}, "text/html": "x"}}, {"data": {live: {}}}, {"name": "stdout", "text": "hi"}]
    notebook = {"cells": [cell(outputs=outputs)]}
    extension.drop_live_only(notebook)
    assert notebook["cells"][0]["outputs"] == [{"data": {"text/html": "x"}}, {"data": {live: {}}}, outputs[2]]


def test_bundled_scripts_are_there_and_mathjax_is_the_published_one(extension):
    assert extension.mathjax_file().stat().st_size > 2_000_000
    assert b"plotly.js" in extension.plotly_file().read_bytes()[:100]


def test_a_changed_mathjax_is_refused(extension, tmp_path, monkeypatch):
    other = tmp_path / "tex-svg-full.js"
    other.write_text("alert('not MathJax')")
    monkeypatch.setattr(extension, "_package_file", lambda *_: other)
    with pytest.raises(Exception, match="not the published MathJax"):
        extension.mathjax_file()


def test_configuration_names_no_other_machine():
    config = (BOOK / "_config.yml").read_text(encoding="utf-8")
    assert not re.search(r"https?://", config)
    settings = yaml.safe_load(config)
    assert settings["execute"]["execute_notebooks"] == "off"
    extensions = settings["sphinx"]["config"]["extensions"]
    assert not {"sphinx_thebe", "sphinx_comments"} & set(extensions)


def test_every_page_in_the_table_of_contents_exists_and_none_is_left_out():
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    listed = {toc["root"]} | {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]}
    assert {path.stem for path in BOOK.glob("*.md")} == {name for name in listed if "/" not in name}
    notebooks = {f"chapters/{path.stem}" for path in (BOOK.parent / "notebooks").glob("*.ipynb")}
    assert {name for name in listed if "/" in name} == notebooks


def test_every_cited_work_is_in_the_bibliography():
    known = set(re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.MULTILINE))
    sources = [*BOOK.glob("*.md"), *(BOOK.parent / "notebooks").glob("*.ipynb")]
    cited = {
        key.strip()
        for path in sources
        for keys in re.findall(r"\{cite:\w+\}`([^`]+)`", path.read_text(encoding="utf-8"))
        for key in keys.split(",")
    }
    assert cited <= known
