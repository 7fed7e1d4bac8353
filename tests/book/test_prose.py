"""Sentences whose numbers come from variables."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest

from tis_utils.book import prose
from tis_utils.book.prose import claim, listed, ran_with, say, with_interval
from tis_utils.errors import InputError
from tis_utils.experiments import Study
from tis_utils.profiles import load_profile


def test_the_examples_in_the_docstrings() -> None:
    failed, tried = doctest.testmod(prose)
    assert (failed, tried >= 4) == (0, True)


def test_numbers_are_printed_as_the_book_prints_them() -> None:
    text = "{n:,} rows, {share:.0%}, {rho:+.2f}, {one}, {gap:.1f}, {name}"
    values = {"n": np.int64(12_000), "share": 0.5, "rho": np.float32(-0.25), "one": -1, "gap": float("nan")}
    assert say(text, **values, name="round-robin").data == "12,000 rows, 50 %, −0.25, −1, n/a, round-robin"


@pytest.mark.parametrize(
    ("text", "values", "message"),
    [
        ("{lead} %", {"leed": 1}, "no value for the field 'lead'. Given: leed"),
        ("{} %", {}, "cannot be filled in.*index.*Given: nothing"),
        ("nothing", {"lead": 1, "budget": 2}, "no field for budget, lead"),
        ("{lead:.1f} %", {"lead": "a lot"}, r"cannot be filled in.*'f'"),
        ("{lead.mean} %", {"lead": 1}, "cannot be filled in.*'mean'"),
        ("{lead", {"lead": 1}, "cannot be filled in.*expected '}'"),
    ],
)
def test_a_sentence_and_its_values_must_fit(text: str, values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        say(text, **values)


def test_formulas_keep_their_braces() -> None:
    assert say(r"$\tilde{{x}} = {x:.1f}$", x=2).data == r"$\tilde{x} = 2.0$"


def test_a_claim_that_holds_is_the_sentence_alone() -> None:
    assert claim("{k} of {n} agree.", holds=np.bool_(True), otherwise="Only {k}.", k=4, n=5).data == "4 of 5 agree."


def test_a_claim_that_does_not_hold_is_a_block_quote_throughout() -> None:
    box = claim("One.\nTwo {n}.", holds=False, otherwise="Three.\n\n- four", n=2).data
    assert box.splitlines() == [prose.BOX, "> One.", "> Two 2.", ">", "> Three.", ">", "> - four"]
    assert claim("One.", holds=False).data == f"{prose.BOX}\n> One."


def test_a_wrong_field_of_the_other_text_is_noticed_where_the_claim_holds() -> None:
    with pytest.raises(InputError, match="rest"):
        claim("One.", holds=True, otherwise="{rest}")


def test_a_claim_needs_a_plain_answer() -> None:
    with pytest.raises(InputError, match="must be True or False"):
        claim("One.", holds=np.array([True, False]))  # type: ignore[arg-type]


def test_intervals_and_lists() -> None:
    assert with_interval(-12.34, -20, 0.4, digits=0) == "−12 % [−20, +0]"
    assert with_interval(0.25, 0.1, 0.375, "", 2) == "+0.25 [+0.10, +0.38]"
    assert [listed(x) for x in ([], [1], (1, 2), "abc")] == ["none", "1", "1 and 2", "a, b and c"]


def test_a_page_says_what_it_ran_with() -> None:
    study = Study(load_profile("smoke"))
    about = study.profile
    text = ran_with(study, about.budgets, "A width of {width:,}.", width=1024).data
    assert text.startswith(f"This page ran with the profile **smoke**: {len(study.data.pool):,} candidates, tasks ")
    budgets, seeds = listed(about.budgets), listed(about.seeds)
    assert f" with {about.n_queries} queries each, budgets {budgets}, seeds {seeds}." in text
    assert text.endswith(" A width of 1,024.")
    assert "budgets" not in ran_with(study).data


def test_tables_of_the_notebooks_show_whole_sentences() -> None:
    text = "words " * 40 + "end"
    assert text in pd.DataFrame({"text": [text]}).to_html()
