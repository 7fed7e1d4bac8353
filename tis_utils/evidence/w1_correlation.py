"""W1 between a subset and the queries as a predictor of the loss of the model trained on the subset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from tis_utils.errors import InputError
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.selectors.wasserstein import w1

KEYS = ["representation", "selector", "task", "budget"]


def _spaces(frame: pd.DataFrame) -> list[str]:
    return [name for name in map(str, frame.columns) if name.startswith("w1_")]


def distinct_subsets(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per subset: training seeds of the same subset are averaged (they are no new evidence).

    Parameters
    ----------
    frame : DataFrame
        Columns representation, selector, task, budget, seed, query_loss, test_loss and one ``w1_<space>``
        per space.

    Raises
    ------
    InputError
        If a column is missing.
    """
    spaces = _spaces(frame)
    missing = [name for name in [*KEYS, "seed", "query_loss", "test_loss"] if name not in frame]
    if missing or not spaces:
        raise InputError(f"The frame lacks {', '.join(missing) or 'a w1_<space> column'}; it has {list(frame)}.")
    rounded = frame.round(dict.fromkeys(spaces, 9))
    return rounded.groupby([*KEYS, *spaces], as_index=False)[["query_loss", "test_loss"]].mean()


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank correlation along the last axis: (..., n), (..., n) -> (...); nan where one side is constant."""
    ranks = [rankdata(v, axis=-1) for v in (x, y)]
    a, b = (r - r.mean(-1, keepdims=True) for r in ranks)
    norm = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.divide((a * b).sum(-1), norm, out=np.full(norm.shape, np.nan), where=norm > 0)


def _bootstrap_spearman(groups: Sequence[pd.DataFrame], space: str, loss: str, n_boot: int, seed: int) -> NDArray:
    """Mean over groups of the rank correlation: the value first, then n_boot resamples."""
    rng = np.random.default_rng(seed)
    rhos = []
    for group in groups:
        x, y = group[space].to_numpy(float), group[loss].to_numpy(float)
        index = np.vstack([np.arange(len(x)), rng.integers(len(x), size=(n_boot, len(x)))])  # (1 + boot, n)
        rhos.append(_spearman(x[index], y[index]))
    return np.nanmean(rhos, axis=0)


def predictor_table(
    frame: pd.DataFrame, *, losses: Sequence[str] = ("query_loss", "test_loss"), n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Rank correlation of W1(subset, queries) with the loss of the model trained on the subset.

    Correlations are taken within a task, and within a task at one budget (both W1 and loss move with the
    budget, which alone would correlate them), then averaged over the groups. Intervals: 95 % percentile
    bootstrap over subsets inside each group.

    Parameters
    ----------
    frame : DataFrame
        As for :func:`distinct_subsets`.
    losses : sequence of str
    n_boot, seed : int

    Returns
    -------
    DataFrame
        Columns space, loss, within, rho, low, high, subsets, groups. Groups of fewer than 4 subsets are
        left out.
    """
    subsets = distinct_subsets(frame)
    rows = []
    for within in (["task"], ["task", "budget"]):
        groups = [group for _, group in subsets.groupby(within) if len(group) >= 4]
        for space in _spaces(subsets) if groups else []:
            for loss in losses:
                rho = _bootstrap_spearman(groups, space, loss, n_boot, seed)
                low, high = np.nanquantile(rho[1:], [0.025, 0.975])
                rows.append([space[3:], loss, ", ".join(within), rho[0], low, high, sum(map(len, groups)), len(groups)])
    return pd.DataFrame(rows, columns=["space", "loss", "within", "rho", "low", "high", "subsets", "groups"])


# --- frames of subsets with their distances --------------------------------------------------------

Features = Mapping[str, tuple[NDArray[np.float32], Mapping[str, NDArray[np.float32]]]]


def add_w1(frame: pd.DataFrame, picks: Sequence[NDArray[np.int64]], features: Features) -> pd.DataFrame:
    """Add a column ``w1_<space>`` per space: exact W1 between each row's subset and its task's queries.

    Parameters
    ----------
    frame : DataFrame
        With a column task; one row per subset or run.
    picks : sequence of int64 arrays, shape (B,)
        Candidate indices of each row, in the order of the rows.
    features : mapping space -> (candidates (N, D), {task: queries (M, D)})
        What :meth:`tis_utils.experiments.study.Study.features` returns, per space.

    Raises
    ------
    InputError
        If the numbers of rows and of picks differ.
    """
    if len(frame) != len(picks):
        raise InputError(f"The frame has {len(frame)} rows but there are {len(picks)} lists of picks.")
    known: dict[tuple[str, str, bytes], float] = {}  # the training seeds of a subset share its distance

    def distance(space: str, task: str, chosen: NDArray[np.int64]) -> float:
        key = (space, task, chosen.tobytes())
        if key not in known:
            candidates, queries = features[space]
            known[key] = w1(candidates[chosen], queries[task])
        return known[key]

    columns = {
        f"w1_{space}": [distance(space, task, chosen) for task, chosen in zip(frame["task"], picks, strict=True)]
        for space in features
    }
    return frame.assign(**columns)


def sweep_frame(
    study: Study, cells: Sequence[RunSpec], spaces: Sequence[str] = ("embed", "rds", "less")
) -> pd.DataFrame:
    """One row per trained cell: its settings, its losses, and W1 to the queries in every space.

    Parameters
    ----------
    study : tis_utils.experiments.study.Study
    cells : sequence of tis_utils.experiments.study.RunSpec
        The untuned model has no subset and is left out.
    spaces : sequence of str

    Returns
    -------
    DataFrame
        As :func:`distinct_subsets` wants it.
    """
    trained = [cell for cell in cells if cell.budget > 0]
    rows = study.run(trained)
    wide = rows.pivot_table(index=[*KEYS, "seed"], columns="metric", values="value").reset_index()
    found = {(c.representation, c.selector, c.task, c.budget, c.seed): study.picks(c) for c in trained}
    picks = [found[key] for key in wide[[*KEYS, "seed"]].itertuples(index=False, name=None)]
    return add_w1(wide, picks, {space: study.features(space) for space in spaces})
