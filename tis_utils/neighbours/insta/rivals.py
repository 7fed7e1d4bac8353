"""INSTA's rivals, which also choose whole tasks: by measured transfer, and by the nearest examples.

The selector of a run spec is ``transfer@K`` or ``retrieval@K``; the examples are drawn from the K tasks as INSTA's are.

* ``transfer``: the tasks that lowered the target's loss most in the measured matrix
  (:mod:`tis_utils.neighbours.insta.transfer`; Zhou et al. 2023 choose this way). It costs a training per task and looks
  at held-out examples of the target: an upper reference, not a method to use.
* ``retrieval``: retrieved experts (Jang et al. 2023). Each query names the task of its nearest example under EMBED; the
  tasks named most often come first, those named equally often by the mean similarity of the queries' nearest examples.
"""

import functools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tis_utils.errors import InputError
from tis_utils.experiments.grids import INSTA_TASKS
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta import transfer
from tis_utils.neighbours.insta.pool_tasks import tasks_of
from tis_utils.neighbours.insta.scores import draw_examples, top_tasks
from tis_utils.storage.keys import step, versions
from tis_utils.storage.stored_results import read_keyed

VERSION = step("insta_rivals", 1)
RIVALS = ("transfer", "retrieval")


def votes(S: ArrayLike, labels: ArrayLike, tasks: int) -> np.ndarray:
    """How near each task is to queries by its examples, float64 (K,): how many name it, then the mean similarity.

    Parameters
    ----------
    S : array_like, (M, N)
        Cosines of queries and candidates.
    labels : array_like, (N,)
        Each candidate's task, 0 to `tasks` − 1, each with at least one candidate.
    tasks : int
    """
    S, labels = np.asarray(S, dtype=float), np.asarray(labels)
    named = np.bincount(labels[S.argmax(axis=1)], minlength=tasks)  # (K,)
    nearest = np.array([S[:, labels == t].max(axis=1).mean() for t in range(tasks)])  # (K,) in [-1, 1]
    return named + nearest / 4  # a quarter cannot make up for one query


def scores(study: Study, spec: RunSpec) -> np.ndarray:
    """Score of every task of the pool, float64 (K,), in the order of :func:`tasks_of`."""
    names, labels = tasks_of(study)
    if spec.selector.startswith("retrieval"):
        return votes(study.similarity("embed", spec.task), labels, len(names))
    return _gains(study).loc[names, spec.task].to_numpy()


@functools.lru_cache(maxsize=4)
def _gains(study: Study) -> pd.DataFrame:
    """The measured matrix, an input of this selection: what is stored counts, also where runs are to be made anew."""
    rows = read_keyed(study.profile.name, transfer.NAME, transfer.recipe(study), transfer.COLUMNS)
    return transfer.gains(rows if len(rows) else transfer.matrix(study))


def count_of(selector: str) -> int:
    """Read the number of tasks K from ``transfer@K`` or ``retrieval@K``."""
    name, _, number = selector.partition("@")
    number = number or str(INSTA_TASKS)
    if name not in RIVALS or not number.isdecimal() or int(number) < 1:
        raise InputError(
            f"{selector!r} does not choose tasks. Write transfer@K or retrieval@K with a number of tasks K of at least "
            "1, for example retrieval@5."
        )
    return int(number)


def picks(study: Study, spec: RunSpec) -> np.ndarray:
    """Indices into the pool, int64 (B,), drawn by the run's seed from its `k` tasks; the next fill up small ones."""
    names, labels = tasks_of(study)
    k = count_of(spec.selector)
    top_tasks(np.zeros(len(names)), k)  # raises for a k that cannot be had, before anything is measured
    order = top_tasks(scores(study, spec), len(names))
    return draw_examples(labels, order.tolist(), k, spec.budget, spec.seed)


def recipe(study: Study, spec: RunSpec) -> dict[str, Any]:
    """What the picks depend on besides the spec, the pool and the queries."""
    count_of(spec.selector)
    by_examples = spec.selector.startswith("retrieval")
    seen = study.feature_recipe("embed") if by_examples else transfer.recipe(study)
    return {"seen": seen, "versions": versions("insta_rivals")}
