"""Leads over Random and grades of ILA's claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tis_utils.evidence.cube import lead_estimate
from tis_utils.neighbours.ila.claims import DEPTH, ILA, gaps, judge
from tis_utils.neighbours.ila.designed_subsets import COLUMNS
from tis_utils.neighbours.leads import common_cube


def made_up_rows(gains: dict[str, float], budgets: tuple[int, ...] = (25, 50)) -> pd.DataFrame:
    """Loss 2 for Random, `gain` per cent less for the others (times the budget's place)."""
    rng = np.random.default_rng(0)
    lines = [
        (
            "budget", task, "less" if name == "round_robin" else "none", name, budget, seed, "test_loss",
            2 * (1 - gain / 100 * (1 + k)) + 0.001 * rng.normal(),
        )
        for name, gain in gains.items() for task in "abcd" for k, budget in enumerate(budgets) for seed in (0, 1, 2)
    ]  # fmt: skip
    names = ["experiment", "task", "representation", "selector", "budget", "seed", "metric", "value"]
    return pd.DataFrame(lines, columns=names)


def test_grades_follow_the_runs(made_up_subsets) -> None:
    gains = {
        "random": 0,
        "ila": 5,
        "ila@depth": 8,
        "ila@coverage": 1,
        "deita": 3,
        "round_robin": 20,
        "ila@pool10": 1,
        "ila@pool20": 3,
    }
    table = judge(made_up_rows(gains), made_up_subsets(1.0), "test", 40)
    found = table.set_index("claim")["grade"]
    assert found["ILA beats Random, test_loss"] == "shown"
    assert found["ILA beats depth alone, test_loss"] == "refuted"
    assert found["ILA beats Deita, test_loss"] == "shown"
    assert found["ILA beats coverage alone, test_loss"] == "shown"
    assert found["ILA's gain grows with the budget, test_loss"] == "shown"
    assert found["ILA's gain grows with the pool, test_loss"] == "shown"
    assert found["targeted beats ILA, test_loss"] == "shown"
    assert found["coverage and depth explain, leave-one-out, test_loss"] == "shown"
    assert found["ILA beats Random, general_loss"] == "not testable"  # the table of subsets has no runs of Random
    pool = table.set_index("claim").loc["ILA's gain grows with the pool, test_loss"]
    assert pool["estimate"] == pytest.approx(3, abs=0.2)  # 1.5, 4.5, 7.5 per cent at 10, 20 and 40


def test_without_runs_nothing_is_testable() -> None:
    empty = made_up_rows({}), pd.DataFrame(columns=COLUMNS)
    table = judge(*empty, "test", 40)
    assert set(table["grade"]) == {"not testable"}
    assert (table["reason"].str.len() > 0).all()
    assert set(gaps({"test": empty[0]})["grade"]) == {"not testable"}


def test_a_gap_is_how_far_one_loss_lies_below_another() -> None:
    data = common_cube(made_up_rows({"ila": 10, "ila@depth": 4}), "test_loss", [ILA, DEPTH])
    value, low, high = lead_estimate(data, DEPTH, ILA)
    assert low < value < high
    ratio = np.sqrt(0.9 / 0.96 * 0.8 / 0.92)  # at both budgets
    assert value == pytest.approx(100 * (1 - ratio), abs=0.2)
