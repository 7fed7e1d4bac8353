"""Tidy result frames: checked, aggregated over seeds, labelled by method.

Raw rows have ``value`` and ``seed``, aggregated ones ``mean``, ``sd``, ``n``; the untuned model has representation and
selector ``none``, Random has selector ``random``.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from tis_utils.errors import InputError

By = Literal["representation", "selector", "both"]
RANDOM, ZERO_SHOT = "none/random", "none/none"  # methods by both; the latter is the untuned model
UNTUNED = ("zero_shot", ZERO_SHOT)
LOSSES = ("query_loss", "test_loss")  # lower is better; every other metric is a score


def aggregate(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean, sd, n and standard error over seeds.

    Parameters
    ----------
    frame : DataFrame
        Raw rows (``value``, one per seed) or aggregated rows (``mean``, ``sd``, ``n``), not both.
    keys : sequence of str
        Columns that identify a cell.

    Returns
    -------
    DataFrame
        ``keys`` and ``mean``, ``sd``, ``n``, ``se``; ``sd`` and ``se`` are NaN where n is 1.

    Raises
    ------
    InputError
        If a column is missing, nothing is left, or aggregated rows repeat a cell.
    """
    need(frame, keys)
    if "value" in frame.columns:
        groups = frame.groupby(list(keys), sort=False, dropna=False)["value"]
        table = groups.agg(mean="mean", sd="std", n="count").reset_index()
    else:
        need(frame, ["mean", "sd", "n"])
        table = frame[[*keys, "mean", "sd", "n"]].reset_index(drop=True)
        if table.duplicated(list(keys)).any():
            raise InputError(
                f"The frame has several aggregated rows for one cell of {', '.join(keys)}: filter it first "
                "(one pool, one model, one experiment)."
            )
    table["se"] = table["sd"] / np.sqrt(table["n"])
    return table


def need(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError unless the frame has these columns and at least one row."""
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise InputError(
            f"The frame lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}."
        )
    if frame.empty:
        raise InputError("The frame has no rows: check the filter that made it.")


def single(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError if one of these columns is present with several values."""
    for column in columns:
        values = sorted(frame[column].dropna().astype(str).unique()) if column in frame.columns else []
        if len(values) > 1:
            raise InputError(
                f"The frame mixes several values of {column} ({', '.join(values)}), which one figure must "
                "not average: keep one."
            )


def with_method(frame: pd.DataFrame, by: By) -> pd.DataFrame:
    """Add the column ``method``: one ingredient, ``random`` or ``zero_shot``; by "both" ``representation/selector``.

    InputError for an unknown `by`, or if by one ingredient the other one is not fixed.
    """
    if by not in get_args(By):
        raise InputError(f"by = {by!r}, expected 'representation', 'selector' or 'both'.")
    need(frame, ["representation", "selector"])
    if by == "both":
        return frame.assign(method=frame["representation"] + "/" + frame["selector"])
    fixed = "selector" if by == "representation" else "representation"
    zero_shot = (frame["representation"] == "none") & (frame["selector"] == "none")
    random = frame["selector"] == "random"
    single(frame[~zero_shot & ~random], [fixed])
    method = frame[by].mask(random, "random").mask(zero_shot, "zero_shot")
    return frame.assign(method=method)


def cells_of(frame: pd.DataFrame, metric: str, by: By, axis: str) -> pd.DataFrame:
    """Rows of one metric, one per method, task and position on the x axis."""
    need(frame, ["metric", "task"])
    known = sorted(frame["metric"].unique())
    frame = frame[frame["metric"] == metric]
    if frame.empty:
        raise InputError(f"No rows have metric {metric!r}; the frame has {', '.join(map(str, known))}.")
    frame = with_method(frame, by)
    single(frame, ["pool", "model"])
    single(frame[~frame["method"].isin(UNTUNED)], ["experiment"])  # zero-shot goes with any experiment
    return aggregate(frame, ["method", "task", axis])


def as_figures(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """Runs of this book in the schema of the published figures, :func:`tis_utils.evidence.published.figures`.

    Parameters
    ----------
    rows : DataFrame
        What :meth:`tis_utils.experiments.study.Study.run` returns, of one or several grids; a cell that occurs in
        several grids counts once.
    source : str
        Goes into the columns ``pool`` and ``model``.

    Returns
    -------
    DataFrame
        Exact match, pass@k and the like become the downstream metric, in per cent. Token-matched and resampled runs
        are left out (the paper has nothing like them), and so is Random at budgets of no other method.
    """
    cells = ["experiment", "task", "representation", "selector", "budget", "bin", "metric"]
    rows = rows[rows["experiment"].isin(["budget", "quantile", "focus", "zero_shot"])]
    rows = rows.drop_duplicates([*cells, "seed"]).dropna(subset=["value"])
    sweep, by_chance = rows["experiment"] == "budget", rows["selector"] == "random"
    swept = rows.loc[sweep & ~by_chance, "budget"].unique()
    rows = rows[~(sweep & by_chance) | rows["budget"].isin(swept)]  # Random beside a distance bin is no sweep
    table = aggregate(rows, cells).drop(columns="se")
    score = ~table["metric"].isin(LOSSES)
    table.loc[score, ["mean", "sd"]] *= 100
    return table.assign(
        pool=source,
        model=source,
        metric=table["metric"].mask(score, "downstream"),
        budget=table["budget"].where(table["budget"] > 0).astype("Int64"),
        bin=table["bin"].where(table["bin"] >= 0).astype("Int64"),
    )


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the metrics and tasks of which every method has every budget, and the untuned model.

    Rows may be of an unfinished sweep, or none; nothing is kept where Random is the only method.
    """
    rows = rows.dropna(subset=["value"])
    kept = [part[part["task"].isin(_complete_tasks(part))] for _, part in rows.groupby("metric", sort=False)]
    return pd.concat([rows.iloc[:0], *kept]) if kept else rows


def _complete_tasks(rows: pd.DataFrame) -> set[str]:
    trained = rows[rows["selector"] != "none"]
    keys = ["representation", "selector", "budget"]
    cells = trained.drop_duplicates(["task", *keys])
    if cells.loc[cells["selector"] != "random"].empty:
        return set()
    target = len(cells.drop_duplicates(keys[:2])) * cells["budget"].nunique()
    counts = cells.groupby("task").size()
    return set(counts.index[counts == target]) & set(rows.loc[rows["selector"] == "none", "task"])
