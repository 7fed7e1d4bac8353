"""The paper's claims, each as a computed verdict, for the paper's own runs and for this book's.

Every claim is one statistic that is *positive where the claim is right*, with a 95 % bootstrap interval
(:func:`tis_utils.evidence.statistics.bootstrap`: seeds and tasks are resampled) and one rule for all claims
(:func:`tis_utils.evidence.statistics.verdict`): supported, mixed or contradicted as the interval lies above, around or
below zero. What cannot be computed, or rests on fewer than three tasks, is "not testable", with the reason.

The statistics, their units and what counts as a low or high budget: :mod:`tis_utils.evidence.claim_statistics`.
Source "paper" takes the paper's ten pool-and-model combinations together; there models are resampled as well as
tasks, each with both of its pools, which are not independent.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence import claim_statistics as judge
from tis_utils.evidence import published
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.claim_statistics import EMBED, LESS, PROXY, RANDOM, RDS, SELECTORS, Cells, Statistic
from tis_utils.evidence.statistics import Floats
from tis_utils.evidence.tables import as_figures
from tis_utils.experiments.run_spec import ROW_COLUMNS

RESULTS = published.FOLDER.parent / "results"
OWN_SOURCES = ("classroom", "smollm2")
PAPER_SOURCES = tuple(f"{pool}/{model}" for pool in published.POOLS for model in published.MODELS)
COLUMNS = ["claim", "statement", "source", "metric", "unit", "statistic", "low", "high", "verdict", "tasks", "reason"]


class NotTestableError(Exception):
    """The data at hand cannot answer; the text says why."""


@dataclass(frozen=True)
class Claim:
    """A sentence, the experiment and metrics that can judge it, the methods it needs, its statistic."""

    name: str
    statement: str
    experiment: str
    metrics: tuple[str, ...]
    methods: tuple[str, ...]
    statistic: Statistic
    unit: str = ""  # empty: per cent of loss, or points
    everyone: bool = False  # also use the paper's other methods, if they are there


LOSS, METRIC, BOTH = ("query_loss",), ("downstream",), ("query_loss", "downstream")
FOUR = (LESS, EMBED, RDS, RANDOM)
CLAIMS = (
    Claim(
        "distance predicts loss",
        "The nearer the examples in LESS distance, the lower the query loss after training on them.",
        "quantile",
        LOSS,
        (LESS,),
        judge.less_bins,
        "Spearman",
    ),
    Claim(
        "only LESS distance predicts loss",
        "LESS distance predicts query loss better than RDS+ and EMBED distance do.",
        "quantile",
        LOSS,
        (LESS, RDS, EMBED),
        judge.less_bins_only,
        "Spearman",
    ),
    Claim(
        "distance predicts test loss",
        "The nearer the examples in LESS distance, the lower the loss on the test split.",
        "quantile",
        ("test_loss",),
        (LESS,),
        judge.less_bins,
        "Spearman",
    ),
    Claim(
        "distance predicts the metric",
        "The nearer the examples in LESS distance, the better the downstream metric.",
        "quantile",
        METRIC,
        (LESS,),
        judge.less_bins,
        "Spearman",
    ),
    Claim(
        "LESS+RR lowest at every budget",
        "With round-robin, LESS has a lower loss than EMBED, RDS+ and Random at every budget.",
        "budget",
        LOSS,
        FOUR,
        judge.less_lowest_everywhere,
    ),
    Claim(
        "RDS+ and EMBED below Random at high budgets",
        "At high budgets, RDS+ and EMBED with round-robin do worse than Random.",
        "budget",
        BOTH,
        (RDS, EMBED, RANDOM),
        judge.others_below_random,
    ),
    Claim(
        "LESS+RR best at low budgets",
        "At low budgets, LESS with round-robin is the best of all methods on average.",
        "budget",
        BOTH,
        FOUR,
        judge.less_rr_best_low,
        everyone=True,
    ),
    Claim(
        "RR best selector at low budgets",
        "At low budgets, round-robin is the best selector for LESS.",
        "budget",
        BOTH,
        SELECTORS,
        judge.rr_best_selector_low,
    ),
    Claim(
        "transport best at high budgets",
        "At high budgets, transport-type selectors beat greedy ones for LESS.",
        "budget",
        BOTH,
        SELECTORS,
        judge.transport_best_high,
    ),
    Claim(
        "Random competitive at high budgets",
        "At high budgets, Random is at least as good as the median of the other methods.",
        "budget",
        BOTH,
        FOUR,
        judge.random_competitive_high,
        everyone=True,
    ),
    Claim(
        "lead over Random shrinks with budget",
        "The lead of LESS with round-robin over Random is smaller at high budgets than at low ones.",
        "budget",
        BOTH,
        (LESS, RANDOM),
        judge.less_lead_shrinks,
    ),
    Claim(
        "no method dominates",
        "No method wins more than half of all combinations of task and budget.",
        "budget",
        BOTH,
        FOUR,
        judge.nobody_dominates,
        "share",
        everyone=True,
    ),
    Claim(
        "proxy works",
        "Examples selected with LESS features of a smaller proxy model beat Random.",
        "budget",
        BOTH,
        (PROXY, RANDOM),
        judge.proxy_beats_random,
    ),
)


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
        Folder of stored runs, ``<source>/*.csv``: those of ``ship``, and tables with
        the columns above; other files are not read.
    draws : int
        Bootstrap draws.
    seed : int
        Same seed, same table; a row does not depend on which other sources are there.

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
    rows = pd.concat([_sourced(published.figures()), *_stored(results), *_extra(extra)], ignore_index=True)
    by_source = {str(name): [group] for name, group in _without_repeats(rows).groupby("source")}
    by_source["paper"] = [by_source[name][0] for name in PAPER_SOURCES]
    everything = dict.fromkeys(["paper", *PAPER_SOURCES, *OWN_SOURCES, *by_source])
    if unknown := [name for name in sources or () if name not in everything]:
        raise InputError(f"Unknown source {unknown[0]!r}. Known: {', '.join(everything)}.")
    lines = [
        _judge(claim, metric, source, by_source.get(source, []), draws, seed)
        for claim in CLAIMS
        for metric in claim.metrics
        for source in sources or everything
    ]
    return pd.DataFrame(lines, columns=COLUMNS)


def _judge(
    claim: Claim, metric: str, source: str, settings: list[pd.DataFrame], draws: int, seed: int
) -> dict[str, object]:
    name = claim.name if metric == claim.metrics[0] else f"{claim.name}, {metric}"
    line: dict[str, object] = {"claim": name, "statement": claim.statement, "source": source, "metric": metric}
    line["unit"] = claim.unit or ("points" if metric == "downstream" else "% of loss")
    try:
        cube, methods, steps = _cube(claim, metric, settings)
    except NotTestableError as reason:
        return line | {"verdict": "not testable", "tasks": 0, "reason": str(reason)}
    pools = len(published.POOLS) if source == "paper" else 1
    cube = np.moveaxis(cube.reshape(pools, -1, *cube.shape[1:]), 0, 2)  # (M, T, L, K, S, 3): a model keeps its pools
    mean, sd, n = np.moveaxis(cube, -1, 0)  # each (M, T, L, K, S)
    mean = -mean if metric == "downstream" else mean  # lower is better from here on
    rng = np.random.default_rng([seed, zlib.crc32(f"{name}|{source}".encode())])
    cloud = stats.bootstrap(mean, sd, n, draws, rng)  # (R, M·T, L, K, S)
    measured, drawn = (
        claim.statistic(Cells(costs, methods, steps, metric != "downstream"))
        for costs in (mean.reshape(-1, *mean.shape[3:]), cloud.reshape(draws, -1, *cloud.shape[3:]))
    )
    lead = line["unit"] == "% of loss" and claim.statistic is not judge.less_lead_shrinks  # that is a difference
    low, high = stats.interval(drawn, units=mean.shape[:2], ceiling=stats.WHOLE if lead else None)
    if claim.unit:  # correlations and shares: no interval beyond what they can be
        low, high = np.clip([low, high], -1, 1)
    line |= {"statistic": float(measured), "low": float(low), "high": float(high), "tasks": mean.shape[1]}
    return line | judged(low, high, max(mean.shape[:2]))


def judged(low: float, high: float, tasks: int) -> dict[str, object]:
    """Verdict and reason; none is passed on fewer tasks than can be resampled, whose interval holds seeds only."""
    if tasks < stats.FEW:
        few = f"{tasks} task{'s' * (tasks > 1)} only: the interval holds the seeds, not what another task may bring"
        return {"verdict": "not testable", "reason": few}
    return {"verdict": stats.verdict(low, high), "reason": ""}


def _cube(claim: Claim, metric: str, settings: list[pd.DataFrame]) -> tuple[Floats, list[str], list[int]]:
    """Mean, sd, n of each cell, (P, T, K, S, 3), with methods and steps; only tasks complete in all settings."""
    if not settings:
        raise NotTestableError("there are no results of this source")
    step = "bin" if claim.experiment == "quantile" else "budget"
    rows = pd.concat(settings, keys=range(len(settings)), names=["setting"]).reset_index("setting")
    rows = rows[(rows["experiment"] == claim.experiment) & (rows["metric"] == metric)].dropna(subset=[step, "mean"])
    rows = rows.assign(method=rows["representation"] + "/" + rows["selector"])
    if missing := [method for method in claim.methods if method not in set(rows["method"])]:
        raise NotTestableError(f"no {metric} of the {claim.experiment} experiment for {', '.join(missing)}")
    methods = list(claim.methods)
    if claim.everyone:
        methods += [m for m in judge.METHODS if m in set(rows["method"]) and m not in methods]
    steps = sorted(int(s) for s in rows[step].unique())
    if len(steps) < 2:
        raise NotTestableError(f"there is one {step} only, at least two are needed")
    axes = {"setting": range(len(settings)), "task": sorted(rows["task"].unique()), "method": methods, step: steps}
    grid = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
    table = rows.set_index(list(axes))[["mean", "sd", "n"]].reindex(grid).astype(float)
    cube = table.to_numpy().reshape(*map(len, axes.values()), 3)  # (P, T, K, S, 3)
    cube = cube[:, ~np.isnan(cube[..., 0]).any(axis=(0, 2, 3))]
    if not cube.shape[1]:
        raise NotTestableError(f"no task has every method at every {step}")
    return cube, methods, steps


def _sourced(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the column `source` where it is missing."""
    if lacking := [c for c in published.COLUMNS if c not in rows]:
        raise InputError(
            f"Rows for the scorecard lack the columns {', '.join(lacking)}. Expected those of "
            "tis_utils.evidence.published.figures()."
        )
    if "source" in rows:
        return rows[[*published.COLUMNS, "source"]]
    paper = rows["pool"].isin(published.POOLS) & rows["model"].isin(published.MODELS)
    own = rows["pool"].where(~rows["model"].str.startswith("smollm2"), "smollm2")
    return rows[list(published.COLUMNS)].assign(source=own.where(~paper, rows["pool"] + "/" + rows["model"]))


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
            if set(published.COLUMNS) <= set(table)
        ]
    return tables


def _extra(extra: pd.DataFrame | None) -> list[pd.DataFrame]:
    return [] if extra is None or extra.empty else [_sourced(extra)]


def _without_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """Drop exact repetitions (one run may be stored for two chapters); refuse contradictions."""
    rows = rows.astype(published.DTYPES).drop_duplicates()
    keys = ["source", *published.KEYS]
    if (twice := rows[rows.duplicated(keys)]).shape[0]:
        place = ", ".join(f"{key} {value}" for key, value in twice.iloc[0][keys].items())
        raise InputError(f"Two rows with different numbers describe the same cell: {place}. Keep one of them.")
    return rows
