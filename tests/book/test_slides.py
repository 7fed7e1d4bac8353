"""Slides and figure pack: the minutes add up, figures come from the build, nothing is dropped without a word."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from tests_support import extension
from tis_utils import paths
from tis_utils.book import executed, slides
from tis_utils.book.parameters import chapters
from tis_utils.errors import InputError, RunError

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
DECK = slides.read_slides(paths.BOOK / "slides" / "slides.yaml")
# dist/ of reveal.js 6.0.2 as published on npm
REVEAL = {
    "reveal.js": "aa1bbbf2617b23a623b23612cb3c5bdb63de512e652bf20fcfa832b045d37844",
    "reveal.css": "615ee850cbbb98a0f688b60ed37b21819a3f54c9f3e6f20e33e63693ab74a0c0",
    "notes.js": "447c42f365876e41853de81453d0c53c580c5b2099132e8f61200de4a0ba2af3",
    "zoom.js": "ff65816a86a2c0e2d52250d41e4be296b4198fd7684359b4f92a9be5a29ccea8",
}


def figure(alt: str, caption: str) -> str:
    source = f"data:image/svg+xml;base64,{base64.b64encode(SVG).decode()}"
    narrow = f'<picture><source media="(max-width: 600px)" srcset="{source}">'
    image = f'<img alt="{alt}" width="700" style="x" src="{source}">'
    return f'<figure class="tis-figure">{narrow}{image}</picture><figcaption>{caption}</figcaption></figure>'


def shown(name: str, page: str, *tags: str) -> dict:
    output = {"data": {"text/html": page, "text/markdown": "**Yes**, by &lt;3 % on average. And more."}}
    return {"cell_type": "code", "id": name, "metadata": {"tags": list(tags)}, "source": "", "outputs": [output]}


CELLS = [
    {"cell_type": "markdown", "id": "m", "metadata": {}, "source": (
        "**Before you start.** *Needed*: [x](00_start.ipynb); ([](03_b)). *To read*: 7 minutes.\n\n"
        ":::{exercise} 1.1 Recall: it (level 1, 5 minutes)\n:label: a\n:::\n"
    )},
    shown("two", figure("a &quot;line&quot; falls", "Loss, &lt; 1.") * 2, "finding"),
]  # fmt: skip


def test_what_an_executed_chapter_shows():
    assert executed.needs(CELLS) == ["00_start", "03_b"]
    assert executed.minutes(CELLS) == "7"
    assert executed.exercises(CELLS) == [("1.1", "Recall: it", 1, 5)]
    figures = executed.page_figures("01_a", CELLS)
    assert [(f.svg, f.alt, f.caption, f.cell) for f in figures] == [(SVG, 'a "line" falls', "Loss, < 1.", "two")] * 2


def test_every_chapter_says_what_it_needs_and_how_long_its_exercises_take():
    for path in chapters():
        cells = executed.read_cells(path)
        assert executed.minutes(cells), path.stem
        text = "".join("".join(cell["source"]) for cell in cells)
        assert len(executed.exercises(cells)) == text.count(":::{exercise}") > 2, path.stem
        assert set(executed.needs(cells)) <= {other.stem for other in chapters()}


def test_a_chapter_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RunError, match="tis book"):
        executed.read_cells(tmp_path / "00_x.ipynb")


def test_the_pack_has_every_figure_with_its_caption_and_the_same_bytes():
    pack = executed.figure_pack({"01_a": CELLS, "02_b": CELLS[1:]})
    assert pack == executed.figure_pack({"01_a": CELLS, "02_b": CELLS[1:]})
    archive = zipfile.ZipFile(io.BytesIO(pack))
    rows = list(csv.DictReader(archive.read("captions.csv").decode("utf-8-sig").splitlines()))
    assert [row["file"] for row in rows] == ["01_a/01.svg", "01_a/02.svg", "02_b/01.svg", "02_b/02.svg"]
    assert {row["file"] for row in rows} == set(archive.namelist()) - {"captions.csv"}
    assert archive.read("02_b/02.svg") == SVG
    assert rows[0]["caption"] == "Loss, < 1."
    assert rows[0]["page"] == "chapters/01_a.html"


def steps(plan: int) -> list[tuple[int, int, int, int]]:
    """Minutes, those of the class, first and last slide of each step that the page for teachers plans."""
    page = (paths.BOOK / "teach.md").read_text(encoding="utf-8")
    rows = page.split(f"tab-item}} {plan} minutes")[1].split(":::\n\n:::")[0]
    found = re.findall(r"^\| (\d+) \| (\d+) \|.*\| slides? (\d+)(?: (?:to|and) (\d+))?", rows, re.M)
    assert len(found) == rows.count("\n| ") - 1, "a step without minutes or slides"
    return [(int(minutes), int(own), int(first), int(last or first)) for minutes, own, first, last in found]


@pytest.mark.parametrize("plan", [50, 90])
def test_the_steps_of_a_plan_have_the_minutes_of_their_slides_and_fill_the_hour(plan):
    own = [slide for slide in DECK if plan in slide["minutes"]]
    assert sum(minutes for minutes, *_ in steps(plan)) == plan
    assert [k for *_, first, last in steps(plan) for k in range(first, last + 1)] == list(range(1, len(own) + 1))
    for minutes, _, first, last in steps(plan):
        assert sum(slide["minutes"][plan] for slide in own[first - 1 : last]) == minutes, f"slide {first}"
    assert f"_static/slides/{plan}-minutes.html" in (paths.BOOK / "teach.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("plan", [50, 90])
def test_beside_what_the_class_does_there_is_time_to_read_and_to_speak(plan):
    own = [slide for slide in DECK if plan in slide["minutes"]]
    for minutes, doing, first, last in steps(plan):
        part = own[first - 1 : last]
        shown = sum(len(f"{slide['title']} {slide.get('text', '')}".split()) for slide in part) / 200
        said = sum(len(slide["notes"].split()) for slide in part) / 130
        print(f"{plan}: slides {first} to {last}: {minutes} min, class {doing}, read {shown:.1f}, say {said:.1f}")
        assert doing + shown + said <= minutes, f"slide {first}"


def test_the_slides_fill_the_plans():
    assert slides.plans(DECK) == [50, 90]


def test_a_vote_comes_before_the_chapter_that_answers_it():
    for plan, answer in ((50, "06_budgets"), (90, "04_quantiles")):
        own = [slide for slide in DECK if plan in slide["minutes"]]
        vote = next(i for i, slide in enumerate(own) if slide["title"].startswith("Vote"))
        assert not any(answer in json.dumps(slide) for slide in own[: vote + 1])
        assert any(answer in slide.get("figure", "") for slide in own[vote + 1 :])


def test_figures_and_findings_of_the_slides_are_cells_of_the_notebooks():
    for slide in DECK:
        if "figure" in slide:
            chapter, _, cell = slide["figure"].partition("#")
            assert cell in {c["id"] for c in executed.read_cells(paths.NOTEBOOKS / f"{chapter}.ipynb")}, slide["title"]
        if "finding" in slide:
            assert (paths.NOTEBOOKS / f"{slide['finding']}.ipynb").is_file()


def one(**more: object) -> list[dict]:
    return [{"title": "A < B", "text": "*so* <script>x</script>", "notes": "Ask.", "minutes": {50: 50}, **more}]


def test_a_deck_has_texts_figure_notes_and_clock():
    page = slides.deck(one(figure="01_a#two", finding="01_a"), 50, {"01_a": CELLS})
    assert "<h2>A &lt; B</h2>" in page
    assert "<script>x" not in page
    assert page.count("<img") == page.count("<source") == 1  # the figure's version for a phone comes along
    assert 'alt="a &quot;line&quot; falls"' in page
    assert "Minutes 0 to 50." in page
    assert "<strong>Yes</strong>" in page


@pytest.mark.parametrize(
    ("more", "message"),
    [({"figure": "02_b#two"}, "'02_b' that was not built"), ({"figure": "01_a#m"}, "shows none"),
     ({"finding": "02_b"}, "not built")],
)  # fmt: skip
def test_what_a_slide_names_must_be_there(more, message):
    with pytest.raises(InputError, match=message):
        slides.deck(one(**more), 50, {"01_a": CELLS})


@pytest.mark.parametrize(
    "text", ["- {title: a, minutes: {50: 50}}", "- {title: a, minutes: {50: 50}, notes: b, txt: c}"]
)
def test_a_slide_without_notes_or_with_a_misspelt_field_is_refused(tmp_path: Path, text):
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="slide 1"):
        slides.read_slides(tmp_path / "s.yaml")


def test_slides_that_take_too_long_are_refused():
    with pytest.raises(InputError, match="50 minutes take 60"):
        slides.plans(one(minutes={50: 60}))


def test_reveal_is_the_published_one():
    for name, digest in REVEAL.items():
        assert sha256((paths.BOOK / "slides" / name).read_bytes()).hexdigest() == digest, name


def test_the_map_puts_a_chapter_to_the_right_of_what_it_needs():
    teach = extension("tis_teach")
    drawn = teach.needs_map({"00_a": [], "02_c_d": ["01_b"], "01_b": ["00_a"]})
    places = dict(re.findall(r'chapters/(\w+)\.html"><rect x="(\d+)"', drawn))
    assert int(places["00_a"]) < int(places["01_b"]) < int(places["02_c_d"])
    assert drawn.count("<path") == 2
    with pytest.raises(Exception, match="need each other"):
        teach.needs_map({"00_a": ["01_b"], "01_b": ["00_a"]})


def test_expected_answers_are_computed_from_the_stored_runs():
    lines = extension("tis_teach").expected()
    assert len(lines) == 2 + 4
    assert all(re.fullmatch(r"\| \w+ \| [\w+-]+ \| [\d.]+ to [\d.]+ \| −?\d+ to −?\d+ \|", line) for line in lines[2:])


SMALLEST = """() => Math.min(...[...document.querySelectorAll('section *')]
    .filter(e => e.checkVisibility() && e.innerText?.trim()).map(e => parseFloat(getComputedStyle(e).fontSize)))"""
STACKED = """() => [...document.querySelectorAll('section')].map(e => e.getBoundingClientRect())
    .every((box, k, all) => box.height > 40 && (!k || box.top >= all[k - 1].bottom))"""


# --- in a browser -----------------------------------------------------------------------------------


@pytest.fixture
def built(site: Path) -> Path:
    return site / "_static" / "slides"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("plan", [50, 90])
def test_slides_fit_and_need_no_other_machine(browser, built, plan, width):
    page = browser.new_page(viewport={"width": width, "height": 720})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else problems.append(r.url))
    page.goto((built / f"{plan}-minutes.html").as_uri())
    count = sum(plan in slide["minutes"] for slide in DECK)
    if width > 600:
        page.wait_for_function("window.Reveal && Reveal.isReady()")
    else:  # a page to scroll, legible
        assert page.evaluate(SMALLEST) >= 12
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(STACKED)
    assert page.evaluate("document.querySelectorAll('section').length") == count
    tall = """() => [...document.querySelectorAll('section .body')]
        .filter(b => b.scrollHeight > b.clientHeight + 1 || b.scrollWidth > b.clientWidth + 1).map(b => b.innerText)"""
    assert page.evaluate(tall) == []
    assert page.evaluate("[...document.images].every(i => i.alt && i.naturalWidth)")
    assert problems == []
    page.close()


@pytest.mark.browser
def test_the_presenters_window_shows_the_notes(browser, built):
    context = browser.new_context()
    page = context.new_page()
    page.goto((built / "50-minutes.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    with context.expect_page() as opened:
        page.keyboard.press("s")
    opened.value.wait_for_selector("text=Minutes 0 to 1")
    context.close()


@pytest.mark.browser
def test_links_of_the_plans_lead_past_the_answers(browser, site):
    """Before a vote only links to sections: on the screen where they arrive no finding is in sight."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    source = (paths.BOOK / "teach.md").read_text(encoding="utf-8")
    for plan in (50, 90):
        rows = source.split(f"tab-item}} {plan} minutes")[1].split("Vote")[0]
        for link in re.findall(r'href="(chapters/[^"]+#[^"]+)"', rows):
            page.goto(f"{(site / link.split('#')[0]).as_uri()}#{link.split('#')[1]}")
            page.wait_for_timeout(300)
            seen = "[...document.querySelectorAll('.tag_finding')].filter(e => e.getBoundingClientRect().bottom > 0)"
            assert page.evaluate(f"{seen}.length") == 0, link
    page.close()


@pytest.mark.browser
def test_no_page_of_the_book_loads_what_the_slides_need(site):
    assert not re.search(r"(reveal|slides|notes|zoom)\.(js|css)", (site / "teach.html").read_text(encoding="utf-8"))
