from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.experiments.reproduce import TOLERANCE, recheck_text
from tis_utils.experiments.run_spec import SPEC_COLUMNS

SAME = (
    r"(\d+) trained on the same examples: (\d+) of their (\d+) losses agree within ([\d.]+) nats per token, "
    r"the largest difference is ([\d.]+)\."
)
OTHER = (
    r"(\d+) picked other examples than those stored: their losses moved by ([\d.]+) nats per token on average, "
    r"by ([\d.]+) at most\."
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


def parts(text: str) -> dict[str, list[float]]:
    """Numbers of the sentence on the same examples, and of that on others, where the text has them."""
    found = {"same": re.search(SAME, text), "other": re.search(OTHER, text)}
    return {kind: [float(n) for n in match.groups()] for kind, match in found.items() if match}


def test_nothing_stored_means_that_all_ran_here() -> None:
    text = recheck_text(pd.DataFrame(columns=[*SPEC_COLUMNS, "metric", "stored", "live"]), 40, 7)
    assert text == "None of the 40 runs was stored under this key: **all of them ran here**."


def test_same_and_other_subsets_are_told_apart() -> None:
    runs = [losses(0.0, 0.01), losses(-0.03, 0.0), losses(0.2, -0.4, same=False)]
    text = recheck_text(checked(runs), 60, 5)
    assert text.startswith("**3 of the 60 runs were repeated here**, from the features on, drawn with seed 5 ")
    assert parts(text) == {"same": [2, 3, 4, TOLERANCE, 0.03], "other": [1, 0.3, 0.4]}


@pytest.mark.parametrize("same", [True, False])
def test_only_one_kind_of_subset_gives_one_sentence(same: bool) -> None:
    text = recheck_text(checked([losses(0.0, 0.0, same=same)]), 9, 0)
    assert list(parts(text)) == ["same" if same else "other"]


def test_the_tolerance_decides_what_agrees() -> None:
    table = checked([losses(0.05, 0.15)])
    for tolerance, agree in ((0.01, 0), (0.1, 1), (0.2, 2)):
        found = parts(recheck_text(table, 9, 0, tolerance=tolerance))
        assert found["same"][1:4] == [agree, 2, tolerance]


def test_a_task_without_held_out_examples_does_not_count_as_disagreement() -> None:
    runs = [{"values": {"query_loss": (1.0, 1.0), "test_loss": (np.nan, np.nan)}}]
    assert parts(recheck_text(checked(runs), 9, 0))["same"][:3] == [1, 1, 1]


def test_a_run_that_diverged_only_here_is_a_disagreement() -> None:
    runs = [{"values": {"query_loss": (1.0, np.nan), "test_loss": (1.0, 1.0)}}]
    assert parts(recheck_text(checked(runs), 9, 0))["same"][:3] == [1, 1, 2]


def test_runs_are_counted_whatever_metrics_their_tasks_have() -> None:
    runs = [losses(0.0, 0.0), losses(0.0, 0.0), {"values": {"query_loss": (1.0, 1.0), "pass@10": (0.1, 0.1)}}]
    text = recheck_text(checked(runs), 9, 0)
    assert text.startswith("**3 of the 9 runs")
    assert parts(text)["same"][0] == 3


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.booleans()), min_size=1, max_size=12),
    st.sampled_from([0.01, 0.1, 0.5]),
)
def test_counts_and_differences_are_those_of_the_losses(runs: list, tolerance: float) -> None:
    table = checked([losses(a, b, same=same) for a, b, same in runs])
    found = parts(recheck_text(table, 99, 0, tolerance=tolerance))
    assert sum(part[0] for part in found.values()) == len(runs)
    gaps = {kept: [abs((1.0 + g) - 1.0) for *pair, s in runs if s == kept for g in pair] for kept in (True, False)}
    assert [kind in found for kind in ("same", "other")] == [bool(gaps[True]), bool(gaps[False])]
    if gaps[True]:
        assert found["same"][1:3] == [sum(gap <= tolerance for gap in gaps[True]), len(gaps[True])]
        assert found["same"][4] == pytest.approx(max(gaps[True]), abs=6e-4)
    if gaps[False]:
        assert found["other"][1:] == pytest.approx((np.mean(gaps[False]), max(gaps[False])), abs=6e-4)
