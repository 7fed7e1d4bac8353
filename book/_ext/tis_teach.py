"""Sphinx extension for teachers: table of needs and exercises, slides and figure pack beside the pages.

``{tis-exercises}`` takes the names of chapters, one a line. When the pages are done, ``_static/slides`` gets a page for each
plan of ``slides.yaml``, and ``_static/figures.zip`` all figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tis_utils.book.executed import exercises, figure_pack, minutes, needs, read_cells
from tis_utils.book.slides import deck, plans, read_slides


class Exercises(SphinxDirective):
    """``{tis-exercises}``: what each chapter needs, minutes to read, level and minutes of its exercises."""

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown and let the parser read it."""
        lines = ["| Chapter | Needs | To read | Exercises: level, minutes |", "| :-- | :-- | --: | :-- |"]
        for path in sorted(Path(self.env.srcdir, "chapters").glob("*.ipynb")):
            self.env.note_dependency(str(path))
            cells = read_cells(path)
            before = ", ".join(f"[{name[:2]}](chapters/{name})" for name in needs(cells)) or "–"
            tasks = "; ".join(f"{number} {title}: {level}, {time}" for number, title, level, time in exercises(cells))
            lines.append(f"| [](chapters/{path.stem}) | {before} | {minutes(cells)} | {tasks} |")
        holder = nodes.container(classes=["tis-exercises"])
        self.state.nested_parse(StringList(lines, self.env.docname), self.content_offset, holder)
        return [holder]


def write_kit(app: Sphinx, error: Exception | None) -> None:
    """Slides and figure pack, from the chapters that the pages were made of."""
    if error is not None or app.builder.format != "html":
        return
    chapters = {path.stem: read_cells(path) for path in sorted(Path(app.srcdir, "chapters").glob("*.ipynb"))}
    static = Path(app.outdir, "_static")
    slides = read_slides(Path(app.srcdir, "slides.yaml"))
    (static / "slides").mkdir(parents=True, exist_ok=True)
    for plan in plans(slides):
        (static / "slides" / f"{plan}-minutes.html").write_text(deck(slides, plan, chapters), encoding="utf-8")
    (static / "figures.zip").write_bytes(figure_pack(chapters))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("tis-exercises", Exercises)
    app.connect("build-finished", write_kit)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
