"""The published budget experiment as arrays, and the advice derived from it."""

from __future__ import annotations

import html
import itertools
import json
import re

import numpy as np
import pytest
from scipy.stats import spearmanr, ttest_ind
from scipy.stats import t as student

from tis_utils.errors import InputError
from tis_utils.evidence import published
from tis_utils.evidence import published_analysis as evidence
from tis_utils.evidence import recommendation as advice
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.claim_statistics import EMBED, LESS, METHODS, RANDOM
from tis_utils.evidence.published_analysis import ZERO_SHOT, Cube, cube
from tis_utils.evidence.recommendation import ANY, COMPUTE, GOALS, KINDS, DecisionPage, Leads


def plain(**change: object) -> Cube:
    """2 models, 1 task, 1 pool, 9 methods, 2 budgets; every mean 10, sd 1, n 3."""
    full = {"mean": np.full((2, 1, 1, 9, 2), 10.0), "sd": np.ones((2, 1, 1, 9, 2)), "n": np.full((2, 1, 1, 9, 2), 3.0)}
    names = {"models": ("a", "b"), "tasks": ("t",), "pools": ("p",), "budgets": (1, 2), "metric": "downstream"}
    return Cube(**{**full, **names, **change})  # type: ignore[arg-type]


def at(method: str) -> int:
    return (*METHODS, ZERO_SHOT).index(method)


def test_every_number_of_the_cube_is_the_tables() -> None:
    rows = published.figures()
    data = cube("test_loss")
    assert data.mean.shape == (5, 5, 2, 9, 5)
    assert not np.isnan(data.mean).any()
    assert np.isnan(data.sd[..., -1, :]).all()  # zero-shot ran once
    rng = np.random.default_rng(0)
    for _ in range(60):
        m, t, p, k, s = (int(rng.integers(n)) for n in data.mean.shape)
        representation, selector = data.methods[k].split("/")
        found = rows[
            (rows["model"] == data.models[m]) & (rows["task"] == data.tasks[t]) & (rows["pool"] == data.pools[p])
            & (rows["representation"] == representation) & (rows["selector"] == selector)
            & rows["experiment"].isin(["budget", "zero_shot"]) & (rows["metric"] == "test_loss")
        ]  # fmt: skip
        if data.methods[k] != ZERO_SHOT:
            found = found[found["budget"] == data.budgets[s]]
        (line,) = found.itertuples()
        assert data.mean[m, t, p, k, s] == line.mean


def test_unknown_metric() -> None:
    with pytest.raises(InputError, match="metric = 'accuracy', expected"):
        cube("accuracy")


def test_names() -> None:
    assert [evidence.name(m) for m in (RANDOM, LESS, "less/knn_kde", "rds/round_robin", ZERO_SHOT)] == [
        "Random", "LESS, RR", "LESS, KNN-KDE", "RDS+, RR", "Zero-shot",
    ]  # fmt: skip


def test_lead_of_losses_is_per_cent_and_of_scores_points() -> None:
    mean = np.full((2, 1, 1, 9, 2), 10.0)
    mean[..., at(LESS), :] = 8
    loss, score = (plain(mean=mean, metric=m) for m in ("query_loss", "downstream"))
    assert (loss.lead(mean, RANDOM)[..., at(LESS), :] == 20).all()
    assert (score.lead(mean, RANDOM)[..., at(LESS), :] == -2).all()
    assert (loss.unit, score.unit) == ("% of loss", "points")


def test_part_keeps_the_right_models_and_tasks() -> None:
    data = cube("downstream")
    part = data.part(["qwen3-4b-base"], ["codex", "bbh"])
    assert part.mean.shape == (1, 2, 2, 9, 5)
    np.testing.assert_array_equal(part.mean[0, 1], data.mean[3, 0])
    assert part.draws(7, 0).shape == (7, 2, 2, 9, 5)


def test_estimate_resamples_models() -> None:
    values = np.arange(5.0)[:, None] + np.zeros((5, 6))
    found = evidence.estimate(values, 20_000)
    assert found.value == 2
    half = student.ppf(0.975, 4) * np.sqrt(2.5 / 5)  # Student's interval of five independent values
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=0.1)
    assert evidence.Estimate(0.5, 0, 1).text() == "+0.5 [+0.0, +1.0]"
    assert evidence.Estimate(-1, -2, 3).text(0) == "−1 [−2, +3]"


def test_below_zero_shot() -> None:
    mean = np.full((2, 1, 1, 9, 2), 10.0)
    mean[0, ..., at(LESS), :] = 9
    score, loss = (evidence.below_zero_shot(plain(mean=mean, metric=m)) for m in ("downstream", "query_loss"))
    assert score.shape == (2, 1, 1, 8, 2)
    assert score.sum() == score[0, ..., at(LESS), :].sum() == 2
    assert loss.sum() == 0  # a lower loss is better, an equal one is not below


def test_agreement_turns_the_sign_of_scores() -> None:
    loss, score = cube("query_loss"), cube("downstream")
    rho = evidence.agreement(loss, score)
    assert rho.shape == (5, 5, 2, 5)
    for m, t, p, s in [(0, 0, 0, 0), (3, 2, 1, 4)]:
        expected = -spearmanr(loss.mean[m, t, p, :8, s], score.mean[m, t, p, :8, s]).statistic
        assert rho[m, t, p, s] == pytest.approx(expected)
    assert (evidence.agreement(loss, loss) == pytest.approx(1)) and rho.mean() < 1  # noqa: PT018


def test_separable_is_welchs_test_on_the_raw_values() -> None:
    rng = np.random.default_rng(2)
    raw = rng.normal(size=(9, 3)) + np.arange(9)[:, None]
    shape = (1, 1, 1, 9, 1)
    data = plain(mean=raw.mean(1).reshape(shape), sd=raw.std(1, ddof=1).reshape(shape), n=np.full(shape, 3.0))
    pairs = itertools.combinations(range(8), 2)
    expected = np.mean([ttest_ind(raw[i], raw[j], equal_var=False).pvalue < 0.05 for i, j in pairs])
    assert 0 < expected < 1
    assert evidence.separable(data).item() == pytest.approx(expected)


def test_separable_without_spread() -> None:
    mean = np.full((2, 1, 1, 9, 2), 10.0)
    mean[..., 0, :] = 11
    data = plain(mean=mean, sd=np.zeros_like(mean))
    assert evidence.separable(data) == pytest.approx(7 / 28)  # one method differs from seven


def test_reliability_tells_noise_from_methods() -> None:
    rng = np.random.default_rng(0)
    shape = (200, 1, 1, 9, 1)
    noise = rng.normal(size=shape) / np.sqrt(3)
    sd, n = np.ones(shape), np.full(shape, 3.0)
    alone = evidence.reliability(plain(mean=noise, sd=sd, n=n), (0, 1, 2, 3))
    real = noise + np.arange(9)[:, None]
    both = evidence.reliability(plain(mean=real, sd=sd, n=n), (0, 1, 2, 3))
    assert alone < 0.1
    assert both == pytest.approx(1 - (1 / 3) / (6 + 1 / 3), abs=0.01)  # variance of 0…7 is 6


# --- advice ---------------------------------------------------------------------------------------------


def world(lead: float, worth: float, spread: float = 1.0, draws: int = 4000) -> Leads:
    """LESS leads Random by `lead`, every method leads zero-shot by `worth`, both with normal spread."""
    rng = np.random.default_rng(0)
    point, zero = np.zeros(9), np.full(9, worth)
    point[at(LESS)] = lead
    noise = rng.normal(size=(2, draws, 9)) * spread
    return Leads(point, point + noise[0], zero, zero + noise[1])


@pytest.mark.parametrize(
    ("lead", "worth", "method", "verdict"),
    [
        (9, 9, LESS, "yes"),
        (9, 0.5, LESS, "open"),
        (9, -9, LESS, "no"),
        (2.2, 9, RANDOM, "yes"),  # 95 % would do for one rival, not for the best of seven
        (-1, 9, RANDOM, "yes"),
    ],
)
def test_the_rule(lead: float, worth: float, method: str, verdict: str) -> None:
    choice = advice.choose(world(lead, worth), range(8), at(RANDOM))
    assert (choice.method, choice.worth) == (method, verdict)


@pytest.mark.parametrize(
    ("embed", "random", "method", "verdict"),
    [
        (9, 9, RANDOM, "yes"),  # Random helps and is free
        (9, 0.5, EMBED, "yes"),
        (2.2, 0.5, RANDOM, "open"),  # 95 % would do for one method, not for the best of eight
        (0, -9, EMBED, "open"),
        (9, -9, EMBED, "yes"),
        (-8, -9, RANDOM, "no"),
    ],
)
def test_where_random_is_not_shown_to_help_the_others_get_a_second_look(
    embed: float, random: float, method: str, verdict: str
) -> None:
    leads = world(0, random)  # nobody beats Random
    leads.zero_shot[at(EMBED)] += embed - random
    leads.zero_shot_draws[:, at(EMBED)] += embed - random
    choice = advice.choose(leads, range(8), at(RANDOM))
    assert (choice.method, choice.worth, choice.second_look) == (method, verdict, method == EMBED)


def test_no_answer_forbids_what_its_table_allows(answers: list[advice.Answer]) -> None:
    assert any(a.choice.second_look for a in answers)
    for a in answers:
        if a.choice.worth == "no":
            assert all(zero.low < 0 for _, _, zero in a.evidence)
        if a.choice.other:
            assert a.choice.method == RANDOM
            assert a.choice.worth != "yes"
            assert a.choice.other_lead.low <= 0
            assert ("worse too" in a.reason) == (a.choice.other_lead.high < 0)
        if a.choice.second_look:
            assert a.choice.method != RANDOM
            assert "No method is shown to beat Random" in a.reason


def test_the_rule_keeps_to_what_is_affordable() -> None:
    leads = world(9, 9)
    assert advice.choose(leads, [at(RANDOM)], at(RANDOM)).method == RANDOM
    assert advice.choose(leads, [at(RANDOM), at(LESS)], at(RANDOM)).method == LESS
    assert advice.choose(world(2.2, 9), [at(RANDOM), at(LESS)], at(RANDOM)).method == LESS  # one rival only


def test_strength_groups_are_in_order_and_complete() -> None:
    data = cube("downstream")
    groups = advice.strength_groups(data)
    score = {m: data.mean[i, :, 0, -1, 0].mean() for i, m in enumerate(data.models)}
    order = [m for g in ("weak", "middle", "strong") for m in groups[g]]
    assert order == sorted(data.models, key=score.__getitem__)
    assert groups[ANY] == data.models


@pytest.fixture(scope="module")
def answers() -> list[advice.Answer]:
    return advice.answers(60)


def test_there_is_one_answer_to_every_question(answers: list[advice.Answer]) -> None:
    keys = [(a.goal, a.strength, a.kind, a.budget, a.compute) for a in answers]
    assert len(set(keys)) == len(keys) == len(GOALS) * 4 * len(KINDS) * 5 * len(COMPUTE)
    for a in answers:
        assert a.choice.method in COMPUTE[a.compute][1]
        assert "nan" not in a.reason


def test_the_sentence_on_the_others_fits_their_interval(answers: list[advice.Answer]) -> None:
    seen = set()
    for a in answers:
        lead, stays = a.choice.best_lead, a.choice.method == RANDOM and a.choice.best != RANDOM
        said = {
            "worse": "All others are worse than Random" in a.reason,
            "behind": "None of the others leads Random on average" in a.reason,
            "open": "an interval that includes zero" in a.reason,
        }
        right = "worse" if lead.high < 0 else "behind" if lead.value <= 0 else "open"
        assert said == {case: stays and case == right for case in said}
        seen |= {case for case, told in said.items() if told}
        few = {1: "(seen on one model only)", 2: "(seen on two models only)"}.get(a.models, "never said")
        assert (few in a.headline) == (a.models < 3 and "not shown to help" not in a.headline)
        assert ("differences between seeds and models" in a.reason) == (a.models == 5 and a.kind != ANY)
        assert ("not what another model would bring" in a.reason) == (a.models < 3 and a.kind == ANY)
    assert seen == {"worse", "behind", "open"}


def test_evidence_is_the_mean_of_the_published_numbers(answers: list[advice.Answer]) -> None:
    (found,) = [
        a for a in answers
        if (a.goal, a.strength, a.kind, a.budget, a.compute) == ("downstream", "strong", "gsm8k", 1000, "gradients")
    ]  # fmt: skip
    rows = published.figures().query("task == 'gsm8k' and metric == 'downstream' and model == 'qwen3-4b-base'")
    trained = rows.query("experiment == 'budget' and budget == 1000")
    mean = trained.assign(key=trained["representation"] + "/" + trained["selector"]).groupby("key")["mean"].mean()
    zero = rows.query("experiment == 'zero_shot'")["mean"].mean()
    for method, over_random, over_zero in found.evidence:
        assert over_random.value == pytest.approx(mean[method] - mean[RANDOM])
        assert over_zero.value == pytest.approx(mean[method] - zero)
    assert found.models == 1


def test_headlines_are_honest() -> None:
    def headline(lead: float, worth: float) -> str:
        choice = advice.choose(world(lead, worth), range(8), at(RANDOM))
        return advice.Answer("downstream", ANY, ANY, 500, "gradients", "points", 5, choice, ()).headline

    assert headline(9, 9) == "Use LESS, RR"
    assert headline(0, 9) == "Just use Random"
    assert headline(0, -9) == "Do not fine-tune"
    assert headline(0, 0) == "Fine-tuning is not shown to help; if you must: Random"


def test_the_page_is_static_and_complete(answers: list[advice.Answer]) -> None:
    page = DecisionPage(answers)._repr_html_()
    assert "http" not in page
    payload = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert payload is not None
    data = json.loads(payload[1])
    menus = [re.findall(r'<option value="([^"]+)"', menu) for menu in re.findall(r"<select>(.*?)</select>", page)]
    assert [len(m) for m in menus] == [3, 4, 6, 5, 3]
    for *question, compute in itertools.product(*menus):
        entry = data["|".join(question)]
        headline, reason, pick, count = entry["answers"][compute]
        assert headline and reason  # noqa: PT018
        shown = [row[0] for row in entry["rows"][:count]]
        assert shown == [evidence.name(m) for m in COMPUTE[compute][1]]
        assert pick == "" or pick in shown
    first = [
        re.search(r'<option value="([^"]+)" selected>', menu)[1] for menu in re.findall(r"<select>(.*?)</select>", page)
    ]
    assert first[-1] == "gradients"  # all methods in view
    assert html.escape(data["|".join(first[:-1])]["answers"]["gradients"][0]) in page
    assert page.count('aria-live="polite"') + page.count('role="status"') >= 1


def test_same_seed_same_answers() -> None:
    first, second = (advice.leads(cube("downstream"), 50, 3) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    low, high = stats.interval(first.random_draws[:, at(LESS), 0])
    assert low < first.random[at(LESS), 0] < high
