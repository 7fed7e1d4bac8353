"""Retrieval of cards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from tis_utils.examples.classroom import FAMILIES
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta import retrieval as insta_retrieval
from tis_utils.neighbours.insta import selector as insta
from tis_utils.neighbours.insta.task_cards import CARDS


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
    table = pd.DataFrame({"rate": [0] * 4 + [1] * 4, "family": list("abcd") * 2, "found": [0, 1, 0, 1, 1, 1, 0, 1]})
    assert insta_retrieval.accuracy(table, "found", [0])[0] == 50
    low, high = ttest_1samp([100, 0, 0, 0], 0).confidence_interval(0.95)
    assert insta_retrieval.accuracy(table, "found", [0, 1]) == pytest.approx((25, low, high))


def test_nearest_is_the_order_of_the_mean_cosines(study: Study) -> None:
    known = {name: CARDS[name] for name in ("gcd", "lcm", "syllogism", "leg_counting")}
    unit = {n: insta.embedded(study, list(texts)) for n, texts in known.items()}
    cosine = {(a, b): float((unit[a] @ unit[b].T).mean()) for a in known for b in known}
    found = insta_retrieval.nearest(study, {"gcd": CARDS["gcd"]}, known, 3)
    assert found == {"gcd": sorted(known, key=lambda name: -cosine["gcd", name])[:3]}
    pairs = [value for (a, b), value in cosine.items() if a != b]
    assert insta_retrieval.mean_cosine(study, known) == pytest.approx(np.mean(pairs), abs=1e-5)
