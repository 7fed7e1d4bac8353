"""The book as a whole: in which order things are done, and what a failed rendering says."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tis_utils import paths
from tis_utils.book import build
from tis_utils.errors import InputError, RunError


def test_fresh_books_run_all_grids_first_and_hide_stored_results(folder: Path, monkeypatch) -> None:
    done = []
    monkeypatch.setenv("TIS_FRESH", "")
    monkeypatch.setattr(build, "Store", lambda: SimpleNamespace(forget=lambda: done.append("forgotten")))
    monkeypatch.setattr(build, "recompute", lambda profile: done.append((profile.name, os.environ["TIS_FRESH"])))
    monkeypatch.setattr(build, "execute_all", lambda *args: done.append("chapters") or [])
    monkeypatch.setattr(build, "chapters", list)
    monkeypatch.setattr(build, "render", lambda folder: done.append("rendered"))
    build.build_book("smoke", folder=folder / "book", fresh=True)
    assert done == ["forgotten", ("smoke", "1"), "chapters", "rendered"]


def test_render_errors_show_the_renderers_words(folder: Path) -> None:
    (folder / "book").mkdir()
    with pytest.raises(RunError, match="could not be rendered"):
        build.render(folder / "book")


def test_a_copy_inside_the_book_would_copy_itself(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(paths, "BOOK", folder / "book")
    with pytest.raises(InputError, match="Choose a folder outside of book/"):
        build.build_book("smoke", folder=folder / "book" / "copy")


def test_chapters_of_another_name_are_forgotten(folder: Path, monkeypatch) -> None:
    """A renamed notebook leaves its executed copy behind, and the status page would list it."""
    executed = folder / "book" / "chapters"
    executed.mkdir(parents=True)
    for name in ("01_new.ipynb", "01_new.json", "01_old.ipynb", "01_old.json"):
        (executed / name).touch()
    monkeypatch.setattr(build, "chapters", list)
    monkeypatch.setattr(build, "_copy_pages", lambda folder: None)
    monkeypatch.setattr(build, "execute_all", lambda *args: [SimpleNamespace(notebook=Path("01_new.ipynb"))])
    monkeypatch.setattr(build, "render", lambda folder: None)
    build.build_book("smoke", folder=folder / "book")
    assert sorted(path.name for path in executed.iterdir()) == ["01_new.ipynb", "01_new.json"]
