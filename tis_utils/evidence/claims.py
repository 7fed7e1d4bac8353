"""The scorecard: the paper's claims, each with one estimate and one grade per source; all pages take them from here.

In one setting (a model and a pool) tasks are the units of the interval: what would another task show? The source
"paper" takes the paper's ten settings together; there models are the units, on the same five tasks and both
pools: what would another model show? The rules of the grades are ``statistics.GRADES``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence import published
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import Cube
from tis_utils.evidence.paper_claims import CLAIMS, Claim
from tis_utils.evidence.published import FIGURE_COLUMNS, FIGURE_KEYS, MODELS, PAPER_METHODS, POOLS
from tis_utils.evidence.published_analysis import method_name
from tis_utils.evidence.statistics import Floats
from tis_utils.evidence.tables import as_figures
from tis_utils.experiments.run_spec import ROW_COLUMNS
from tis_utils.labels import label
from tis_utils.storage.stored_results import RESULTS

OWN_SOURCES = ("classroom", "smollm2")
STORED_AS = {"smollm2": "smollm2/gpu"}  # where a source has its runs from, if not from its own folder
PAPER_SOURCES = tuple(f"{pool}/{model}" for pool in POOLS for model in MODELS)
SCORECARD_COLUMNS = [
    "claim", "statement", "source", "metric", "estimate", "low", "high", "unit", "k", "n", "of", "grade", "reason",
]  # fmt: skip


LIMITS = {"Spearman": (-1, 1), "share under ½": (-0.5, 0.5), "points": (-100, 100)}  # what a number in a unit can be


class NotTestableError(Exception):
    """The data at hand cannot answer; the text says why."""


def scorecard(
    extra: pd.DataFrame | None = None, *, sources: Sequence[str] | None = None, results: Path = RESULTS
) -> pd.DataFrame:
    """Judge every claim on every source.

    Parameters
    ----------
    extra : DataFrame, optional
        More rows with the columns of :func:`tis_utils.evidence.published.figures`, and optionally ``source``; without
        it the source is "smollm2" for models of that name, otherwise the name of the pool.
    sources : sequence of str, optional
        Only these; default: all.
    results : Path
        Folder of ``<source>/*.csv``: stored runs, and tables with the columns above; other files are not read. Runs of
        smollm2 come from ``smollm2/gpu``.

    Returns
    -------
    DataFrame
        One row per claim, metric and source: "paper" for all ten settings together, each of them, classroom, smollm2,
        and any other in the data. A claim about two metrics is two rows; the name of the second one ends in
        ", downstream". Columns: claim, statement, source, metric; estimate (positive where the claim is right) with
        low and high of its 95 % interval, in `unit`; k of n (tasks, settings …, named by `of`) in its
        direction; grade, see ``statistics.GRADES``; reason (why not testable, else empty).

    Raises
    ------
    InputError
        If a source is unknown, or rows lack a column or contradict each other.
    """
    more = [] if extra is None or extra.empty else [_sourced(extra)]
    rows = pd.concat([_sourced(published.figures()), *_stored(results), *more], ignore_index=True)
    groups = {str(name): group for name, group in _without_repeats(rows).groupby("source")}
    groups["paper"] = pd.concat([groups[name] for name in PAPER_SOURCES])
    known = dict.fromkeys(["paper", *PAPER_SOURCES, *OWN_SOURCES, *groups])
    if unknown := [name for name in sources or () if name not in known]:
        raise InputError(f"Unknown source {unknown[0]!r}. Known: {', '.join(known)}.")
    chosen = sources or list(known)
    cubes = {source: _cubes(groups[source], source) if source in groups else {} for source in chosen}
    lines = [
        _line(claim, metric, source, cubes[source].get((claim.experiment, metric)))
        for claim in CLAIMS
        for metric in claim.metrics
        for source in chosen
    ]
    return pd.DataFrame(lines, columns=SCORECARD_COLUMNS)


def page_scorecard(
    runs: Mapping[str, pd.DataFrame], sentences: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Judge some claims on the paper's numbers and on runs of this book.

    Parameters
    ----------
    runs : mapping of source to rows
        What :meth:`tis_utils.experiments.study.Study.run` returns.
    sentences : mapping of claim to printed label

    Returns
    -------
    card : DataFrame
        The rows of :func:`scorecard`, sources "paper" and those of `runs`.
    printed : dict
        Label of every claim in the card, with the metric that it is judged by.
    """
    rows = [as_figures(part, source).assign(source=source) for source, part in runs.items()]
    card = scorecard(pd.concat(rows), sources=["paper", *runs])
    base = card["claim"].str.removesuffix(", downstream")
    card = card.assign(label=base.map(sentences))[base.isin(sentences)]
    by_score = card["metric"] == "downstream"
    labels = card["label"] + by_score.map({True: ", score", False: ", query loss"})
    return card.drop(columns="label"), dict(zip(card["claim"], labels, strict=True))


def grade_table(card: pd.DataFrame, sources: Mapping[str, str], claims: Mapping[str, str]) -> pd.DataFrame:
    """Grades with their numbers, or why there is none: printed claims × printed sources."""
    table = card.assign(text=[graded(row) for row in card.itertuples()])
    table = table.pivot(index="claim", columns="source", values="text")
    return table.loc[list(claims), list(sources)].rename(index=claims, columns=sources)


def graded(row: Any) -> str:
    """Grade, number, interval and counts of a row of the scorecard in one line, the same on every page."""
    if row.reason:
        return f"{row.grade}: {row.reason}"
    estimate = stats.Estimate(row.estimate, row.low, row.high)
    digits = 1 if row.unit.startswith(("%", "points")) else 2
    counts = f", {row.k} of {row.n} {row.of}" * bool(row.n)
    return f"{row.grade}: {estimate.text(digits)} {row.unit}{counts}"


def versus(data: Cube, method: str, rival: str) -> dict[str, Any]:
    """Judge "this method beats that one", mean over budgets, in one experiment.

    Columns of :func:`scorecard` from estimate to reason; `wins` of `cells` (task × budget) in which it is ahead; `text`
    as in :func:`graded`.
    """
    gain = data.gain(rival)[:, data.methods.index(method)]  # (T, S)
    line = {"unit": data.unit, **judged_tasks(gain.mean(axis=-1), data.unit)}
    text = graded(SimpleNamespace(**line))
    return line | {"wins": int((gain > 0).sum()), "cells": gain.size, "text": text}


def _line(claim: Claim, metric: str, source: str, data: Cube | None) -> dict[str, object]:
    """One row of the scorecard."""
    line: dict[str, object] = {
        "claim": claim.name if metric == claim.metrics[0] else f"{claim.name}, {metric}",
        "statement": claim.statement,
        "source": source,
        "metric": metric,
        "unit": claim.unit or ("points" if metric == "downstream" else "% of loss"),
    }
    try:
        data = _cube(claim, metric, data)
        if claim.across and len(getattr(data, claim.across)) < 2:
            raise NotTestableError(f"there is one of the {claim.across} only")
    except NotTestableError as reason:
        return line | {"k": 0, "n": 0, "grade": "not testable", "reason": str(reason)}
    return line | judged(claim.comparisons(data), line["unit"], across=claim.across)


def judged(values: Floats, unit: object, *, across: str = "") -> dict[str, object]:
    """Estimate, interval, counts and grade of comparisons (M, T, L, R) that must all be positive.

    In logarithms if the `unit` is per cent of loss. With `across`, comparisons are counted, not tasks or settings.
    """
    several = len(values) >= stats.MIN_UNITS
    units = stats.by_unit(values)  # (U, R): models, or tasks
    level = 1 - (1 - stats.LEVEL) / units.shape[1]
    pairs = [(stats.mean_estimate(column), stats.mean_estimate(column, level=level)) for column in units.T]
    estimate = stats.smallest(pairs)
    estimate = estimate.per_cent() if str(unit).startswith("%") else estimate
    if unit in LIMITS:
        estimate = estimate.clipped(*LIMITS[unit])
    if across:
        favours, of = units.mean(axis=0) > 0, across
    else:
        favours = (values.mean(axis=1) if several else values[0].mean(axis=1)).min(axis=-1) > 0
        of = "settings" if several else "tasks"
    k, n = int(favours.sum()), int(favours.size)
    line = {"k": k, "n": n, "of": of if n != 1 else of.removesuffix("s")}
    if len(units) < stats.MIN_UNITS:
        few = "one model and one pool" if across else f"{len(units)} task{'s' * (len(units) > 1)}"
        reason = f"{few} only: nothing says what another {'model' if across else 'task'} would bring"
        return line | {"estimate": estimate.value, "grade": "not testable", "reason": reason}
    grade = stats.grade(estimate, k * len(units), n * len(units))  # two pools can agree, too: the units are enough
    return line | {**estimate._asdict(), "estimate": estimate.value, "grade": grade, "reason": ""}


def judged_tasks(values: Floats, unit: object) -> dict[str, object]:
    """:func:`judged` for one number per task, (T,), of a single model."""
    return judged(values[None, :, None, None], unit)


def _cube(claim: Claim, metric: str, data: Cube | None) -> Cube:
    """The methods and tasks that a claim needs, complete."""
    step = "bin" if claim.experiment == "quantile" else "budget"
    what = f"{label(metric).lower()} by {'distance bin' if step == 'bin' else 'budget'}"
    if data is None:
        raise NotTestableError(f"there is no {what}")
    if missing := [method for method in claim.methods if method not in data.methods]:
        raise NotTestableError(f"there is no {what} of {' and '.join(map(method_name, missing))}")
    if len(data.budgets) < 2:
        raise NotTestableError(f"there is one {step} only, at least two are needed")
    others = [m for m in PAPER_METHODS if m in data.methods and m not in claim.methods] if claim.everyone else []
    methods = (*claim.methods, *others)
    at = [data.methods.index(m) for m in methods]
    mean = data.mean[..., at, :]
    whole = ~np.isnan(mean).any(axis=(0, 2, 3, 4)) & np.array([claim.task in ("", t) for t in data.tasks])
    if not whole.any():
        raise NotTestableError(f"no task has every method at every {step}")
    kept = np.flatnonzero(whole)
    mean, sd, n = (v[:, kept][..., at, :] for v in (data.mean, data.sd, data.n))
    return replace(data, mean=mean, sd=sd, n=n, methods=methods, tasks=tuple(data.tasks[t] for t in kept))


def _cubes(rows: pd.DataFrame, source: str) -> dict[tuple[str, str], Cube]:
    """All numbers of a source by experiment and metric, axes (M, T, L, K, S), with gaps."""
    together = source == "paper"
    rows = rows if together else rows.assign(model=source, pool=source)
    rows = rows.assign(
        method=rows["representation"] + "/" + rows["selector"],
        step=rows["bin"].where(rows["experiment"] != "budget", rows["budget"]),
    ).dropna(subset=["step", "mean"])
    models, pools = (tuple(MODELS), tuple(POOLS)) if together else ((source,), (source,))
    cubes = {}
    for (experiment, metric), part in rows.groupby(["experiment", "metric"]):
        tasks, methods, steps = (sorted(part[column].unique()) for column in ("task", "method", "step"))
        axes = {"model": models, "task": tasks, "pool": pools, "method": methods, "step": [int(s) for s in steps]}
        cubes[str(experiment), str(metric)] = Cube.of(str(metric), part, axes, gaps=True)
    return cubes


def _sourced(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the column `source` where it is missing."""
    if lacking := [c for c in FIGURE_COLUMNS if c not in rows]:
        raise InputError(
            f"Rows for the scorecard lack the columns {', '.join(lacking)}. Expected those of "
            "tis_utils.evidence.published.figures()."
        )
    if "source" in rows:
        return rows[[*FIGURE_COLUMNS, "source"]]
    paper = rows["pool"].isin(POOLS) & rows["model"].isin(MODELS)
    own = rows["pool"].where(~rows["model"].str.startswith("smollm2"), "smollm2")
    return rows[list(FIGURE_COLUMNS)].assign(source=own.where(~paper, rows["pool"] + "/" + rows["model"]))


def _stored(folder: Path) -> list[pd.DataFrame]:
    """Tables under ``<folder>/<source>/``: runs of this book, or the schema of the figures; others are passed over."""
    tables = []
    for source in sorted(path for path in folder.glob("*") if path.is_dir()):
        read = _read(source)
        folder_of_runs = folder / STORED_AS.get(source.name, source.name)
        runs = _runs(_read(folder_of_runs), source.name)
        if not runs.empty:
            tables.append(_sourced(runs.assign(source=source.name)))
        tables += [
            _sourced(table.astype(published.DTYPES).assign(source=source.name))
            for table in read
            if set(FIGURE_COLUMNS) <= set(table)
        ]
    return tables


def _read(folder: Path) -> list[pd.DataFrame]:
    return [pd.read_csv(path, keep_default_na=False, na_values=[""]) for path in sorted(folder.glob("*.csv"))]


def _runs(tables: list[pd.DataFrame], source: str) -> pd.DataFrame:
    """Stored runs among the tables, in the schema of the published figures."""
    runs = [table for table in tables if set(ROW_COLUMNS) <= set(table)]
    return as_figures(pd.concat(runs), source) if runs else pd.DataFrame()


def _without_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """Drop exact repetitions (one run may be stored for two chapters); refuse contradictions."""
    rows = rows.astype(published.DTYPES).drop_duplicates()
    keys = ["source", *FIGURE_KEYS]
    if (twice := rows[rows.duplicated(keys)]).shape[0]:
        place = ", ".join(f"{key} {value}" for key, value in twice.iloc[0][keys].items())
        raise InputError(f"Two rows with different numbers describe the same cell: {place}. Keep one of them.")
    return rows
