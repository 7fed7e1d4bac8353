"""Scores against measured gains: the target itself left out, and a rival that reads answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta import selector as insta
from tis_utils.neighbours.insta import transfer
from tis_utils.neighbours.insta import transfer_correlation as correlation
from tis_utils.neighbours.insta.claims import PREDICTS, judge_transfer
from tis_utils.neighbours.insta.pool_tasks import tasks_of
from tis_utils.neighbours.insta.transfer import source_tasks

TARGETS = ["gcd", "pick", "syllogism"]


@pytest.fixture(scope="module")
def gains(study: Study) -> pd.DataFrame:
    """Made-up gains of every source for three targets."""
    sources = insta.tasks_of(study)[0]
    values = np.random.default_rng(0).normal(size=(len(sources), len(TARGETS)))
    return pd.DataFrame(values, sources, TARGETS)


def test_correlations_leave_out_the_target_itself(study: Study) -> None:
    scores = correlation.scores_by(study, "by prompts", ["gcd", "pick"])
    gains = scores.copy()
    gains.loc["gcd", "gcd"] = -9.0
    gains.loc["pick/last", "pick"] = 9.0
    table = correlation.transfer_correlations(study, gains, scores)
    assert table["rho"].tolist() == pytest.approx([1, 1])
    assert table["kind"].tolist() == ["filler", "skill"]
    flipped = correlation.transfer_correlations(study, -gains.abs(), scores)
    assert flipped.loc["gcd", "size"] == pytest.approx(-flipped.loc["gcd", "rho"])
    assert table.loc["gcd", "gain"] == table.loc["gcd", "best"]
    assert table.loc["gcd", "chosen"] == table.loc["gcd", "best_source"] == scores["gcd"].drop("gcd").idxmax()
    assert table.loc["pick", "best"] < 9


def test_scores_are_those_of_the_selector(study: Study) -> None:
    for scorer in ("by prompts", "by cards"):
        table = correlation.scores_by(study, scorer, ["pick"])
        by_selector = insta.target_scores(study, "pick", insta.Setting(cards=scorer == "by cards"))
        np.testing.assert_allclose(table["pick"], by_selector, atol=1e-6)


def test_looks_count_characters() -> None:
    np.testing.assert_allclose(correlation.looks(["12", "a b"]), [2 / 5, 2 / 5, np.log(2.5)])


def test_likeness_compares_answers_of_sources_with_those_of_the_queries(study: Study) -> None:
    table = correlation.scores_by(study, "by answers", ["gcd", "pick"])
    assert table.loc["gcd", "gcd"] == 0
    assert (table <= 0).all(axis=None)
    known = [example.messages[-1]["content"] for example in source_tasks(study)["lcm"]]
    labels = [query.label for query in study.data.queries["pick"]]
    gap = np.abs(correlation.looks(known) - correlation.looks(labels)).sum()
    assert table.loc["lcm", "pick"] == pytest.approx(-gap)


def test_the_table_holds_means_over_the_targets_of_a_kind(study: Study, gains: pd.DataFrame) -> None:
    table = correlation.correlation_table(study, gains)
    assert len(table) == 3 * len(correlation.KINDS) * len(correlation.SCORERS)
    scores = correlation.scores_by(study, "by cards", TARGETS)
    rho, special = [], []
    for target in ("gcd", "syllogism"):  # by brute force
        others = [name for name in gains.index if name != target]
        rows = gains.drop(columns="pick").copy()
        rows.loc["gcd", "gcd"] = rows.loc["syllogism", "syllogism"] = np.nan
        mean = rows.assign(pick=gains["pick"].drop("pick/last")).mean(axis=1)
        rho.append(spearmanr(scores.loc[others, target], gains.loc[others, target]).statistic)
        special.append(spearmanr(scores.loc[others, target], (gains[target] - mean)[others]).statistic)
    families = correlation.KINDS["filler"]
    assert table.loc[("the gain", families, "by cards"), "value"] == pytest.approx(np.mean(rho))
    assert table.loc[("the gain less the mean of the source", families, "by cards"), "value"] == pytest.approx(
        np.mean(special)
    )
    assert (table["value"].between(table["low"], table["high"]) | table["low"].isna()).all()  # NaN: too few targets


def test_scores_are_judged_by_the_kind_of_target(study: Study) -> None:
    names, _ = tasks_of(study)
    rng = np.random.default_rng(0)
    places = [(source, target, 0) for source in names for target in TARGETS]
    rows = pd.DataFrame(places, columns=transfer.COLUMNS[:3]).assign(zero_shot_loss=2.0)
    rows["loss"] = 2 - rng.normal(size=len(rows))
    card = judge_transfer(study, rows, source="a").set_index("claim")
    table = correlation.transfer_correlations(
        study, transfer.gains(rows), correlation.scores_by(study, "by cards", TARGETS)
    )
    for kind, title in correlation.KINDS.items():
        line = card.loc[PREDICTS + title]
        assert line["estimate"] == pytest.approx(table.loc[table["kind"] == kind, "rho"].mean())
        assert (line["source"], line["grade"]) == ("a", "not testable")  # two families and one skill
