"""Sphinx extension for teachers: table of needs and exercises, slides and figure pack beside the pages.

``{tis-exercises}`` and ``{tis-expected}`` stand on the page for teachers. When the pages are done, ``_static/slides`` gets
a page for each plan of ``slides.yaml``, and ``_static/figures.zip`` all figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tis_utils import Study, label, load_profile
from tis_utils.book.executed import exercises, figure_pack, minutes, needs, read_cells
from tis_utils.book.slides import deck, plans, read_slides
from tis_utils.experiments import NONE, grid

BUDGET = 50  # of the assignment


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


class Expected(SphinxDirective):
    """``{tis-expected}``: what the assignment's answers are for the stored seeds of the classroom."""

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown and let the parser read it."""
        holder = nodes.container(classes=["tis-expected"])
        self.state.nested_parse(StringList(expected(), self.env.docname), self.content_offset, holder)
        return [holder]


def expected() -> list[str]:
    """Lines of a Markdown table: per task the best method by held-out loss, its loss and lead, from least to most."""
    settings = load_profile("classroom")
    names = [name for name in settings.representations if name != "lexical"]
    specs = grid(settings.tasks, [(name, "round_robin") for name in names], [BUDGET], settings.seeds)
    rows = Study(settings, compute=False).stored(specs).query("metric == 'test_loss' and budget == @BUDGET")
    lines = ["| Task | `best` | `loss`, by seed | `lead` in %, by seed |", "| :-- | :-- | :-- | :-- |"]
    for task, part in rows.groupby("task", sort=False):
        losses = part.pivot(index="representation", columns="seed", values="value")
        best = losses.mean(axis=1).idxmin()
        own, lead = losses.loc[best], 100 * (1 - losses.loc[best] / losses.loc[NONE])
        text = f"{lead.min():.0f} to {lead.max():.0f}".replace("-", "−")
        lines.append(f"| {task} | {label(best)} | {own.min():.2f} to {own.max():.2f} | {text} |")
    return lines


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
    app.add_directive("tis-expected", Expected)
    app.connect("build-finished", write_kit)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
