"""Subsets of one size that differ in coverage and depth, and the loss of a model tuned on each.

An untargeted method is made for no task, so the loss is measured on held-out examples of the general part of the pool
too, not only on the profile's tasks: one fine-tuning run per subset, several evaluations.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.examples.classroom.filler import filler
from tis_utils.examples.text import Query, as_query
from tis_utils.experiments.grids import DEITA
from tis_utils.experiments.study import Study
from tis_utils.models.evaluation import mean_loss
from tis_utils.neighbours.ila.coverage_depth import Ints, Landscape, rounds
from tis_utils.neighbours.ila.deita import score_first
from tis_utils.neighbours.ila.selector import Settings, embed_key, explore, parse
from tis_utils.neighbours.training import tuned_model
from tis_utils.storage.keys import digest, step, versions
from tis_utils.storage.parallel import progress
from tis_utils.storage.stored_results import write_keyed

NAME = "ila_subsets"
VERSION = step("designed_subsets", 2)
DESIGNED = 49  # subsets of the design, as many as the authors published rows; one fine-tuning run each
METHODS = ("ila", "ila@depth", "ila@coverage", "ila@random", DEITA)
GENERAL_EXAMPLES = 140
COLUMNS = ["name", "draw", "budget", "seed", "coverage", "depth", "tasks", "general"]  # then one per task
Planned = tuple[str, int, int, int, Ints]  # name, number of the draw (−1: none), budget, training seed, subset
TARGETS = ("general", "tasks")  # held-out loss on the general part of the pool, and the mean over the tasks


def designed(land: Landscape, budget: int, draw: int) -> Ints:
    """One subset of the design, indices into the pool, int64 (B,).

    Two numbers are drawn: a share of the map's cells that may be used, from 0.1 to 1, and a taste for depth, from −1
    (shallow) over 0 (indifferent) to 1 (deep). Rounds over those cells then take the best to that taste.
    """
    rng = np.random.default_rng([draw, 13])
    share, taste = rng.uniform(0.1, 1), rng.uniform(-1, 1)
    names = rng.permutation(np.unique(land.cells))
    free = ~np.isnan(land.depths)  # (n,)
    room = np.cumsum([(free & (land.cells == name)).sum() for name in names])  # (C,)
    count = max(int(np.ceil(share * len(names))), 1 + int(np.searchsorted(room, budget)))
    liking = taste * land.depths + (1 - abs(taste)) * rng.random(len(free))  # (n,)
    inside = np.isin(land.cells, names[:count])
    return land.index[rounds(land.cells, np.where(inside, liking, np.nan), budget, seed=draw)]


def general_examples(study: Study) -> list[Query]:
    """Held-out examples of the pool's general families, none of them in the pool; empty outside the classroom."""
    if study.profile.pool != "classroom":
        return []
    return [as_query(example, "general") for example in filler(GENERAL_EXAMPLES, "test", 0)]


def plan(study: Study, draws: int | None = None) -> list[Planned]:
    """What is trained: the design (`draws` subsets, default all), then each of ``METHODS`` at every budget."""
    land, profile = explore(study, Settings()), study.profile
    most = max(profile.budgets)
    design: list[Planned] = [
        ("designed", draw, most, 0, designed(land, most, draw)) for draw in range(DESIGNED if draws is None else draws)
    ]

    def choose(name: str, budget: int, seed: int) -> Ints:
        if name == DEITA:
            return score_first(land.depths, study.features("embed")[0], budget)
        return land.picks(parse(name).rule, budget, seed)

    return design + [
        (name, -1, budget, seed, choose(name, budget, seed))
        for name in METHODS
        for budget in profile.budgets
        for seed in profile.seeds
    ]


def table(study: Study, draws: int | None = None) -> pd.DataFrame:
    """One row per subset and run: name, draw, budget, seed, coverage, depth, tasks, general, and a loss per task.

    From ``data/results`` where the key fits, else computed here, run by run, with `draws` subsets of the design.
    """
    rows = stored(study)
    return rows if len(rows) else compute(study, plan(study, draws))


def stored(study: Study) -> pd.DataFrame:
    """The table if it came with the repository and its key fits; else an empty one. Nothing is trained."""
    return study.table(NAME, _key, COLUMNS)


def compute(study: Study, planned: Sequence[Planned]) -> pd.DataFrame:
    """Train and evaluate some rows of :func:`plan`; finished ones are read from the store."""
    land, tasks = explore(study, Settings()), study.profile.tasks
    test = {"general": general_examples(study)} | {task: study.data.test[task] for task in tasks}
    lines = []
    for name, draw, budget, seed, picks in progress(planned, len(planned), "subsets", True):
        losses = _losses(study, picks, seed, test)
        mean = np.mean([losses[task] for task in tasks])
        lines.append((name, draw, budget, seed, *land.measure(picks), mean, *losses.values()))
    return pd.DataFrame(lines, columns=[*COLUMNS[:-1], *test])


def keep(study: Study) -> Path:
    """Store the table with its manifest."""
    return write_keyed(study.profile.name, NAME, compute(study, plan(study)), _key(study))


def _losses(study: Study, picks: Ints, seed: int, test: dict[str, list[Query]]) -> dict[str, float]:
    subset, length = [study.data.pool[i] for i in picks], study.profile.max_length
    key = study.run_settings | {
        "subset": digest(subset),
        "seed": seed,
        "test": digest(test),
        "versions": versions("run"),
    }

    def train() -> pd.DataFrame:
        tuned = tuned_model(study, subset, seed)
        losses = {name: mean_loss(tuned, qs, max_length=length) if qs else np.nan for name, qs in test.items()}
        return pd.DataFrame([losses])

    return {str(name): float(loss) for name, loss in study.store.table("ila_subset", key, train).iloc[0].items()}


@functools.lru_cache(maxsize=4)
def _key(study: Study) -> dict[str, Any]:
    profile, data = study.profile, study.data
    return {
        **study.run_settings,
        "pool": digest(data.pool),
        "test": digest(data.test, general_examples(study)),
        "embed": embed_key(study),
        "budgets": list(profile.budgets),
        "seeds": list(profile.seeds),
        "design": DESIGNED,
        "versions": versions("designed_subsets"),
    }
