"""Sphinx extension: a search that answers with sections and excerpts, also where pages are read from disk.

Sphinx's own search fetches every page that it excerpts, which browsers forbid between files. Here the text of all pages
is cut into entries (a section, a term of the glossary, a function, a cited work) and stored as one script,
``_static/search_entries.js``, which ``_static/search.js`` loads when a reader starts to search.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

ENTRIES = "search_entries.js"
# An exercise, a theorem and a proof wrap their content in a section that is none of its own.
SECTIONS = "section[id]:not([id$=-content])"
# What has an anchor of its own inside a section: terms and functions (a title and its description), cited works.
ITEMS = "dl.glossary > dt[id], dt.sig[id], div.citation[id]"
Page = tuple[str, str, list[tuple[str, str, str]]]  # address, title, entries
# Not what a page says: code, tables of numbers, what a reader has not asked to see.
SILENT = (
    "script, style, svg, pre, table.dataframe, div.math, .headerlink, details > summary, .solution, .tis-quiz details"
)
SPACE = re.compile(r"\s+")
MARKUP = re.compile(r"\\(?:mathbb|mathrm|mathcal|text|operatorname\*?|left|right|,|;|!|quad)|[{}_^\\]")
DATA = re.compile(r"""data:image/[^"']+""")
# The theme names these files on every page; they would belong to Sphinx's own search.
REPLACED = ("searchindex.js", "_static/searchtools.js", "_static/language_data.js")
NOTE = "// This book has its own search: _static/search.js\n"


def text(node: Tag) -> str:
    """What a reader reads, on one line; of formulas their letters: ``W_1`` is found as W1."""
    for formula in node.select("span.math"):
        formula.string = MARKUP.sub("", formula.get_text().removeprefix(r"\(").removesuffix(r"\)"))
    words = SPACE.sub(" ", node.get_text(" "))
    return re.sub(r"(?<=[(\[“]) | (?=[.,;:!?)\]”’])", "", words).strip()


def entries(html: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The title of a page, and its entries: anchor, title, text."""
    article = BeautifulSoup(DATA.sub("", html), "html.parser").select_one("article.bd-article")
    if article is None or article.h1 is None:
        return "", []
    for silent in article.select(SILENT):
        silent.decompose()
    title = text(article.h1)
    return title, [*_items(article), *_sections(article)]


def _items(article: Tag) -> Iterator[tuple[str, str, str]]:
    """Cut out what has an anchor of its own."""
    for item in article.select(ITEMS):
        body = item.find_next_sibling("dd") if item.name == "dt" else item
        name = item.find(class_="sig-name") or item
        label = "" if item.name == "div" else text(name)
        yield str(item["id"]), label, text(body) if body else ""
    for item in article.select(ITEMS):
        if item.name == "dt" and (body := item.find_next_sibling("dd")):
            body.extract()
        item.extract()


def _sections(article: Tag) -> Iterator[tuple[str, str, str]]:
    """Cut out the sections, the innermost first: each keeps what is only its own."""
    found = []
    for section in reversed(article.select(SECTIONS)):
        section.extract()
        heading = section.find(re.compile("^h[1-6]$"))
        label = text(heading.extract()) if isinstance(heading, Tag) else ""
        found.append((str(section["id"]), label, text(section)))
    yield from reversed(found)


def written_out(pages: list[Page]) -> dict[str, str]:
    """Abbreviations of the glossary whose definitions begin with what they stand for, as ``UOT: Unbalanced …``."""
    terms = next((parts for address, _, parts in pages if address.startswith("glossary")), [])
    long = {term: meaning.partition(":")[0] for _, term, meaning in terms if ":" in meaning}
    return {
        term: words for term, words in long.items() if term.isupper() and len(term) == len(re.findall(r"\b\w", words))
    }


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the entries of all pages, and nothing in the place of what the theme would load for Sphinx."""
    if error is not None or app.builder.format != "html":
        return
    pages: list[Page] = []
    for name in sorted(app.env.found_docs):
        address = app.builder.get_target_uri(name)
        title, parts = entries(Path(app.outdir, address).read_text(encoding="utf-8"))
        pages.append((address, title, [part for part in parts if part[1] or part[2]]))
    names = {short: f"{short} ({words})" for short, words in written_out(pages).items()}
    named = [(address, page, [(a, names.get(t, t), x) for a, t, x in parts]) for address, page, parts in pages]
    content = json.dumps(named, ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "_static", ENTRIES).write_text(f"window.tisSearch({content});\n", encoding="utf-8")
    for name in REPLACED:
        Path(app.outdir, name).write_text(NOTE, encoding="utf-8")


def without_own_index(app: Sphinx) -> None:
    """Sphinx need not index what nobody asks it for."""
    app.builder.search = False


def search_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The theme's page with a search field, which Sphinx writes only for its own index."""
    yield "search", {"title": "Search"}, "search.html"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("builder-inited", without_own_index)
    app.connect("html-collect-pages", search_page)
    app.connect("build-finished", write, priority=900)  # after the static files are in their place
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
