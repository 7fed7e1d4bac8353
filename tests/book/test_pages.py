"""The built book in a real browser, read from disk: quiet, complete, legible, offline."""

from __future__ import annotations

import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from matplotlib.image import imread
from playwright.sync_api import Browser

from tis_utils import paths

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3000)]  # the visit of all pages is set-up of the first

LOCAL = ("file:", "data:", "blob:", "about:")
MEBIBYTE = 2**20


def collect(visits, key: str) -> dict[str, object]:
    """Facts that should be empty, by visit, where they are not."""
    return {str(visit): visit.facts[key] for visit in visits if visit.facts[key]}


def test_nothing_complains(visits):
    assert {str(v): v.console for v in visits if v.console} == {}


def test_no_request_leaves_the_machine(visits):
    assert all(visit.requests for visit in visits)
    assert {url for visit in visits for url in visit.requests if not url.startswith(LOCAL)} == set()


def test_no_page_refers_to_scripts_or_styles_elsewhere(site, pages):
    remote = re.compile(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"'](?:https?:)?//[^\"']*", re.IGNORECASE)
    assert {name: found for name in pages if (found := remote.findall((site / name).read_text()))} == {}


def test_no_cell_failed(visits):
    assert collect(visits, "failures") == {}


def test_formulas_are_drawn(visits):
    assert sum(visit.facts["formulas"] for visit in visits) > 0
    undrawn = {str(v): v.facts["formulas"] - v.facts["rendered"] for v in visits}
    assert {name: count for name, count in undrawn.items() if count} == {}
    assert collect(visits, "mathErrors") == {}


def test_every_picture_has_alternative_text(visits):
    alts = [alt for visit in visits for alt in visit.facts["alts"]]
    assert alts, "no picture in the whole book"
    bare = {str(v): v.facts["alts"].count(None) + v.facts["alts"].count("") for v in visits}
    assert {name: count for name, count in bare.items() if count} == {}, "show figures with tis_utils.plots.show"
    assert collect(visits, "broken") == {}


def test_pictures_have_the_text_that_the_notebook_gave(site, visits):
    """The alt attribute in the page is, letter for letter, the one in the executed notebook."""
    checked = 0
    for notebook in sorted((site / "_sources").rglob("*.ipynb")):
        name = str(notebook.relative_to(site / "_sources").with_suffix(".html"))
        facts = next(visit.facts for visit in visits if visit.page == name)
        for cell in json.loads(notebook.read_text())["cells"]:
            for output in cell.get("outputs", []):
                page = "".join(output.get("data", {}).get("text/html", ""))
                image = r'<figure class="tis-figure">(?:<picture><source [^>]*>)?<img alt="([^"]*)"'
                for alt in re.findall(image, page):
                    assert html.unescape(alt) in facts["alts"]
                    checked += 1
    assert checked, "no notebook shows a figure"


def test_interactive_figures_are_drawn_and_described(visits):
    for visit in visits:
        for figure in visit.facts["interactive"]:
            assert figure["drawn"], visit
            assert figure["label"], visit
            assert 0 < figure["width"] <= visit.width, visit


def test_parameters_of_the_run_are_folded(visits):
    injected = [fact for visit in visits for fact in visit.facts["injected"]]
    assert injected, "no page was executed with parameters"
    assert all(fact["folded"] and not fact["shown"] for fact in injected)


def test_nothing_is_wider_than_the_screen(visits):
    assert {str(v): v.facts["wide"] for v in visits if v.facts["overflow"] > 0 or v.facts["wide"]} == {}


def test_what_scrolls_sideways_shows_it(visits):
    assert collect(visits, "unmarked") == {}


def test_a_cue_goes_where_there_is_nothing_more(page, open_page):
    page.set_viewport_size({"width": 390, "height": 900})
    open_page(page, "index.html")
    box = page.locator(".tis-goes-on").first
    assert "tis-after" in box.get_attribute("class")
    assert "tis-before" not in box.get_attribute("class")
    box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    page.wait_for_function("document.querySelector('.tis-goes-on').matches('.tis-before:not(.tis-after)')")


def test_words_in_figures_are_large_whole_and_apart(visits, pages):
    looked_at = [visit for visit in visits if visit.words]
    assert len(looked_at) == len(pages)
    assert {v.page: found for v in looked_at if (found := {w: words for w, words in v.words.items() if words})} == {}


def test_figures_are_dark_in_the_dark(page, open_page, pages):
    """A light card would dazzle: the corner of each figure is as dark as the page."""
    page.emulate_media(color_scheme="dark")
    for name in ("index.html", next(name for name in pages if "published" in name)):
        open_page(page, name, scheme="dark")
        for figure in page.locator("figure.tis-figure:visible").all()[:2]:
            picture = imread(io.BytesIO(figure.screenshot()))[..., :3].mean(axis=-1)  # (height, width), 0 to 1
            assert picture[8, 8] < 0.25, name
            assert picture.max() > 0.6, name  # words are light


def test_columns_of_numbers_stand_to_the_right_and_words_to_the_left(page, open_page, site):
    text = (site / "chapters/08_beyond.html").read_text(encoding="utf-8")
    text, changed = re.subn(r"(LESS, batched</th>\s*<td>)[^<]*", r"\g<1>4.8e-07", text)  # such is a number, too
    assert changed == 1
    page.route("**/08_beyond.html*", lambda route: route.fulfill(body=text, content_type="text/html"))
    open_page(page, "chapters/08_beyond.html")
    aligned = page.evaluate("""() => {
      const table = [...document.querySelectorAll("table.dataframe")].find((t) => /4.8e-07/.test(t.textContent));
      return [table.tHead.rows[0], ...table.tBodies[0].rows].map((row) =>
        [...row.cells].slice(-2).map((cell) => [cell.textContent.trim(), getComputedStyle(cell).textAlign]));
    }""")
    for cells in aligned:
        assert {side for text, side in cells} == {"right"}, aligned
    page.goto(page.url.replace("08_beyond", "00_quickstart"))
    words = page.locator("table.dataframe td", has_text="Rearrange the words").first
    assert words.evaluate("(cell) => getComputedStyle(cell).textAlign") == "left"


def test_no_page_names_a_folder_of_the_machine_that_built_it(site, pages):
    assert [page for page in pages if str(paths.ROOT) in (site / page).read_text()] == []


def test_the_system_decides_between_light_and_dark(visits):
    assert {str(v): v.facts["theme"] for v in visits if v.facts["theme"] != v.scheme} == {}


def test_text_stands_out_from_its_background(visits):
    assert collect(visits, "faint") == {}  # WCAG 1.4.3, level AA


def test_faint_text_would_be_found(page, open_page):
    open_page(page, "index.html")
    page.evaluate("document.querySelector('article').insertAdjacentHTML('beforeend', '<p style=color:#999>pale</p>')")
    look = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")
    assert page.evaluate(look)["faint"] == ["2.85 < 4.5: pale"]


def test_axe_finds_nothing_serious(visits, pages):
    asked = [visit for visit in visits if visit.problems is not None]
    assert len(asked) == 2 * len(pages)
    assert {str(visit): visit.problems for visit in asked if visit.problems} == {}


def test_axe_would_find_something(page, open_page, axe_problems):
    open_page(page, "index.html")
    page.evaluate("document.querySelector('article').append(document.createElement('img'))")
    assert any(problem.startswith("image-alt") for problem in axe_problems(page))


def test_sizes(site, pages):
    heavy = {name: size for name in pages if (size := (site / name).stat().st_size) > 3 * MEBIBYTE}
    assert heavy == {}
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 60 * MEBIBYTE


# --- behaviour -----------------------------------------------------------------------------------------


@pytest.fixture
def page(browser: Browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def test_keyboard_focus_is_visible(page, open_page):
    open_page(page, "index.html")
    seen = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        state = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            return [e.tagName + e.className + e.textContent.trim().slice(0, 20),
                    s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 || s.boxShadow !== 'none',
                    e === document.body]; }"""
        )
        if not state[2]:
            seen.add(state[0])
            assert state[1], f"no focus ring on {state[0]}"
    assert len(seen) >= 8


def test_folded_parameters_open_on_click(page, visits, open_page):
    folded = [visit.page for visit in visits if visit.facts["injected"]]
    open_page(page, folded[0])
    fold = page.locator(".cell.tag_injected-parameters details")
    fold.locator("summary").click()
    assert fold.locator("pre").is_visible()


def test_paper_has_the_text_without_folds_and_sidebars(page, visits, open_page):
    folded = [visit.page for visit in visits if visit.facts["injected"]]
    open_page(page, folded[0])
    page.emulate_media(media="print")
    for hidden in (".bd-sidebar-primary", "details.hide", ".solution", ".tis-quiz button", ".prev-next-area"):
        assert page.locator(hidden).count(), hidden
        assert not any(element.is_visible() for element in page.locator(hidden).all()), hidden
    assert page.locator("article h2").last.is_visible()
    assert page.locator(".tis-quiz legend").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- links ---------------------------------------------------------------------------------------------


class Anchors(HTMLParser):
    """Links and link targets of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = {key: value or "" for key, value in attrs}
        self.ids |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("script", "img", "source") and "src" in values:
            self.links.append(values["src"])
        if tag == "link" and "href" in values:
            self.links.append(values["href"])


def test_internal_links_and_anchors_lead_somewhere(site: Path, pages):
    parsed = {(site / name).resolve(): Anchors((site / name).read_text(encoding="utf-8")) for name in pages}
    dead = []
    for source, anchors in parsed.items():
        for link in anchors.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (source.parent / unquote(parts.path)).resolve() if parts.path else source
            fragment = unquote(parts.fragment)
            setting = "=" in fragment  # of the playground
            missing = fragment and not setting and target in parsed and fragment not in parsed[target].ids
            if not target.is_file() or missing:
                dead.append(f"{source.relative_to(site.resolve())} -> {link}")
    assert dead == []
