"""What the checks for shared text find in made-up sets."""

from __future__ import annotations

import pandas as pd
import pytest

from tis_utils.examples.shared_text import largest_share, normalised, shared_texts, twins

SETS = {
    "pool": ["Add 1 and 2.", "add 1, and 2", "the quick brown fox jumps over it"],
    "queries": ["Add 1 and 2.", "Is ( ) closed?", "Is [ ] closed?"],
    "held out": ["a quick brown fox jumps over nothing", "ADD 1 AND 2!"],
}


def test_normalising_deletes_case_blanks_and_signs() -> None:
    assert normalised("  Add 1,\n and (2)! ") == "add 1 and 2"


def test_the_largest_share_is_that_of_one_text_and_names_it() -> None:
    shares, places = largest_share(SETS["held out"], SETS["pool"], 3)
    assert shares.tolist() == [pytest.approx(3 / 5), 1.0]  # quick brown fox, brown fox jumps, fox jumps over
    assert places.tolist() == [2, 0]
    assert largest_share(["too short"], SETS["pool"], 3)[0].tolist() == [0.0]
    assert largest_share(["one two three"], [], 3)[0].tolist() == [0.0]


def test_every_set_is_compared_with_those_before_it_and_with_itself() -> None:
    table = shared_texts(SETS, 3)
    assert list(table.index) == [
        ("pool", "pool"), ("queries", "pool"), ("queries", "queries"),
        ("held out", "pool"), ("held out", "queries"), ("held out", "held out"),
    ]  # fmt: skip
    assert table.loc[("queries", "pool")].tolist() == [3, 1, 1, 1]
    assert table.loc[("held out", "pool")].tolist() == [2, 0, 1, 2]
    assert table.loc[("pool", "pool"), ["exact", "normalised"]].tolist() == [0, 1]
    assert table.loc[("queries", "queries"), "normalised"] == 1
    assert pd.isna(table.loc[("pool", "pool"), "a third shared"])


def test_twins_differ_in_what_normalising_deletes_only() -> None:
    one, other = SETS["queries"][1:]
    assert twins(SETS["queries"], SETS["queries"]) == [(one, other), (other, one)]
    assert twins(SETS["held out"], SETS["queries"]) == [("ADD 1 AND 2!", "Add 1 and 2.")]
