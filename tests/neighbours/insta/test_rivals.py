"""INSTA's rivals: votes of examples against an oracle, choice by a measured matrix, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta import rivals, transfer
from tis_utils.neighbours.insta.pool_tasks import tasks_of


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 12), st.integers(0, 10_000))
def test_votes_order_tasks_by_queries_then_by_mean_similarity(m: int, tasks: int, more: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation([*range(tasks), *rng.integers(tasks, size=more)])  # each has one at least
    S = rng.uniform(-1, 1, (m, len(labels)))
    named, mean = [0] * tasks, [0.0] * tasks
    for row in S.tolist():
        named[labels[row.index(max(row))]] += 1
        for t in range(tasks):
            mean[t] += max(value for value, task in zip(row, labels, strict=True) if task == t) / m
    found = rivals.votes(S, labels, tasks)
    assert sorted(range(tasks), key=lambda t: -found[t]) == sorted(range(tasks), key=lambda t: (-named[t], -mean[t]))


def spec(selector: str, budget: int = 20, seed: int = 0) -> RunSpec:
    return RunSpec("pick", "none", selector, budget, seed)


def test_the_tasks_with_the_largest_measured_gain_are_chosen(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    names, labels = tasks_of(study)
    best = [names[7], names[3], names[11]]
    rows = pd.DataFrame(
        [
            (source, target, seed, 2.0 - (0.1 * (3 - best.index(source)) if source in best else -0.1 * seed), 2.0)
            for source in names
            for target in study.profile.tasks
            for seed in (0, 1)
        ],
        columns=transfer.COLUMNS,
    )
    monkeypatch.setattr(transfer, "matrix", lambda study: rows)
    rivals._gains.cache_clear()
    for k in (1, 2, 3):
        size = int(np.isin(labels, [names.index(name) for name in best[:k]]).sum())
        picks = study.picks(spec(f"transfer@{k}", min(size, 20)))
        assert {names[labels[i]] for i in picks} <= set(best[:k])
    rivals._gains.cache_clear()


def test_retrieved_tasks_are_those_of_the_nearest_examples(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    names, labels = tasks_of(study)
    rng = np.random.default_rng(0)  # features of random directions instead of a language model's
    rows = {name: rng.normal(size=(count, 8)) for name, count in {"pool": len(labels), "words": 8, "pick": 8}.items()}
    rows = {name: (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for name, x in rows.items()}
    monkeypatch.setitem(study._features, "embed", (rows.pop("pool"), rows))
    nearest = study.similarity("embed", "pick").argmax(axis=1)
    first = np.bincount(labels[nearest], minlength=len(names))
    picks = study.picks(spec("retrieval@1", 5))
    assert first[labels[picks[0]]] == first.max()
    assert len(set(labels[picks].tolist())) == 1
    other = study.picks(spec("retrieval@1", 5, seed=1))
    assert picks.tolist() != other.tolist()
    assert set(labels[other].tolist()) == set(labels[picks].tolist())


def test_bad_names_and_counts_are_errors(study: Study) -> None:
    assert rivals.count_of("retrieval") == 5
    for name in ("transfer@0", "retrieval@x", "transfer@-1", "retrieval@2:cards", "transfer@1.5"):
        with pytest.raises(InputError, match="number of tasks"):
            study.picks(spec(name))
        with pytest.raises(InputError, match="number of tasks"):
            study.recipe(spec(name))
    for name in ("transfer@999", "retrieval@999"):  # nothing is measured for it
        with pytest.raises(InputError, match="Asked for the 999 nearest"):
            study.picks(spec(name))


def test_what_the_picks_depend_on_is_in_the_key(study: Study) -> None:
    measured, retrieved = (rivals.recipe(study, spec(name)) for name in ("transfer@5", "retrieval@5"))
    assert measured["seen"] != retrieved["seen"]
    assert measured["versions"]["insta_rivals"] == rivals.VERSION
