"""W1 between a subset and the queries as a predictor of the loss of the model trained on the subset."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tis_utils.errors import InputError
from tis_utils.evidence.statistics import Floats, spearman
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.selectors.wasserstein import w1

SUBSET_KEYS = ["representation", "selector", "task", "budget"]
LOSSES = ["query_loss", "test_loss"]
Features = tuple[NDArray[np.float32], Mapping[str, NDArray[np.float32]]]  # (N, D), and (M, D) by task


def _spaces(frame: pd.DataFrame) -> list[str]:
    return [name for name in map(str, frame.columns) if name.startswith("w1_")]


def distinct_subsets(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per subset, its training seeds averaged: they are no new evidence.

    InputError unless there are the columns `SUBSET_KEYS`, seed, `LOSSES` and a ``w1_<space>``.
    """
    spaces = _spaces(frame)
    missing = [name for name in [*SUBSET_KEYS, "seed", *LOSSES] if name not in frame]
    if missing or not spaces:
        raise InputError(f"The frame lacks {', '.join(missing) or 'a w1_<space> column'}; it has {list(frame)}.")
    rounded = frame.round(dict.fromkeys(spaces, 9))
    return rounded.groupby([*SUBSET_KEYS, *spaces], as_index=False)[LOSSES].mean()


def _bootstrap_spearman(groups: Sequence[pd.DataFrame], space: str, loss: str, n_boot: int, seed: int) -> Floats:
    """Mean over groups of the rank correlation, (1 + n_boot,): the value first, then resamples."""
    rng = np.random.default_rng(seed)
    rhos = []
    for group in groups:
        x, y = group[space].to_numpy(float), group[loss].to_numpy(float)
        index = np.vstack([np.arange(len(x)), rng.integers(len(x), size=(n_boot, len(x)))])  # (1 + boot, n)
        rhos.append(spearman(x[index], y[index], constant=np.nan))  # a resample may be one subset only
    return np.nanmean(rhos, axis=0)


def w1_correlation_table(frame: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Rank correlation of W1(subset, queries) with losses, within tasks and within tasks at one budget, then averaged.

    95 % percentile intervals over subsets inside each group; groups of fewer than 4 subsets are left out.
    """
    subsets = distinct_subsets(frame)
    rows = []
    for within in (["task"], ["task", "budget"]):
        groups = [group for _, group in subsets.groupby(within) if len(group) >= 4]
        for space in _spaces(subsets) if groups else []:
            for loss in LOSSES:
                rho = _bootstrap_spearman(groups, space, loss, n_boot, seed)
                low, high = np.nanquantile(rho[1:], [0.025, 0.975])
                rows.append([space[3:], loss, ", ".join(within), rho[0], low, high, sum(map(len, groups)), len(groups)])
    return pd.DataFrame(rows, columns=["space", "loss", "within", "rho", "low", "high", "subsets", "groups"])


def losses_with_w1(
    study: Study, specs: Sequence[RunSpec], spaces: Sequence[str] = ("embed", "rds", "less", "lexical")
) -> pd.DataFrame:
    """One row per fine-tuned run: its settings, its losses, and W1 to the queries in every space."""
    trained = [spec for spec in specs if spec.budget > 0]
    rows = study.run(trained)
    wide = rows.pivot_table(index=[*SUBSET_KEYS, "seed"], columns="metric", values="value").reset_index()
    subsets = {(s.representation, s.selector, s.task, s.budget, s.seed): study.picks(s) for s in trained}
    in_order = [subsets[key] for key in wide[[*SUBSET_KEYS, "seed"]].itertuples(index=False, name=None)]
    columns = {f"w1_{space}": _distances(study.features(space), wide["task"], in_order) for space in spaces}
    return wide.assign(**columns)


def _distances(features: Features, tasks: Iterable[str], subsets: Iterable[NDArray[np.int64]]) -> list[float]:
    """Exact W1 between each subset and its task's queries."""
    candidates, queries = features
    known: dict[tuple[str, bytes], float] = {}  # the training seeds of a subset share its distance
    distances = []
    for task, subset in zip(tasks, subsets, strict=True):
        key = (task, subset.tobytes())
        if key not in known:
            known[key] = w1(candidates[subset], queries[task])
        distances.append(known[key])
    return distances
