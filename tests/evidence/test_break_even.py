"""Where leads end, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.evidence.break_even import break_even, break_even_table, break_even_text
from tis_utils.evidence.cube import cube

BUDGETS = (25, 50, 100)


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        ([-1, -2, -3], 0),
        ([1, 2, 3], np.inf),
        ([-1, 1, 2], np.inf),
        ([1, -1, -2], 25 * 2**0.5),
        ([1, 3, -1], 50 * 2**0.75),
        ([1, -1, 0], 25 * 2**0.5),
        ([1, 0, -1], 50),
    ],
)
def test_break_even_by_hand(lead, expected):
    assert break_even(BUDGETS, np.array(lead, float)) == pytest.approx(expected)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_it_lies_between_the_last_lead_and_the_next_budget(lead):
    found = break_even(BUDGETS, np.array(lead))
    ahead = [b for b, x in zip(BUDGETS, lead, strict=True) if x > 0]
    if not ahead:
        assert found == 0
    elif ahead[-1] == BUDGETS[-1]:
        assert np.isinf(found)
    else:
        after = BUDGETS[BUDGETS.index(ahead[-1]) + 1]
        assert ahead[-1] <= found <= after * (1 + 1e-12)


def test_break_evens_by_method_and_task(sweep_rows, sweep_value):
    data = cube(sweep_rows(), "test_loss", "representation")
    table = break_even_table(data, "random")
    assert list(table.columns) == ["words", "pick"]
    assert "random" not in table.index
    assert np.isinf(table.loc["embed"]).all()
    assert (table.loc["zero_shot"] == 0).all()
    less = sweep_value("words", "less", 50, 1), sweep_value("words", "less", 100, 1)
    assert less[0] < 2.5 < less[1]  # ahead of Random at 50, no longer at 100
    assert 50 < table.loc["less", "words"] < 100


def test_break_evens_in_words():
    assert [break_even_text(x) for x in (0, 61.4, np.inf)] == ["never ahead", "61", "still ahead"]
