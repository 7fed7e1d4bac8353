"""Search of the built book, read from disk: the right section first, excerpts, nothing fetched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from playwright.sync_api import Browser

from tests_support import extension as load_extension

in_browser = pytest.mark.browser  # the first tests need none
PAGE = r"""<main><nav>menu</nav><article class="bd-article"><section id="top"><h1>Title<a class="headerlink">#</a></h1>
<p>Cost <span class="math">\(W_1\)</span> ( see [ <a>2026</a> ] ).</p><img src="data:image/png;base64,AAAA">
<section id="inner"><h2>Inner</h2><p>Own words.</p><pre>code()</pre>
<table class="dataframe"><tr><td>12</td></tr></table>
<div class="exercise"><section id="exercise-content"><p>Ask.</p></section></div>
<div class="solution">Told.</div></section>
<dl class="glossary"><dt id="term-UOT">UOT</dt><dd><p>Unbalanced optimal transport: mass may vary.</p></dd></dl>
</section></article></main>"""


def test_a_page_is_cut_where_it_has_anchors() -> None:
    title, parts = load_extension("tis_search").entries(PAGE)
    assert title == "Title"
    assert parts == [
        ("term-UOT", "UOT", "Unbalanced optimal transport: mass may vary."),
        ("top", "Title", "Cost W1 (see [2026])."),
        ("inner", "Inner", "Own words. Ask."),
    ]


def test_a_page_without_an_article_has_no_entries() -> None:
    assert load_extension("tis_search").entries("<html><body><p>Moved.</p></body></html>") == ("", [])


def test_only_abbreviations_are_written_out() -> None:
    meanings = {"UOT": "Unbalanced optimal transport: mass.", "pool": "All of it: N.", "GPU": "A card: fast."}
    terms = [("anchor", *term) for term in meanings.items()]
    found = load_extension("tis_search").written_out([("glossary.html", "Glossary", terms)])
    assert found == {"UOT": "Unbalanced optimal transport"}


# --- in the browser ------------------------------------------------------------------------------------


@pytest.fixture
def page(browser: Browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def ask(page, open_page):
    """Return a function that searches and gives the results: page title, then (link, excerpt) of its sections."""

    def search(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
        visit = open_page(page, f"search.html?q={quote(text)}")
        page.wait_for_selector(".tis-found-status")
        assert visit.console == []
        assert {urlsplit(url).scheme for url in visit.requests} <= {"file", "data"}
        return page.evaluate("""() => [...document.querySelectorAll(".tis-found > li")].map((page) => [
            page.querySelector(".tis-found-page").innerText,
            [...page.querySelectorAll("li")].map((li) => [li.querySelector("a")?.href ?? "", li.innerText])])""")

    return search


@in_browser
def test_optimal_transport_is_in_chapter_three(ask, page) -> None:
    first, *others = ask("optimal transport")
    assert "Selectors" in first[0]
    assert page.locator(".tis-found a").first.get_attribute("href").endswith("chapters/03_selectors.html")
    assert first[1][0][0].endswith("03_selectors.html#uot")
    assert "optimal transport" in first[1][0][1]
    assert page.locator(".tis-excerpt mark").count() >= 2
    assert any(link.endswith("glossary.html#term-optimal-transport") for _, items in others for link, _ in items)


@in_browser
def test_overfitting_is_explained(ask) -> None:
    found = ask("overfitting")
    assert any("fine-tuned on" in excerpt for _, items in found for _, excerpt in items)
    assert found == ask("OVERFITS")  # the same word, otherwise inflected


@in_browser
@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("select my own data", "14_select_your_own"),
        ("knn_kde", "03_selectors"),
        ("Wasserstein distance", "term-Wasserstein-distance"),
        ("Sinkhorn", "bibliography"),
        ("what is a budget?", "term-budget"),
    ],
)
def test_what_is_asked_stands_on_the_first_two_pages(ask, page, text, target) -> None:
    ask(text)
    links = page.evaluate("""() => [...document.querySelectorAll(".tis-found > li")].slice(0, 2)
        .flatMap((li) => [...li.querySelectorAll("a")].map((a) => a.href))""")
    assert [link for link in links if target in link]


@in_browser
def test_every_entry_leads_to_its_place(site: Path) -> None:
    script = (site / "_static" / "search_entries.js").read_text(encoding="utf-8")
    pages = json.loads(script.removeprefix("window.tisSearch(").removesuffix(");\n"))
    lost = []
    for address, title, parts in pages:
        ids = set(re.findall(r'\bid="([^"]+)"', (site / address).read_text(encoding="utf-8")))
        lost += [f"{address}#{anchor}" for anchor, _, _ in parts if unquote(anchor) not in ids]
        assert title, address
        assert parts, address
    assert lost == []
    assert len(script.encode()) < 2**20


@in_browser
@pytest.mark.parametrize("text", ["xylophonequartz", "<xq>&zq;", "???", '"(*'])
def test_nothing_found_is_said(ask, page, text) -> None:
    assert ask(text) == []
    assert page.locator(".tis-found-status").inner_text().startswith(f"Nothing in this book has “{text}”")


@in_browser
def test_words_that_are_nowhere_together_are_said_to_be(ask, page) -> None:
    assert ask("bibliography xylophonequartz loss")
    assert page.locator(".tis-found-status").inner_text().startswith("No section has all of these words")


@in_browser
@pytest.mark.parametrize("name", ["index.html", "chapters/05_bounds.html"])
def test_suggestions_appear_while_one_types(page, open_page, name) -> None:
    visit = open_page(page, name)
    page.keyboard.press("Control+k")
    page.keyboard.type("round-rob")
    page.wait_for_selector(".tis-suggestions a")
    page.locator(".tis-suggestions ul a").first.click()
    page.wait_for_url("**/03_selectors.html#round-robin")
    assert visit.console == []


@in_browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_results_are_accessible(browser: Browser, open_page, axe_problems, scheme, width) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    open_page(page, "search.html?q=budget", scheme=scheme, width=width)
    page.wait_for_selector(".tis-found")
    assert axe_problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
