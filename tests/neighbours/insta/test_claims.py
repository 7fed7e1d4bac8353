"""Leads of two methods and grades of INSTA's claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.neighbours.insta.claims import by_count, gaps, judge, judge_models, lead, leads


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


def by_task(losses: dict[str, list[float]], budgets: tuple[int, ...] = (25,)) -> pd.DataFrame:
    """Losses of each selector by task, the same for all seeds but for a per cent."""
    fields = ["experiment", "representation", "selector", "task", "budget", "seed", "metric", "value"]
    lines = [
        ("budget", "none", name, f"t{t}", 0 if name == "none" else budget, seed, "test_loss", value * (1 + seed / 100))
        for name, values in losses.items()
        for t, value in enumerate(values)
        for budget in budgets
        for seed in (0, 1)
    ]
    return pd.DataFrame(lines, columns=fields).drop_duplicates(fields[:-1])


def test_harm_is_a_loss_above_that_of_the_untuned_model() -> None:
    rows = by_task({"insta@1": [3.0, 3.1, 3.2], "insta@5": [1.0, 1.1, 1.0], "none": [2.0, 2.0, 2.0]})
    table = judge(rows).set_index("claim")
    assert table.loc["one task helps, by prompts", "grade"] == "refuted"
    assert table.loc["five tasks help, by prompts", "grade"] == "shown"
    assert table.loc["five tasks help, by prompts", "k"] == 3
    assert table.loc["twenty tasks help, by prompts", "grade"] == "not testable"


def test_the_figure_of_rivals_has_every_choice_by_k_and_every_seed() -> None:
    losses = {"insta@5": [1.0, 2.0, 4.0], "insta@1:cards": [4.0, 4.0, 4.0], "transfer@20": [2.0, 2.0, 2.0]}
    rows = by_task(losses | {"random": [2.0, 2.0, 4.0], "ila": [1.0, 1.0, 1.0], "insta@5:max": [1.0, 1.0, 1.0]})
    table, seeds = by_count(rows)
    assert set(zip(table["choice"], table["k"], strict=True)) == {
        ("INSTA by prompts", 5), ("INSTA by cards", 1), ("measured transfer", 20)
    }  # fmt: skip
    five = table.set_index("choice").loc["INSTA by prompts"]
    assert five["value"] == pytest.approx(100 * (1 - 2 ** (-1 / 3)))  # half the loss in one of three targets
    assert five["low"] < 0 < five["value"] < five["high"]
    assert len(seeds) == 2 * len(table)
    first = seeds.query("choice == 'INSTA by prompts' and seed == 0")["value"].item()
    assert first == pytest.approx(100 * (1 - 2 ** (-1 / 3) / 1.005))  # against the mean of Random's two runs
    part = rows[(rows["selector"] != "insta@5") | (rows["seed"] == 0) | (rows["task"] == rows["task"].iloc[0])]
    _, some = by_count(part)  # a seed that lacks tasks would stand for other ones
    assert some.query("choice == 'INSTA by prompts'")["seed"].tolist() == [0]
    nothing = by_count(rows[rows["selector"] != "random"])
    assert [len(part) for part in nothing] == [0, 0]


def test_the_gap_is_compared_at_the_lowest_budgets() -> None:
    small = by_task({"insta@5": [1.0, 1.0, 1.0], "random": [2.0, 2.0, 2.0]}, (25, 100))
    small.loc[small["budget"] == 100, "value"] = 1.0
    large = by_task({"insta@5": [1.5, 1.5, 1.5], "random": [2.0, 2.0, 2.0]}, (16,))
    table = gaps({"small": small, "large": large}).set_index(["claim", "source"])
    line = table.loc["the gap to all tasks shrinks with the model, by prompts", "large"]
    assert line["grade"] == "shown"
    assert line["estimate"] == pytest.approx(25)  # 50 % and 25 % below all tasks
    assert (table.xs("the gap to all tasks shrinks with the model, by cards")["grade"] == "not testable").all()
    both = judge_models({"small": small, "large": large}).set_index(["claim", "source"])
    assert both.loc[("few tasks beat all, by prompts", "small"), "estimate"] == pytest.approx(50)  # of 25, not of 100
    assert len(both) == len(table) + 2 * len(judge(small))
