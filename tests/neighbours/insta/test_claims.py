"""Leads of two methods and grades of INSTA's claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.neighbours.insta.claims import judge, lead, leads


def rows(values: dict[str, float], *, spread: float = 0.0, tasks: str = "pqr") -> pd.DataFrame:
    """Loss per method: value × (1 + task number), budgets 25 and 100, three seeds."""
    lines = [
        (*method.split("/"), task, budget, seed, "test_loss", value * (1 + t) + spread * (seed - 1))
        for method, value in values.items()
        for t, task in enumerate(tasks)
        for budget in (25, 100)
        for seed in range(3)
    ]
    fields = ["representation", "selector", "task", "budget", "seed", "metric", "value"]
    return pd.DataFrame(lines, columns=fields)


def test_a_lead_is_the_mean_relative_difference() -> None:
    table = rows({"none/insta@5": 0.9, "none/random": 1.0})
    assert lead(table, "none/insta@5", "none/random") == pytest.approx((10, 10, 10))
    assert lead(rows({"a/x": 1.0, "b/y": 0.8}, spread=0.2), "a/x", "b/y") == pytest.approx((-25, -25, -25))
    two = lead(rows({"a/x": 1.0, "b/y": 0.8}, spread=0.2, tasks="pq"), "a/x", "b/y")  # too few tasks: the seeds' noise
    assert two.low < two.value < two.high


def test_a_lead_counts_only_what_both_have() -> None:
    table = rows({"a/x": 0.5, "b/y": 1.0})
    table.loc[(table["representation"] == "a") & (table["budget"] == 25), "value"] = np.nan
    table.loc[(table["representation"] == "b") & (table["budget"] == 25), "value"] = 99.0
    assert lead(table, "a/x", "b/y")[0] == pytest.approx(50)
    with pytest.raises(InputError, match="c/z"):
        lead(table, "a/x", "c/z")


def test_two_tasks_are_too_few_for_a_grade() -> None:
    few = judge(rows({"none/insta@5": 0.5, "none/random": 1.0}, tasks="pq"))
    assert set(few["grade"]) == {"not testable"}
    assert few.set_index("claim").loc["few tasks beat all, by prompts", "estimate"] == pytest.approx(50)


@settings(max_examples=15)
@given(st.floats(0.5, 2), st.floats(0.5, 2))
def test_grades_follow_the_sign(a: float, b: float) -> None:
    found = judge(rows({"none/insta@5": a, "none/random": b})).set_index("claim")
    wanted = "open" if np.isclose(a, b, rtol=1e-9) else ("shown" if a < b else "refuted")
    assert found.loc["few tasks beat all, by prompts", "grade"] in (wanted, "open")
    if abs(a - b) > 1e-6:
        assert found.loc["few tasks beat all, by prompts", "grade"] == wanted
    assert found.loc["few tasks beat all, by cards", "grade"] == "not testable"


def test_a_lead_at_one_budget_reads_that_budget_only() -> None:
    table = rows({"a/x": 0.5, "b/y": 1.0})
    table.loc[(table["representation"] == "a") & (table["budget"] == 25), "value"] *= 1.5
    assert lead(table, "a/x", "b/y", budget=25)[0] == pytest.approx(25)
    assert lead(table, "a/x", "b/y", budget=100)[0] == pytest.approx(50)


def test_leads_are_those_of_lead() -> None:
    table = rows({"a/x": 0.5, "b/y": 1.0, "c/z": 0.9}, spread=0.01)
    found = leads(table, ["a/x", "c/z"], "b/y", [25, 100])
    assert found[["budget", "method"]].to_numpy().tolist() == [[b, m] for b in (25, 100) for m in ("a/x", "c/z")]
    for row in found.itertuples():
        assert (row.value, row.low, row.high) == lead(table, row.method, "b/y", budget=row.budget)
