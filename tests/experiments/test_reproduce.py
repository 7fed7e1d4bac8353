from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.experiments.reproduce import TOLERANCE, recheck_text
from tis_utils.experiments.run_spec import SPEC_COLUMNS

PART = (
    r"(\d+) of them trained on (exactly the same examples|a subset that is not quite the stored one): (\d+) % of the "
    r"losses agree within ([\d.]+) nats, the mean difference is ([\d.]+), the largest ([\d.]+)\."
)


def checked(runs: list[dict]) -> pd.DataFrame:
    """What ``Study.recheck`` returns, from (metric -> (stored, live)) and whether the subset was the same."""
    rows = []
    for seed, run in enumerate(runs):
        cell = dict.fromkeys(SPEC_COLUMNS, -1) | {"task": run.get("task", "pick"), "seed": seed}
        for metric, (stored, live) in run["values"].items():
            values = {"stored": stored, "live": live, "difference": live - stored}
            rows.append({**cell, "metric": metric, **values, "same_subset": run.get("same", True)})
    return pd.DataFrame(rows)


def losses(*gaps: float, same: bool = True) -> dict:
    """A run whose losses differ by the gaps; its exact match differs by far more, which is no loss."""
    names = ["query_loss", "test_loss"][: len(gaps)]
    values = {name: (1.0, 1.0 + gap) for name, gap in zip(names, gaps, strict=True)}
    return {"values": values | {"exact_match": (0.0, 1.0)}, "same": same}


def parts(text: str) -> dict[str, tuple[float, ...]]:
    return {kind: (int(n), int(share), *map(float, rest)) for n, kind, share, *rest in re.findall(PART, text)}


def test_nothing_stored_means_that_all_ran_here() -> None:
    text = recheck_text(pd.DataFrame(columns=[*SPEC_COLUMNS, "metric", "stored", "live"]), 40, 7)
    assert text == "None of the 40 runs was stored under this key: **all of them ran here**."


def test_same_and_other_subsets_are_told_apart() -> None:
    runs = [losses(0.0, 0.01), losses(-0.03, 0.0), losses(0.2, -0.4, same=False)]
    text = recheck_text(checked(runs), 60, 5)
    assert text.startswith("3 of the 60 runs, drawn with seed 5 from those that are stored, were **repeated here**")
    assert parts(text) == {
        "exactly the same examples": (2, 75, TOLERANCE, 0.01, 0.03),
        "a subset that is not quite the stored one": (1, 0, TOLERANCE, 0.3, 0.4),
    }


@pytest.mark.parametrize("same", [True, False])
def test_only_one_kind_of_subset_gives_one_sentence(same: bool) -> None:
    text = recheck_text(checked([losses(0.0, 0.0, same=same)]), 9, 0)
    assert len(parts(text)) == 1
    assert ("exactly the same" in text) == same


def test_the_tolerance_decides_what_agrees() -> None:
    table = checked([losses(0.05, 0.15)])
    for tolerance, share in ((0.01, 0), (0.1, 50), (0.2, 100)):
        found = parts(recheck_text(table, 9, 0, tolerance=tolerance))
        assert found["exactly the same examples"][1:3] == (share, tolerance)


def test_a_task_without_held_out_examples_does_not_count_as_disagreement() -> None:
    runs = [{"values": {"query_loss": (1.0, 1.0), "test_loss": (np.nan, np.nan)}}]
    assert parts(recheck_text(checked(runs), 9, 0))["exactly the same examples"][:2] == (1, 100)


def test_a_run_that_diverged_only_here_is_a_disagreement() -> None:
    runs = [{"values": {"query_loss": (1.0, np.nan), "test_loss": (1.0, 1.0)}}]
    assert parts(recheck_text(checked(runs), 9, 0))["exactly the same examples"][:2] == (1, 50)


def test_runs_are_counted_whatever_metrics_their_tasks_have() -> None:
    runs = [losses(0.0, 0.0), losses(0.0, 0.0), {"values": {"query_loss": (1.0, 1.0), "pass@10": (0.1, 0.1)}}]
    text = recheck_text(checked(runs), 9, 0)
    assert text.startswith("3 of the 9 runs")
    assert parts(text)["exactly the same examples"][0] == 3


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.booleans()), min_size=1, max_size=12),
    st.sampled_from([0.01, 0.1, 0.5]),
)
def test_shares_and_differences_are_those_of_the_losses(runs: list, tolerance: float) -> None:
    table = checked([losses(a, b, same=same) for a, b, same in runs])
    found = parts(recheck_text(table, 99, 0, tolerance=tolerance))
    assert sum(part[0] for part in found.values()) == len(runs)
    for kind, wanted in (("exactly", True), ("a subset", False)):
        gaps = [abs((1.0 + gap) - 1.0) for *pair, same in runs if same == wanted for gap in pair]
        part = next((values for name, values in found.items() if name.startswith(kind)), None)
        assert (part is None) == (not gaps)
        if part:
            share = 100 * sum(gap <= tolerance for gap in gaps) / len(gaps)
            assert part[0] == len(gaps) // 2
            assert part[1:3] == pytest.approx((share, tolerance), abs=0.51)
            assert part[3:] == pytest.approx((np.mean(gaps), max(gaps)), abs=6e-4)
