"""Quizzes in the built pages: feedback on every choice, mouse and keyboard, something to read without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

CHAPTER = "chapters/00_quickstart.html"


@pytest.fixture
def page(browser: Browser, open_page):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    visit = open_page(page, CHAPTER)
    yield page
    assert visit.console == []
    context.close()


@pytest.fixture
def plain(browser: Browser, site):
    """The same page without JavaScript."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / CHAPTER).as_uri())
    yield page
    context.close()


def answers(plain: Page) -> list[list[str]]:
    """Explanations of every quiz, as the page has them without scripts."""
    boxes = plain.locator(".tis-quiz").all()
    return [box.locator("details li").all_text_contents() for box in boxes]


def right(reasons: list[str]) -> int:
    return [reason.startswith("Right.") for reason in reasons].index(True)


def words(text: str) -> str:
    return " ".join(text.split()).removeprefix("Right. ")


def test_every_option_gets_its_own_explanation(page, plain):
    expected = answers(plain)
    quizzes = page.locator(".tis-quiz").all()
    assert len(quizzes) == len(expected) >= 2
    for box, reasons in zip(quizzes, expected, strict=True):
        assert box.get_by_role("radio").count() == len(reasons)
        for option in [i for i in range(len(reasons)) if i != right(reasons)] + [right(reasons)]:
            box.get_by_role("radio").nth(option).check()
            assert box.get_by_role("status").inner_text() == ""  # a new choice clears the old verdict
            box.get_by_role("button", name="Check").click()
            said = words(box.get_by_role("status").inner_text())
            verdict = "Right." if option == right(reasons) else "Not this one."
            assert said in (f"{verdict} {words(reasons[option])}", words(reasons[option]))
            assert box.get_by_role("status").locator("strong").first.inner_text() == verdict
    score = page.locator(".tis-quiz-score").inner_text()
    assert f"{len(expected)} of {len(expected)}" in score
    assert "0 at the first try" in score


def test_a_right_answer_at_once_counts_as_one(page, plain):
    reasons = answers(plain)[0]
    box = page.locator(".tis-quiz").first
    box.locator("label").nth(right(reasons)).click()  # the text is as good as the circle
    for _ in range(2):  # a second check of the same answer adds nothing
        box.get_by_role("button", name="Check").click()
    assert "1 of" in page.locator(".tis-quiz-score").inner_text()
    assert "1 at the first try" in page.locator(".tis-quiz-score").inner_text()


def test_nothing_chosen_is_said(page):
    box = page.locator(".tis-quiz").first
    box.get_by_role("button", name="Check").click()
    assert "Choose an option" in box.get_by_role("status").inner_text()


def test_by_keyboard_alone(page, plain):
    reasons = answers(plain)[0]
    box = page.locator(".tis-quiz").first
    box.get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    for _ in range(right(reasons)):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Check"
    page.keyboard.press("Enter")
    assert box.get_by_role("status").inner_text().startswith("Right.")


def test_group_and_options_have_names(page, plain):
    box = page.locator(".tis-quiz").first
    question = words(plain.locator(".tis-quiz > .admonition-title").first.inner_text())
    assert box.get_by_role("group", name=question).count() == 1
    for option in plain.locator(".tis-quiz").first.locator("> ol > li").all():
        assert box.get_by_role("radio", name=words(option.inner_text()), exact=True).count() == 1
    assert box.get_by_role("status").get_attribute("aria-live") in (None, "polite")  # the role implies it


def test_without_scripts_question_options_and_answer_are_there(plain):
    box = plain.locator(".tis-quiz").first
    assert box.locator("> .admonition-title").is_visible()
    assert box.locator("> ol > li").first.is_visible()
    assert box.locator("> ol > li").count() == box.locator("details li").count()
    assert not box.locator("details li").first.is_visible()
    box.locator("summary").click()
    assert box.locator("details li").first.is_visible()
    assert box.locator("details li > p > strong, details li > strong").first.inner_text() == "Right."


def test_every_chapter_has_working_quizzes(browser, open_page, pages):
    context = browser.new_context(viewport={"width": 390, "height": 900})
    for name in [name for name in pages if name.startswith("chapters/")]:
        page = context.new_page()
        open_page(page, name, width=390)
        assert page.locator(".tis-quiz form").count() >= 2, name
        assert page.locator(".tis-quiz").count() == page.locator(".tis-quiz form").count(), name
        page.close()
    context.close()
