"""A grid of cells becomes tidy rows: cached cell by cell, resumable, in parallel.

A :class:`Study` holds what all cells of a profile share: pool, queries, held-out examples, features. Cells that came
with the repository (``data/results``) are read from there while their key fits; all others run here.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count

from tis_utils import picks, runs, shipped
from tis_utils.cells import (
    BINS,
    CELL_COLUMNS,
    NONE,
    ROW_COLUMNS,
    Cell,
    grid,
    quantile_grid,
    zero_shot,
)
from tis_utils.choosers import chooser_of
from tis_utils.engines import run_all
from tis_utils.errors import InputError, RunError
from tis_utils.features import PoolFeatures
from tis_utils.geometry import similarity
from tis_utils.models import LanguageModel, load_model
from tis_utils.permission import insist
from tis_utils.profiles import Profile
from tis_utils.representations import LESS, RDS, REPRESENTATIONS, Embed
from tis_utils.runs import CellTask, distinct, run_cell
from tis_utils.selectors import select
from tis_utils.sources.assemble import Data, load_data
from tis_utils.store import Store, code_version, digest

log = logging.getLogger(__name__)

__all__ = ["BINS", "NONE", "ROW_COLUMNS", "Cell", "Study", "grid", "quantile_grid", "zero_shot"]

Features = tuple[np.ndarray, dict[str, np.ndarray]]


class Study:
    """Everything the cells of one profile share.

    Parameters
    ----------
    profile : Profile
    store : Store, optional
        Where features and finished cells are kept.
    live : bool
        True: nothing is taken from ``data/results``.
    compute : bool
        False: features come from the store or from ``data/results``; if they are in neither, it is an error.
    """

    def __init__(
        self, profile: Profile, store: Store | None = None, *, live: bool = False, compute: bool = True
    ) -> None:
        self.profile, self.compute = profile, compute
        self.live = live or (compute and shipped.hidden())
        self.store = store or Store()
        self._features: dict[str, Features] = {}
        self._similarities: dict[tuple[str, str], np.ndarray] = {}
        self._orders: dict[tuple[str, str], np.ndarray] = {}
        self._picks: dict[Cell, np.ndarray] = {}
        self._recipes: dict[str, Any] = {}

    @functools.cached_property
    def data(self) -> Data:
        """Pool, queries and held-out examples."""
        return load_data(self.profile)

    @functools.cached_property
    def model(self) -> LanguageModel:
        """The untuned base model."""
        return load_model(self.profile.model, dtype=self.profile.dtype)

    def representation(self, name: str) -> Embed | RDS | LESS:
        """Build a representation with this profile's settings."""
        profile, less = self.profile, self.profile.less
        if name == "embed":
            size = 64 if torch.cuda.is_available() else 16  # of a batch; only speed depends on it
            return Embed(profile.embedder, batch_size=size, show_progress=False)  # shards have a bar
        if name == "rds":
            return RDS(self.model, max_length=profile.max_length)
        if name == "less":
            return LESS(self.model, max_length=profile.max_length, **less.model_dump())
        if name == "less_proxy":
            return LESS(self._proxy, max_length=profile.max_length, **less.model_dump())
        raise InputError(f"Unknown representation {name!r}; known: embed, rds, less, less_proxy.")

    @functools.cached_property
    def _proxy(self) -> LanguageModel:
        if self.profile.proxy is None:
            raise InputError(
                f"Profile {self.profile.name!r} names no proxy model, so there are no less_proxy features. Set proxy "
                "to the name or folder of a smaller model."
            )
        return load_model(self.profile.proxy, dtype=self.profile.dtype)

    def features(self, name: str) -> Features:
        """Candidate features (N, D) and, per task, query features (M, D): float32 unit rows, cached."""
        if name not in self._features:
            self._features[name] = self._load_features(name)
        return self._features[name]

    def add_features(self, name: str, candidates: np.ndarray, queries: Mapping[str, np.ndarray]) -> None:
        """Compare a representation of your own: its features, under a name that is still free.

        Parameters
        ----------
        name : str
        candidates : ndarray, shape (N, D)
            Unit rows, in the order of the pool.
        queries : mapping of task to ndarray, shape (M, D)
            Unit rows for every task of the profile.

        Raises
        ------
        InputError
            If the name is taken, a task is missing, or the rows do not fit the pool or are not of length one.
        """
        if name in (*REPRESENTATIONS, "less_proxy", NONE):
            raise InputError(f"The name {name!r} is taken; give your features another one.")
        if missing := [task for task in self.profile.tasks if task not in queries]:
            raise InputError(f"The features {name!r} have no query rows for the task {missing[0]!r}.")
        if len(candidates) != len(self.data.pool):
            raise InputError(
                f"The features {name!r} have {len(candidates)} candidate rows, the pool has {len(self.data.pool)}."
            )
        for task in self.profile.tasks:
            self._similarities[name, task] = similarity(queries[task], candidates)
        self._orders = {key: order for key, order in self._orders.items() if key[0] != name}
        self._picks = {cell: found for cell, found in self._picks.items() if cell.representation != name}
        self._features[name] = np.asarray(candidates, np.float32), dict(queries)
        self._recipes[name] = digest(candidates, dict(queries))

    def pool_features(self, name: str) -> PoolFeatures:
        """The shards of one representation's features; see :class:`tis_utils.features.PoolFeatures`."""
        queries = [query for task in self.profile.tasks for query in self.data.queries[task]]
        return PoolFeatures(name, self.representation(name), self.data.pool, queries, self.store)

    def _load_features(self, name: str) -> Features:
        job = self.pool_features(name)
        known = None if self.live else shipped.read_features(self.profile.name, name, job.key)
        if known is None:
            self._may_compute(name, job)
        stacked = job.matrix() if known is None else known  # (N + all queries, D)
        n, tasks = len(self.data.pool), self.profile.tasks
        counts = [len(self.data.queries[task]) for task in tasks]
        parts = np.split(stacked[n:], np.cumsum(counts)[:-1])
        return stacked[:n], dict(zip(tasks, parts, strict=True))

    def _may_compute(self, name: str, job: PoolFeatures) -> None:
        if not self.compute and job.missing():
            raise RunError(
                f"The {name} features of profile {self.profile.name!r} are not stored, or were stored for other data "
                f"or code. `tis represent -R {name} --profile {self.profile.name}` computes them."
            )

    def similarity(self, representation: str, task: str) -> np.ndarray:
        """Similarity matrix of one task, float32 (M, N), read-only: all budgets and seeds share it."""
        if (representation, task) not in self._similarities:
            candidates, queries = self.features(representation)
            matrix = similarity(queries[task], candidates)
            matrix.flags.writeable = False
            self._similarities[representation, task] = matrix
        return self._similarities[representation, task]

    def picks(self, cell: Cell) -> np.ndarray:
        """Indices into the pool that a cell trains on, best first, int64 (B,), read-only."""
        chooser = chooser_of(cell)
        draws = chooser is not None or cell.selector == "random"
        same = cell if draws else replace(cell, seed=0)  # the others do not look at the cell's seed
        if same not in self._picks:
            chosen = picks.picks(self, same) if chooser is None else chooser.picks(self, same)
            chosen.flags.writeable = False
            self._picks[same] = chosen
        return self._picks[same]

    def order(self, representation: str, task: str) -> np.ndarray:
        """The whole pool in round-robin order, int64 (N,): what the distance bins are cut from."""
        if (representation, task) not in self._orders:
            self._orders[representation, task] = select(
                "round_robin", self.similarity(representation, task), None
            )
        return self._orders[representation, task]

    @functools.cached_property
    def answer_tokens(self) -> np.ndarray:
        """Tokens of each candidate that carry a loss, int64 (N,)."""
        return picks.answer_tokens(self)

    def run(self, cells: Sequence[Cell], *, jobs: int | None = None, engine: str = "loky") -> pd.DataFrame:
        """Fine-tune and evaluate every cell; finished cells are read from the store.

        Parameters
        ----------
        cells : sequence of Cell
        jobs : int, optional
            Worker processes; by default one per core on a CPU and one on a GPU.
        engine : {"loky", "ray", "dask"}
            joblib backend; every engine gives the same rows.

        Returns
        -------
        DataFrame
            One row per cell and metric, columns ``ROW_COLUMNS``.

        Raises
        ------
        InputError
            If a budget is larger than the pool, or than a distance bin.
        """
        self._check(cells)
        finished = self._stored(cells)
        finished |= self._run_here([cell for cell in cells if cell not in finished], jobs, engine)
        return labelled({cell: finished[cell] for cell in cells})

    def _run_here(self, cells: Sequence[Cell], jobs: int | None, engine: str) -> dict[Cell, pd.DataFrame]:
        jobs = jobs or (1 if torch.cuda.is_available() else cpu_count())
        tasks = {cell: self._task(cell) for cell in dict.fromkeys(cells)}
        todo = [task for task in distinct(tasks.values()) if not self.store.has("cells", task.key, ".csv")]
        for task in todo:
            insist(task.metric)  # before hours of training, not after them
        if todo:
            run_all(run_cell, todo, jobs=jobs, engine=engine, what="fine-tuning")
        return {cell: run_cell(task) for cell, task in tasks.items()}

    def _check(self, cells: Sequence[Cell]) -> None:
        n = len(self.data.pool)
        for cell in cells:
            room = n // {"quantile": BINS, "focus": BINS**2}.get(cell.experiment, 1)
            if cell.budget > room:
                where = (
                    f"a {cell.experiment} bin of {room} candidates"
                    if room < n
                    else f"the pool of {n} candidates"
                )
                raise InputError(
                    f"Budget {cell.budget} is larger than {where}. Lower the budget or raise pool_size."
                )

    def recipe(self, cell: Cell) -> dict[str, Any]:
        """Everything that decides a cell's result, by what it was made from: the key of stored results.

        It names data, models, settings and code, not the picks themselves: on another machine rounding may swap
        two candidates of almost equal similarity. :meth:`recheck` says what such things do to the numbers.
        """
        queries, test = self.data.queries[cell.task], self.data.test[cell.task]
        chooser = chooser_of(cell)
        extra = {} if chooser is None else {"chooser": chooser.recipe(self, cell)}
        return extra | {
            "cell": asdict(cell),
            "features": self._feature_recipe(cell.representation),
            "queries": digest(queries),
            "test": digest(test),
            **self.run_settings,
            "metric": self._metric(cell.task),
            "code": code_version(*picks.CODE, *runs.CODE),
        }

    def _feature_recipe(self, name: str) -> Any:
        if name == NONE:
            return self._pool_digest
        if name not in self._recipes:
            self._recipes[name] = self.pool_features(name).key
        return self._recipes[name]

    @functools.cached_property
    def _pool_digest(self) -> str:
        return digest(self.data.pool)

    @functools.cached_property
    def run_settings(self) -> dict[str, Any]:
        """What every fine-tuning run of the profile depends on besides its examples, seed and code."""
        profile = self.profile
        return {
            "model": self.model.fingerprint,
            "dtype": profile.dtype,
            "max_length": profile.max_length,
            "training": profile.training.model_dump(),
        }

    def _metric(self, task: str) -> str:
        return self.profile.metrics.get(task, "exact_match")

    def _stored(self, cells: Sequence[Cell]) -> dict[Cell, pd.DataFrame]:
        """Finished cells that came with the repository and whose key still fits."""
        known = {} if self.live else shipped.read_cells(self.profile.name)
        found = {cell: known.get(shipped.cell_key(self.recipe(cell))) for cell in (cells if known else ())}
        return {cell: frame for cell, frame in found.items() if frame is not None}

    def stored(self, cells: Sequence[Cell]) -> pd.DataFrame:
        """Rows of those cells that came with the repository and still fit; nothing is trained.

        Returns
        -------
        DataFrame
            As from :meth:`run`; empty where nothing is stored.
        """
        return labelled(self._stored(cells))

    def ship(self, name: str, cells: Sequence[Cell]) -> Path:
        """Store the cells of one grid in ``data/results/<profile>/<name>.csv``, see :mod:`tis_utils.shipped`."""
        keys = {cell: shipped.cell_key(self.recipe(cell)) for cell in cells}
        subsets = {cell: self.subset(cell) for cell in cells}
        rows, seconds = self.run(cells), self._seconds(cells)
        return shipped.write_cells(self.profile.name, name, rows, keys, subsets, seconds)

    def _seconds(self, cells: Sequence[Cell]) -> float:
        """Wall time of the runs behind these cells, added up; runs that several cells share count once."""
        tasks = distinct(self._task(cell) for cell in cells)
        return sum(float(self.store.manifest("cells", task.key, ".csv")["seconds"]) for task in tasks)

    def subset(self, cell: Cell) -> str:
        """Digest of which examples a cell trains on, in order."""
        return digest([self.data.pool[i].id for i in self.picks(cell)])[:12]

    def recheck(self, cells: Sequence[Cell], *, share: float = 0.05, seed: int = 0) -> pd.DataFrame:
        """Run a random sample of cells here and compare with the stored numbers.

        Parameters
        ----------
        cells : sequence of Cell
        share : float
            At least this share of the cells, and at least one, is drawn with `seed`.

        Returns
        -------
        DataFrame
            One row per drawn cell and metric: the cell's columns, metric, ``stored``, ``live``, ``difference``, and
            whether both trained on the ``same_subset``; empty when nothing was stored.
        """
        stored = self._stored(cells)
        candidates = sorted(stored)
        count = min(len(candidates), max(1, math.ceil(share * len(cells)))) if candidates else 0
        drawn = [
            candidates[i] for i in np.random.default_rng(seed).choice(len(candidates), count, replace=False)
        ]
        live = self._run_here(drawn, None, "loky")
        left = labelled({cell: stored[cell] for cell in drawn}).rename(columns={"value": "stored"})
        right = labelled(live).rename(columns={"value": "live"})
        same = [asdict(c) | {"same_subset": stored[c]["subset"].iloc[0] == self.subset(c)} for c in drawn]
        both = left.merge(right, on=[*CELL_COLUMNS, "metric"], suffixes=("", "_live"))
        both = both.merge(pd.DataFrame(same, columns=[*CELL_COLUMNS, "same_subset"]), on=CELL_COLUMNS)
        return both.assign(difference=both["live"] - both["stored"])

    def _task(self, cell: Cell) -> CellTask:
        return CellTask(
            seed=cell.seed if cell.budget else 0,
            subset=[self.data.pool[i] for i in self.picks(cell)],
            queries=self.data.queries[cell.task],
            test=self.data.test[cell.task],
            model=self.profile.model,
            model_fingerprint=self.model.fingerprint,
            dtype=self.profile.dtype,
            max_length=self.profile.max_length,
            training=self.profile.training,
            metric=self._metric(cell.task),
            root=self.store.root,
        )


def labelled(finished: Mapping[Cell, pd.DataFrame]) -> pd.DataFrame:
    """One tidy table of all cells: what a cell is, then metric, value and status."""
    if not finished:
        return pd.DataFrame(columns=ROW_COLUMNS)
    rows = [frame.assign(**asdict(cell)) for cell, frame in finished.items()]
    return pd.concat(rows, ignore_index=True)[ROW_COLUMNS]
