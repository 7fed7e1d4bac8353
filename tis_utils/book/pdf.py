"""The whole book as one PDF: all pages of the rendered site in one document, which Chromium prints.

Folds are open, solutions and answers included; links between pages lead to places in the document.
"""

import base64
import logging
import posixpath
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from jinja2 import Environment, FileSystemLoader
from pypdf import PdfReader, PdfWriter

from tis_utils import paths
from tis_utils.errors import InputError, RunError

TEMPLATE = Path(__file__).with_suffix(".html")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 900
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-pdf-header-footer"]
OPTIONS.append("--virtual-time-budget=600000")  # formulas are drawn by a script: print when nothing is left to do
# What only a screen needs. A widget's picture stays, its data goes.
SCREEN = (
    "details.hide > summary, .headerlink, .tis-playground > script, .tis-playground form, "
    ".sd-summary-state-marker, nav, button"
)


def pages(folder: Path) -> dict[str, str]:
    """Addresses of the book's pages in their order, each with the caption of the part that it opens, if it does."""
    toc = yaml.safe_load((folder / "_toc.yml").read_text(encoding="utf-8"))
    captions = {f"{toc['root']}.html": ""}
    for part in toc["parts"]:
        for n, chapter in enumerate(part["chapters"]):
            captions[f"{chapter['file']}.html"] = "" if n else part["caption"]
    return captions


def place(address: str, fragment: str = "") -> str:
    """The id, in the document, of a page or of something on it."""
    key = re.sub(r"\W", "-", address.removesuffix(".html"))
    return f"{key}--{unquote(fragment)}" if fragment else key


def article(html: str, address: str, known: Mapping[str, str]) -> Tag:
    """A page's text for paper: open, without what only a screen needs, its ids and links those of the document."""
    text = BeautifulSoup(html, "html.parser").select_one("article.bd-article")
    if text is None:
        raise RunError(f"{address} of the rendered book has no text. Render the book again: `tis book`.")
    for part in text.select(SCREEN):
        part.decompose()
    for fold in text.select("details, summary"):
        fold.name = "div"  # Chromium never cuts a fold between two pages
    for solution in text.select(".solution.dropdown"):
        solution["class"] = " ".join([*solution.get_attribute_list("class"), "toggle-shown"])
    for image in text.select("figure img[src]"):
        if _is_tall(str(image["src"])):
            image["class"] = "tis-tall"
    for attribute in ("id", "for", "name", "aria-labelledby", "aria-controls"):
        for tag in text.select(f"[{attribute}]"):
            tag[attribute] = place(address, str(tag[attribute]))
    for attribute in ("href", "src", "srcset"):
        for tag in text.select(f"[{attribute}]"):
            _relink(tag, attribute, address, known)
    return text


def _is_tall(source: str) -> bool:
    """Whether a figure (an SVG in its address) is clearly higher than wide: it may then take a page."""
    kind, _, data = source.partition(";base64,")
    start = base64.b64decode(data[:4096]).decode("utf-8", "replace") if kind == "data:image/svg+xml" else ""
    box = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', start)
    return box is not None and float(box[2]) > 1.2 * float(box[1])


def _relink(tag: Tag, attribute: str, address: str, known: Mapping[str, str]) -> None:
    """Point a link into the document, a picture at its file; drop links to files that paper does not have."""
    link = urlsplit(str(tag[attribute]))
    if link.scheme or link.netloc:
        return
    target = posixpath.normpath(posixpath.join(posixpath.dirname(address), link.path)) if link.path else address
    if target in known:
        tag[attribute] = "#" + place(target, link.fragment)
    elif tag.name == "a":
        del tag[attribute]
    else:
        tag[attribute] = f"../html/{target}"


@dataclass(frozen=True)
class Chapter:
    """One page of the site in the document."""

    id: str
    part: str  # caption of the part that it opens
    title: str
    html: str


def chapters(folder: Path) -> list[Chapter]:
    """All pages of the rendered book, in order."""
    known = pages(folder)
    texts = []
    for address, part in known.items():
        text = article((folder / "_build" / "html" / address).read_text(encoding="utf-8"), address, known)
        title = text.h1.get_text(" ", strip=True) if text.h1 else ""
        texts.append(Chapter(place(address), part, title, str(text)))
    return texts


def document(folder: Path, parts: Sequence[Chapter]) -> str:
    """The HTML of the whole book; it belongs into a folder beside the rendered site."""
    home = folder / "_build" / "html" / "index.html"
    head = BeautifulSoup(home.read_text(encoding="utf-8"), "html.parser").head
    assert head is not None
    settings = yaml.safe_load((folder / "_config.yml").read_text(encoding="utf-8"))
    styles = [urlsplit(str(link["href"])).path for link in head.select('link[rel="stylesheet"]')]
    mathjax = next((str(script) for script in head.select("script") if "window.MathJax" in (script.string or "")), "")
    environment = Environment(autoescape=True, loader=FileSystemLoader(TEMPLATE.parent))
    return environment.get_template(TEMPLATE.name).render(
        title=settings["title"], author=settings["author"], styles=styles, mathjax=mathjax, chapters=parts
    )


def chromium() -> str:
    """The browser that prints."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        raise InputError("The PDF is printed by Chromium, which is not installed. On Debian: apt-get install chromium")
    return browser


def make_pdf(folder: Path = paths.BOOK, target: Path | None = None) -> Path:
    """Print the rendered book in `folder` to `target`, by default ``_build/book.pdf`` there."""
    if not (folder / "_build" / "html" / "index.html").is_file():
        raise InputError(f"There is no rendered book in {folder}. Run `tis book` first.")
    target = (target or folder / "_build" / "book.pdf").resolve()
    paths.check_file(target)
    browser = chromium()
    parts = chapters(folder)
    page = folder.resolve() / "_build" / "pdf" / "book.html"
    page.parent.mkdir(exist_ok=True)
    page.write_text(document(folder, parts), encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        printed = Path(scratch, "book.pdf")
        command = [browser, *OPTIONS, f"--user-data-dir={scratch}", f"--print-to-pdf={printed}", page.as_uri()]
        try:
            done = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            raise RunError(f"Chromium did not print the book within {SECONDS // 60} minutes.") from None
        if done.returncode or not printed.is_file():
            raise RunError("Chromium could not print the book:\n" + "\n".join(done.stderr.splitlines()[-5:]))
        add_bookmarks(printed, parts, target)
    return target


def add_bookmarks(printed: Path, parts: Sequence[Chapter], target: Path) -> None:
    """Write `printed` to `target` with a bookmark per chapter: Chromium's own repeat words and lose spaces."""
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # Chromium's trailer counts otherwise: nothing for readers
    reader = PdfReader(printed)
    places = reader.named_destinations
    lost = [chapter.title for chapter in parts if f"/{chapter.id}" not in places]
    if lost:
        raise RunError(f"Chromium left out {', '.join(lost)}. Render the book again: `tis book`.")
    writer = PdfWriter(clone_from=reader)
    for chapter in parts:
        number = reader.get_destination_page_number(places[f"/{chapter.id}"])
        writer.add_outline_item(title=chapter.title, page_number=number)
    unfinished = target.with_suffix(".part")
    writer.write(unfinished)
    unfinished.replace(target)
