"""Each claim in worlds where it is plainly right, plainly wrong or undecided; the paper's values by plain loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, ttest_1samp

from tis_utils.errors import InputError
from tis_utils.evidence import published
from tis_utils.evidence.claims import (
    CLAIMS,
    PAPER_SOURCES,
    SCORECARD_COLUMNS,
    grade_table,
    page_scorecard,
    scorecard,
    versus,
)  # fmt: skip
from tis_utils.evidence.cube import cube
from tis_utils.evidence.statistics import GRADES
from tis_utils.evidence.tables import as_figures
from tis_utils.experiments.run_spec import ROW_COLUMNS

Cost = Callable[[str, int, int], float]  # method, step (0 = lowest budget or nearest bin), task number -> loss
BUDGETS = [10, 20, 30, 40, 50]
BAR = {"embed": "round_robin", "rds": "round_robin", "none": "random"}
COSTED = ["embed", "rds", "none", "rr", "dg", "knn_uniform", "knn_kde", "uot"]
FAST = {"results": Path("no such folder")}
OWN = {**FAST, "sources": ["classroom"]}


def world(cost: Cost, metric: str = "query_loss", tasks: int = 4, sd: float = 1e-6, n: int = 3) -> pd.DataFrame:
    """Tidy rows of source "classroom", both experiments, with `cost` as loss (or its negative as metric)."""
    selector = {"rr": "round_robin", "dg": "doubly_greedy"}
    rows = []
    for method in [*COSTED, "less_proxy"]:
        pair = (method, BAR[method]) if method in BAR else ("less", selector.get(method, method))
        pair = ("less_proxy", "round_robin") if method == "less_proxy" else pair
        for t in range(tasks):
            for experiment, steps in (("budget", BUDGETS), ("quantile", range(10))):
                for i, step in enumerate(steps):
                    value = cost(method, i, t)
                    rows.append(
                        {
                            "pool": "classroom",
                            "model": "tiny",
                            "experiment": experiment,
                            "representation": pair[0],
                            "selector": pair[1],
                            "task": f"task{t}",
                            "budget": step if experiment == "budget" else 500,
                            "bin": step if experiment == "quantile" else pd.NA,
                            "metric": metric,
                            "mean": -value if metric == "downstream" else value,
                            "sd": sd,
                            "n": n,
                        }
                    )
    return pd.DataFrame(rows)


def row(table: pd.DataFrame, claim: str, source: str = "classroom") -> pd.Series:
    (found,) = [line for _, line in table[(table["claim"] == claim) & (table["source"] == source)].iterrows()]
    return found


def flat(**costs: float) -> Cost:
    """The same costs at every step and task: 2 unless named."""
    return lambda method, step, task: costs.get(method, 2.0)


def ramp(**slopes: float) -> Cost:
    """Cost 10 + slope × step."""
    return lambda method, step, task: 10 + slopes.get(method, 0.0) * step


def winner_changes(method: str, step: int, task: int) -> float:
    return 1.0 if COSTED.index(method if method in COSTED else "rr") == (step + 3 * task) % 8 else 2.0


ALL_LESS = ("rr", "dg", "knn_uniform", "knn_kde", "uot")
RIGHT_AND_WRONG: dict[str, tuple[Cost, Cost, float | None]] = {
    # claim: (world where it is right, world where it is wrong, its statistic in the first one)
    "distance predicts loss": (ramp(rr=1), ramp(rr=-1), 1.0),
    "only LESS distance predicts loss": (ramp(rr=1, rds=-1), ramp(rr=-1, embed=1), 1.0),
    "LESS+RR lowest at every budget": (flat(rr=1), lambda m, s, t: 3.0 if m == "rr" and s == 4 else 2.0, 50.0),
    "RDS+ and EMBED below Random at high budgets": (flat(none=1.5, embed=3), flat(none=3), 100 * (1 - 1.5 / 6**0.5)),
    "LESS+RR best at low budgets": (flat(rr=1), flat(rr=1, embed=0.5), 50.0),
    "RR best selector at low budgets": (flat(rr=1, embed=0.5), flat(rr=1, dg=0.5), 50.0),
    "transport best at high budgets": (flat(uot=1.4), flat(dg=1), 100 * (1 - 0.7 ** (1 / 3))),
    "Random competitive at high budgets": (flat(none=1.9), flat(none=2.1), 5.0),
    "lead of LESS over Random shrinks with budget": (ramp(none=-1), ramp(rr=-1), None),
    "lead of RDS+ over Random shrinks with budget": (ramp(none=-1), ramp(rds=-1), None),
    "lead of EMBED over Random shrinks with budget": (ramp(none=-1), ramp(embed=-1), None),
    "LESS+RR beats Random": (flat(rr=1), flat(rr=3), 50.0),
    "UOT lowest at the largest budget": (ramp(uot=-2), ramp(uot=-2, embed=-2.2), None),
    "LESS's nearest bin has the lower query loss": (flat(rr=1), flat(rr=3), 50.0),
    "no method dominates": (winner_changes, flat(rr=1), 0.5 - 3 / 20),
    "proxy works": (flat(less_proxy=1.8), flat(none=1.8), 10.0),
}


@pytest.mark.parametrize("claim", RIGHT_AND_WRONG)
def test_plain_worlds_on_loss(claim: str) -> None:
    right, wrong, value = RIGHT_AND_WRONG[claim]
    found = row(scorecard(world(right), **OWN), claim)
    assert found["grade"] == "shown"
    assert (found["k"], found["n"], found["of"]) == (4, 4, "tasks")
    assert found["low"] <= found["estimate"] + 1e-4
    if value is not None:
        assert found["estimate"] == pytest.approx(value, abs=1e-6)
    assert row(scorecard(world(wrong), **OWN), claim)["grade"] == "refuted"


@pytest.mark.parametrize("claim", [c.name for c in CLAIMS if "downstream" in c.metrics and not (c.across or c.task)])
def test_plain_worlds_on_the_downstream_metric(claim: str) -> None:
    """The metric is the negative cost here, so the same worlds must give the same verdicts, in points."""
    right, wrong, _ = RIGHT_AND_WRONG.get(claim, (ramp(rr=1), ramp(rr=-1), 1.0))
    if claim.startswith("EMBED's nearest"):
        right, wrong = flat(embed=1), flat(rr=1)
    (metrics,) = [c.metrics for c in CLAIMS if c.name == claim]
    name = claim if metrics[0] == "downstream" else f"{claim}, downstream"
    assert row(scorecard(world(right, "downstream"), **OWN), name)["grade"] == "shown"
    assert row(scorecard(world(wrong, "downstream"), **OWN), name)["grade"] == "refuted"


def test_differences_of_the_metric_are_points() -> None:
    table = scorecard(world(flat(rr=1.25), "downstream"), **OWN)
    found = row(table, "RR best selector at low budgets, downstream")
    assert (found["unit"], found["estimate"]) == ("points", pytest.approx(0.75))


def test_test_loss_has_its_own_row() -> None:
    table = scorecard(world(ramp(rr=1), "test_loss"), **OWN)
    assert row(table, "distance predicts test loss")["grade"] == "shown"
    assert row(table, "distance predicts loss")["grade"] == "not testable"


def test_tasks_that_disagree_are_open_and_most_of_them_lean() -> None:
    def correlation(against: set[int]) -> pd.Series:
        rows = world(lambda m, s, t: 10 + (-s if t in against else s) * (m == "rr"), tasks=5)
        return row(scorecard(rows, **OWN), "distance predicts loss")

    assert (correlation({1, 3})["grade"], correlation({1, 3})["k"]) == ("open", 3)
    assert (correlation({1})["grade"], correlation({1})["k"]) == ("leaning", 4)
    assert correlation({0, 1, 2, 4})["grade"] == "leaning against"
    assert correlation({1})["estimate"] == pytest.approx(0.6)


@pytest.fixture(scope="module")
def paper() -> pd.DataFrame:
    return scorecard(**FAST)


def test_one_row_per_claim_and_source(paper: pd.DataFrame) -> None:
    assert list(paper.columns) == SCORECARD_COLUMNS
    assert not paper.duplicated(["claim", "source"]).any()
    assert list(dict.fromkeys(paper["source"])) == ["paper", *PAPER_SOURCES, "classroom", "smollm2"]
    assert len(paper) == sum(len(c.metrics) for c in CLAIMS) * 13
    assert set(paper["grade"]) <= set(GRADES)
    open_ = paper["grade"] == "not testable"
    assert (paper["reason"].ne("") == open_).all()
    assert paper.loc[open_, ["low", "high"]].isna().all().all()
    closed = paper[~open_]
    assert (closed["low"] <= closed["estimate"]).all()
    assert (closed["estimate"] <= closed["high"]).all()
    assert ((closed["k"] >= 0) & (closed["k"] <= closed["n"])).all()
    assert set(closed.loc[closed["source"] == "paper", "of"]) == {"settings", "tasks", "models", "pools"}
    assert set(closed.loc[closed["source"] != "paper", "n"]) == {5}
    untested = paper.loc[open_ & ~paper["source"].isin(["classroom", "smollm2"]), "claim"].unique()
    assert all("in every" in name or "best on" in name or name.startswith("proxy") for name in untested)
    assert len(paper["claim"].unique()) >= 25


def test_fewer_than_a_third_of_the_rows_with_results_stay_open_on_the_papers_numbers(paper: pd.DataFrame) -> None:
    """The grades are of use only if most of them have a direction; and some must be able to be open."""
    share = (paper["grade"] == "open").mean()
    assert 0.05 < share < 1 / 3


def test_intervals_stay_within_what_a_number_can_be(paper: pd.DataFrame) -> None:
    unit = paper.set_index("unit")[["estimate", "low", "high"]]
    assert unit.loc["% of loss"].max().max() < 100
    assert unit.loc["Spearman"].abs().max().max() <= 1
    assert unit.loc["share under ½"].abs().max().max() <= 0.5
    assert unit.loc["points"].abs().max().max() <= 100


def cells(source: str) -> Callable[..., float]:
    rows = published.figures()
    rows = rows[rows["pool"] + "/" + rows["model"] == source]
    by = {tuple(map(str, key)): value for key, value in rows.set_index(list(published.FIGURE_KEYS[2:]))["mean"].items()}

    def value(experiment: str, pair: str, task: str, step: int, metric: str = "query_loss") -> float:
        places = ("500", str(step)) if experiment == "quantile" else (str(step), "<NA>")
        representation, selector = pair.split("/")
        return by[(experiment, representation, selector, task, *places, metric)]

    return value


@pytest.mark.parametrize("source", ["tulu/llama2-7b", "dolci/qwen3-4b-base"])
def test_the_papers_statistics_by_plain_loops(paper: pd.DataFrame, source: str) -> None:
    value = cells(source)
    less, random = "less/round_robin", "none/random"
    bars = [f"{r}/round_robin" for r in ("embed", "rds")]
    transport = [f"less/{s}" for s in ("knn_uniform", "knn_kde", "uot")]
    greedy = [less, "less/doubly_greedy"]
    everyone = [random, *bars, *transport, *greedy]

    def rho(pair: str, metric: str) -> float:
        return np.mean(
            [
                spearmanr(range(10), [value("quantile", pair, t, b, metric) for b in range(10)]).statistic
                for t in published.TASKS
            ]
        )

    def loss(pair: str, task: str, budget: int) -> float:
        return value("budget", pair, task, budget)

    def lead(pair: str, other: str, budgets: list[int]) -> float:
        logs = [np.log(loss(other, t, b) / loss(pair, t, b)) for t in published.TASKS for b in budgets]
        return 100 * (1 - np.exp(-sum(logs) / len(logs)))

    def mean_lead(group: list[str], others: list[str], budgets: list[int]) -> float:
        costs = [
            np.mean([[np.log(loss(p, t, b)) for t in published.TASKS for b in budgets] for p in part])
            for part in (group, others)
        ]
        return 100 * (1 - np.exp(costs[0] - costs[1]))

    def change(pair: str) -> float:
        """Per cent of Random's loss at low budgets minus that at high ones."""
        by_budget = [
            np.mean([100 * (1 - loss(pair, t, b) / loss(random, t, b)) for t in published.TASKS for b in part])
            for part in (low, high)
        ]
        return float(by_budget[0] - by_budget[1])

    def points(task: str, budget: int, pairs: list[str]) -> float:
        return float(np.mean([value("budget", pair, task, budget, "downstream") for pair in pairs]))

    budgets, low, high = [500, 1000, 2500, 5000, 10000], [500, 1000], [5000, 10000]
    places = [(t, b) for t in published.TASKS for b in budgets]
    best = [min(everyone, key=lambda pair: loss(pair, *place)) for place in places]
    expected = {
        "distance predicts loss": rho(less, "query_loss"),
        "only LESS distance predicts loss": rho(less, "query_loss") - max(rho(bar, "query_loss") for bar in bars),
        "distance predicts test loss": rho(less, "test_loss"),
        "distance predicts the metric": -rho(less, "downstream"),
        "LESS+RR lowest at every budget": min(lead(less, o, [b]) for o in [random, *bars] for b in budgets),
        "LESS+RR best at low budgets": min(lead(less, o, low) for o in everyone if o != less),
        "RR best selector at low budgets": min(lead(less, o, low) for o in [*transport, greedy[1]]),
        "LESS+RR beats Random": lead(less, random, budgets),
        "UOT lowest at the largest budget": min(lead("less/uot", o, [10000]) for o in everyone if o != "less/uot"),
        "lead of LESS over Random shrinks with budget": change(less),
        "lead of EMBED over Random shrinks with budget": change(bars[0]),
        "RDS+ and EMBED below Random at high budgets": mean_lead([random], bars, high),
        "transport best at high budgets": mean_lead(transport, greedy, high),
        "transport best at high budgets, downstream": np.mean(
            [points(t, b, transport) - points(t, b, greedy) for t in published.TASKS for b in high]
        ),
        "Random competitive at high budgets, downstream": np.mean(
            [
                points(t, b, [random]) - np.median([points(t, b, [o]) for o in everyone if o != random])
                for t in published.TASKS
                for b in high
            ]
        ),
        "no method dominates": 0.5 - max(best.count(pair) for pair in everyone) / len(places),
        "EMBED's nearest bin scores higher than LESS's": np.mean(
            [
                value("quantile", bars[0], t, 0, "downstream") - value("quantile", less, t, 0, "downstream")
                for t in published.TASKS
            ]
        ),
    }
    for claim, number in expected.items():
        found = row(paper, claim, source)
        # four significant digits may tie two methods for the lowest loss
        assert found["estimate"] == pytest.approx(number, abs=0.03 if claim == "no method dominates" else 1e-9), claim


def test_paper_row_is_the_mean_over_settings_where_the_statistic_is_a_mean(paper: pd.DataFrame) -> None:
    for claim in ("distance predicts loss", "distance predicts the metric", "LESS+RR beats Random, downstream"):
        single = [row(paper, claim, source)["estimate"] for source in PAPER_SOURCES]
        assert row(paper, claim, "paper")["estimate"] == pytest.approx(np.mean(single))


def test_the_paper_is_judged_over_models_and_counted_in_settings(paper: pd.DataFrame) -> None:
    single = [row(paper, "LESS+RR beats Random, downstream", source)["estimate"] for source in PAPER_SOURCES]
    found = row(paper, "LESS+RR beats Random, downstream", "paper")
    by_model = np.reshape(single, (2, 5)).mean(axis=0)
    assert found[["low", "high"]].tolist() == pytest.approx(ttest_1samp(by_model, 0).confidence_interval(0.95))
    assert (found["k"], found["n"], found["of"]) == (sum(x > 0 for x in single), 10, "settings")


def test_in_every_task_counts_tasks_and_takes_the_worst(paper: pd.DataFrame) -> None:
    by_setting = {source: cells(source) for source in PAPER_SOURCES}

    def rho(source: str, task: str) -> float:
        losses = [by_setting[source]("quantile", "less/round_robin", task, b) for b in range(10)]
        return spearmanr(range(10), losses).statistic

    by_task = [np.mean([rho(source, task) for source in PAPER_SOURCES]) for task in published.TASKS]
    found = row(paper, "LESS distance predicts the loss in every task", "paper")
    assert found["estimate"] == pytest.approx(min(by_task))
    assert (found["k"], found["n"], found["of"]) == (5, 5, "tasks")


def test_other_sources_change_nothing(paper: pd.DataFrame) -> None:
    again = scorecard(world(ramp(rr=1)), **FAST)
    theirs = again[again["source"] != "classroom"].reset_index(drop=True)
    pd.testing.assert_frame_equal(theirs, paper[paper["source"] != "classroom"].reset_index(drop=True))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w[w["selector"] != "uot"], "by budget of LESS, UOT"),
        (lambda w: w[w["budget"] == 10], "one budget only"),
        (lambda w: w[w["task"] == "task0"], "1 task only: nothing says what another"),
        (lambda w: w[w["task"].isin(["task0", "task1"])], "2 tasks only"),
        (lambda w: w[(w["selector"] != "uot") | (w["budget"] != 20)], "no task has every method"),
    ],
)
def test_not_testable_says_why(change: Callable[[pd.DataFrame], pd.DataFrame], reason: str) -> None:
    found = row(scorecard(change(world(flat(rr=1))), **OWN), "RR best selector at low budgets")
    assert found["grade"] == "not testable"
    assert reason in found["reason"]


def test_incomplete_tasks_are_left_out_and_counted() -> None:
    rows = world(flat(rr=1))
    gap = (rows["task"] == "task2") & (rows["selector"] == "uot") & (rows["budget"] == 20)
    found = row(scorecard(rows[~gap], **OWN), "RR best selector at low budgets")
    assert (found["n"], found["grade"]) == (3, "shown")


def test_source_of_extra_rows() -> None:
    rows = world(ramp(rr=1))
    for extra, source in [
        (rows, "classroom"),
        (rows.assign(model="smollm2-135m"), "smollm2"),
        (rows.assign(pool="own"), "own"),
        (rows.assign(source="mine"), "mine"),
    ]:
        assert row(scorecard(extra, **FAST, sources=[source]), "distance predicts loss", source)["grade"] == "shown"


def test_stored_results_are_found_and_other_tables_passed_over(tmp_path: Path) -> None:
    for profile in ("classroom", "smollm2"):
        (tmp_path / profile).mkdir()
    rows = world(ramp(rr=1))
    rows.to_csv(tmp_path / "classroom" / "a.csv", index=False)
    rows.iloc[:50].to_csv(tmp_path / "classroom" / "b.csv", index=False)  # the same cells again: fine
    rows.assign(mean=-rows["mean"]).to_csv(tmp_path / "smollm2" / "a.csv", index=False)
    (tmp_path / "classroom" / "times.csv").write_text("step,seconds\nless,3\n", encoding="utf-8")
    table = scorecard(results=tmp_path, sources=["classroom", "smollm2"])
    assert row(table, "distance predicts loss", "classroom")["grade"] == "shown"
    assert row(table, "distance predicts loss", "smollm2")["grade"] == "refuted"


def test_stored_runs_of_the_book_are_judged_like_published_ones(tmp_path: Path) -> None:
    (tmp_path / "classroom").mkdir()
    rng = np.random.default_rng(0)
    rows = [
        (experiment, task, "less", "round_robin", 50, b, -1, seed, metric, sign * (b + 1 + 0.1 * rng.random()), "ok")
        for experiment in ("quantile", "tokens")
        for task in ("words", "pick", "numbers")
        for b in range(10)
        for seed in range(3)
        for metric, sign in (("query_loss", 1), ("exact_match", -0.05))
    ]
    table = pd.DataFrame(rows, columns=ROW_COLUMNS)
    table.assign(key="k").to_csv(tmp_path / "classroom" / "quantiles.csv", index=False)
    table.iloc[:40].assign(key="k").to_csv(tmp_path / "classroom" / "again.csv", index=False)  # some cells twice
    card = scorecard(results=tmp_path, sources=["classroom"])
    line = row(card, "distance predicts loss", "classroom")
    assert line["grade"] == "shown"
    assert line["n"] == 3
    assert row(card, "distance predicts the metric", "classroom")["grade"] == "shown"
    assert row(card, "proxy works", "classroom")["grade"] == "not testable"


def test_runs_of_the_real_model_come_from_its_profile_for_gpus(tmp_path: Path) -> None:
    def runs(budgets: Sequence[int], losses: dict[str, float]) -> pd.DataFrame:
        rows = [
            ("budget", task, "none" if name == "random" else "less", name, budget, -1, -1, 0, "query_loss", loss)
            for task in ("gsm8k", "codex", "bbh")
            for budget in budgets
            for name, loss in losses.items()
        ]
        return pd.DataFrame(rows, columns=ROW_COLUMNS[:-1]).assign(status="ok")

    here, there = tmp_path / "smollm2", tmp_path / "smollm2" / "gpu"
    there.mkdir(parents=True)
    runs([16, 32], {"round_robin": 2.0, "random": 1.0}).to_csv(here / "budgets.csv", index=False)
    runs([16, 64], {"round_robin": 1.0, "random": 2.0}).to_csv(there / "budgets.csv", index=False)
    line = row(scorecard(results=tmp_path, sources=["smollm2"]), "LESS+RR beats Random", "smollm2")
    assert (line["estimate"], line["n"]) == (pytest.approx(50), 3)


def test_random_beside_another_experiment_is_no_sweep() -> None:
    def run(experiment: str, selector: str, budget: int, bin_: int = -1) -> tuple[object, ...]:
        return experiment, "words", "none", selector, budget, bin_, -1, 0, "query_loss", 1.0, "ok"

    sweep = [run("budget", selector, budget) for selector in ("uot", "random") for budget in (25, 50)]
    beside = [run("focus", "round_robin", 30, 0), run("budget", "random", 30)]
    found = as_figures(pd.DataFrame([*sweep, *beside], columns=ROW_COLUMNS), "classroom")
    assert sorted(found.loc[found["selector"] == "random", "budget"]) == [25, 50]
    assert len(found) == 5


def test_contradicting_rows_and_missing_columns_are_refused() -> None:
    rows = world(ramp(rr=1))
    with pytest.raises(InputError, match=r"same cell: source classroom.*Keep one"):
        scorecard(pd.concat([rows, rows.assign(mean=3.0)]), **FAST)
    with pytest.raises(InputError, match=r"Unknown source 'tulu'. Known: paper, tulu/llama2-7b"):
        scorecard(sources=["tulu"])
    with pytest.raises(InputError, match="lack the columns sd, n"):
        scorecard(rows.drop(columns=["sd", "n"]), **FAST)


def test_every_metric_that_is_no_loss_is_the_downstream_metric_in_per_cent() -> None:
    rows = [
        ("budget", "codex", "less", "uot", 25, -1, -1, seed, metric, value, "ok")
        for seed in (0, 1)
        for metric, value in (("query_loss", 1.5), ("test_loss", 1.6), ("pass@10", 0.25))
    ]
    found = as_figures(pd.DataFrame(rows, columns=ROW_COLUMNS), "paper").set_index("metric")["mean"]
    assert found.to_dict() == {"query_loss": 1.5, "test_loss": 1.6, "downstream": 25.0}


def test_a_page_judges_the_paper_and_its_own_runs(sweep_rows):
    shrinks, best = "lead of LESS over Random shrinks with budget", "LESS+RR best at low budgets"
    sentences = {shrinks: "lead shrinks", best: "LESS best"}
    card, printed = page_scorecard({"this page": sweep_rows().assign(bin=-1, draw=-1)}, sentences)
    assert set(card["source"]) == {"paper", "this page"}
    assert set(card.columns) == set(SCORECARD_COLUMNS)
    assert {name.removesuffix(", downstream") for name in printed} == set(sentences)
    assert {text.removesuffix(", score").removesuffix(", query loss") for text in printed.values()} == {
        "lead shrinks",
        "LESS best",
    }
    assert all(printed[name].endswith(", score") == name.endswith(", downstream") for name in printed)
    table = grade_table(card, {"this page": "smoke", "paper": "paper"}, printed)
    assert list(table.columns) == ["smoke", "paper"]
    assert list(table.index) == list(printed.values())
    line = row(card, next(iter(printed)), "paper")
    start = f"{line['grade']}: {line['estimate']:+.1f} [".replace("-", "−")
    assert table.loc[printed[line["claim"]], "paper"].startswith(start)
    assert table["smoke"].str.startswith("not testable: ").all()  # two tasks


def test_two_methods_of_one_experiment_are_judged_as_the_scorecard_does() -> None:
    rows = world(lambda method, i, t: 1.0 + 0.1 * (method == "none") + 0.02 * t * (method == "rds"))
    rows = rows[(rows["experiment"] == "budget") & (rows["selector"] != "none")]
    data = cube(rows, "query_loss", "both")
    line = versus(data, "less/round_robin", "none/random")
    row = scorecard(rows.assign(source="classroom"), **OWN).set_index("claim").loc["LESS+RR beats Random"]
    assert line["estimate"] == pytest.approx(row["estimate"])
    assert line["grade"] == row["grade"] == "shown"
    assert (line["k"], line["n"], line["wins"], line["cells"]) == (4, 4, 20, 20)
    assert line["text"].endswith("% of loss, 4 of 4 tasks")
    line = versus(data, "rds/round_robin", "embed/round_robin")
    assert line["grade"] == "leaning against"
    assert (line["k"], line["wins"]) == (0, 0)
