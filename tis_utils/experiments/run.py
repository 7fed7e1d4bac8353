"""One fine-tuning run: train on a subset, measure."""

import functools
import gc
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tis_utils.examples.text import Example, Query
from tis_utils.models.downstream import measure, short_name
from tis_utils.models.evaluation import mean_loss
from tis_utils.models.fine_tuning import autocast, fine_tune
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.profiles import Training
from tis_utils.storage.cache import Store
from tis_utils.storage.keys import digest, step, versions

VERSION = step("run", 1)


@dataclass(frozen=True)
class RunTask:
    """A fine-tuning run with all that any worker process needs.

    Specs that train on the same examples in the same order share one, whatever chose them.
    """

    seed: int
    subset: list[Example]
    queries: list[Query]
    test: list[Query]
    model: str
    model_fingerprint: str
    dtype: str
    max_length: int
    training: Training
    metric: str
    root: Path

    @functools.cached_property
    def key(self) -> dict[str, object]:
        """What the rows depend on: contents, weights, settings and versions, not where the files lie."""
        return {
            "seed": self.seed,
            "subset": digest(self.subset),
            "queries": digest(self.queries),
            "test": digest(self.test),
            "model": self.model_fingerprint,
            "dtype": self.dtype,
            "max_length": self.max_length,
            "training": self.training.model_dump(),
            "metric": self.metric,
            "versions": versions(*steps_of(self.metric)),
        }


def steps_of(metric: str) -> tuple[str, ...]:
    """Names in :data:`tis_utils.storage.keys.STEPS` that a run with this metric passes."""
    return ("run",) if metric in ("exact_match", "none") else ("run", "downstream")


def distinct(tasks: Iterable[RunTask]) -> list[RunTask]:
    """One task of each key, in order."""
    return list({digest(task.key): task for task in tasks}.values())


def run_task(task: RunTask) -> pd.DataFrame:
    """Metric, value and status of one run, from the store when they are there."""
    return Store(task.root).table("runs", task.key, lambda: _train_and_evaluate(task))


def _train_and_evaluate(task: RunTask) -> pd.DataFrame:
    torch.set_num_threads(1)  # the same sums in the same order, however many workers share the machine
    tuned = _model(task.model, task.dtype)
    if task.subset:
        tuned = fine_tune(tuned, task.subset, task.training, seed=task.seed, max_length=task.max_length)
    with autocast(tuned, task.training):
        values = {
            "query_loss": mean_loss(tuned, task.queries, max_length=task.max_length),
            "test_loss": mean_loss(tuned, task.test, max_length=task.max_length) if task.test else np.nan,
        }
        if task.metric != "none":
            values[short_name(task.metric)] = measure(
                tuned, task.metric, task.test, seed=task.seed, max_length=task.max_length
            )
    rows = [(metric, value, _status(metric, value, task)) for metric, value in values.items()]
    return pd.DataFrame(rows, columns=["metric", "value", "status"])


def _status(metric: str, value: float, task: RunTask) -> str:
    if np.isfinite(value):
        return "ok"
    return "no held-out examples" if metric != "query_loss" and not task.test else "diverged"


@functools.lru_cache(maxsize=2)
def _model(name: str, dtype: str) -> LanguageModel:
    gc.freeze()  # every Trainer collects garbage when it starts: what was imported before is none
    return load_model(name, dtype=dtype)
