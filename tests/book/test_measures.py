"""What the pages ask of a reader; `pytest -s tests/book/test_measures.py` prints the table.

Folds are everything that a reader can open: code, proofs, solutions, answers of quizzes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser

from tis_utils.book.parameters import chapters

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 1280, 800
WORDS = 200  # a minute
FOLDS, DUMPS = 12, 20
SEEN = 100  # px of the figure on the first screen


@pytest.fixture(scope="module")
def measures(browser: Browser, open_page: Callable) -> pd.DataFrame:
    script = (Path(__file__).parent / "measures.js").read_text(encoding="utf-8").split("\n", 1)[1]
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    rows = {}
    for chapter in chapters():
        open_page(page, f"chapters/{chapter.stem}.html")
        rows[chapter.stem] = page.evaluate(script)
    page.close()
    table = pd.DataFrame(rows).T
    table.insert(1, "minutes at 200", (table["words"] / WORDS).round(1))
    print(f"\n{table.to_string()}\n{int(table['dumps'].sum())} text dumps in the book")
    return table


def test_there_is_not_too_much_to_open(measures):
    assert measures.loc[measures["folds"] > FOLDS, "folds"].to_dict() == {}


def test_results_are_not_dumped_as_text(measures):
    assert measures["dumps"].sum() <= DUMPS


def test_the_minutes_that_a_chapter_names_are_those_of_its_words(measures):
    """Formulas, figures and code take longer than words: never less than the words alone need."""
    needed = measures["words"] / WORDS
    assert measures.loc[measures["minutes"] < 0.8 * needed, "minutes"].to_dict() == {}


def test_the_first_screen_has_question_finding_and_figure(measures):
    measured = measures.drop(index="09_playground")  # it is its own answer: nothing stands before the figure
    order = measured[["question", "finding", "figure"]]
    assert order.notna().all(axis=None)
    assert order[~order.apply(lambda tops: tops.is_monotonic_increasing, axis=1)].empty
    as_written = ~measures["boxed"].astype(bool)  # a finding that other parameters contradict has a box around it
    late = measures.loc[as_written & (measures["figure"] > HEIGHT - SEEN), "figure"]
    assert late.to_dict() == {}
