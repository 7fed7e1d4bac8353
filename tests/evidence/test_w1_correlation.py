"""Rank correlation of W1 with loss: right on frames where the answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from tis_utils.errors import InputError
from tis_utils.evidence.w1_correlation import distinct_subsets, losses_with_w1, w1_correlation_table
from tis_utils.experiments.run_spec import grid
from tis_utils.selectors.wasserstein import w1


def frame(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for task in ("a", "b"):
        for budget in (25, 50):
            for selector in ("random", "uot", "knn_kde", "round_robin", "doubly_greedy", "knn_uniform"):
                distance, noise = rng.random(), rng.random()
                for train_seed in (0, 1):
                    rows.append({
                        "representation": "less", "selector": selector, "task": task, "budget": budget,
                        "seed": train_seed, "w1_less": distance, "w1_embed": noise,
                        "query_loss": distance**3 + train_seed, "test_loss": rng.random(),
                    })  # fmt: skip
    return pd.DataFrame(rows)


def test_seeds_of_one_subset_are_one_row() -> None:
    subsets = distinct_subsets(frame())
    assert len(subsets) == 24
    np.testing.assert_allclose(subsets["query_loss"], subsets["w1_less"] ** 3 + 0.5, atol=1e-6)


def test_monotone_loss_has_correlation_one() -> None:
    table = w1_correlation_table(frame(), n_boot=50).set_index(["space", "loss", "within"])
    for within, groups in (("task", 2), ("task, budget", 4)):
        row = table.loc[("less", "query_loss", within)]
        assert row[["rho", "low", "high"]].to_list() == pytest.approx([1, 1, 1])
        assert row[["subsets", "groups"]].to_list() == [24, groups]


def test_value_is_the_mean_of_scipys_and_intervals_cover_it() -> None:
    data = frame(4)
    table = w1_correlation_table(data, n_boot=200).set_index(["space", "loss", "within"])
    subsets = distinct_subsets(data)
    for space in ("less", "embed"):
        groups = [group for _, group in subsets.groupby("task")]
        expected = np.mean([spearmanr(g[f"w1_{space}"], g["test_loss"]).statistic for g in groups])
        row = table.loc[(space, "test_loss", "task")]
        assert row["rho"] == pytest.approx(expected)
        assert row["low"] < row["rho"] < row["high"]


def test_independent_losses_are_covered_by_most_intervals() -> None:
    hits = 0
    for seed in range(40):
        table = w1_correlation_table(frame(seed), n_boot=200)
        row = table.query("space == 'embed' and loss == 'test_loss' and within == 'task'").iloc[0]
        hits += row["low"] <= 0 <= row["high"]
    assert hits >= 30


def test_small_groups_and_missing_columns() -> None:
    assert w1_correlation_table(frame().head(4)).empty
    with pytest.raises(InputError, match="lacks seed"):
        w1_correlation_table(frame().drop(columns="seed"))
    with pytest.raises(InputError, match="w1_<space>"):
        w1_correlation_table(frame().drop(columns=["w1_less", "w1_embed"]))


class SmallStudy:
    """Two spaces, two tasks; the loss is the first pick plus the seed."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.spaces = {s: (rng.normal(size=(12, 3)), {t: rng.normal(size=(2, 3)) for t in "ab"}) for s in ("x", "y")}

    def features(self, name: str) -> tuple:
        return self.spaces[name]

    def picks(self, cell) -> np.ndarray:
        return (np.arange(cell.budget) + ord(cell.task) + cell.seed * (cell.selector == "random")) % 12

    def run(self, cells) -> pd.DataFrame:
        return pd.DataFrame(
            {**cell.__dict__, "metric": metric, "value": self.picks(cell)[0] + cell.seed, "status": "ok"}
            for cell in cells
            for metric in ("query_loss", "test_loss")
        )


def test_losses_with_w1_joins_runs_with_the_distance_of_their_own_picks() -> None:
    study, cells = SmallStudy(), grid("ab", [("x", "uot")], [2, 4], [0, 1])
    result = losses_with_w1(study, cells, spaces=("x", "y"))
    assert len(result) == len([c for c in cells if c.budget])  # zero-shot is left out
    by_cell = result.set_index(["task", "representation", "selector", "budget", "seed"])
    for cell in cells[2:]:
        row = by_cell.loc[(cell.task, cell.representation, cell.selector, cell.budget, cell.seed)]
        chosen = study.picks(cell)
        assert row["query_loss"] == chosen[0] + cell.seed
        for space in ("x", "y"):
            candidates, queries = study.features(space)
            assert row[f"w1_{space}"] == pytest.approx(w1(candidates[chosen], queries[cell.task]))
    assert len(distinct_subsets(result)) == 4 + 8  # two seeds share a subset, but not Random's
