"""The book as one PDF: opens, holds every chapter with its solutions, links lead into it, pages are full."""

from __future__ import annotations

import base64
import re
import subprocess
import unicodedata
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pypdf import PageObject, PdfReader

from tis_utils import paths
from tis_utils.book import pdf
from tis_utils.errors import InputError, RunError

KNOWN = {"index.html": "", "chapters/03.html": "Ingredients"}
PAGE = """<nav>menu</nav><article class="bd-article"><h1 id="top">Three<a class="headerlink" href="#top">#</a></h1>
<a href="#top">here</a><a href="../index.html#idea">home</a><a href="../genindex.html">index</a>
<a href="https://example.org/#x">out</a><img src="../_images/a.png">
<input id="tab" name="set"><label for="tab">Tab</label>
<details class="hide"><summary>Show the source</summary><pre>code()</pre></details>
<div class="solution dropdown" id="s"><p>Because.</p></div></article>"""


def test_a_page_for_paper_is_open_and_points_into_the_document() -> None:
    text = pdf.article(PAGE, "chapters/03.html", KNOWN)
    assert [a.get("href") for a in text.select("a")] == [
        "#chapters-03--top",
        "#index--idea",
        None,  # the index is not in the document
        "https://example.org/#x",
    ]
    assert text.h1 is not None
    assert (text.h1["id"], text.h1.get_text()) == ("chapters-03--top", "Three")
    assert text.select_one("label")["for"] == text.select_one("input")["id"] == "chapters-03--tab"
    assert text.select_one("img")["src"] == "../html/_images/a.png"
    assert text.select("details, summary") == []
    assert "code()" in text.get_text()
    assert "toggle-shown" in text.select_one(".solution")["class"].split()


@pytest.mark.parametrize(("width", "height", "tall"), [(400, 800, True), (400, 300, False)])
def test_only_high_figures_may_take_a_page(width: int, height: int, tall: bool) -> None:
    svg = base64.b64encode(f'<svg viewBox="0 0 {width} {height}">{" " * 9000}</svg>'.encode()).decode()
    page = f'<article class="bd-article"><figure><img src="data:image/svg+xml;base64,{svg}"></figure></article>'
    image = pdf.article(page, "index.html", KNOWN).select_one("img")
    assert (image.get("class") is not None) == tall


def test_a_page_without_text_is_an_error() -> None:
    with pytest.raises(RunError, match="has no text"):
        pdf.article("<p>Moved.</p>", "index.html", KNOWN)


def test_the_pages_are_those_of_the_table_of_contents() -> None:
    found = list(pdf.pages(paths.BOOK))
    assert found[0] == "index.html"
    assert len(found) == len(set(found)) > 20
    assert pdf.pages(paths.BOOK)["chapters/01_data.html"] == "Ingredients"


def test_a_book_must_be_rendered_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rendered book"):
        pdf.make_pdf(tmp_path)


def test_without_chromium_one_sentence_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="apt-get install chromium"):
        pdf.chromium()


def test_what_chromium_says_is_passed_on(folder: Path, monkeypatch) -> None:
    (folder / "_build" / "html").mkdir(parents=True)
    (folder / "_build" / "html" / "index.html").write_text("<head></head>")
    monkeypatch.setattr(pdf, "chapters", lambda folder: [])
    monkeypatch.setattr(pdf, "document", lambda folder, parts: "")
    monkeypatch.setattr(pdf, "chromium", lambda: "chromium")
    failed = subprocess.CompletedProcess([], 1, "", "no memory")
    monkeypatch.setattr(pdf.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(RunError, match="no memory"):
        pdf.make_pdf(folder)
    assert list(folder.rglob("*.pdf")) == []


@pytest.mark.browser
def test_a_small_book_is_printed_with_bookmarks_numbers_and_links(tmp_path: Path) -> None:
    site = tmp_path / "_build" / "html"
    site.mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("root: index\nparts:\n  - caption: One\n    chapters:\n      - file: more\n")
    (tmp_path / "_config.yml").write_text("title: Small\nauthor: Somebody\n")
    for name, other in (("index", "more"), ("more", "index")):
        body = f'<h1 id="top">The {name} page</h1><a href="{other}.html#top">go</a>'
        text = f'<html><head></head><body><article class="bd-article">{body}</article></body></html>'
        (site / f"{name}.html").write_text(text)
    reader = PdfReader(pdf.make_pdf(tmp_path))
    assert starts(reader) == {"The index page": 2, "The more page": 3}
    assert len(reader.pages) == 4  # title, contents
    assert "The more page" in reader.pages[3].extract_text()
    assert "4" in reader.pages[3].extract_text()
    assert [path.name for path in (tmp_path / "_build").iterdir() if path.suffix == ".part"] == []
    note = reader.pages[3]["/Annots"][0].get_object()
    assert "/URI" not in note.get("/A", {})


# --- printed -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed(site: Path, tmp_path_factory) -> PdfReader:
    """The PDF of the built book; a minute or two."""
    return PdfReader(pdf.make_pdf(site.parents[1], tmp_path_factory.mktemp("pdf") / "book.pdf"))


@pytest.fixture(scope="module")
def sheets(printed: PdfReader) -> list[tuple[str, float]]:
    """Of every page its text and how far up its lowest text or picture ends."""
    return [read(page) for page in printed.pages]


@pytest.fixture(scope="module")
def texts(sheets: list[tuple[str, float]]) -> list[str]:
    return [text for text, _ in sheets]


def read(page: PageObject) -> tuple[str, float]:
    """Text of a page, and where the lowest text or picture above the page number ends: share of the height."""
    height = float(page.mediabox.height)
    ends = []

    def text(words: str, matrix: list[float], own: list[float], *_: object) -> None:
        if words.strip():
            ends.append((own[4] * matrix[1] + own[5] * matrix[3] + matrix[5]) / height)

    def draw(operator: bytes, operands: list, matrix: list[float], *_: object) -> None:
        if operator in (b"re", b"Do", b"l"):
            y = float(operands[1]) if operator in (b"re", b"l") else 0.0
            ends.append((y * matrix[3] + matrix[5]) / height)

    words = page.extract_text(visitor_text=text, visitor_operand_before=draw)
    return words, min((end for end in ends if end > 0.06), default=1.0)


def starts(printed: PdfReader) -> dict[str, int]:
    """Number of the page on which each chapter starts."""
    return {item.title: printed.get_destination_page_number(item) for item in printed.outline}


def squeezed(text: str) -> str:
    """Letters and digits; a PDF has ligatures where a page has letters."""
    return re.sub(r"\W", "", unicodedata.normalize("NFKC", text))


@pytest.mark.browser
def test_every_chapter_is_there_with_its_text(site: Path, printed: PdfReader, texts: list[str]) -> None:
    first = starts(printed)
    edges = [*first.values(), len(texts)]
    assert edges == sorted(set(edges))
    for (address, _), (title, start), end in zip(
        pdf.pages(site.parents[1]).items(), first.items(), edges[1:], strict=True
    ):
        article = BeautifulSoup((site / address).read_text(encoding="utf-8"), "html.parser").select_one("article")
        for unprinted in article.select(".headerlink, .math"):
            unprinted.decompose()
        chapter = squeezed("".join(texts[start:end]))
        assert squeezed(title) in squeezed(texts[start])
        for element in article.select("h2, h3, .solution > p, .solution section > p"):
            words = squeezed(element.get_text())[:40]
            assert words in chapter, f"{address}: {element.get_text()[:60]}"


@pytest.mark.browser
def test_pages_are_numbered_and_formulas_drawn(texts: list[str]) -> None:
    assert [number for number, text in enumerate(texts[1:], 2) if not re.search(rf"\b{number}\b", text)] == []
    assert [number for number, text in enumerate(texts, 1) if r"\(" in text or r"\frac" in text] == []


@pytest.mark.browser
def test_links_lead_into_the_document_or_to_the_web(printed: PdfReader) -> None:
    links = [
        note["/A"]["/URI"]
        for page in printed.pages
        for note in (ref.get_object() for ref in page.get("/Annots", []))
        if "/URI" in note.get("/A", {})
    ]
    assert links
    assert [link for link in links if not link.startswith(("http://", "https://", "mailto:"))] == []


@pytest.mark.browser
def test_hardly_a_page_within_a_chapter_is_half_empty(printed: PdfReader, sheets: list[tuple[str, float]]) -> None:
    """A picture that is higher than what is left of a page begins the next one: that is all that may leave a gap."""
    last = {start - 1 for start in starts(printed).values()} | {len(printed.pages) - 1, 0}
    empty = [number + 1 for number, (_, end) in enumerate(sheets) if end > 0.55 and number not in last]
    assert len(empty) < 0.02 * len(sheets), empty
