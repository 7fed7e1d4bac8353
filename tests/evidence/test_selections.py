"""What the selectors pick: orders, overlap, composition."""

from __future__ import annotations

import numpy as np
import pytest

from tis_utils.evidence.selections import (
    DIVERSITY,
    W1,
    all_picks,
    below_random,
    composition,
    distances,
    diversity,
    halves_overlap,
    ladder,
    mean_overlap,
    picks_of,
    token_budgets,
)
from tis_utils.examples.kinds import view
from tis_utils.experiments import NONE, RunSpec, Study
from tis_utils.profiles import load_profile
from tis_utils.selectors import SELECTORS, select
from tis_utils.selectors.overlap import jaccard
from tis_utils.selectors.wasserstein import w1

BUDGET = 12


@pytest.fixture(scope="module")
def study() -> Study:
    study = Study(load_profile("smoke"))
    rows = np.random.default_rng(0).normal(size=(len(study.data.pool), 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    study.add_features("mine", rows, {task: rows[:5] for task in study.profile.tasks})
    return study


@pytest.mark.filterwarnings("ignore:.* gives mass to .*")
def test_all_picks_are_those_of_select_and_compare_with_each_other(study: Study) -> None:
    taken = all_picks(study, "mine", BUDGET)
    seeds, tasks = study.profile.seeds, study.profile.tasks
    assert len(taken) == len(tasks) * (len(SELECTORS) - 1 + len(seeds))
    one = taken.query("selector == 'uot'").iloc[0]
    assert one["picks"].tolist() == select("uot", study.similarity("mine", tasks[0]), BUDGET).tolist()
    assert (taken.query("selector == 'random'")["representation"] == "none").all()

    overlap = mean_overlap(taken, BUDGET)
    assert np.allclose(np.diag(overlap), 100)
    assert np.allclose(overlap, overlap.T)
    assert overlap.index.tolist()[:2] == ["Random", "Round-robin"]

    made = composition(study, taken, 3)
    assert len(made) == 3 * len(taken)
    picks = taken["picks"].iloc[0][:3]
    assert made["kind"].tolist()[:3] == [view(study.data.pool[j], tasks[0]) for j in picks]

    rows = distances(study, "mine", taken, [4, BUDGET])
    vectors, queries = study.features("mine")
    first = rows.query("metric == @W1 and budget == 4")["value"].iloc[0]
    assert first == pytest.approx(w1(vectors[taken["picks"].iloc[0][:4]], queries[tasks[0]]))
    gain = below_random(rows[rows["metric"] == W1])
    assert gain.columns.tolist() == [4, BUDGET]
    assert gain.index.tolist() == sorted(set(SELECTORS) - {"random"})
    assert gain.loc["round_robin", 4] > 0
    assert set(rows["metric"]) == {W1, DIVERSITY}


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert diversity(rows) == pytest.approx((1 + 1 + 2) / 3)


def test_the_ladder_goes_beyond_the_budgets_up_to_half_the_pool(study: Study) -> None:
    steps = ladder(study)
    assert steps[: len(study.profile.budgets)] == list(study.profile.budgets)
    assert study.profile.budgets[-1] < steps[-1] <= len(study.data.pool) / 2


def test_picks_of_methods_are_those_of_the_study(study: Study) -> None:
    methods = [("mine", "round_robin"), (NONE, "random")]
    taken = picks_of(study, methods, BUDGET)
    assert list(zip(taken["representation"], taken["selector"], strict=True)) == methods * len(study.profile.tasks)
    for row in taken.itertuples():
        spec = RunSpec(row.task, row.representation, row.selector, BUDGET, study.profile.seeds[0])
        assert (row.picks == study.picks(spec)).all()
    assert len(composition(study, taken, 5)) == 5 * len(taken)
    overlap = mean_overlap(taken, 5, ["representation", "selector"])
    pairs = [part["picks"].tolist() for _, part in taken.groupby("task")]
    assert overlap.iloc[0, 1] == pytest.approx(100 * np.mean([jaccard(a[:5], b[:5]) for a, b in pairs]))


def test_a_budget_in_tokens_is_filled_in_the_order_of_the_picks(study: Study) -> None:
    table = token_budgets(study, ["mine", "random"])
    tokens, tasks, seed = study.answer_tokens, study.profile.tasks, study.profile.seeds[0]
    budget = study.profile.budgets[0]
    picks = [study.picks(RunSpec(task, "mine", "round_robin", budget, seed)) for task in tasks]
    assert table.loc["mine", ("answer tokens per pick", budget)] == np.mean([tokens[p].mean() for p in picks])
    counts = []
    for task in tasks:  # from the definition: picks until they hold the tokens of `budget` average candidates
        rest, taken = study.order("mine", task).tolist(), []
        while rest and sum(tokens[taken]) < budget * tokens.mean():
            taken.append(rest.pop(0))
        counts.append(len(taken))
    assert table.loc["mine", ("examples for the same tokens", budget)] == np.mean(counts)
    assert table.index.tolist() == ["mine", "Random"]


def test_halves_of_the_queries_overlap_as_their_picks_do(study: Study) -> None:
    table = halves_overlap(study, ["mine"], 6, range(3))
    assert table.groupby("panel").size().to_dict() == dict.fromkeys(
        ["Half and all queries", "Half and half"], len(study.profile.tasks)
    )
    task, seed = study.profile.tasks[0], study.profile.seeds[0]
    runs = [RunSpec(task, "mine", "round_robin", 6, seed, "resample", draw=d) for d in range(3)]
    a, b, c = map(study.picks, runs)
    expected = [jaccard(a, b), jaccard(a, c), jaccard(b, c)]
    row = table[(table["panel"] == "Half and half") & (table["label"] == task)].iloc[0]
    assert row[["value", "low", "high"]].tolist() == [np.mean(expected), min(expected), max(expected)]
