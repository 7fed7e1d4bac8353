"""Each claim in worlds where it is plainly right, plainly wrong or undecided; the paper's values by plain loops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from tis_utils.errors import InputError
from tis_utils.evidence import published
from tis_utils.evidence.claims import CLAIMS, PAPER_SOURCES, SCORECARD_COLUMNS, page_scorecard, scorecard, verdict_table
from tis_utils.evidence.tables import as_figures
from tis_utils.experiments.run_spec import ROW_COLUMNS

Cost = Callable[[str, int, int], float]  # method, step (0 = lowest budget or nearest bin), task number -> loss
BUDGETS = [10, 20, 30, 40, 50]
BAR = {"embed": "round_robin", "rds": "round_robin", "none": "random"}
COSTED = ["embed", "rds", "none", "rr", "dg", "knn_uniform", "knn_kde", "uot"]
FAST = {"draws": 300, "results": Path("no such folder")}
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
    "RDS+ and EMBED below Random at high budgets": (flat(none=1.5, embed=3), flat(none=3), 37.5),
    "LESS+RR best at low budgets": (flat(rr=1), flat(rr=1, embed=0.5), 50.0),
    "RR best selector at low budgets": (flat(rr=1, embed=0.5), flat(rr=1, dg=0.5), 50.0),
    "transport best at high budgets": (flat(uot=1.4), flat(dg=1), 10.0),
    "Random competitive at high budgets": (flat(none=1.9), flat(none=2.1), 5.0),
    "lead over Random shrinks with budget": (ramp(none=-1), ramp(rr=-1), None),
    "no method dominates": (winner_changes, flat(rr=1), None),
    "proxy works": (flat(less_proxy=1.8), flat(none=1.8), 10.0),
}


@pytest.mark.parametrize("claim", RIGHT_AND_WRONG)
def test_plain_worlds_on_loss(claim: str) -> None:
    right, wrong, value = RIGHT_AND_WRONG[claim]
    found = row(scorecard(world(right), **OWN), claim)
    assert found["verdict"] == "supported"
    assert found["tasks"] == 4
    assert found["low"] <= found["statistic"] + 1e-4
    if value is not None:
        assert found["statistic"] == pytest.approx(value, abs=1e-6)
    assert row(scorecard(world(wrong), **OWN), claim)["verdict"] == "contradicted"


@pytest.mark.parametrize("claim", [c.name for c in CLAIMS if "downstream" in c.metrics])
def test_plain_worlds_on_the_downstream_metric(claim: str) -> None:
    """The metric is the negative cost here, so the same worlds must give the same verdicts, in points."""
    right, wrong, _ = RIGHT_AND_WRONG.get(claim, (ramp(rr=1), ramp(rr=-1), 1.0))
    name = claim if claim == "distance predicts the metric" else f"{claim}, downstream"
    assert row(scorecard(world(right, "downstream"), **OWN), name)["verdict"] == "supported"
    assert row(scorecard(world(wrong, "downstream"), **OWN), name)["verdict"] == "contradicted"


def test_differences_of_the_metric_are_points() -> None:
    table = scorecard(world(flat(rr=1.25), "downstream"), **OWN)
    found = row(table, "RR best selector at low budgets, downstream")
    assert (found["unit"], found["statistic"]) == ("points", pytest.approx(0.75))


def test_test_loss_has_its_own_row() -> None:
    table = scorecard(world(ramp(rr=1), "test_loss"), **OWN)
    assert row(table, "distance predicts test loss")["verdict"] == "supported"
    assert row(table, "distance predicts loss")["verdict"] == "not testable"


def test_tasks_that_disagree_and_noisy_seeds_are_mixed() -> None:
    disagree = world(lambda m, s, t: 10 + (s if t % 2 else -s) * (m == "rr"))
    found = row(scorecard(disagree, **OWN), "distance predicts loss")
    assert (found["verdict"], found["statistic"]) == ("mixed", pytest.approx(0))
    noisy = row(scorecard(world(flat(rr=1.9), sd=2.0), **OWN), "RR best selector at low budgets")
    assert noisy["verdict"] == "mixed"
    assert row(scorecard(world(flat(rr=1.9)), **OWN), "RR best selector at low budgets")["verdict"] == "supported"


@pytest.fixture(scope="module")
def paper() -> pd.DataFrame:
    return scorecard(**FAST)


def test_one_row_per_claim_and_source(paper: pd.DataFrame) -> None:
    assert list(paper.columns) == SCORECARD_COLUMNS
    assert not paper.duplicated(["claim", "source"]).any()
    assert list(dict.fromkeys(paper["source"])) == ["paper", *PAPER_SOURCES, "classroom", "smollm2"]
    assert len(paper) == sum(len(c.metrics) for c in CLAIMS) * 13
    assert set(paper["verdict"]) <= {"supported", "mixed", "contradicted", "not testable"}
    open_ = paper["verdict"] == "not testable"
    assert (paper["reason"].ne("") == open_).all()
    assert (paper["statistic"].isna() == open_).all()
    assert open_.equals(paper["source"].isin(["classroom", "smollm2"]) | paper["claim"].str.startswith("proxy"))


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
        gaps = [1 - loss(pair, t, b) / loss(other, t, b) for t in published.TASKS for b in budgets]
        return 100 * sum(gaps) / len(gaps)

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
        "lead over Random shrinks with budget": lead(less, random, low) - lead(less, random, high),
        "RDS+ and EMBED below Random at high budgets": np.mean([lead(random, bar, high) for bar in bars]),
        "transport best at high budgets": 100
        * np.mean(
            [
                1 - np.mean([loss(p, t, b) for p in transport]) / np.mean([loss(p, t, b) for p in greedy])
                for t in published.TASKS
                for b in high
            ]
        ),
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
    }
    for claim, number in expected.items():
        found = row(paper, claim, source)
        # four significant digits may tie two methods for the lowest loss
        assert found["statistic"] == pytest.approx(number, abs=0.03 if claim == "no method dominates" else 1e-9), claim


def test_paper_row_is_the_mean_over_settings_where_the_statistic_is_a_mean(paper: pd.DataFrame) -> None:
    for claim in ("distance predicts loss", "transport best at high budgets", "Random competitive at high budgets"):
        single = [row(paper, claim, source)["statistic"] for source in PAPER_SOURCES]
        assert row(paper, claim, "paper")["statistic"] == pytest.approx(np.mean(single))


def test_same_seed_same_table_and_other_sources_change_nothing(paper: pd.DataFrame) -> None:
    again = scorecard(world(ramp(rr=1)), **FAST)
    theirs = again[again["source"] != "classroom"].reset_index(drop=True)
    pd.testing.assert_frame_equal(theirs, paper[paper["source"] != "classroom"].reset_index(drop=True))
    first, other = (scorecard(**FAST, sources=["paper"], seed=seed).dropna() for seed in (0, 1))
    assert (other["statistic"] == first["statistic"]).all()
    assert (other["low"] != first["low"]).mean() > 0.5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w[w["selector"] != "uot"], "for less/uot"),
        (lambda w: w[w["budget"] == 10], "one budget only"),
        (lambda w: w[w["task"] == "task0"], "1 task only: the interval holds the seeds"),
        (lambda w: w[w["task"].isin(["task0", "task1"])], "2 tasks only"),
        (lambda w: w[(w["selector"] != "uot") | (w["budget"] != 20)], "no task has every method"),
    ],
)
def test_not_testable_says_why(change: Callable[[pd.DataFrame], pd.DataFrame], reason: str) -> None:
    found = row(scorecard(change(world(flat(rr=1))), **OWN), "RR best selector at low budgets")
    assert found["verdict"] == "not testable"
    assert reason in found["reason"]


def test_incomplete_tasks_are_left_out_and_counted() -> None:
    rows = world(flat(rr=1))
    gap = (rows["task"] == "task2") & (rows["selector"] == "uot") & (rows["budget"] == 20)
    found = row(scorecard(rows[~gap], **OWN), "RR best selector at low budgets")
    assert (found["tasks"], found["verdict"]) == (3, "supported")


def test_source_of_extra_rows() -> None:
    rows = world(ramp(rr=1))
    for extra, source in [
        (rows, "classroom"),
        (rows.assign(model="smollm2-135m"), "smollm2"),
        (rows.assign(pool="own"), "own"),
        (rows.assign(source="mine"), "mine"),
    ]:
        assert (
            row(scorecard(extra, **FAST, sources=[source]), "distance predicts loss", source)["verdict"] == "supported"
        )


def test_stored_results_are_found_and_other_tables_passed_over(tmp_path: Path) -> None:
    for profile in ("classroom", "smollm2"):
        (tmp_path / profile).mkdir()
    rows = world(ramp(rr=1))
    rows.to_csv(tmp_path / "classroom" / "a.csv", index=False)
    rows.iloc[:50].to_csv(tmp_path / "classroom" / "b.csv", index=False)  # the same cells again: fine
    rows.assign(mean=-rows["mean"]).to_csv(tmp_path / "smollm2" / "a.csv", index=False)
    (tmp_path / "classroom" / "times.csv").write_text("step,seconds\nless,3\n", encoding="utf-8")
    table = scorecard(draws=300, results=tmp_path, sources=["classroom", "smollm2"])
    assert row(table, "distance predicts loss", "classroom")["verdict"] == "supported"
    assert row(table, "distance predicts loss", "smollm2")["verdict"] == "contradicted"


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
    card = scorecard(draws=300, results=tmp_path, sources=["classroom"])
    line = row(card, "distance predicts loss", "classroom")
    assert line["verdict"] == "supported"
    assert line["tasks"] == 3
    assert row(card, "distance predicts the metric", "classroom")["verdict"] == "supported"
    assert row(card, "proxy works", "classroom")["verdict"] == "not testable"


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
    sentences = {"lead over Random shrinks with budget": "lead shrinks", "LESS+RR best at low budgets": "LESS best"}
    card, printed = page_scorecard({"this page": sweep_rows().assign(bin=-1, draw=-1)}, sentences, 100)
    assert set(card["source"]) == {"paper", "this page"}
    assert set(card.columns) == set(SCORECARD_COLUMNS)
    assert {name.removesuffix(", downstream") for name in printed} == set(sentences)
    assert {text.removesuffix(", score").removesuffix(", query loss") for text in printed.values()} == {
        "lead shrinks",
        "LESS best",
    }
    assert all(printed[name].endswith(", score") == name.endswith(", downstream") for name in printed)
    table = verdict_table(card, {"this page": "smoke", "paper": "paper"}, printed)
    assert list(table.columns) == ["smoke", "paper"]
    assert list(table.index) == list(printed.values())
    line = row(card, next(iter(printed)), "paper")
    assert table.loc[printed[line["claim"]], "paper"].startswith(f"{line['verdict']}: −{-line['statistic']:.2f} [")
    assert table["smoke"].str.startswith("not testable: ").all()  # two tasks
