"""Budget sweeps as arrays: means, leads, crossings and ranks against values written out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.evidence import sweeps

BUDGETS = (25, 50, 100)
METHODS = [("less", "round_robin"), ("embed", "round_robin"), ("none", "random")]


def value(task: str, method: str, budget: int, seed: int) -> float:
    base = {"less": 1.0, "embed": 2.0, "none": 2.5}[method]
    return base + {"words": 0.0, "pick": 1.0}[task] + (seed - 1) * 0.1 + (method == "less") * budget / 60


def rows(metric: str = "test_loss", tasks=("words", "pick"), seeds=(0, 1, 2)) -> pd.DataFrame:
    lines = [
        ("budget", t, r, s, b, seed, metric, value(t, r, b, seed))
        for t, (r, s), b, seed in itertools.product(tasks, METHODS, BUDGETS, seeds)
    ]
    lines += [("zero_shot", t, "none", "none", 0, 0, metric, 4.0) for t in tasks]
    columns = ["experiment", "task", "representation", "selector", "budget", "seed", "metric", "value"]
    return pd.DataFrame(lines, columns=columns)


def test_a_sweep_holds_mean_sd_and_count_of_every_cell():
    data = sweeps.sweep(rows(), "test_loss", "representation")
    assert (data.tasks, data.budgets) == (("words", "pick"), BUDGETS)
    assert data.methods == ("embed", "less", "random", "zero_shot")
    for (t, task), (k, name), (s, budget) in itertools.product(
        enumerate(data.tasks), enumerate(("embed", "less", "none")), enumerate(BUDGETS)
    ):
        seen = [value(task, name, budget, seed) for seed in range(3)]
        assert data.mean[t, k, s] == pytest.approx(np.mean(seen))
        assert data.sd[t, k, s] == pytest.approx(np.std(seen, ddof=1))
        assert data.n[t, k, s] == 3
    assert (data.mean[:, 3] == 4).all()
    assert (data.n[:, 3] == 1).all()


def test_incomplete_tasks_are_left_out_and_none_is_an_error():
    part = rows()
    gone = (part["task"] == "pick") & (part["budget"] == 50) & (part["representation"] == "less")
    assert sweeps.sweep(part[~gone], "test_loss", "representation").tasks == ("words",)
    part.loc[gone, "value"] = np.nan  # diverged
    assert sweeps.sweep(part, "test_loss", "representation").tasks == ("words",)
    with pytest.raises(InputError, match="No task has test_loss of every method"):
        sweeps.sweep(part[part["task"] == "pick"], "test_loss", "representation")


def test_one_diverged_seed_does_not_hide_the_others():
    part = rows()
    part.loc[(part["seed"] == 2) & (part["representation"] == "less"), "value"] = np.nan
    data = sweeps.sweep(part, "test_loss", "representation")
    assert (data.n[:, data.methods.index("less")] == 2).all()


def test_methods_can_be_chosen():
    data = sweeps.sweep(rows(), "test_loss", "representation", ["less", "random", "zero_shot"])
    assert data.methods == ("less", "random", "zero_shot")


def test_leads_are_relative_for_losses_and_points_for_scores():
    loss = sweeps.sweep(rows(), "test_loss", "representation")
    less, random = (loss.methods.index(m) for m in ("less", "random"))
    expected = 100 * (1 - loss.mean[:, less] / loss.mean[:, random])
    np.testing.assert_allclose(loss.lead("random")[:, less], expected)
    score = sweeps.sweep(rows("exact_match"), "exact_match", "representation")
    np.testing.assert_allclose(score.lead("random")[:, less], 100 * (score.mean[:, less] - score.mean[:, random]))
    assert (loss.unit, score.unit) == ("% of loss", "points")
    with pytest.raises(InputError, match="no method 'uot'"):
        loss.lead("uot")


def test_lead_table_has_the_mean_over_tasks_inside_its_interval():
    data = sweeps.sweep(rows(), "test_loss", "representation")
    table = sweeps.leads(data, "random", 400)
    assert set(table["method"]) == {"embed", "less", "zero_shot"}
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    one = table.query("method == 'less' and budget == 50")["value"].item()
    assert one == pytest.approx(data.lead("random")[:, data.methods.index("less"), 1].mean())
    pd.testing.assert_frame_equal(table, sweeps.leads(data, "random", 400))


def test_ranks_put_the_lowest_loss_and_the_highest_score_first():
    for metric in ("test_loss", "exact_match"):
        data = sweeps.sweep(rows(metric), metric, "representation")
        signed = -data.mean if metric == "exact_match" else data.mean
        by_hand = [
            np.mean(
                [
                    1 + sum(x < cell[k] for x in cell) + sum(x == cell[k] for x in np.delete(cell, k)) / 2
                    for cell in np.swapaxes(signed, 1, 2).reshape(-1, 4)
                ]
            )
            for k in range(4)
        ]
        test = data.rank_test()
        np.testing.assert_allclose(test.ranks, by_hand)
        assert test.blocks == 6


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
def test_crossing_by_hand(lead, expected):
    assert sweeps.crossing(BUDGETS, np.array(lead, float)) == pytest.approx(expected)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_a_crossing_lies_between_the_last_lead_and_the_next_budget(lead):
    found = sweeps.crossing(BUDGETS, np.array(lead))
    ahead = [b for b, x in zip(BUDGETS, lead, strict=True) if x > 0]
    if not ahead:
        assert found == 0
    elif ahead[-1] == BUDGETS[-1]:
        assert np.isinf(found)
    else:
        after = BUDGETS[BUDGETS.index(ahead[-1]) + 1]
        assert ahead[-1] <= found <= after * (1 + 1e-12)


def test_crossings_by_method_and_task():
    data = sweeps.sweep(rows(), "test_loss", "representation")
    table = sweeps.crossings(data, "random")
    assert list(table.columns) == ["words", "pick"]
    assert "random" not in table.index
    assert np.isinf(table.loc["embed"]).all()
    assert (table.loc["zero_shot"] == 0).all()
    less = value("words", "less", 50, 1), value("words", "less", 100, 1)
    assert less[0] < 2.5 < less[1]  # ahead of Random at 50, no longer at 100
    assert 50 < table.loc["less", "words"] < 100


def test_where_selecting_stops_paying():
    table = pd.DataFrame(
        [("a", 25, 1), ("a", 50, 1), ("b", 25, 1), ("b", 50, -1), ("c", 25, -1), ("c", 50, 0)],
        columns=["method", "budget", "low"],
    )
    assert sweeps.stops_paying(table) == {"a": np.inf, "b": 50, "c": 25}


def test_crossings_in_words():
    assert [sweeps.crossing_text(x) for x in (0, 61.4, np.inf)] == ["never ahead", "61", "still ahead"]


def test_unfinished_sweeps_keep_their_complete_tasks():
    whole = rows()
    pd.testing.assert_frame_equal(sweeps.complete(whole).sort_index(), whole)
    missing = (whole["task"] == "pick") & (whole["budget"] == 50) & (whole["representation"] == "less")
    assert set(sweeps.complete(whole[~missing])["task"]) == {"words"}
    assert set(sweeps.complete(whole[~((whole["task"] == "words") & (whole["budget"] == 0))])["task"]) == {"pick"}
    one_seed_less = whole.drop(index=whole.index[0])
    assert len(sweeps.complete(one_seed_less)) == len(whole) - 1
    assert sweeps.complete(whole[whole["representation"] == "none"]).empty
    assert sweeps.complete(whole.iloc[:0]).empty
    assert sweeps.complete(whole.assign(value=np.nan)).empty


def test_metrics_are_complete_one_by_one():
    both = pd.concat([rows(), rows("query_loss").query("task == 'words'")])
    kept = sweeps.complete(both)
    assert {m: set(p["task"]) for m, p in kept.groupby("metric")} == {
        "test_loss": {"words", "pick"},
        "query_loss": {"words"},
    }


def test_rank_tables_compare_sources_of_both_kinds():
    own = rows("exact_match")
    keys = ["experiment", "task", "representation", "selector", "budget", "metric"]
    means = own.groupby(keys)["value"].agg(mean="mean", sd="std", n="count").reset_index()
    published = means.assign(metric="downstream")
    methods = ["less", "embed", "random", "zero_shot"]
    table = sweeps.rank_table({"ours": own, "theirs": published}, "downstream", "representation", methods)
    assert list(table.columns) == methods
    np.testing.assert_allclose(table.loc["ours"], table.loc["theirs"])
    np.testing.assert_allclose(table.sum(axis=1), 1 + 2 + 3 + 4)
    assert sweeps.rank_table({"ours": own}, "query_loss", "representation", methods).isna().all(axis=None)


def test_leads_minus_those_of_another_method():
    data = sweeps.sweep(rows(), "test_loss", "representation")
    plain = sweeps.leads(data, "random", 300).set_index(["method", "budget"])["value"]
    table = sweeps.leads(data, "random", 300, minus="less").set_index(["method", "budget"])
    assert "less" not in table.index.get_level_values("method")
    for budget in BUDGETS:
        assert table.loc[("random", budget), "value"] == pytest.approx(-plain["less", budget])
        difference = plain["embed", budget] - plain["less", budget]
        assert table.loc[("embed", budget), "value"] == pytest.approx(difference)
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
