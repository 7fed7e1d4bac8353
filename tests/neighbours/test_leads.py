"""Leads are judged on a scale that swapping the methods turns round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.evidence.claims import judged_tasks
from tis_utils.neighbours.leads import judged_leads

LEADS = st.lists(st.floats(-3, 3), min_size=3, max_size=8)
OPPOSITE = {"shown": "refuted", "leaning": "leaning against", "refuted": "shown", "leaning against": "leaning"}


@given(LEADS)
def test_swapping_the_methods_changes_the_sign(leads: list[float]) -> None:
    line, swapped = judged_leads(np.array(leads)), judged_leads(-np.array(leads))
    assert line["estimate"] == pytest.approx(-swapped["estimate"])
    assert (line["low"], line["high"]) == pytest.approx((-swapped["high"], -swapped["low"]))
    if 0 not in leads:
        assert swapped["grade"] == OPPOSITE.get(line["grade"], line["grade"])


@given(LEADS)
def test_it_stays_between_minus_and_plus_100_and_keeps_grade_and_counts(leads: list[float]) -> None:
    line, logs = judged_leads(np.array(leads)), judged_tasks(np.array(leads), "log ratio")
    assert -100 <= line["low"] <= line["estimate"] <= line["high"] <= 100
    assert [line[name] for name in ("grade", "k", "n")] == [logs[name] for name in ("grade", "k", "n")]


def test_by_hand() -> None:
    half = judged_leads(np.log([2.0, 2.0, 2.0]))  # the rival's loss is twice ours
    assert (half["estimate"], half["low"], half["high"]) == pytest.approx((50, 50, 50))
    assert judged_leads(-np.log([9.0, 9.0, 9.0]))["estimate"] == pytest.approx(-800 / 9)  # "below the rival": −800


def test_two_tasks_have_a_number_and_no_interval() -> None:
    line = judged_leads(-np.log([2.0, 2.0]))
    assert line["grade"] == "not testable"
    assert line["estimate"] == pytest.approx(-50)
    assert "low" not in line
