"""Subsets of one size that differ in coverage and depth, and the loss of a model tuned on each (METHODS §8).

An untargeted method is made for no task, so the loss is measured on held-out examples of the general part of the pool
too, not only on the profile's tasks: one fine-tuning run per subset, several evaluations.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tis_utils.examples.text import Query, as_query
from tis_utils.experiments.study import Study
from tis_utils.models.evaluation import mean_loss
from tis_utils.models.fine_tuning import fine_tune
from tis_utils.neighbours.ila import coverage_depth as landscape
from tis_utils.neighbours.ila import selector as ila
from tis_utils.neighbours.ila.coverage_depth import Ints
from tis_utils.storage.keys import digest, step, versions
from tis_utils.storage.parallel import progress
from tis_utils.storage.stored_results import read_keyed, write_keyed

NAME = "ila_subsets"
VERSION = step("designed_subsets", 1)
DESIGNED = 49  # subsets of the design, as many as the authors published rows; one fine-tuning run each
METHODS = ("ila", "ila@depth", "ila@coverage", "ila@random")
GENERAL_EXAMPLES = 140
COLUMNS = ["name", "draw", "budget", "seed", "coverage", "depth", "tasks", "general"]  # then one per task
TARGETS = ("general", "tasks")  # held-out loss on the general part of the pool, and the mean over the tasks


def designed(land: ila.Landscape, budget: int, draw: int) -> Ints:
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
    return land.index[landscape.rounds(land.cells, np.where(inside, liking, np.nan), budget, seed=draw)]


def general_examples(study: Study) -> list[Query]:
    """Held-out examples of the pool's general families, none of them in the pool; empty outside the classroom."""
    if study.profile.pool != "classroom":
        return []
    from tis_utils.examples.classroom.filler import filler

    made = filler(GENERAL_EXAMPLES, "test", 0)
    return [as_query(e, "general") for e in made]


def plan(study: Study, draws: int | None = None) -> list[tuple[str, int, int, int, Ints]]:
    """What is trained: name, number of the draw (−1: none), budget, training seed and subset.

    First the design (`draws` subsets, by default all), then ILA, its two halves and Random at every budget.
    """
    land, profile = ila.explore(study, ila.Settings()), study.profile
    most = max(profile.budgets)
    made: list[tuple[str, int, int, int, Ints]] = [
        ("designed", draw, most, 0, designed(land, most, draw)) for draw in range(DESIGNED if draws is None else draws)
    ]
    return made + [
        (name, -1, budget, seed, land.picks(ila.parse(name).rule, budget, seed))
        for name in METHODS
        for budget in profile.budgets
        for seed in profile.seeds
    ]


def table(study: Study, draws: int | None = None) -> pd.DataFrame:
    """One row per subset and run: name, draw, budget, seed, coverage, depth, tasks, general, and a loss per task.

    From ``data/results`` where the key fits, else computed here, run by run, with `draws` subsets of the design.
    """
    found = stored(study)
    return found if len(found) else compute(study, plan(study, draws))


def stored(study: Study) -> pd.DataFrame:
    """The table if it came with the repository and its key fits; else an empty one. Nothing is trained."""
    found = None if study.live else read_keyed(study.profile.name, NAME, _key(study))
    return pd.DataFrame(columns=COLUMNS) if found is None else found


def compute(study: Study, wanted: Iterable[tuple[str, int, int, int, Ints]]) -> pd.DataFrame:
    """Train and evaluate some rows of :func:`plan`; finished ones are read from the store."""
    land = ila.explore(study, ila.Settings())
    test = {"general": general_examples(study)} | {t: study.data.test[t] for t in study.profile.tasks}
    lines, rows = [], list(wanted)
    for name, draw, budget, seed, picks in progress(rows, len(rows), "subsets", True):
        known = dict(zip(("coverage", "depth"), land.measure(picks), strict=True))
        losses = _losses(study, picks, seed, test)
        tasks = float(np.mean([losses[task] for task in study.profile.tasks]))
        lines.append({"name": name, "draw": draw, "budget": budget, "seed": seed, **known, "tasks": tasks, **losses})
    return pd.DataFrame(lines)


def keep(study: Study) -> Path:
    """Store the table with its manifest."""
    return write_keyed(study.profile.name, NAME, compute(study, plan(study)), _key(study))


def _losses(study: Study, picks: Ints, seed: int, test: dict[str, list[Query]]) -> dict[str, float]:
    subset, profile = [study.data.pool[i] for i in picks], study.profile
    key = {"subset": digest(subset), "seed": seed, "test": digest(test), **_fixed(study)}

    def train() -> pd.DataFrame:
        torch.set_num_threads(1)
        tuned = fine_tune(study.model, subset, profile.training, seed=seed, max_length=profile.max_length)
        values = {
            name: mean_loss(tuned, some, max_length=profile.max_length) if some else np.nan
            for name, some in test.items()
        }
        return pd.DataFrame([values])

    return {str(k): float(v) for k, v in study.store.table("ila_subset", key, train).iloc[0].items()}


def _fixed(study: Study) -> dict[str, Any]:
    return study.run_settings | {"versions": versions("run")}


@functools.lru_cache(maxsize=4)
def _key(study: Study) -> dict[str, Any]:
    profile, data = study.profile, study.data
    return {
        **_fixed(study),
        "pool": digest(data.pool),
        "test": digest(data.test, general_examples(study)),
        "embed": ila.embed_key(study),
        "budgets": list(profile.budgets),
        "seeds": list(profile.seeds),
        "design": DESIGNED,
        "versions": versions("designed_subsets"),
    }
