"""Leads over Random and verdicts on ILA's claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila.claims import DEPTH, ILA, RANDOM, claims, gap, judge, leads
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


def test_verdicts_follow_the_runs(made_up_subsets) -> None:
    gains = {
        "random": 0,
        "ila": 5,
        "ila@depth": 8,
        "ila@coverage": 1,
        "round_robin": 20,
        "ila@pool10": 1,
        "ila@pool20": 3,
    }
    table = judge(made_up_rows(gains), made_up_subsets(1.0), "test", 40, draws=300)
    found = table.set_index("claim")["verdict"]
    assert found["ILA beats Random, test_loss"] == "supported"
    assert found["ILA beats depth alone, test_loss"] == "contradicted"
    assert found["ILA beats coverage alone, test_loss"] == "supported"
    assert found["ILA's gain grows with the budget, test_loss"] == "supported"
    assert found["ILA's gain grows with the pool, test_loss"] == "supported"
    assert found["targeted beats ILA, test_loss"] == "supported"
    assert found["coverage and depth explain, leave-one-out, test_loss"] == "supported"
    assert found["ILA beats Random, general_loss"] == "not testable"  # the table of subsets has no runs of Random
    pool = table.set_index("claim").loc["ILA's gain grows with the pool, test_loss"]
    assert pool["statistic"] == pytest.approx(3, abs=0.2)  # 1.5, 4.5, 7.5 per cent at 10, 20 and 40


def test_without_runs_nothing_is_testable(study: Study) -> None:
    table = claims(study, draws=50)
    assert set(table["verdict"]) == {"not testable"}
    assert (table["reason"].str.len() > 0).all()


def test_leads_of_a_cube() -> None:
    rows = made_up_rows({"random": 0, "ila": 10})
    data = common_cube(rows, "test_loss", [ILA, RANDOM])
    table = leads(data, draws=100).set_index("budget")
    np.testing.assert_allclose(table["value"], [10, 20], atol=0.2)
    assert ((table["low"] < table["value"]) & (table["value"] < table["high"])).all()


def test_a_gap_is_a_difference_of_leads_over_random() -> None:
    rows = made_up_rows({"random": 0, "ila": 10, "ila@depth": 4})
    data = common_cube(rows, "test_loss", [ILA, DEPTH, RANDOM])
    value, low, high = gap(data, ILA, DEPTH, draws=100)
    assert low < value < high
    assert value == pytest.approx(9, abs=0.2)  # 15 − 6, mean over two budgets
    assert gap(data, ILA, RANDOM, draws=100)[0] == pytest.approx(15, abs=0.2)
    grown = gap(data, ILA, DEPTH, draws=100, growth=True)
    assert grown[0] == pytest.approx(6, abs=0.2)  # 20 − 8 at the second budget, 10 − 4 at the first
