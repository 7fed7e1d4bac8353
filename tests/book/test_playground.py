"""The playground in a browser: what it shows is what the page carries; mouse, touch, keyboard, no script at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tis_utils.book.playground.page import Playground, payload
from tis_utils.book.playground.scenes import Space, Texts, scene
from tis_utils.plots.display import Picture

pytestmark = pytest.mark.browser

NAME = "chapters/09_playground.html"
MEBIBYTE = 2**20
LATER = 3_600  # seconds: where the paused clock stands
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def data(site: Path) -> dict[str, Any]:
    """The JSON that the page carries."""
    page = (site / NAME).read_text(encoding="utf-8")
    return json.loads(
        re.findall(r'class="tis-playground">.*?<script type="application/json">(.*?)</script>', page, re.S)[0]
    )


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    yield context.new_page()
    context.close()


def settings(data: dict[str, Any]) -> list[dict[str, Any]]:
    """A few settings: every scene, space and method at least once."""
    found = []
    for part in data["scenes"]:
        for at, (key, cell) in enumerate(part["cells"].items()):
            methods = list(cell["methods"])
            for method in methods if at == 0 else methods[at % len(methods) :][:1]:
                space, task = key.split("/")
                budget = part["budgets"][(7 * at + 11) % len(part["budgets"])]
                found.append({"scene": part["id"], "space": space, "task": task, "method": method, "budget": budget})
    return found


def address(setting: dict[str, Any], view: str = "pool") -> str:
    parts = [str(setting[k]) for k in ("scene", "space", "task", "method", "budget")] + [view]
    return "#play=" + "/".join(part.replace(":", "%3A").replace(" ", "%20") for part in parts)


def visit(page: Page, open_page: Open, setting: dict[str, Any] | None = None, **mode: Any) -> Any:
    seen = open_page(page, NAME, **mode)
    expect(page.locator(".pg")).to_be_visible()
    if setting:
        page.evaluate("hash => { location.hash = hash; }", address(setting))
        expect(page.locator(".pg-budget output b")).to_have_text(f"{setting['budget']:,}")
    return seen


def stored(data: dict[str, Any], setting: dict[str, Any]) -> tuple[dict, dict, dict]:
    """Scene, cell and method of a setting."""
    part = next(s for s in data["scenes"] if s["id"] == setting["scene"])
    cell = part["cells"][f"{setting['space']}/{setting['task']}"]
    return part, cell, cell["methods"][setting["method"]]


def picks(page: Page) -> list[int]:
    """Picks on the map, best first (the first one is drawn last)."""
    return [int(j) for j in page.eval_on_selector_all("[data-pick]", "all => all.map(e => e.dataset.pick)")][::-1]


def summary(page: Page) -> str:
    return page.locator(".pg-summary").inner_text()


# --- what is shown -------------------------------------------------------------------------------------


def test_every_number_shown_is_the_one_the_page_carries(page, open_page, data):
    seen = visit(page, open_page)
    for setting in settings(data):
        page.evaluate("hash => { location.hash = hash; }", address(setting))
        expect(page.locator(".pg-budget output b")).to_have_text(f"{setting['budget']:,}")
        part, cell, method = stored(data, setting)
        b, at = setting["budget"], part["budgets"].index(setting["budget"])
        expect(page.locator(".pg-numbers b").first).to_have_text(f"{method['w1'][at]:.3f}")
        expect(page.locator(".pg-numbers b").nth(1)).to_have_text(f"{cell['random']['mean'][at]:.3f}")
        assert f"W₁ to the queries: {method['w1'][at]:.3f}; Random: {cell['random']['mean'][at]:.3f}" in summary(page)
        assert picks(page) == method["order"][:b]
        kinds = next(t["kind"] for t in part["tasks"] if t["id"] == setting["task"])
        counts = [sum(kinds[j] == str(k) for j in method["order"][:b]) for k in range(len(part["kinds"]))]
        assert page.locator(".pg-legend b").all_inner_texts() == [f"{n:,}" for n in counts]
    assert seen.console == []


def test_coverage_table_equals_the_payload(page, open_page, data):
    visit(page, open_page)
    for setting in settings(data)[::3]:
        page.evaluate("hash => { location.hash = hash; }", address(setting))
        expect(page.locator(".pg-budget output b")).to_have_text(f"{setting['budget']:,}")
        _, cell, method = stored(data, setting)
        b = setting["budget"]
        rows = page.eval_on_selector_all(
            ".pg-table tbody tr", "rows => rows.map(r => [...r.cells].map(c => c.textContent))"
        )
        assert len(rows) == len(cell["pool_best"])
        for i, (name, share, rank, similarity, best) in enumerate(rows):
            record = method["records"][i]
            last = max(k for k in range(0, len(record), 3) if record[k] <= b)
            assert name == f"query {i + 1}"
            assert float(share.removesuffix(" %")) == pytest.approx(100 * method["nearest"][:b].count(i) / b, abs=0.051)
            assert int(rank.replace(",", "")) == record[last + 2]
            assert float(similarity.replace("−", "-")) == pytest.approx(record[last + 1], abs=1e-9)
            assert float(best.replace("−", "-")) == pytest.approx(cell["pool_best"][i], abs=1e-9)


def test_all_views_and_tours_can_be_shown(page, open_page, data):
    seen = visit(page, open_page)
    for tour in data["tours"]:
        page.get_by_role("button", name=tour["label"], exact=True).click()
        expect(page.locator(".pg-ask")).to_have_text(tour["ask"])
        assert picks(page) == stored(data, tour)[2]["order"][: tour["budget"]]
        for view in page.locator(".pg-views label").all():
            view.click()
            assert len(picks(page)) == tour["budget"]
    assert seen.console == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []


def test_a_candidate_under_the_pointer_shows_its_text(page, open_page, data):
    setting = settings(data)[1]
    visit(page, open_page, setting)
    part, _, method = stored(data, setting)
    first = method["order"][0]
    page.locator(f'[data-pick="{first}"] path').hover(force=True)
    expect(page.locator(".pg-card strong")).to_have_text(re.compile(rf"^Pick \d+ of {setting['budget']}$"))
    shown = page.locator(".pg-card .pg-text").inner_text()
    assert shown in [part["texts"][j] for j in method["order"][: setting["budget"]]]


def test_an_unpicked_candidate_is_found_too(page, open_page, data):
    setting = settings(data)[1] | {"budget": 1}
    visit(page, open_page, setting)
    part, *_ = stored(data, setting)
    page.locator(".pg-map .pg-svg").scroll_into_view_if_needed()
    box = page.locator(".pg-map .pg-svg").bounding_box()
    for x in np.linspace(0.2, 0.8, 9):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + 0.55 * box["height"])
        if page.locator(".pg-card strong").inner_text() == "Not picked":
            break
    expect(page.locator(".pg-card strong")).to_have_text("Not picked")
    assert page.locator(".pg-card .pg-text").inner_text() in part["texts"]
    expect(page.locator(".pg-ring")).to_be_visible()


def test_highlighting_a_query_shows_its_text_and_dims_the_others(page, open_page, data):
    setting = settings(data)[1]
    visit(page, open_page, setting)
    part, cell, _ = stored(data, setting)
    page.get_by_label("Highlight").select_option("1")
    texts = next(t["queries"] for t in part["tasks"] if t["id"] == setting["task"])
    expect(page.locator(".pg-field + .pg-text")).to_have_text(texts[1])
    assert page.locator(".pg-query.pg-dim").count() == len(cell["pool_best"]) - 1
    page.get_by_label("Highlight").select_option("-1")
    assert page.locator(".pg-dim").count() == 0


# --- keyboard ------------------------------------------------------------------------------------------


def test_the_slider_obeys_the_keyboard(page, open_page, data):
    setting = settings(data)[1]
    visit(page, open_page, setting)
    part, _, method = stored(data, setting)
    grid = part["budgets"]
    at = grid.index(setting["budget"])
    slider = page.get_by_role("slider", name="Budget")
    slider.focus()
    before = summary(page)
    page.keyboard.press("ArrowRight")
    assert picks(page) == method["order"][: grid[at + 1]]
    assert summary(page) != before
    assert slider.get_attribute("aria-valuetext") == f"{grid[at + 1]} of {len(part['texts'])}"
    page.keyboard.press("End")
    assert len(picks(page)) == grid[-1]
    page.keyboard.press("Home")
    assert picks(page) == method["order"][:1]


def test_arrows_choose_the_next_selector_and_keep_the_focus(page, open_page, data):
    setting = settings(data)[0]
    visit(page, open_page, setting)
    part, cell, _ = stored(data, setting)
    page.locator(".pg-chips input:checked").focus()
    for method in part["methods"][1:]:
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.value") == method
        assert picks(page) == cell["methods"][method]["order"][: setting["budget"]]


def test_pool_query_set_and_representation_are_lists_with_labels(page, open_page, data):
    visit(page, open_page)
    for part in data["scenes"]:
        page.get_by_label("Pool", exact=True).select_option(part["id"])
        for task in part["tasks"]:
            page.get_by_label("Query set").select_option(task["id"])
            for space in part["spaces"]:
                if len(part["spaces"]) > 1:
                    page.get_by_label("Representation").select_option(space["id"])
                values = part["cells"][f"{space['id']}/{task['id']}"]["random"]["mean"]
                assert page.locator(".pg-numbers b").nth(1).inner_text() in [f"{v:.3f}" for v in values]


def test_everything_is_reached_by_tab_and_focus_shows(page, open_page):
    visit(page, open_page)
    page.locator(".pg-tours button").first.focus()
    reached = []
    for _ in range(60):
        name, ring, inside = page.evaluate(
            """() => { const e = document.activeElement, chip = e.closest(".pg-chip"), s = getComputedStyle(chip ?? e);
            const ring = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2;
            return [e.type || e.tagName, ring, !!e.closest(".pg")]; }"""
        )
        if not inside:
            break
        assert ring, name
        reached.append(name)
        page.keyboard.press("Tab")
    assert reached.count("select-one") >= 3  # pool, query set, highlight
    assert reached.count("radio") == 2  # one stop per group
    assert {"range", "checkbox", "button", "SUMMARY"} <= set(reached)


def test_picks_are_read_one_by_one_without_a_mouse(page, open_page, data):
    setting = settings(data)[1]
    visit(page, open_page, setting)
    part, _, method = stored(data, setting)
    page.get_by_role("button", name="Next pick").focus()
    for rank in (1, 2, 3):
        page.keyboard.press("Enter")
        expect(page.locator(".pg-card strong")).to_have_text(f"Pick {rank} of {setting['budget']}")
        assert page.locator(".pg-card .pg-text").inner_text() == part["texts"][method["order"][rank - 1]]
    page.get_by_role("button", name="Previous pick").press("Enter")
    expect(page.locator(".pg-card strong")).to_have_text(f"Pick 2 of {setting['budget']}")


def test_the_summary_is_announced_and_drawings_have_words(page, open_page):
    visit(page, open_page)
    assert page.locator(".pg-summary").get_attribute("aria-live") == "polite"
    for drawing in page.locator("svg.pg-svg").all():
        assert drawing.get_attribute("role") == "img"
        described = page.locator(f"#{drawing.get_attribute('aria-labelledby')}")
        assert len(described.inner_text()) > 40


# --- playing, links, sizes -----------------------------------------------------------------------------


def test_play_moves_the_budget_and_stops_at_the_end(page, open_page, data):
    page.clock.install(time=0)
    setting = settings(data)[1]
    part, *_ = stored(data, setting)
    visit(page, open_page, setting | {"budget": part["budgets"][-4]})
    page.clock.pause_at(LATER)
    page.get_by_role("button", name="Play").click()
    assert page.locator(".pg-summary").get_attribute("aria-live") == "off"
    page.clock.run_for(150)
    assert len(picks(page)) == part["budgets"][-3]
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(1000)
    assert len(picks(page)) == part["budgets"][-3]
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(2000)
    assert len(picks(page)) == part["budgets"][-1]
    assert page.locator(".pg-summary").get_attribute("aria-live") == "polite"
    page.get_by_role("button", name="Play").click()  # again from the start
    assert len(picks(page)) == part["budgets"][0]


def test_reduced_motion_is_respected(browser, open_page, data):
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.clock.install(time=0)
    setting = settings(data)[1] | {"budget": 1}
    visit(page, open_page, setting)
    page.clock.pause_at(LATER)
    part, *_ = stored(data, setting)
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(800)
    assert len(picks(page)) == 1
    page.clock.run_for(200)
    assert len(picks(page)) == part["budgets"][1]
    assert page.locator(".pg-new").count() > 0
    assert page.eval_on_selector(".pg-new", "e => getComputedStyle(e).animationName") == "none"
    context.close()


def test_a_link_opens_its_setting_and_changes_are_kept_in_the_address(page, site, data):
    setting = settings(data)[-1]
    page.goto((site / NAME).as_uri() + address(setting, "seen"))
    expect(page.locator(".pg-budget output b")).to_have_text(f"{setting['budget']:,}")
    assert page.locator(".pg-views input:checked").get_attribute("value") == "seen"
    assert page.locator(".pg-chips input:checked").get_attribute("value") == setting["method"]
    assert page.get_by_label("Query set").input_value() == setting["task"]
    assert page.evaluate("document.querySelector('.tis-playground').getBoundingClientRect().top") < 300
    page.get_by_role("slider", name="Budget").press("Home")
    assert page.evaluate("location.hash") == address(setting | {"budget": 1}, "seen")


@pytest.mark.parametrize("hash_", ["#play=", "#play=no/such/thing/at/all", "#play=%E0%A4%A", "#play=toy/x/y/z/-3e9"])
def test_a_broken_link_does_no_harm(page, site, data, hash_):
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((site / NAME).as_uri() + hash_)
    expect(page.locator(".pg-summary")).to_contain_text("picks")
    assert len(picks(page)) >= 1
    assert complaints == []


def test_a_narrow_screen_scrolls_in_one_direction_only(browser, open_page, data):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    visit(page, open_page, width=390)
    for setting in settings(data)[::4]:
        page.evaluate("hash => { location.hash = hash; }", address(setting, "seen"))
        expect(page.locator(".pg-budget output b")).to_have_text(f"{setting['budget']:,}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    drawing = page.locator(".pg-map .pg-svg")
    drawing.scroll_into_view_if_needed()
    expect(page.get_by_role("slider", name="Budget")).to_be_in_viewport()  # it stays while one scrolls
    place = page.locator("[data-pick] path").first.bounding_box()
    page.touchscreen.tap(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    expect(page.locator(".pg-card strong")).to_have_text(re.compile("Pick"))
    context.close()


def test_drawings_follow_the_width_of_the_window(page, open_page):
    visit(page, open_page)
    wide = page.locator(".pg-map .pg-svg").get_attribute("viewBox")
    page.set_viewport_size({"width": 500, "height": 900})
    expect(page.locator(".pg-map .pg-svg")).not_to_have_attribute("viewBox", wide)
    width = page.locator(".pg-map .pg-svg").evaluate("e => e.clientWidth")
    assert page.locator(".pg-map .pg-svg").get_attribute("viewBox").split()[2] == str(width)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_stand_out_in_both_colour_schemes(browser, open_page, data, scheme):
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    visit(page, open_page, scheme=scheme)
    for method in data["scenes"][0]["methods"]:
        page.locator(f'.pg-chips input[value="{method}"]').check(force=True)
        ratio = page.evaluate(
            """() => { const canvas = document.createElement("canvas").getContext("2d");
            const light = (css) => { canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
              const lin = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => { v /= 255;
                return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
              return 0.2126 * lin[0] + 0.7152 * lin[1] + 0.0722 * lin[2]; };
            const line = document.querySelector(".pg-mine-line"), paper = line.closest("svg");
            const [a, b] = [getComputedStyle(line).stroke, getComputedStyle(paper).backgroundColor].map(light);
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }"""
        )
        assert ratio >= 3, method
    context.close()


def test_without_javascript_one_setting_is_shown(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / NAME).as_uri())
    picture = page.locator(".tis-playground-still img")
    expect(picture).to_be_visible()
    assert len(picture.get_attribute("alt")) > 40
    assert page.locator(".pg").count() == 0
    context.close()


def test_with_javascript_the_still_gives_way(page, open_page):
    visit(page, open_page)
    expect(page.locator(".tis-playground-still")).to_be_hidden()


def test_the_page_is_small(site):
    assert (site / NAME).stat().st_size < 1.5 * MEBIBYTE
    scripts = [site / "_static" / f"playground.{kind}" for kind in ("js", "css")]
    assert sum(path.stat().st_size for path in scripts) < 60_000


# --- one file, hostile texts ---------------------------------------------------------------------------


def test_texts_stay_texts_in_a_saved_page(page, tmp_path):
    hostile = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, 3))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    words = Texts([f"{hostile}{j}" for j in range(10)], [hostile] * 10, {"t": [hostile] * 10}, {"t": [hostile] * 2})
    made = scene("evil", hostile, {"s": Space(rows[:10], {"t": rows[10:]})}, words, budgets=[1, 2, 3], about=hostile)
    tour = {"label": hostile, "ask": hostile, "scene": "evil", "task": "t", "space": "s", "method": "uot", "budget": 2}
    target = Playground(payload([made], [tour]), Picture(b"", hostile, 5)).save(tmp_path / "evil.html", title=hostile)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(target.as_uri())
    page.locator(".pg-tours button").click()
    page.get_by_role("button", name="Next pick").click()
    page.get_by_label("Highlight").select_option("0")
    expect(page.locator(".pg-ask")).to_have_text(hostile)
    assert (
        page.locator(".pg-card .pg-text").text_content()
        == f"{hostile}{made['cells']['s/t']['methods']['uot']['order'][0]}"
    )
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 1
    assert complaints == []
