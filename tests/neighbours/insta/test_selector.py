"""INSTA on a study: instructions and picks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tis_utils.errors import InputError
from tis_utils.examples.classroom import FAMILIES, SKILLS
from tis_utils.examples.load import Data
from tis_utils.examples.text import chat_prompt
from tis_utils.experiments.grids import GRIDS
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta import selector as insta
from tis_utils.neighbours.insta.selector import Setting
from tis_utils.neighbours.insta.task_cards import CARDS
from tis_utils.profiles import load_profile


def spec(selector: str, *, task: str = "pick", budget: int = 20, seed: int = 0) -> RunSpec:
    return RunSpec(task, "none", selector, budget, seed)


def test_names_of_selectors_are_read() -> None:
    assert Setting.of("insta") == Setting(5)
    assert Setting.of("insta@12") == Setting(12)
    assert Setting.of("insta@1:cards:max:aligned") == Setting(1, cards=True, max=True, aligned=True)
    for wrong in ("insta@0", "insta@x", "insta@5:card", "insta@-1", "insta@5:"):
        with pytest.raises(InputError, match="no INSTA selector"):
            Setting.of(wrong)


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
    here = spec(selector, budget=10)
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
    order = insta.task_order(study, spec("insta@5:cards"))
    assert [names[i] for i in order[:8]] == [name for _, name in sorted(by_hand)[:8]]
    assert names[order[0]] == "pick/last"  # described by the same sentences


def test_all_tasks_are_the_whole_pool_in_random_order(study: Study) -> None:
    names, _ = insta.tasks_of(study)
    found = study.picks(spec(f"insta@{len(names)}", budget=600))
    assert sorted(found.tolist()) == list(range(600))
    with pytest.raises(InputError, match=f"{len(names) + 1} nearest tasks, and there are {len(names)}"):
        study.picks(spec(f"insta@{len(names) + 1}"))


def test_random_tasks_change_with_seed_and_target(study: Study) -> None:
    orders = [
        insta.task_order(study, spec("insta@5:random", task=task, seed=seed)).tolist()
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
    recipe = insta.recipe(study, spec("insta@5"))
    assert json.loads(json.dumps(recipe)) == recipe
    assert study.recipe(spec("insta@5"))["chooser"] == recipe


def test_run_specs_are_few_distinct_and_readable() -> None:
    profile = load_profile("classroom")
    specs = GRIDS["insta"](profile)
    assert len(set(specs)) == len(specs) <= 440
    chosen = [s.selector for s in specs if s.selector.startswith("insta")]
    assert {Setting.of(name).k for name in chosen} == {1, 2, 5, 10, 20}
    rivals = {s.selector for s in specs} - set(chosen)
    assert rivals == {f"{name}@{k}" for name in ("transfer", "retrieval") for k in (1, 5, 20)}
    assert set(GRIDS["insta_rivals"](profile)) <= set(specs)
    assert {s.budget for s in specs} == {min(profile.budgets), max(profile.budgets)}
