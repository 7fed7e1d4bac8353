"""The rule on the published numbers: the best on the same task, how sure it is, and its own test passed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tis_utils.evidence import published
from tis_utils.evidence import recommendation as advice
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.published import LESS
from tis_utils.evidence.published_analysis import published_cube
from tis_utils.evidence.recommendation import ANY, COMPUTE, GOALS, STRENGTHS, TASK_KINDS
from tis_utils.evidence.tables import RANDOM, ZERO_SHOT


def test_strength_groups_are_in_order_and_complete() -> None:
    data = published_cube("downstream")
    groups = advice.strength_groups(data)
    score = {m: data.mean[i, :, 0, -1, 0].mean() for i, m in enumerate(data.models)}
    order = [m for g in ("weak", "middle", "strong") for m in groups[g]]
    assert order == sorted(data.models, key=score.__getitem__)
    assert groups[ANY] == data.models


@pytest.fixture(scope="module")
def answers() -> list[advice.Answer]:
    return advice.answers()


def test_there_is_one_answer_to_every_question(answers: list[advice.Answer]) -> None:
    keys = [(a.goal, a.strength, a.kind, a.budget, a.compute) for a in answers]
    assert len(set(keys)) == len(keys) == len(GOALS) * 4 * len(TASK_KINDS) * 5 * len(COMPUTE)
    for a in answers:
        assert a.method in (*COMPUTE[a.compute][1], ZERO_SHOT)
        assert "nan" not in a.headline + a.reason
        assert a.cells == a.models * 2 * (5 if a.kind == ANY else 1)


def test_the_method_is_the_best_affordable_one_and_the_grade_follows_its_lead(answers: list[advice.Answer]) -> None:
    for a in answers:
        leads = {method: random for method, random, _ in a.evidence}
        assert leads[a.method].value == max(lead.value for lead in leads.values())
        grade = stats.grade(leads[a.method], a.ahead, a.cells)
        if a.grade == "strong":
            assert grade == "shown"
            assert a.models >= 3
        if a.grade == "unknown":
            assert grade not in ("shown", "leaning")
        assert a.headline.startswith({"strong": "Use", "leaning": "Lean towards", "unknown": "Unknown"}[a.grade])
    assert {a.grade for a in answers} == set(STRENGTHS)
    assert any(a.method == ZERO_SHOT and a.headline.endswith("no fine-tuning") for a in answers)


def test_evidence_is_the_mean_of_the_published_numbers(answers: list[advice.Answer]) -> None:
    (found,) = [
        a for a in answers
        if (a.goal, a.strength, a.kind, a.budget, a.compute) == ("downstream", "strong", "gsm8k", 1000, "gradients")
    ]  # fmt: skip
    rows = published.figures().query("task == 'gsm8k' and metric == 'downstream' and model == 'qwen3-4b-base'")
    trained = rows.query("experiment == 'budget' and budget == 1000")
    mean = trained.assign(key=trained["representation"] + "/" + trained["selector"]).groupby("key")["mean"].mean()
    mean[ZERO_SHOT] = zero = rows.query("experiment == 'zero_shot'")["mean"].mean()
    for method, over_random, over_zero in found.evidence:
        assert over_random.value == pytest.approx(mean[method] - mean[RANDOM])
        assert over_zero.value == pytest.approx(mean[method] - zero)
    assert found.models == 1


def test_advice_is_paid_for_on_models_that_it_was_not_derived_from() -> None:
    data = published_cube("downstream")
    gain = data.gain(RANDOM)
    won = advice.policies("downstream")
    np.testing.assert_array_equal(won["Always LESS, RR"], gain[..., data.methods.index(LESS), :])
    m, t, s = 2, 1, 3
    others = [i for i in range(5) if i != m]
    options = [data.methods.index(method) for method in advice.OPTIONS]
    for name, among in (("Best, same task", options), ("Same task, any selector", range(len(data.methods)))):
        best = max(among, key=lambda k: gain[others][:, t, :, k, s].mean())
        np.testing.assert_allclose(won[name][m, t, :, s], gain[m, t, :, best, s])
    best = max(options, key=lambda k: gain[others][..., k, s].mean())
    np.testing.assert_allclose(won["Best on others"][m, ..., s], gain[m, :, :, best, s])
    assert (won["Oracle"] >= won["Best, same task"] - 1e-12).all()


@pytest.mark.parametrize("goal", GOALS)
def test_no_other_simple_rule_does_better_by_more_than_its_error(goal: str) -> None:
    won = advice.policies(goal)
    ours = won.pop("Best, same task").mean(axis=(1, 2, 3))  # by model
    del won["Oracle"]
    level = 1 - 0.05 / len(won)  # the best of so many
    for name, other in won.items():
        ahead = stats.mean_estimate(other.mean(axis=(1, 2, 3)) - ours, level=level)
        assert ahead.low <= 0, f"{name} is better than the rule of the page: {ahead.text()}"


def test_the_rule_beats_random_on_models_left_out() -> None:
    table = advice.policy_table("downstream").set_index("label")
    assert table.loc["Best, same task", "low"] > 0
    others = table["value"].drop(["Best, same task", "Same task, any selector", "Oracle"])
    assert table.loc["Best, same task", "value"] > others.max()


def test_a_rule_that_chooses_the_selector_too_gains_no_more() -> None:
    won = advice.policies("downstream")
    more = won["Same task, any selector"] - won["Best, same task"]
    estimate = stats.mean_estimate(more.mean(axis=(1, 2, 3)))
    assert estimate.low < 0 < estimate.high
    assert abs(estimate.value) < 0.2  # points


def test_where_the_best_is_not_sure_a_surer_one_is_named(answers: list[advice.Answer]) -> None:
    named = [a for a in answers if a.surer]
    assert named
    for a in answers:
        sure = {method: random for method, random, _ in a.evidence if random.low > 0}
        wanted = a.grade != "strong" and a.models >= stats.MIN_UNITS and sure
        assert bool(a.surer) == bool(wanted)
        if a.surer:
            assert a.surer[1] == max(sure.values(), key=lambda lead: lead.value)
            assert a.surer[0] != a.method
            assert f"{a.surer[1].text()}." in a.reason


def test_shares_below_the_untuned_model_by_plain_counting() -> None:
    rows = published.figures().query("metric == 'downstream'")
    zero = rows.query("experiment == 'zero_shot'").set_index(["pool", "model", "task"])["mean"]
    tuned = rows.query("experiment == 'budget' and budget == 500")
    worse = [r.mean_ < zero[r.pool, r.model, r.task] for r in tuned.rename(columns={"mean": "mean_"}).itertuples()]
    shares = advice.share_below_untuned()
    assert shares[500] == pytest.approx(np.mean(worse))
    assert shares.is_monotonic_decreasing


def test_rules_on_own_runs_are_paid_for_on_the_task_left_out() -> None:
    """Two tasks with opposite favourites: what was best on the other task is the worst choice here."""
    losses = {"random": (1.0, 1.0), "none": (2.0, 2.0), "embed": (0.5, 4.0), "rds": (0.9, 0.9), "less": (4.0, 0.5)}
    rows = [
        ("budget", task, name if name != "random" else "none", selector, budget, seed, "test_loss", loss)
        for name, pair in losses.items()
        for task, loss in zip(("words", "pick"), pair, strict=True)
        for selector, budget in {
            "random": [("random", 8)], "none": [("none", 0)], "less": [("round_robin", 8), ("uot", 8)],
        }.get(name, [("round_robin", 8)])
        for seed in (0, 1)
    ]  # fmt: skip
    columns = ["experiment", "task", "representation", "selector", "budget", "seed", "metric", "value"]
    frame = pd.DataFrame(rows, columns=columns).assign(status="ok", bin=-1, draw=-1)
    won = advice.task_policies(frame)
    assert won["Always RDS+, RR"][:, 0] == pytest.approx([np.log(1 / 0.9)] * 2)
    assert won["Best on other tasks"][:, 0] == pytest.approx([np.log(1 / 4)] * 2)
    assert won["Oracle"][:, 0] == pytest.approx([np.log(2)] * 2)
    table = advice.task_policy_table(frame).set_index("label")
    assert table.loc["Never fine-tune", "value"] == pytest.approx(-100)
