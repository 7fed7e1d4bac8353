"""A measured transfer matrix: what fine-tuning on one task of the pool does to the loss on every other task.

One training per source task and seed, on equally many examples; then the loss on held-out examples of all targets.
The rows of a profile are stored in ``data/results/<profile>/transfer.csv``, under a key of everything they depend on.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.examples.classroom.filler import FAMILIES, filler
from tis_utils.examples.text import Example, Query, as_query
from tis_utils.experiments.study import Study
from tis_utils.models.evaluation import query_losses
from tis_utils.neighbours.insta.pool_tasks import tasks_of
from tis_utils.neighbours.training import tuned_model
from tis_utils.storage.keys import digest, step, versions
from tis_utils.storage.parallel import progress
from tis_utils.storage.stored_results import compared, write_keyed

NAME = "transfer"
VERSION = step("transfer", 1)
COLUMNS = ["source_task", "target_task", "seed", "loss", "zero_shot_loss"]
MOST = 30  # examples of each source task; fewer where the smallest task has fewer
PER_FAMILY, PER_TASK = 16, 48  # held-out examples of a filler family, of a target task


def source_tasks(study: Study) -> dict[str, list[Example]]:
    """Training examples of every task in the pool, equally many of each, the first in the pool's order."""
    names, labels = tasks_of(study)
    size = min(MOST, int(np.bincount(labels).min()))
    return {name: [study.data.pool[i] for i in np.flatnonzero(labels == t)[:size]] for t, name in enumerate(names)}


def target_tasks(study: Study) -> dict[str, list[Query]]:
    """Held-out examples of every target: the profile's tasks and, in the classroom, the filler families."""
    targets = {task: study.data.test[task][:PER_TASK] for task in study.profile.tasks}
    if empty := [task for task, queries in targets.items() if not queries]:
        raise InputError(f"There are no held-out examples of {', '.join(empty)}: transfer to it cannot be measured.")
    return targets | (_filler_targets() if study.profile.pool == "classroom" else {})


@functools.cache
def _filler_targets() -> dict[str, list[Query]]:
    """Examples of the test split: problems that are in no pool."""
    targets: dict[str, list[Query]] = {}
    for example in filler(PER_FAMILY * len(FAMILIES), "test", 0):
        query = as_query(example, example.meta["family"])
        targets.setdefault(query.task, []).append(query)
    return targets


def matrix(study: Study, *, sources: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> pd.DataFrame:
    """Measure transfer here, by default all sources with the profile's seeds; finished trainings come from the store.

    One row per source, target and seed, columns ``COLUMNS``; losses in nats per answer token.
    """
    known, targets = source_tasks(study), target_tasks(study)
    sources = list(known) if sources is None else sources
    if unknown := [name for name in sources if name not in known]:
        raise InputError(f"The pool has no task {unknown[0]!r}; it has {', '.join(known)}.")
    before = losses(study, [], 0, targets).set_index("target_task")["loss"]
    trainings = list(itertools.product(sources, study.profile.seeds if seeds is None else seeds))
    parts = [
        losses(study, known[name], seed, targets).assign(source_task=name, seed=seed)
        for name, seed in progress(trainings, len(trainings), "transfer", True)
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(zero_shot_loss=rows["target_task"].map(before))[COLUMNS]


def losses(study: Study, subset: Sequence[Example], seed: int, targets: Mapping[str, Sequence[Query]]) -> pd.DataFrame:
    """Mean loss on every target after one training (none without a subset)."""
    key = _fixed(study) | {"seed": seed, "subset": digest(subset), "targets": digest(targets)}

    def compute() -> pd.DataFrame:
        held_out = [query for queries in targets.values() for query in queries]
        values = query_losses(tuned_model(study, subset, seed), held_out, max_length=study.profile.max_length)
        names = np.repeat(list(targets), [len(queries) for queries in targets.values()])
        means = pd.Series(values).groupby(names, sort=False).mean()
        return pd.DataFrame({"target_task": means.index, "loss": means.to_numpy()})

    return study.store.table(NAME, key, compute)


def _fixed(study: Study) -> dict[str, Any]:
    """What every training of the matrix depends on besides its examples and seed."""
    return study.run_settings | {"versions": versions("transfer")}


# --- the stored matrix --------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def recipe(study: Study) -> dict[str, Any]:
    """Key of a profile's whole matrix."""
    return _fixed(study) | {
        "seeds": list(study.profile.seeds),
        "sources": digest(source_tasks(study)),
        "targets": digest(target_tasks(study)),
    }


def keep(study: Study) -> Path:
    """Measure the whole matrix and store it with its manifest."""
    return write_keyed(study.profile.name, NAME, matrix(study), recipe(study))


def stored(study: Study) -> pd.DataFrame:
    """The stored matrix of the study's profile, if it belongs to today's data, model and steps; else no rows."""
    return study.table(NAME, recipe, COLUMNS)


def recheck(study: Study, rows: pd.DataFrame, *, share: float = 0.02, seed: int = 0) -> pd.DataFrame:
    """Repeat a random sample of stored trainings here: losses of each target, ``stored``, ``live``, ``difference``."""
    runs = rows[["source_task", "seed"]].drop_duplicates()
    drawn = runs.sample(min(len(runs), max(1, round(share * len(runs)))), random_state=seed)
    live = [matrix(study, sources=[source], seeds=[s]) for source, s in drawn.itertuples(index=False)]
    return compared(rows, pd.concat([*live, rows.iloc[:0]]), COLUMNS[:3], "loss")


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Loss saved by training on a source, in nats (negative: negative transfer): sources × targets, mean over seeds."""
    saved = rows.assign(gain=rows["zero_shot_loss"] - rows["loss"])
    return saved.pivot_table(index="source_task", columns="target_task", values="gain", aggfunc="mean")
