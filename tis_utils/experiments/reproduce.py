"""Runs stored with the repository, repeated on the machine that builds a page, and what the page says about it."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from tis_utils.experiments.run import distinct
from tis_utils.experiments.run_spec import ROW_COLUMNS, SPEC_COLUMNS, RunSpec
from tis_utils.experiments.study import Study, labelled
from tis_utils.storage.stored_results import compared, run_key, write_runs

# Nats. LESS features move in the last digits with threads and processor, and now and then a pick with them.
TOLERANCE = 0.02


def keep(study: Study, name: str, specs: Sequence[RunSpec]) -> Path:
    """Store the runs of one grid in ``data/results/<profile>/<name>.csv``."""
    rows = {
        spec: frame.assign(subset=study.subset(spec), key=run_key(study.recipe(spec)))
        for spec, frame in study.finished(specs).items()
    }
    tasks = distinct(study.task_of(spec) for spec in specs)  # runs that several specs share count once
    seconds = sum(float(study.store.manifest("runs", task.key, ".csv")["seconds"]) for task in tasks)
    return write_runs(study.profile.name, name, labelled(rows, [*ROW_COLUMNS, "subset", "key"]), seconds)


def recheck(study: Study, specs: Sequence[RunSpec], *, share: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """Run a random sample of runs here and compare with the stored numbers.

    Parameters
    ----------
    study : Study
    specs : sequence of RunSpec
    share : float
        At least this share of the runs, and at least one, is drawn with `seed`.
    seed : int

    Returns
    -------
    DataFrame
        One row per drawn run and metric: the spec, metric, ``stored``, ``live``, ``difference``, and whether both
        trained on the ``same_subset``; empty when nothing was stored.
    """
    stored = study.stored_runs(specs)
    candidates = sorted(stored)
    count = min(len(candidates), max(1, math.ceil(share * len(specs)))) if candidates else 0
    drawn = [candidates[i] for i in np.random.default_rng(seed).choice(len(candidates), count, replace=False)]
    live = study.run_here(drawn)
    before = labelled({spec: stored[spec] for spec in drawn})
    same = [asdict(s) | {"same_subset": stored[s]["subset"].iloc[0] == study.subset(s)} for s in drawn]
    both = compared(before, labelled(live), [*SPEC_COLUMNS, "metric"], "value")
    return both.merge(pd.DataFrame(same, columns=[*SPEC_COLUMNS, "same_subset"]), on=SPEC_COLUMNS)


def recheck_text(checked: pd.DataFrame, runs: int, seed: int, *, tolerance: float = TOLERANCE) -> str:
    """One Markdown paragraph on the outcome of :func:`recheck`.

    Parameters
    ----------
    checked : DataFrame
        What ``recheck`` returned with `seed`.
    runs : int
        Number of runs of the grid.
    seed : int
    tolerance : float
        Largest difference of two losses that counts as agreement, nats.
    """
    if checked.empty:
        return f"None of the {runs} runs was stored under this key: **all of them ran here**."
    losses = checked[checked["metric"].isin(["query_loss", "test_loss"])]
    losses = losses[losses["stored"].notna() | losses["live"].notna()]  # no held-out examples: nothing to compare
    parts = [_part(rows, bool(same), tolerance) for same, rows in losses.groupby("same_subset", sort=False)]
    return (
        f"**{_runs(checked)} of the {runs} runs were repeated here**, from the features on, drawn with seed {seed} "
        "from those that are stored. " + " ".join(parts)
    )


def _runs(rows: pd.DataFrame) -> int:
    return len(rows.drop_duplicates(SPEC_COLUMNS))


def _part(rows: pd.DataFrame, same: bool, tolerance: float) -> str:
    gaps = rows["difference"].abs()
    if same:
        return (
            f"{_runs(rows)} trained on the same examples: {(gaps <= tolerance).sum()} of their {len(gaps)} losses "
            f"agree within {tolerance} nats per token, the largest difference is {gaps.max():.3f}."
        )
    return (
        f"{_runs(rows)} picked other examples than those stored: their losses moved by {gaps.mean():.3f} nats per "
        f"token on average, by {gaps.max():.3f} at most. A lead below that may be the luck of such a pick."
    )
