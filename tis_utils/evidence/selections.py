"""What the selectors pick, before anything is trained: orders, overlap, composition, distance, diversity."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tis_utils.examples.kinds import view
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.labels import label
from tis_utils.selectors import SELECTORS, select
from tis_utils.selectors.overlap import jaccard
from tis_utils.selectors.wasserstein import w1

W1, DIVERSITY = "W1 to the queries", "Diversity"


def ladder(study: Study) -> list[int]:
    """The profile's budgets and, for what trains nothing, two larger ones, up to half the pool."""
    steps, half = study.profile.budgets, len(study.data.pool) // 2
    return sorted(b for b in {*steps, 2 * steps[-1], 4 * steps[-1]} if b <= half)


def all_picks(study: Study, representation: str, budget: int) -> pd.DataFrame:
    """What every selector picks for every task; Random once per seed of the profile.

    Returns
    -------
    DataFrame
        Columns task, selector, representation, seed, picks (int64 (B,), best first), seconds.
    """
    vectors = study.features(representation)[0]
    rows = []
    for task in study.profile.tasks:
        S = study.similarity(representation, task)
        for name in SELECTORS:
            blind = name == "random"
            for seed in study.profile.seeds if blind else (0,):
                start = time.perf_counter()
                picks = select(name, S, budget, candidates=vectors, seed=seed)
                seconds = time.perf_counter() - start
                rows.append((task, name, NONE if blind else representation, seed, picks, seconds))
    return pd.DataFrame(rows, columns=["task", "selector", "representation", "seed", "picks", "seconds"])


def picks_of(study: Study, methods: Iterable[tuple[str, str]], budget: int) -> pd.DataFrame:
    """What some methods, (representation, selector), pick for every task with the profile's first seed.

    Columns task, selector, representation, picks (int64 (B,), best first).
    """
    rows = [
        (task, selector, representation, study.picks(RunSpec(task, representation, selector, budget, seed)))
        for seed in study.profile.seeds[:1]
        for task in study.profile.tasks
        for representation, selector in methods
    ]
    return pd.DataFrame(rows, columns=["task", "selector", "representation", "picks"])


def mean_overlap(taken: pd.DataFrame, budget: int, by: Sequence[str] = ("selector",)) -> pd.DataFrame:
    """Jaccard overlap of the first `budget` picks in per cent, mean over tasks: methods × methods.

    Parameters
    ----------
    taken : DataFrame
        What :func:`all_picks` or :func:`picks_of` returns; of several seeds of Random the first counts.
    budget : int
    by : sequence of str
        Columns that make a method.
    """
    first = taken.drop_duplicates(["task", *by]).sort_values("task", kind="stable")
    cut = first.assign(picks=[picks[:budget] for picks in first["picks"]])
    groups = cut.groupby(list(by), sort=False)["picks"]
    methods = {" + ".join(label(str(name)) for name in key): picks for key, picks in groups}
    table = [[100 * np.mean(list(map(jaccard, a, b))) for a in methods.values()] for b in methods.values()]
    return pd.DataFrame(table, list(methods), list(methods))


def token_budgets(study: Study, methods: Sequence[str]) -> pd.DataFrame:
    """How much text a budget is, by representation with round-robin or ``random``, mean over tasks.

    Random counts with all seeds of the profile, the others with the first.

    Returns
    -------
    DataFrame
        Methods × ("answer tokens per pick", budget) and ("examples for the same tokens", budget).
    """
    rows, tokens = {}, study.answer_tokens  # (N,)
    for method, budget in product(methods, study.profile.budgets):
        how = (NONE, method) if method == "random" else (method, "round_robin")
        seeds = study.profile.seeds if method == "random" else study.profile.seeds[:1]
        runs = [RunSpec(task, *how, budget, seed) for task in study.profile.tasks for seed in seeds]
        lengths = [tokens[study.picks(run)].mean() for run in runs]
        counts = [len(study.picks(replace(run, experiment="tokens"))) for run in runs]
        rows[label(method), "answer tokens per pick", budget] = np.mean(lengths)
        rows[label(method), "examples for the same tokens", budget] = np.mean(counts)
    return pd.Series(rows).unstack([1, 2]).reindex([label(method) for method in methods]).sort_index(axis=1)


def halves_overlap(study: Study, methods: Iterable[str], budget: int, draws: Iterable[int]) -> pd.DataFrame:
    """Jaccard overlap of round-robin's picks for random halves of the queries, by task and representation.

    Returns
    -------
    DataFrame
        Columns panel ("Half and half", over pairs of draws, or "Half and all queries", over draws), label (the task),
        representation, value (the mean), low and high (the smallest and the largest).
    """
    rows = []
    for task, method in product(study.profile.tasks, methods):
        run = RunSpec(task, method, "round_robin", budget, study.profile.seeds[0])
        halves = [study.picks(replace(run, experiment="resample", draw=draw)) for draw in draws]
        pairs = {
            "Half and half": list(combinations(halves, 2)),
            "Half and all queries": [(half, study.picks(run)) for half in halves],
        }
        for panel, sides in pairs.items():
            values = [jaccard(*side) for side in sides]
            rows.append((panel, task, method, np.mean(values), min(values), max(values)))
    return pd.DataFrame(rows, columns=["panel", "label", "representation", "value", "low", "high"])


def composition(study: Study, taken: pd.DataFrame, budget: int) -> pd.DataFrame:
    """One row per pick among the first `budget`: task, selector, representation and the candidate's kind."""
    columns = ["task", "selector", "representation", "picks"]
    rows = taken[columns].assign(picks=[picks[:budget] for picks in taken["picks"]]).explode("picks")
    kinds = [view(study.data.pool[j], task) for j, task in zip(rows["picks"], rows["task"], strict=True)]
    return rows.drop(columns="picks").assign(kind=kinds).reset_index(drop=True)


def diversity(vectors: NDArray[Any]) -> float:
    """Mean of 1 - cosine over all pairs of different unit rows."""
    b = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)  # |total|² counts every pair twice, and each row with itself
    return float(1 - (total @ total - b) / (b * (b - 1)))


def distances(study: Study, representation: str, taken: pd.DataFrame, budgets: Sequence[int]) -> pd.DataFrame:
    """Distance to the queries and diversity of the first picks, for each budget.

    Returns
    -------
    DataFrame
        Columns task, selector, representation, seed, budget, metric (`W1`, `DIVERSITY`), value.
    """
    vectors, queries = study.features(representation)
    rows = []
    for row in taken.to_dict("records"):
        for budget in budgets:
            chosen = vectors[row["picks"][:budget]]
            about = row["task"], row["selector"], row["representation"], row["seed"], budget
            rows += [(*about, W1, w1(chosen, queries[row["task"]])), (*about, DIVERSITY, diversity(chosen))]
    return pd.DataFrame(rows, columns=["task", "selector", "representation", "seed", "budget", "metric", "value"])


def below_random(rows: pd.DataFrame) -> pd.DataFrame:
    """By how many per cent values are below Random's, mean over tasks: selectors × budgets."""
    mean = rows.pivot_table(values="value", index=["task", "budget"], columns="selector")
    gain = 100 * (1 - mean.div(mean["random"], axis=0))
    return gain.groupby("budget").mean().drop(columns="random").T
