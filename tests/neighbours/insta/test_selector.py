"""INSTA on a study: tasks, instructions, picks and claims."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.examples.classroom import FAMILIES, SKILLS
from tis_utils.examples.load import Data
from tis_utils.examples.text import chat_prompt
from tis_utils.experiments.grids import GRIDS
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta import claims as insta_claims
from tis_utils.neighbours.insta import retrieval as insta_retrieval
from tis_utils.neighbours.insta import selector as insta
from tis_utils.neighbours.insta.selector import Setting
from tis_utils.neighbours.insta.task_cards import CARDS
from tis_utils.profiles import load_profile
from tis_utils.storage.cache import Store


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(load_profile("smoke"), Store(tmp_path_factory.mktemp("store")))


def cell(selector: str, *, task: str = "pick", budget: int = 20, seed: int = 0) -> RunSpec:
    return RunSpec(task, "none", selector, budget, seed)


def test_every_task_of_the_classroom_has_a_card_in_plain_words() -> None:
    functions = {f"{skill.name}/{function.name}" for skill in SKILLS.values() for function in skill.functions}
    assert set(CARDS) == {*FAMILIES, *functions}
    for texts in CARDS.values():
        assert len(set(texts)) == len(texts) >= 2
        assert not any("{" in text or ":" in text for text in texts)


def test_names_of_selectors_are_read() -> None:
    assert Setting.of("insta") == Setting(5)
    assert Setting.of("insta@12") == Setting(12)
    assert Setting.of("insta@1:cards:max:aligned") == Setting(1, cards=True, max=True, aligned=True)
    for wrong in ("insta@0", "insta@x", "insta@5:card", "insta@-1", "insta@5:"):
        with pytest.raises(InputError, match="no INSTA selector"):
            Setting.of(wrong)


def test_tasks_are_the_families_of_the_pool(study: Study) -> None:
    names, labels = insta.tasks_of(study)
    assert names == sorted({e.meta["family"] for e in study.data.pool})
    assert [names[t] for t in labels] == [e.meta["family"] for e in study.data.pool]


def test_a_pool_that_is_not_sorted_into_tasks_is_refused(study: Study) -> None:
    other = Study(study.profile, study.store)
    pool = [replace(e, meta={}) if i < 2 else e for i, e in enumerate(study.data.pool)]
    other.__dict__["data"] = Data(pool, study.data.queries, study.data.test)
    with pytest.raises(InputError, match="2 of 600 candidates belong to no task"):
        insta.picks(other, cell("insta@1"))


def test_instructions_by_prompts_hold_no_answers_and_by_cards_are_the_authors(study: Study) -> None:
    by_prompts = insta.instructions(study)
    assert by_prompts["spell_backward"] == ("Spell this word backward (example: sun nus):",)
    assert by_prompts["words/reverse"][0] == SKILLS["words"].vague.replace(" {}", "")
    assert insta.instructions(study, cards=True)["gcd"] == CARDS["gcd"]
    assert insta.target_instruction(study, "pick")[0] == "Pick one word:"
    assert insta.target_instruction(study, "pick", cards=True) == CARDS["pick/last"]


def test_prompts_without_a_common_word_stand_for_themselves(study: Study) -> None:
    other = Study(study.profile, study.store)
    queries = [replace(q, prompt=chat_prompt(f"alpha{i} beta{i}")) for i, q in enumerate(study.data.queries["pick"])]
    pool = [
        replace(e, messages=[{"role": "user", "content": ""}, *e.messages[1:]]) if e.meta["family"] == "gcd" else e
        for e in study.data.pool
    ]
    other.__dict__["data"] = Data(study.data.pool, {"pick": queries, "words": []}, study.data.test)
    assert insta.target_instruction(other, "pick") == tuple(f"alpha{i} beta{i}" for i in range(4))
    other.__dict__["data"] = Data(pool, study.data.queries, study.data.test)
    with pytest.raises(InputError, match="1 of 48 tasks have no instruction: 'gcd'"):
        insta.instructions(other)


def test_a_task_without_a_card_is_named(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CARDS, "gcd")
    with pytest.raises(InputError, match="'gcd' has no card"):
        insta.instructions(study, cards=True)
    assert "gcd" in insta.instructions(study)


@pytest.mark.parametrize("selector", ["insta@2", "insta@2:cards", "insta@2:max", "insta@2:cards:max", "insta@2:random"])
def test_picks_come_from_the_nearest_tasks(study: Study, selector: str) -> None:
    labels = insta.tasks_of(study)[1]
    here = cell(selector, budget=10)
    found = study.picks(here)
    assert found.dtype == np.int64
    assert len(set(found.tolist())) == 10
    nearest = insta.task_order(study, here)[:2]
    inside = np.isin(labels, nearest).sum()
    assert set(labels[found[:inside]]) <= set(nearest.tolist())
    assert found.tolist() == insta.picks(study, here).tolist()
    assert found.tolist() != study.picks(replace(here, seed=1)).tolist()


def test_the_order_is_that_of_cosines_computed_by_hand(study: Study) -> None:
    encoder = insta._embedder("minilm")[0].encoder
    names, _ = insta.tasks_of(study)
    target = encoder.encode(list(CARDS["pick/last"]))
    by_hand = []
    for name in names:
        rows = encoder.encode(list(CARDS[name]))
        pairs = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in target for b in rows]
        by_hand.append((round(-sum(pairs) / len(pairs), 5), name))
    order = insta.task_order(study, cell("insta@5:cards"))
    assert [names[i] for i in order[:8]] == [name for _, name in sorted(by_hand)[:8]]
    assert names[order[0]] == "pick/last"  # described by the same sentences


def test_all_tasks_are_the_whole_pool_in_random_order(study: Study) -> None:
    names, _ = insta.tasks_of(study)
    found = study.picks(cell(f"insta@{len(names)}", budget=600))
    assert sorted(found.tolist()) == list(range(600))
    with pytest.raises(InputError, match=f"{len(names) + 1} nearest tasks, and there are {len(names)}"):
        study.picks(cell(f"insta@{len(names) + 1}"))


def test_random_tasks_change_with_seed_and_target(study: Study) -> None:
    orders = [
        insta.task_order(study, cell("insta@5:random", task=task, seed=seed)).tolist()
        for task in ("pick", "words")
        for seed in (0, 1)
    ]
    assert len({tuple(order) for order in orders}) == 4


def test_the_alignment_never_sees_a_targets_group(study: Study) -> None:
    seen = insta.alignment_tasks(study)
    assert {name.partition("/")[0] for name in seen} == {*FAMILIES, *SKILLS} - set(study.profile.tasks)


def test_embeddings_are_kept_and_alignment_has_its_own(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def fake(encoder, pairs, folder: Path, **settings):
        trained.append((len(pairs), settings["learning_rate"]))
        encoder.save_pretrained(str(folder), create_model_card=False)

    monkeypatch.setattr(insta, "align", fake)
    tasks = {"a": ("Add numbers.", "Sum up."), "b": ("Name a town.", "Which city is it?")}
    for _ in range(2):
        rows = insta.embedded(study, ["Add numbers.", "Sing."], align_on=tasks, rate=1e-3)
    assert len(trained) == 1
    np.testing.assert_allclose(rows, insta.embedded(study, ["Add numbers.", "Sing."]), atol=1e-5)


def test_the_recipe_is_json(study: Study) -> None:
    recipe = insta.recipe(study, cell("insta@5"))
    assert json.loads(json.dumps(recipe)) == recipe
    assert study.recipe(cell("insta@5"))["chooser"] == recipe


def test_cells_are_few_distinct_and_readable() -> None:
    profile = load_profile("classroom")
    cells = GRIDS["insta"](profile)
    assert len(set(cells)) == len(cells) <= 320
    assert {Setting.of(c.selector).k for c in cells} == {1, 2, 5, 10, 20}
    assert {c.budget for c in cells} == {min(profile.budgets), max(profile.budgets)}


# --- claims and retrieval -----------------------------------------------------------------------------


def rows(values: dict[str, float], *, spread: float = 0.0, tasks: str = "pqr") -> pd.DataFrame:
    """Loss per method: value × (1 + task number), budgets 25 and 100, three seeds."""
    lines = [
        (*method.split("/"), task, budget, seed, "test_loss", value * (1 + t) + spread * (seed - 1))
        for method, value in values.items()
        for t, task in enumerate(tasks)
        for budget in (25, 100)
        for seed in range(3)
    ]
    fields = ["representation", "selector", "task", "budget", "seed", "metric", "value"]
    return pd.DataFrame(lines, columns=fields)


def test_a_lead_is_the_mean_relative_difference() -> None:
    table = rows({"none/insta@5": 0.9, "none/random": 1.0})
    assert insta_claims.lead(table, "none/insta@5", "none/random") == pytest.approx((10, 10, 10))
    value, low, high = insta_claims.lead(rows({"a/x": 1.0, "b/y": 0.8}, spread=0.2), "a/x", "b/y")
    assert value == pytest.approx(-25)
    assert low < value < high


def test_a_lead_counts_only_what_both_have() -> None:
    table = rows({"a/x": 0.5, "b/y": 1.0})
    table.loc[(table["representation"] == "a") & (table["budget"] == 25), "value"] = np.nan
    table.loc[(table["representation"] == "b") & (table["budget"] == 25), "value"] = 99.0
    assert insta_claims.lead(table, "a/x", "b/y")[0] == pytest.approx(50)
    with pytest.raises(InputError, match="c/z"):
        insta_claims.lead(table, "a/x", "c/z")


def test_two_tasks_are_too_few_for_a_verdict() -> None:
    few = insta_claims.claims(rows({"none/insta@5": 0.5, "none/random": 1.0}, tasks="pq"), draws=20)
    assert set(few["verdict"]) == {"not testable"}
    assert few.set_index("claim").loc["few tasks beat all, by prompts", "statistic"] == pytest.approx(50)


@settings(max_examples=15)
@given(st.floats(0.5, 2), st.floats(0.5, 2))
def test_verdicts_follow_the_sign(a: float, b: float) -> None:
    found = insta_claims.claims(rows({"none/insta@5": a, "none/random": b}), draws=20).set_index("claim")
    wanted = "mixed" if np.isclose(a, b, rtol=1e-9) else ("supported" if a < b else "contradicted")
    assert found.loc["few tasks beat all, by prompts", "verdict"] in (wanted, "mixed")
    if abs(a - b) > 1e-6:
        assert found.loc["few tasks beat all, by prompts", "verdict"] == wanted
    assert found.loc["few tasks beat all, by cards", "verdict"] == "not testable"


def test_folds_deal_every_family_once() -> None:
    parts = insta_retrieval.folds(FAMILIES, 3, 0)
    assert sorted(name for part in parts for name in part) == sorted(FAMILIES)
    assert {len(part) for part in parts} == {9, 10}


def test_retrieval_finds_what_brute_force_finds(study: Study) -> None:
    found = insta_retrieval.retrieval(study, [], count=2).set_index("family")
    assert sorted(found.index) == sorted(FAMILIES)
    encoder = insta._embedder("minilm")[0].encoder
    prompt = encoder.encode(list(insta.instructions(study)["gcd"]), normalize_embeddings=True)
    scores = {
        name: float(np.mean(prompt @ encoder.encode(list(texts), normalize_embeddings=True).T))
        for name, texts in CARDS.items()
    }
    assert found.loc["gcd", "rank"] == 1 + sum(score > scores["gcd"] for score in scores.values())
    assert found["found"].equals((found["rank"] == 1).astype(int))


def test_topics_are_those_of_reasoning_gym() -> None:
    assert insta_retrieval.topic("gcd") == insta_retrieval.topic("products") == "arithmetic"
    assert insta_retrieval.topic("syllogism") == "logic"
    assert insta_retrieval.topic("words/copy") == "words"


def test_accuracy_is_a_mean_over_families_and_pairs_two_rates() -> None:
    table = pd.DataFrame({"rate": [0, 0, 1, 1], "family": list("abab"), "found": [0, 1, 1, 1]})
    assert insta_retrieval.accuracy(table, "found", [0])[0] == 50
    value, low, high = insta_retrieval.accuracy(table, "found", [0, 1])
    assert (value, low, high) == (50, 0, 100)


def test_correlations_leave_out_the_target_itself(study: Study) -> None:
    scores = insta_retrieval.score_table(study, ["gcd", "pick"])
    gains = scores.copy()
    gains.loc["gcd", "gcd"] = -9.0
    gains.loc["pick/last", "pick"] = 9.0
    found = insta_retrieval.transfer_correlations(study, gains).set_index("target")
    assert found["rho"].tolist() == pytest.approx([1, 1])
    assert found["kind"].tolist() == ["filler", "skill"]
    flipped = insta_retrieval.transfer_correlations(study, -gains.abs()).set_index("target")
    assert flipped.loc["gcd", "size"] == pytest.approx(-flipped.loc["gcd", "rho"])
    assert found.loc["gcd", "gain"] == found.loc["gcd", "best"]
    assert found.loc["gcd", "chosen"] == scores["gcd"].drop("gcd").idxmax()
    assert found.loc["pick", "best"] < 9
