"""What an executed chapter shows: its finding, its figures, what it needs, its exercises."""

import base64
import csv
import html
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tis_utils.book.prose import BOX
from tis_utils.errors import RunError

Cells = list[dict[str, Any]]
SHORT = 60  # characters: "It does." is no answer without the sentence behind it
FIGURE = re.compile(r'<figure class="tis-figure">.*?</figure>', re.DOTALL)
IMAGE = re.compile(r'<img alt="([^"]*)"[^>]* src="data:image/svg\+xml;base64,([^"]*)"')
NARROW = re.compile(r'<source media="[^"]*" srcset="([^"]*)"')
EXERCISE = re.compile(r"^:::\{exercise\} ([\d.]+) (.+?) \(level (\d), (\d+) minutes\)$", re.MULTILINE)
EPOCH = (1980, 1, 1, 0, 0, 0)  # of files in an archive: the same pages give the same bytes


def read_cells(notebook: Path) -> Cells:
    """The cells of an executed notebook; a RunError if it is not there."""
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{notebook} cannot be read: {error}. `tis book` executes the chapters.") from error


def finding(cells: Cells) -> str:
    """First sentence that an executed notebook's cell tagged ``finding`` shows."""
    tagged = (cell for cell in cells if "finding" in cell["metadata"].get("tags", []))
    shown = (out.get("data", {}).get("text/markdown", "") for cell in tagged for out in cell["outputs"])
    text = next(filter(None, map("".join, shown)), "").strip()
    if text.startswith(BOX):
        return "(Its sentence does not hold under the parameters of this build: see there.)"
    item = re.split(r"\n(?:\d+\.|-) ", re.sub(r"^(?:\d+\.|-) ", "", text))[0].replace("\n", " ")  # the first of a list
    sentences = re.split(r"(?<=[.!?])\s+(?=\W*[A-Z])", item)
    starts = (" ".join(sentences[:n]) for n in range(1, len(sentences) + 1))
    return next((start for start in starts if len(start) > SHORT), item)


def minutes(cells: Cells) -> str:
    """Minutes that a notebook's "To read" names, or nothing."""
    match = re.search(r"\*To read\*: (\d+) minutes", _prose(cells))
    return match[1] if match else ""


def needs(cells: Cells) -> list[str]:
    """Names of the chapters that "Before you start" links to."""
    match = re.search(r"\*Needed\*:(.*?)\*To read\*", _prose(cells), re.DOTALL)
    return list(dict.fromkeys(re.findall(r"\((\d\d_\w+)(?:\.ipynb)?[)#]", match[1]))) if match else []


def exercises(cells: Cells) -> list[tuple[str, str, int, int]]:
    """Number, title, level and minutes of each exercise."""
    return [(number, title, int(level), int(time)) for number, title, level, time in EXERCISE.findall(_prose(cells))]


def _prose(cells: Cells) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@dataclass(frozen=True)
class PageFigure:
    """A figure of a page: where it stands, its drawing, what it shows, what is printed below."""

    chapter: str
    cell: str
    svg: bytes
    alt: str
    caption: str
    narrow: str = ""  # address of the drawing for a phone

    @property
    def address(self) -> str:
        """The drawing as a data URL."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode('ascii')}"


def page_figures(chapter: str, cells: Cells) -> list[PageFigure]:
    """All figures that a chapter shows, in order."""
    figures = []
    for cell in cells:
        for output in cell.get("outputs", []):
            page = "".join(output.get("data", {}).get("text/html", ""))
            for figure in FIGURE.findall(page):
                if image := IMAGE.search(figure):
                    caption = re.search(r"<figcaption>(.*?)</figcaption>", figure, re.DOTALL)
                    alt, words = html.unescape(image[1]), html.unescape(caption[1]) if caption else ""
                    narrow = phone[1] if (phone := NARROW.search(figure)) else ""
                    figures.append(PageFigure(chapter, cell["id"], base64.b64decode(image[2]), alt, words, narrow))
    return figures


def figure_pack(chapters: Mapping[str, Cells]) -> bytes:
    """A zip archive of all figures as SVG, with captions, alternative texts and places in ``captions.csv``.

    The same chapters give the same bytes.
    """
    rows, files = [("file", "caption", "shows", "page", "cell")], {}
    for chapter, cells in chapters.items():
        for number, figure in enumerate(page_figures(chapter, cells), start=1):
            name = f"{chapter}/{number:02d}.svg"
            files[name] = figure.svg
            rows.append((name, figure.caption, figure.alt, f"chapters/{chapter}.html", figure.cell))
    return _zipped({"captions.csv": _csv(rows)} | files)


def _csv(rows: Iterable[tuple[str, ...]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode("utf-8-sig")  # spreadsheets look for the mark


def _zipped(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, content in files.items():
            stream.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()
