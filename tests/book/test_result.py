"""The picture of the book's own model: it shows the stored runs, and the buttons change what it shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests_support import extension

ROOT = Path(__file__).resolve().parents[2]
BUDGETS = ROOT / "data" / "results" / "classroom" / "budgets.csv"


@pytest.fixture(scope="module")
def result() -> ModuleType:
    return extension("tis_result")


@pytest.fixture(scope="module")
def facts(result) -> dict:
    return result.picture(result.load(BUDGETS))


def lead(rows, metric: str, name: str, budget: int) -> float:
    """Geometric mean over tasks of loss / Random's loss, as per cent below Random, from the file's rows."""
    rows = rows[rows["metric"] == metric]
    leads = []
    for task in rows["task"].unique():
        part = rows[rows["task"] == task]
        random = part[(part["selector"] == "random") & (part["budget"] == budget)]["value"].mean()
        own = part[part["selector"] == "none"] if name == "zero_shot" else part[
            (part["representation"] == name) & (part["selector"] == "round_robin") & (part["budget"] == budget)
        ]  # fmt: skip
        leads.append(np.log(own["value"].mean() / random))
    return float(100 * (1 - np.exp(np.mean(leads))))


def test_every_number_is_that_of_the_stored_runs(result, facts):
    rows = result.load(BUDGETS)
    assert facts["budgets"] == [str(b) for b in sorted(rows.loc[rows["budget"] > 0, "budget"].unique())]
    for metric in result.METRICS:
        for budget in facts["budgets"]:
            state = facts["states"][metric][budget]
            for name, (value, low, high) in zip(result.SHOWN, state["values"], strict=True):
                assert value == pytest.approx(lead(rows, metric, name, int(budget)), abs=0.06)
                assert facts["range"][0] <= low <= value <= high <= facts["range"][1]


def test_the_sentence_says_lower_higher_and_the_same(result):
    said = result.sentence([[20.2, 0, 0], [-7.6, 0, 0], [55.0, 0, 0], [-0.4, 0, 0]], 50)
    assert "50 examples" in said
    assert "EMBED 20 % lower, RDS+ 8 % higher, LESS 55 % lower, no fine-tuning at all the same." in said


def test_rendering_twice_gives_the_same(result, facts):
    again = result.picture(result.load(BUDGETS))
    assert result.figure_html(facts) == result.figure_html(again)
    assert len(result.figure_html(facts)) < 100_000


@pytest.fixture
def page(browser, open_page):
    context = browser.new_context(viewport={"width": 390, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    visit = open_page(page, "chapters/00_quickstart.html", width=390)
    yield page
    assert visit.console == []
    context.close()


def shown(page) -> list[str]:
    rows = page.locator(".tis-result-rows .tis-result-row")
    return rows.locator("> span:last-child").all_inner_texts()


@pytest.mark.browser
def test_buttons_and_arrow_keys_change_the_picture(page, result):
    facts = json.loads(page.locator("figure.tis-result script").text_content())
    for metric in result.METRICS:
        page.locator(f"input[value={metric}]").check()
        page.locator(f"input[value='{facts['budgets'][0]}']").click()
        for i, budget in enumerate(facts["budgets"]):
            if i:
                page.keyboard.press("ArrowRight")  # from one radio button to the next
            state = facts["states"][metric][budget]
            assert shown(page) == state["labels"] == [result.signed(row[0]) for row in state["values"]]
            assert page.locator("figure.tis-result figcaption").inner_text().startswith(state["text"])
            assert state["text"] in page.get_by_role("img", name=re.compile("Dot plot")).get_attribute("aria-label")
            low, high = facts["range"]
            for k, dot in enumerate(page.locator(".tis-result-rows b").all()):
                place = float(dot.evaluate("e => e.style.left").removesuffix("%"))
                assert place == pytest.approx(100 * (state["values"][k][0] - low) / (high - low), abs=0.01)


@pytest.mark.browser
def test_without_scripts_the_first_state_is_there(browser, site, facts, result):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "chapters" / "00_quickstart.html").as_uri())
    first = facts["states"]["test_loss"][facts["budgets"][0]]
    assert shown(page) == [result.signed(row[0]) for row in first["values"]]
    assert page.locator("figure.tis-result input").count() == 0
    context.close()
