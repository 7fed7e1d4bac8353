"""What the features of a pool will cost, measured on a few of its texts before the rest is read."""

import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import psutil

from tis_utils.examples.text import Example, Query, chat_text
from tis_utils.representations import LESS
from tis_utils.representations.pool_features import PoolFeatures

SAMPLE, FEW = 8, 100  # candidates that are measured; pools so small that measuring would be a large part of the work
WORTH_TELLING = 20  # seconds
LETTERS = 4  # of a token, roughly


def in_words(job: PoolFeatures) -> str | None:
    """A sentence on seconds, memory and disk; None where the features are there, or are soon."""
    if len(job.pool) < FEW or not job.missing():
        return None
    seconds, width = measured(job.representation, job.pool, job.queries)
    if seconds < WORTH_TELLING:
        return None
    rows = 4 * width * (len(job.pool) + len(job.queries)) / 1e9
    memory = psutil.Process().memory_info().rss / 1e9  # the model is loaded, the sample was read
    return (
        f"{job.name}: about {_duration(seconds)} for {len(job.pool):,} candidates, measured on {SAMPLE} of them. It "
        f"takes {memory:.1f} GB of memory or a little more and {rows:.2f} GB of disk for the features; they are kept. "
        "A stopped run continues where it was."
    )


def measured(representation: Any, pool: Sequence[Example], queries: Sequence[Query]) -> tuple[float, int]:
    """Seconds that all features will take, and numbers in a row; time grows with the letters that are read."""
    window = LETTERS * getattr(representation, "window", getattr(representation, "max_length", 10**9))
    letters = np.minimum([len(chat_text(example)) for example in pool], window)
    order = np.argsort(letters, kind="stable")
    places = order[(len(order) * (2 * np.arange(SAMPLE) + 1)) // (2 * SAMPLE)]  # of all lengths
    sample, read = [pool[i] for i in places], letters[places].sum()
    whole = letters.sum() + np.minimum([len(q.prompt) + len(q.label) for q in queries], window).sum()
    probe = copy.copy(representation)
    probe.show_progress = False
    if not isinstance(probe, LESS):
        probe.candidates(sample[:1])  # what is done once is not counted for every text
        seconds, rows = _timed(lambda: probe.candidates(sample))
        return seconds * whole / read, rows.shape[1]
    epochs = probe.recipe.epochs
    probe.recipe = replace(probe.recipe, epochs=1)
    warming, _ = _timed(lambda: probe.warm_up(sample))
    seconds, rows = _timed(lambda: probe.candidates(sample))
    warm_up = warming * probe.warmup_fraction * letters.sum() / read
    return epochs * (warm_up + seconds * whole / read), epochs * rows.shape[1]


def _timed(work: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
