"""Sphinx extension for teachers: table of needs and exercises, slides and figure pack beside the pages.

``{tis-needs}``, ``{tis-exercises}`` and ``{tis-expected}`` stand on the page for teachers. When the pages are done,
``_static/slides`` gets a page for each plan of ``slides/slides.yaml``, and ``_static/figures.zip`` all figures.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from tis_utils import Study, label, load_profile
from tis_utils.book.executed import Cells, exercises, figure_pack, minutes, needs, read_cells
from tis_utils.book.slides import deck, plans, read_slides
from tis_utils.experiments import NONE, grid

BUDGET = 50  # of the assignment


WIDTH, HEIGHT, COLUMN, ROW = 112, 56, 150, 68  # of a box of the map, and from box to box, px


def built(env: BuildEnvironment) -> dict[str, Cells]:
    """The executed chapters by name; the page is written again when one changes."""
    paths = sorted(Path(env.srcdir, "chapters").glob("*.ipynb"))
    for path in paths:
        env.note_dependency(str(path))
    return {path.stem: read_cells(path) for path in paths}


class Needs(SphinxDirective):
    """``{tis-needs}``: a map of the chapters, each to the right of those it needs."""

    def run(self) -> list[nodes.Node]:
        """Draw."""
        before = {name: needs(cells) for name, cells in built(self.env).items()}
        return [nodes.raw("", needs_map(before), format="html")]


def needs_map(before: dict[str, list[str]]) -> str:
    """An SVG of boxes and lines, from the chapters that each one needs."""
    columns: dict[str, int] = {}
    while missing := [name for name in before if name not in columns]:
        ready = [name for name in missing if all(other in columns for other in before[name])]
        if not ready:
            raise ExtensionError(f"Chapters that need each other, or one that is not there: {', '.join(missing)}.")
        columns |= {name: 1 + max((columns[other] for other in before[name]), default=-1) for name in ready}
    places = {}
    for column in range(1 + max(columns.values())):
        for row, name in enumerate(name for name in columns if columns[name] == column):
            places[name] = (column * COLUMN + 4, row * ROW + 4)
    lines, boxes = [], []
    for name, (x, y) in places.items():
        for other in before[name]:
            u, v = places[other][0] + WIDTH, places[other][1] + HEIGHT / 2
            lines.append(f'<path d="M {u} {v} C {u + 20} {v}, {x - 20} {y + HEIGHT / 2}, {x} {y + HEIGHT / 2}"/>')
        words = [name[:2], *name[3:].replace("_", " ").split(" ", 1)]
        texts = (f'<text x="{x + WIDTH / 2}" y="{y + 17 + 16 * i}">{word}</text>' for i, word in enumerate(words))
        box = f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        boxes.append(f'<a href="chapters/{name}.html">{box}{"".join(texts)}</a>')
    width, height = (max(place[i] for place in places.values()) for i in (0, 1))
    return (
        f'<div class="tis-needs"><svg role="group" aria-label="Map of the chapters; the table below says the same" '
        f'width="{width + WIDTH + 4}" viewBox="0 0 {width + WIDTH + 4} {height + HEIGHT + 4}">'
        f"<g>{''.join(lines)}</g>{''.join(boxes)}</svg></div>"
    )


class Exercises(SphinxDirective):
    """``{tis-exercises}``: what each chapter needs, minutes to read, level and minutes of its exercises."""

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown and let the parser read it."""
        lines = [
            "| Chapter | Needs | Minutes to read | Exercises (level) and their minutes |",
            "| :-- | :-- | --: | :-- |",
        ]
        for name, cells in built(self.env).items():
            before = ", ".join(f"[{other[:2]}](chapters/{other})" for other in needs(cells)) or "–"
            tasks = "; ".join(
                f"{number} {title} ({level}, {time} min)" for number, title, level, time in exercises(cells)
            )
            lines.append(f"| [](chapters/{name}) | {before} | {minutes(cells)} min | {tasks} |")
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
    source, static = Path(app.srcdir, "slides"), Path(app.outdir, "_static")
    slides = read_slides(source / "slides.yaml")
    # Not from book/_static: Jupyter Book loads every script and style sheet there into every page.
    shutil.copytree(source, static / "slides", ignore=shutil.ignore_patterns("*.yaml"), dirs_exist_ok=True)
    for plan in plans(slides):
        (static / "slides" / f"{plan}-minutes.html").write_text(deck(slides, plan, chapters), encoding="utf-8")
    (static / "figures.zip").write_bytes(figure_pack(chapters))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("tis-needs", Needs)
    app.add_directive("tis-exercises", Exercises)
    app.add_directive("tis-expected", Expected)
    app.connect("build-finished", write_kit)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
