"""The way out of Jupyter Book: plain Sphinx has the same configuration and makes the same pages."""

from __future__ import annotations

import os
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from jupyter_book.config import get_final_config

from tis_utils import paths

LATEX = {"jupyter_book", "sphinx_jupyterbook_latex"}  # what only Jupyter Book's own PDF needs


def in_any_order(value: Any) -> Any:
    return sorted(set(value)) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


def test_both_read_the_same_configuration() -> None:
    """Every value of conf.py is what Jupyter Book makes of _config.yml."""
    options = {"latex_individualpages": False}
    theirs, _ = get_final_config(user_yaml=paths.BOOK / "_config.yml", cli_config=options, sourcedir=paths.BOOK)
    ours = runpy.run_path(str(paths.BOOK / "conf.py"))
    theirs["extensions"] = [name for name in theirs["extensions"] if name not in LATEX]
    theme, full = ours.pop("html_theme_options"), theirs.pop("html_theme_options")
    assert theme.pop("launch_buttons").items() <= full.pop("launch_buttons").items()
    assert {name: full.get(name) for name in theme} == theme
    assert set(ours.pop("exclude_patterns")) <= set(theirs.pop("exclude_patterns"))
    shared = sorted(set(ours) & set(theirs))
    assert {name: in_any_order(ours[name]) for name in shared} == {name: in_any_order(theirs[name]) for name in shared}
    assert {"extensions", "html_js_files", "html_theme", "nb_execution_mode", "numfig"} <= set(shared)


# --- the pages -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rendered(site: Path) -> Path:
    """What `make sphinx` made of the same sources; `make test` has it made here, while notebooks run beside it."""
    folder = site.parent / "sphinx"
    if os.environ.get("TIS_BOOK"):
        command = ["make", "--no-print-directory", "sphinx-pages", f"PAGES={site.parents[1]}"]
        done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    elif not (folder / "index.html").is_file():
        pytest.skip(f"{folder} has no pages: `make sphinx` makes them")
    return folder


def outline(page: Path) -> dict[str, list[str]]:
    """Headings, figures, captions and cells of a page, in order."""
    article = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select_one("article.bd-article")
    assert article is not None, page
    return {
        "headings": [h.get_text() for h in article.select("h1, h2, h3, h4")],
        "figures": [image.get("alt", "") for image in article.select("figure img")],
        "interactive": [figure.get("aria-label", "") for figure in article.select("figure.tis-plotly")],
        "captions": [caption.get_text() for caption in article.select("figcaption")],
        "cells": [" ".join(cell["class"]) for cell in article.select("div.cell")],
        "tables": [table.get_text(" ", strip=True) for table in article.select("table")],
        "formulas": ["".join(formula.get_text().split()) for formula in article.select(".math")],
    }


@pytest.mark.browser
@pytest.mark.parametrize("chapter", ["03_selectors", "05_bounds", "10_published_results"])
def test_chapters_are_the_same(site: Path, rendered: Path, chapter: str) -> None:
    """Code, formulas and many figures."""
    theirs, ours = (outline(folder / "chapters" / f"{chapter}.html") for folder in (site, rendered))
    assert len(theirs["headings"]) > 10
    assert len(theirs["figures"]) > 5
    assert ours == theirs


@pytest.mark.browser
def test_both_have_the_same_pages(site: Path, rendered: Path) -> None:
    linked = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser").select("nav.bd-links a")
    wanted = {str(link["href"]) for link in linked} - {"#"}
    assert len(wanted) > 20
    assert {name for name in wanted if not (rendered / name).is_file()} == set()


@pytest.mark.browser
def test_its_pages_are_quiet(rendered: Path, browser, open_page) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    visit = open_page(page, str(rendered.resolve() / "chapters" / "03_selectors.html"))
    assert visit.console == []
    assert page.locator("mjx-container svg").count() > 50
    page.close()
