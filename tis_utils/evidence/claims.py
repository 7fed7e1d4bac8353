"""The scorecard: the paper's claims, each as a computed verdict, for the paper's own runs and for this book's.

Source "paper" takes the paper's ten pool-and-model combinations together and resamples models as well as tasks.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence import published
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import Cube
from tis_utils.evidence.paper_claims import CLAIMS, Claim, less_lead_shrinks
from tis_utils.evidence.published import FIGURE_COLUMNS, FIGURE_KEYS, MODELS, PAPER_METHODS, POOLS
from tis_utils.evidence.tables import as_figures
from tis_utils.experiments.run_spec import ROW_COLUMNS
from tis_utils.storage.stored_results import RESULTS

OWN_SOURCES = ("classroom", "smollm2")
PAPER_SOURCES = tuple(f"{pool}/{model}" for pool in POOLS for model in MODELS)
SCORECARD_COLUMNS = [
    "claim", "statement", "source", "metric", "unit", "statistic", "low", "high", "verdict", "tasks", "reason",
]  # fmt: skip


class NotTestableError(Exception):
    """The data at hand cannot answer; the text says why."""


def scorecard(
    extra: pd.DataFrame | None = None,
    *,
    sources: Sequence[str] | None = None,
    results: Path = RESULTS,
    draws: int = 2000,
    seed: int = 0,
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
        Folder of ``<source>/*.csv``: stored runs, and tables with the columns above; other files are not read.
    draws, seed : int
        Of the bootstrap; a row does not depend on which other sources are there.

    Returns
    -------
    DataFrame
        One row per claim and source: "paper" for all ten together, the paper's ten, classroom, smollm2, and
        any other in the data. A claim about two metrics is two rows; the name of the second one ends in
        ", downstream". Columns: claim, statement, source, metric, unit, statistic, low, high, verdict, tasks
        (how many entered) and reason (why not testable, else empty).

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
    lines = [
        _line(claim, metric, source, groups.get(source), draws, seed)
        for claim in CLAIMS
        for metric in claim.metrics
        for source in sources or known
    ]
    return pd.DataFrame(lines, columns=SCORECARD_COLUMNS)


def page_scorecard(
    runs: Mapping[str, pd.DataFrame], sentences: Mapping[str, str], draws: int
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Judge some claims on the paper's numbers and on runs of this book.

    Parameters
    ----------
    runs : mapping of source to rows
        What :meth:`tis_utils.experiments.study.Study.run` returns.
    sentences : mapping of claim to printed label
    draws : int

    Returns
    -------
    card : DataFrame
        The rows of :func:`scorecard`, sources "paper" and those of `runs`.
    printed : dict
        Label of every claim in the card, with the metric that it is judged by.
    """
    rows = [as_figures(part, source).assign(source=source) for source, part in runs.items()]
    card = scorecard(pd.concat(rows), sources=["paper", *runs], draws=draws)
    base = card["claim"].str.removesuffix(", downstream")
    card = card.assign(label=base.map(sentences))[base.isin(sentences)]
    by_score = card["metric"] == "downstream"
    labels = card["label"] + by_score.map({True: ", score", False: ", query loss"})
    return card.drop(columns="label"), dict(zip(card["claim"], labels, strict=True))


def verdict_table(card: pd.DataFrame, sources: Mapping[str, str], claims: Mapping[str, str]) -> pd.DataFrame:
    """Verdicts with their numbers, or why there is none: printed claims × printed sources."""
    numbers = [stats.Estimate(*row).text(2) for row in card[["statistic", "low", "high"]].to_numpy(float)]
    texts = card["verdict"] + ": " + card["reason"].mask(card["reason"] == "", pd.Series(numbers, card.index))
    texts += (" " + card["unit"]).where(card["reason"] == "", "")
    table = card.assign(text=texts).pivot(index="claim", columns="source", values="text")
    return table.loc[list(claims), list(sources)].rename(index=claims, columns=sources)


def _line(
    claim: Claim, metric: str, source: str, rows: pd.DataFrame | None, draws: int, seed: int
) -> dict[str, object]:
    """One row of the scorecard."""
    name = claim.name if metric == claim.metrics[0] else f"{claim.name}, {metric}"
    unit = claim.unit or ("points" if metric == "downstream" else "% of loss")
    line: dict[str, object] = {"claim": name, "statement": claim.statement, "source": source, "metric": metric}
    line["unit"] = unit
    try:
        data = _cube(claim, metric, source, rows)
    except NotTestableError as reason:
        return line | {"verdict": "not testable", "tasks": 0, "reason": str(reason)}
    rng = np.random.default_rng([seed, zlib.crc32(f"{name}|{source}".encode())])
    costs = data.costs()  # (M, T, L, K, S)
    cloud = stats.bootstrap(costs, data.sd, data.n, draws, rng)  # (R, M·T, L, K, S)
    measured = claim.statistic(data, costs.reshape(-1, *costs.shape[3:]))
    drawn = claim.statistic(data, cloud.reshape(draws, -1, *cloud.shape[3:]))
    lead = unit == "% of loss" and claim.statistic is not less_lead_shrinks  # that is a difference
    low, high = stats.interval(drawn, units=costs.shape[:2], ceiling=stats.WHOLE if lead else None)
    if claim.unit:  # correlations and shares: no interval beyond what they can be
        low, high = np.clip([low, high], -1, 1)
    line |= {"statistic": float(measured), "low": float(low), "high": float(high), "tasks": len(data.tasks)}
    return line | verdict_and_reason(low, high, max(costs.shape[:2]))


def verdict_and_reason(low: float, high: float, tasks: int) -> dict[str, object]:
    """None is passed on fewer tasks than can be resampled, whose interval holds seeds only."""
    if tasks < stats.MIN_UNITS:
        few = f"{tasks} task{'s' * (tasks > 1)} only: the interval holds the seeds, not what another task may bring"
        return {"verdict": "not testable", "reason": few}
    return {"verdict": stats.verdict(low, high), "reason": ""}


def _cube(claim: Claim, metric: str, source: str, rows: pd.DataFrame | None) -> Cube:
    """What a claim needs of a source, with axes (M, T, L, K, S)."""
    if rows is None:
        raise NotTestableError("there are no results of this source")
    step = "bin" if claim.experiment == "quantile" else "budget"
    rows = rows[(rows["experiment"] == claim.experiment) & (rows["metric"] == metric)].dropna(subset=[step, "mean"])
    rows = rows.assign(method=rows["representation"] + "/" + rows["selector"])
    methods, steps = _methods(claim, metric, set(rows["method"])), sorted(int(s) for s in rows[step].unique())
    if len(steps) < 2:
        raise NotTestableError(f"there is one {step} only, at least two are needed")
    models, pools = (tuple(MODELS), tuple(POOLS)) if source == "paper" else ((source,), (source,))
    rows = rows if source == "paper" else rows.assign(model=source, pool=source)
    axes = {"model": models, "task": sorted(rows["task"].unique()), "pool": pools, "method": methods, step: steps}
    if not (data := Cube.of(metric, rows, axes)).tasks:
        raise NotTestableError(f"no task has every method at every {step}")
    return data


def _methods(claim: Claim, metric: str, known: set[str]) -> tuple[str, ...]:
    if missing := [method for method in claim.methods if method not in known]:
        raise NotTestableError(f"no {metric} of the {claim.experiment} experiment for {', '.join(missing)}")
    others = [m for m in PAPER_METHODS if m in known and m not in claim.methods] if claim.everyone else []
    return (*claim.methods, *others)


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
        read = [pd.read_csv(path, keep_default_na=False, na_values=[""]) for path in sorted(source.glob("*.csv"))]
        runs = [table for table in read if set(ROW_COLUMNS) <= set(table)]
        if runs:
            tables.append(_sourced(as_figures(pd.concat(runs), source.name).assign(source=source.name)))
        tables += [
            _sourced(table.astype(published.DTYPES).assign(source=source.name))
            for table in read
            if set(FIGURE_COLUMNS) <= set(table)
        ]
    return tables


def _without_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """Drop exact repetitions (one run may be stored for two chapters); refuse contradictions."""
    rows = rows.astype(published.DTYPES).drop_duplicates()
    keys = ["source", *FIGURE_KEYS]
    if (twice := rows[rows.duplicated(keys)]).shape[0]:
        place = ", ".join(f"{key} {value}" for key, value in twice.iloc[0][keys].items())
        raise InputError(f"Two rows with different numbers describe the same cell: {place}. Keep one of them.")
    return rows
