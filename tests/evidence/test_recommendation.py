"""The rule in plain worlds, and what it says about the published numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tis_utils.evidence import published
from tis_utils.evidence import recommendation as advice
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import Leads
from tis_utils.evidence.published import EMBED, LESS, PAPER_METHODS
from tis_utils.evidence.published_analysis import published_cube
from tis_utils.evidence.recommendation import ANY, COMPUTE, GOALS, TASK_KINDS
from tis_utils.evidence.tables import RANDOM


def world(lead: float, worth: float, spread: float = 1.0, draws: int = 4000) -> tuple[Leads, Leads]:
    """LESS leads Random by `lead`, every method leads zero-shot by `worth`, both with normal spread."""
    rng = np.random.default_rng(0)
    point, zero = np.zeros(9), np.full(9, worth)
    point[PAPER_METHODS.index(LESS)] = lead
    noise = rng.normal(size=(2, draws, 9)) * spread
    return Leads(point, point + noise[0]), Leads(zero, zero + noise[1])


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
    choice = advice.choose(*world(lead, worth), range(8))
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
    over_random, zero_shot = world(0, random)  # nobody beats Random
    zero_shot.value[PAPER_METHODS.index(EMBED)] += embed - random
    zero_shot.draws[:, PAPER_METHODS.index(EMBED)] += embed - random
    choice = advice.choose(over_random, zero_shot, range(8))
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
    leads, random, less = world(9, 9), PAPER_METHODS.index(RANDOM), PAPER_METHODS.index(LESS)
    assert advice.choose(*leads, [random]).method == RANDOM
    assert advice.choose(*leads, [random, less]).method == LESS
    assert advice.choose(*world(2.2, 9), [random, less]).method == LESS  # one rival only


def test_strength_groups_are_in_order_and_complete() -> None:
    data = published_cube("downstream")
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
    assert len(set(keys)) == len(keys) == len(GOALS) * 4 * len(TASK_KINDS) * 5 * len(COMPUTE)
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
        choice = advice.choose(*world(lead, worth), range(8))
        return advice.Answer("downstream", ANY, ANY, 500, "gradients", "points", 5, choice, ()).headline

    assert headline(9, 9) == "Use LESS, RR"
    assert headline(0, 9) == "Just use Random"
    assert headline(0, -9) == "Do not fine-tune"
    assert headline(0, 0) == "Fine-tuning is not shown to help; if you must: Random"


def test_same_seed_same_leads() -> None:
    (first, _), (second, _) = (advice.both_leads(published_cube("downstream"), 50, 3) for _ in range(2))
    np.testing.assert_array_equal(first.draws, second.draws)
    less = PAPER_METHODS.index(LESS)
    low, high = stats.interval(first.draws[:, less, 0])
    assert low < first.value[less, 0] < high
