"""Cubes of small sweeps, crosses and of the paper: every number in its place, leads and intervals by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from statistics import stdev

import numpy as np
import pandas as pd
import pytest
from evidence_support import at, plain
from scipy.stats import ttest_1samp

from tis_utils.errors import InputError
from tis_utils.evidence.cube import cube, lead_changes, lead_estimate, leads, leads_text, mean_leads, spread
from tis_utils.evidence.published import LESS
from tis_utils.evidence.published_analysis import published_cube
from tis_utils.evidence.tables import RANDOM, ZERO_SHOT

BUDGETS = (25, 50, 100)
METHODS = ("a/x", "b/x", RANDOM, ZERO_SHOT)


def test_a_sweep_holds_mean_sd_and_count_of_every_cell(sweep_rows, sweep_value):
    data = cube(sweep_rows(), "test_loss", "representation")
    assert (data.tasks, data.budgets) == (("words", "pick"), BUDGETS)
    assert data.methods == ("embed", "less", "random", "zero_shot")
    for (t, task), (k, name), (s, budget) in itertools.product(
        enumerate(data.tasks), enumerate(("embed", "less", "none")), enumerate(BUDGETS)
    ):
        seen = [sweep_value(task, name, budget, seed) for seed in range(3)]
        assert data.mean[t, k, s] == pytest.approx(np.mean(seen))
        assert data.sd[t, k, s] == pytest.approx(np.std(seen, ddof=1))
        assert data.n[t, k, s] == 3
    assert (data.mean[:, 3] == 4).all()
    assert (data.n[:, 3] == 1).all()


def test_incomplete_tasks_are_left_out_and_none_is_an_error(sweep_rows):
    part = sweep_rows()
    gone = (part["task"] == "pick") & (part["budget"] == 50) & (part["representation"] == "less")
    assert cube(part[~gone], "test_loss", "representation").tasks == ("words",)
    part.loc[gone, "value"] = np.nan  # diverged
    assert cube(part, "test_loss", "representation").tasks == ("words",)
    with pytest.raises(InputError, match="No task has test_loss of every method"):
        cube(part[part["task"] == "pick"], "test_loss", "representation")


def test_one_diverged_seed_does_not_hide_the_others(sweep_rows):
    part = sweep_rows()
    part.loc[(part["seed"] == 2) & (part["representation"] == "less"), "value"] = np.nan
    data = cube(part, "test_loss", "representation")
    assert (data.n[:, data.methods.index("less")] == 2).all()


def test_methods_can_be_chosen(sweep_rows):
    data = cube(sweep_rows(), "test_loss", "representation", ["less", "random", "zero_shot"])
    assert data.methods == ("less", "random", "zero_shot")


def test_leads_are_relative_for_losses_and_points_for_scores(sweep_rows):
    loss = cube(sweep_rows(), "test_loss", "representation")
    less, random = (loss.methods.index(m) for m in ("less", "random"))
    expected = 100 * (1 - loss.mean[:, less] / loss.mean[:, random])
    np.testing.assert_allclose(loss.lead("random")[:, less], expected)
    score = cube(sweep_rows("exact_match"), "exact_match", "representation")
    np.testing.assert_allclose(score.lead("random")[:, less], 100 * (score.mean[:, less] - score.mean[:, random]))
    assert (loss.unit, score.unit) == ("% of loss", "points")
    accuracy = cube(sweep_rows("exact_match").assign(metric="acc"), "acc", "representation")
    np.testing.assert_allclose(accuracy.lead("random"), score.lead("random"))
    with pytest.raises(InputError, match="no method 'uot'"):
        loss.lead("uot")


def test_lead_table_has_the_mean_over_tasks_inside_its_interval(sweep_rows):
    data = cube(sweep_rows(), "test_loss", "representation")
    table = leads(data, "random")
    assert set(table["method"]) == {"embed", "less", "zero_shot"}
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    one = table.query("method == 'less' and budget == 50")["value"].item()
    less, random = (data.mean[:, data.methods.index(m), 1] for m in ("less", "random"))
    assert one == pytest.approx(100 * (1 - np.exp(np.log(less / random).mean())))


def test_mean_leads_are_means_of_logarithms_over_tasks_and_budgets(sweep_rows):
    data = cube(sweep_rows(), "test_loss", "representation")
    table = mean_leads(data, "random").set_index("method")
    ratio = data.mean[:, data.methods.index("less")] / data.mean[:, data.methods.index("random")]
    assert table.loc["less", "value"] == pytest.approx(100 * (1 - np.exp(np.log(ratio).mean())))
    assert table.loc["less"].to_list() == pytest.approx(list(lead_estimate(data, "random", "less")))
    swapped = mean_leads(data, "less").set_index("method").loc["random", "value"]
    assert (1 - swapped / 100) * (1 - table.loc["less", "value"] / 100) == pytest.approx(1)


def test_with_three_tasks_the_interval_is_students_over_tasks(sweep_rows):
    more = sweep_rows().query("task == 'words'").assign(task="more", value=lambda r: r.value**1.1)
    rows = pd.concat([sweep_rows(), more])
    data = cube(rows, "test_loss", "representation")
    k, r = data.methods.index("less"), data.methods.index("random")
    gain = np.log(data.mean[:, r, 1] / data.mean[:, k, 1])
    low, high = ttest_1samp(gain, 0).confidence_interval(0.95)
    found = leads(data, "random").query("method == 'less' and budget == 50")[["low", "high"]].to_numpy()[0]
    assert found == pytest.approx([100 * (1 - np.exp(-low)), 100 * (1 - np.exp(-high))])


def test_with_two_tasks_it_is_the_noise_of_the_seeds(sweep_rows):
    data = cube(sweep_rows("exact_match"), "exact_match", "representation")
    k, r = data.methods.index("less"), data.methods.index("random")
    variance = (data.se[:, [k, r]] ** 2).sum() / (2 * len(data.budgets)) ** 2 * 100**2
    value, low, high = lead_estimate(data, "random", "less")
    assert high - value == pytest.approx(1.96 * np.sqrt(variance), rel=1e-3)
    assert value - low == pytest.approx(high - value)


def test_one_run_says_nothing_about_its_spread(sweep_rows):
    """Two tasks and one seed: an interval of width zero would claim that all is known."""
    data = cube(sweep_rows("exact_match").query("seed == 0"), "exact_match", "representation")
    value, low, high = lead_estimate(data, "random", "less")
    assert np.isfinite(value)
    assert np.isnan([low, high]).all()


def test_models_are_the_units_where_there_are_three(monkeypatch):
    data = published_cube("query_loss")
    gain = data.gain(RANDOM)[..., data.methods.index(LESS), :].mean(axis=(1, 2, 3))
    low, high = ttest_1samp(gain, 0).confidence_interval(0.95)
    assert lead_estimate(data, RANDOM, LESS)[1:] == pytest.approx((100 * (1 - np.exp(-low)), 100 * (1 - np.exp(-high))))
    two = data.part(models=data.models[:2])
    assert two.units(two.gain(RANDOM)).shape == (5, 9, 5)  # tasks


def test_lead_changes_are_paired_by_task(sweep_rows):
    old = cube(sweep_rows(), "test_loss", "representation")
    three = replace(old, **{f: np.concatenate([getattr(old, f), getattr(old, f)[:1]]) for f in ("mean", "sd", "n")})
    three = replace(three, tasks=("a", "b", "c"))
    better = replace(three, mean=0.9 * three.mean)  # all alike: no lead changes
    assert lead_changes(three, better, "random")[["value", "low", "high"]].to_numpy() == pytest.approx(0, abs=1e-9)
    changed = three.mean.copy()
    changed[:, three.methods.index("less")] *= 0.5
    table = lead_changes(three, replace(three, mean=changed), "random").set_index("method")
    change = (replace(three, mean=changed).lead("random") - three.lead("random"))[:, three.methods.index("less")]
    assert table.loc["less", "value"] == pytest.approx(change.mean())
    with pytest.raises(InputError, match="differ in tasks, methods or budgets"):
        lead_changes(old, replace(old, budgets=old.budgets[:-1]), "random")


def runs() -> pd.DataFrame:
    """Two tasks, two budgets, two seeds; zero-shot once; the value says what the cell is."""
    lines = []
    for t, task in enumerate("pq"):
        lines.append((task, "none", "none", 0, 0, "test_loss", 100.0 * t))
        for b, k, seed in itertools.product((10, 20), range(3), range(2)):
            representation, selector = METHODS[k].split("/")
            lines.append((task, representation, selector, b, seed, "test_loss", 100 * t + b + k + seed / 10))
    fields = ["task", "representation", "selector", "budget", "seed", "metric", "value"]
    return pd.DataFrame(lines, columns=fields)


def test_cube_puts_every_run_in_its_place() -> None:
    found = cube(runs(), "test_loss", "both", METHODS)
    assert (found.tasks, found.budgets, found.methods) == (("p", "q"), (10, 20), METHODS)
    for t, b, k in itertools.product(range(2), range(2), range(3)):
        assert found.mean[t, k, b] == pytest.approx(100 * t + (10, 20)[b] + k + 0.05)
        assert found.se[t, k, b] == pytest.approx(stdev([0, 0.1]) / np.sqrt(2))
    assert found.mean[1, 3].tolist() == [100, 100]
    assert (found.se[:, 3] == 0).all()


def test_cube_leaves_out_a_task_with_a_gap_and_refuses_to_be_empty() -> None:
    rows = runs()
    gap = (rows["task"] == "p") & (rows["budget"] == 20) & (rows["representation"] == "b")
    assert cube(rows[~gap], "test_loss", "both", METHODS).tasks == ("q",)
    rows.loc[rows["task"] == "q", "value"] = np.nan
    with pytest.raises(InputError, match="b/x"):
        cube(rows[~gap], "test_loss", "both", METHODS)
    with pytest.raises(InputError, match="no_such"):
        cube(rows, "no_such", "both", METHODS)


def test_cube_reads_aggregated_sweep_rows(sweep_rows) -> None:
    whole = cube(runs(), "test_loss", "both", METHODS)
    keys = ["task", "representation", "selector", "budget", "metric"]
    table = runs().groupby(keys)["value"].agg(mean="mean", sd="std", n="count").reset_index()
    found = cube(table, "test_loss", "both", METHODS)
    np.testing.assert_allclose(found.mean, whole.mean)
    np.testing.assert_allclose(found.se, whole.se)


def test_lead_of_losses_is_per_cent_and_of_scores_points() -> None:
    mean = np.full((2, 1, 1, 9, 2), 10.0)
    mean[..., at(LESS), :] = 8
    loss, score = (plain(mean=mean, metric=m) for m in ("query_loss", "downstream"))
    assert (loss.lead(RANDOM)[..., at(LESS), :] == 20).all()
    assert (score.lead(RANDOM)[..., at(LESS), :] == -2).all()
    assert (loss.unit, score.unit) == ("% of loss", "points")


def test_part_keeps_the_right_models_and_tasks() -> None:
    data = published_cube("downstream")
    part = data.part(["qwen3-4b-base"], ["codex", "bbh"])
    assert part.mean.shape == (1, 2, 2, 9, 5)
    np.testing.assert_array_equal(part.mean[0, 1], data.mean[3, 0])


def test_leads_as_text_stand_in_the_order_of_the_rows():
    rows = [("less", 25, 12.4, -3.0, 20.6), ("less", 50, 1.0, 0.2, 2.0), ("embed", 25, -5.0, -9.0, 1.0)]
    table = leads_text(pd.DataFrame(rows, columns=["method", "budget", "value", "low", "high"]))
    assert list(table.index) == ["LESS", "EMBED"]
    assert table.loc["LESS", 25] == "+12 [−3, +21]"
    assert pd.isna(table.loc["EMBED", 50])


def test_spread_is_the_sd_of_methods_in_per_cent_of_the_reference(sweep_rows):
    data = cube(sweep_rows(), "test_loss", "representation")
    expected = [
        np.mean([stdev(100 * data.mean[t, [0, 1], s] / data.mean[t, 2, s]) for s in range(3)]) for t in range(2)
    ]
    assert spread(data, ["embed", "less"], "random") == pytest.approx(expected)
