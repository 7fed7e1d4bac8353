"""Slides of the lecture plans: text from ``book/slides/slides.yaml``, figures and findings from executed chapters."""

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markdown_it import MarkdownIt

from tis_utils.book.executed import Cells, finding, page_figures
from tis_utils.errors import InputError

FIELDS = {"title", "text", "figure", "notes", "minutes", "finding"}


def read_slides(path: Path) -> list[dict[str, Any]]:
    """The slides in order, mappings of :data:`FIELDS`; ``minutes`` says in which plans one stands, for how long."""
    slides = yaml.safe_load(path.read_text(encoding="utf-8"))
    for number, slide in enumerate(slides, start=1):
        if unknown := set(slide) - FIELDS:
            raise InputError(f"{path.name}, slide {number}: unknown {', '.join(sorted(unknown))}; known: {FIELDS}.")
        if not {"title", "minutes", "notes"} <= set(slide):
            raise InputError(f"{path.name}, slide {number} needs a title, minutes and notes.")
    return slides


def plans(slides: list[dict[str, Any]]) -> list[int]:
    """The plans, by their length in minutes; an InputError if the slides of one take another time."""
    lengths = sorted({plan for slide in slides for plan in slide["minutes"]})
    for plan in lengths:
        if (total := sum(slide["minutes"].get(plan, 0) for slide in slides)) != plan:
            raise InputError(f"The slides of the plan of {plan} minutes take {total}.")
    return lengths


def deck(slides: list[dict[str, Any]], plan: int, chapters: Mapping[str, Cells]) -> str:
    """One self-contained page of slides; only reveal.js and the style sheet lie beside it."""
    start, pages = 0, []
    for slide in slides:
        if length := slide["minutes"].get(plan):
            clock = f"Minutes {start} to {start + length}."
            pages.append(_page(slide, clock, chapters))
            start += length
    environment = jinja2.Environment(autoescape=True, loader=jinja2.PackageLoader("tis_utils.book", ""))
    return environment.get_template("slides.html").render(minutes=plan, pages=pages)


def _page(slide: Mapping[str, Any], clock: str, chapters: Mapping[str, Cells]) -> tuple[str, str, str]:
    """HTML of a slide's title, body and notes; Markdown that holds tags is shown as it is written."""
    parts: dict[str, Callable[[str], str]] = {"figure": lambda place: _figure(place, chapters), "text": _markdown}
    body = "".join(parts[name](slide[name]) for name in ("text", "figure") if name in slide)
    notes = f"<p><strong>{clock}</strong></p>{_markdown(slide['notes'])}"
    if "finding" in slide:
        sentence = finding(_cells(slide["finding"], chapters))
        notes += f"<p><strong>What this build says</strong></p>{_markdown(sentence)}"
    return _markdown(slide["title"], inline=True), body, notes


def _markdown(text: str, *, inline: bool = False) -> str:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    return reader.renderInline(text) if inline else reader.render(text)


def _cells(chapter: str, chapters: Mapping[str, Cells]) -> Cells:
    if chapter not in chapters:
        raise InputError(f"The slides name a chapter {chapter!r} that was not built; there are {', '.join(chapters)}.")
    return chapters[chapter]


def _figure(place: str, chapters: Mapping[str, Cells]) -> str:
    """The first figure of ``chapter#cell``."""
    chapter, _, cell = place.partition("#")
    figures = [figure for figure in page_figures(chapter, _cells(chapter, chapters)) if figure.cell == cell]
    if not figures:
        raise InputError(f"The slides name a figure {place!r}, and the cell {cell!r} of {chapter} shows none.")
    caption = f"<figcaption>{html.escape(figures[0].caption)}</figcaption>" if figures[0].caption else ""
    image = f'<img alt="{html.escape(figures[0].alt)}" src="{figures[0].address}">'
    phone = f'<source media="(max-width: 600px)" srcset="{figures[0].narrow}">' if figures[0].narrow else ""
    return f"<figure><picture>{phone}{image}</picture>{caption}</figure>"
