"""What the choice hangs on, against loops written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tis_utils.examples.kinds import view
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta import robustness
from tis_utils.neighbours.insta import selector as insta
from tis_utils.neighbours.insta.task_cards import CARDS


def rows(losses: dict[str, dict[str, float]], budget: int = 25) -> pd.DataFrame:
    """Held-out losses by task and selector, two seeds each with that mean."""
    lines = [
        (task, selector, budget if selector != NONE else 0, seed, "test_loss", value + 0.1 * (2 * seed - 1))
        for task, values in losses.items()
        for selector, value in values.items()
        for seed in range(2)
    ]
    return pd.DataFrame(lines, columns=["task", "selector", "budget", "seed", "metric", "value"])


def test_the_first_tasks_are_the_head_of_the_order(study: Study) -> None:
    names = insta.tasks_of(study)[0]
    order = insta.task_order(study, RunSpec("pick", NONE, "insta@3:cards", 4, 0))
    assert robustness.first_tasks(study, "insta@3:cards", "pick") == [names[i] for i in order[:3]]
    assert robustness.first_tasks(study, "insta@3:cards", "pick")[0] == "pick/last"
    chance = [robustness.first_tasks(study, "insta@3:random", "pick", seed) for seed in range(3)]
    assert len(set(map(tuple, chance))) > 1


def test_a_mixture_counts_the_picks(study: Study) -> None:
    table = robustness.mixtures(study, ["insta@1:cards", "insta@5:random"], 10)
    np.testing.assert_allclose(table.drop(columns="in the k tasks").sum(axis=1), 100)
    seen = [
        view(study.data.pool[i], task) == "clean"
        for task in study.profile.tasks
        for seed in study.profile.seeds
        for i in study.picks(RunSpec(task, NONE, "insta@1:cards", 10, seed))
    ]
    assert table.loc["insta@1:cards", "clean"] == pytest.approx(100 * np.mean(seen))
    families = [example.meta["family"] for example in study.data.pool]
    held = [families.count(insta.target_family(study, task)) for task in study.profile.tasks]
    assert table.loc["insta@1:cards", "in the k tasks"] == np.mean(held)


def test_one_wording_changes_nothing_where_there_is_one(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < robustness.one_wording_overlap(study, cards=True, repeats=2) < 1
    monkeypatch.setattr(insta, "CARDS", {name: texts[:1] for name, texts in CARDS.items()})
    assert robustness.one_wording_overlap(study, cards=True, repeats=2) == 1


def test_the_cost_of_a_left_out_choice_is_that_of_a_loop() -> None:
    losses = np.random.default_rng(0).uniform(0.5, 2, size=(5, 4))
    tasks, selectors = list("abcde"), [f"insta@{k}" for k in (1, 2, 5, 10)]
    table = rows({task: dict(zip(selectors, line, strict=True)) for task, line in zip(tasks, losses, strict=True)})
    paid = []
    for left in range(5):
        others = [t for t in range(5) if t != left]
        means = [np.mean([losses[t, k] / min(losses[t]) for t in others]) for k in range(4)]
        paid.append(losses[left, int(np.argmin(means))] / min(losses[left]))
    assert robustness.left_out_cost(table, selectors, 25) == pytest.approx(100 * (np.mean(paid) - 1))
    assert np.isnan(robustness.left_out_cost(table[table["task"] == "a"], selectors, 25))


def test_the_best_for_all_costs_nothing() -> None:
    table = rows({task: {"insta@1": 1.0, "insta@2": 2.0} for task in "abc"})
    assert robustness.left_out_cost(table, ["insta@1", "insta@2"], 25) == pytest.approx(0)


def test_negative_transfer_is_counted_by_the_number_of_tasks() -> None:
    losses = {"insta@1": 2.0, "insta@1:cards": 0.5, "insta@5": 0.9, "insta@5:random": 9.0, NONE: 1.0}
    counts = robustness.worse_than_untuned(rows({"a": losses, "b": losses | {NONE: 3.0}}))
    assert counts.to_dict("index") == {1: {"worse": 1, "of": 4}, 5: {"worse": 0, "of": 2}}
