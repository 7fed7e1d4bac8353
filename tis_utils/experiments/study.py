"""A grid of run specs becomes tidy rows: cached run by run, resumable, in parallel.

A :class:`Study` holds what all runs of a profile share: pool, queries, held-out examples, features. Runs that came
with the repository (``data/results``) are read from there while their key fits; all others run here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count

from tis_utils.errors import InputError, RunError
from tis_utils.examples.load import Data, load_data
from tis_utils.experiments import subset
from tis_utils.experiments.run import RunTask, distinct, run_task, steps_of
from tis_utils.experiments.run_spec import BINS, NONE, ROW_COLUMNS, RunSpec
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.models.permission import insist
from tis_utils.profiles import Profile
from tis_utils.representations import LESS, RDS, REPRESENTATIONS, Embed
from tis_utils.representations.pool_features import PoolFeatures
from tis_utils.selectors import select
from tis_utils.selectors.similarity import similarity
from tis_utils.storage import stored_results
from tis_utils.storage.cache import Store
from tis_utils.storage.keys import digest, versions
from tis_utils.storage.parallel import run_all

Features = tuple[np.ndarray, dict[str, np.ndarray]]


class Study:
    """Everything the runs of one profile share.

    Parameters
    ----------
    profile : Profile
    store : Store, optional
        Where features and finished runs are kept.
    data : Data, optional
        Pool, queries and held-out examples of your own; by default what the profile names.
    live : bool
        True: nothing is taken from ``data/results``.
    compute : bool
        False: features come from the store or from ``data/results``; if they are in neither, it is an error.
    """

    def __init__(
        self,
        profile: Profile,
        store: Store | None = None,
        *,
        data: Data | None = None,
        live: bool = False,
        compute: bool = True,
    ) -> None:
        self.profile, self.compute = profile, compute
        self.live = live or (compute and stored_results.hidden())
        self.store = store or Store()
        self._data = data
        self._features: dict[str, Features] = {}
        self._similarities: dict[tuple[str, str], np.ndarray] = {}
        self._orders: dict[tuple[str, str], np.ndarray] = {}
        self._picks: dict[RunSpec, np.ndarray] = {}
        self._recipes: dict[str, Any] = {}

    @functools.cached_property
    def data(self) -> Data:
        """Pool, queries and held-out examples."""
        return self._data or load_data(self.profile)

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
        """Features of the whole pool under one representation, shard by shard."""
        queries = [query for task in self.profile.tasks for query in self.data.queries[task]]
        return PoolFeatures(name, self.representation(name), self.data.pool, queries, self.store)

    def _load_features(self, name: str) -> Features:
        job = self.pool_features(name)
        known = None if self.live else stored_results.read_features(self.profile.name, name, job.key)
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

    def picks(self, spec: RunSpec) -> np.ndarray:
        """Indices into the pool that a run trains on, best first, int64 (B,), read-only."""
        draws = subset.chooser_of(spec) is not None or spec.selector == "random"
        same = spec if draws else replace(spec, seed=0)  # the others do not look at the run's seed
        if same not in self._picks:
            chosen = subset.picks(self, same)
            chosen.flags.writeable = False
            self._picks[same] = chosen
        return self._picks[same]

    def order(self, representation: str, task: str) -> np.ndarray:
        """The whole pool in round-robin order, int64 (N,): what the distance bins are cut from."""
        if (representation, task) not in self._orders:
            self._orders[representation, task] = select("round_robin", self.similarity(representation, task), None)
        return self._orders[representation, task]

    @functools.cached_property
    def answer_tokens(self) -> np.ndarray:
        """Tokens of each candidate that carry a loss, int64 (N,)."""
        return subset.answer_tokens(self)

    def run(self, specs: Sequence[RunSpec], *, jobs: int | None = None, engine: str = "loky") -> pd.DataFrame:
        """Fine-tune and evaluate every run; finished ones are read from the store.

        Parameters
        ----------
        specs : sequence of RunSpec
        jobs : int, optional
            Worker processes; by default one per core on a CPU and one on a GPU.
        engine : {"loky", "ray", "dask"}
            joblib backend; every engine gives the same rows.

        Returns
        -------
        DataFrame
            One row per run and metric, columns ``ROW_COLUMNS``.

        Raises
        ------
        InputError
            If a budget is larger than the pool, or than a distance bin.
        """
        return labelled(self._finished(specs, jobs, engine))

    def _finished(
        self, specs: Sequence[RunSpec], jobs: int | None = None, engine: str = "loky"
    ) -> dict[RunSpec, pd.DataFrame]:
        self._check(specs)
        finished = self.stored_runs(specs)
        finished |= self.run_here([spec for spec in specs if spec not in finished], jobs, engine)
        return {spec: finished[spec] for spec in specs}

    def run_here(
        self, specs: Sequence[RunSpec], jobs: int | None = None, engine: str = "loky"
    ) -> dict[RunSpec, pd.DataFrame]:
        """Metric, value and status of every run, from the store of this machine or trained now."""
        jobs = jobs or (1 if torch.cuda.is_available() else cpu_count())
        tasks = {spec: self._task(spec) for spec in dict.fromkeys(specs)}
        todo = [task for task in distinct(tasks.values()) if not self.store.has("runs", task.key, ".csv")]
        for task in todo:
            insist(task.metric)  # before hours of training, not after them
        if todo:
            run_all(run_task, todo, jobs=jobs, engine=engine, what="fine-tuning")
        return {spec: run_task(task) for spec, task in tasks.items()}

    def _check(self, specs: Sequence[RunSpec]) -> None:
        n = len(self.data.pool)
        for spec in specs:
            room = n // {"quantile": BINS, "focus": BINS**2}.get(spec.experiment, 1)
            if spec.budget > room:
                where = f"a {spec.experiment} bin of {room}" if room < n else f"the pool of {n}"
                raise InputError(
                    f"Budget {spec.budget} is larger than {where} candidates. Lower the budget or raise pool_size."
                )

    def recipe(self, spec: RunSpec) -> dict[str, Any]:
        """Everything that decides a run's result, by what it was made from: the key of stored results.

        It names data, models, settings and step versions, not the picks themselves: on another machine rounding may
        swap two candidates of almost equal similarity. :func:`tis_utils.experiments.reproduce.recheck` says what such
        things do to the numbers.
        """
        metric, chooser = self._metric(spec.task), subset.chooser_of(spec)
        extra = {} if chooser is None else {"chooser": chooser.recipe(self, spec)}
        return extra | {
            "spec": asdict(spec),
            "features": self._feature_recipe(spec.representation),
            "queries": digest(self.data.queries[spec.task]),
            "test": digest(self.data.test[spec.task]),
            **self.run_settings,
            "metric": metric,
            "versions": versions(spec.selector, "subset", *steps_of(metric)),
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
        """What every fine-tuning run of the profile depends on besides its examples, seed and step versions."""
        profile = self.profile
        return {
            "model": self.model.fingerprint,
            "dtype": profile.dtype,
            "max_length": profile.max_length,
            "training": profile.training.model_dump(),
        }

    def _metric(self, task: str) -> str:
        return self.profile.metrics.get(task, "exact_match")

    def stored_runs(self, specs: Sequence[RunSpec]) -> dict[RunSpec, pd.DataFrame]:
        """Those runs that came with the repository and whose key still fits, with the digest of their subset."""
        known = {} if self.live else stored_results.read_runs(self.profile.name)
        keys = {spec: stored_results.run_key(self.recipe(spec)) for spec in (specs if known else ())}
        return {spec: known[key] for spec, key in keys.items() if key in known}

    def stored(self, specs: Sequence[RunSpec]) -> pd.DataFrame:
        """Rows of those runs that came with the repository and still fit, as from :meth:`run`; nothing is trained."""
        return labelled(self.stored_runs(specs))

    def keep(self, name: str, specs: Sequence[RunSpec]) -> Path:
        """Store the runs of one grid in ``data/results/<profile>/<name>.csv``."""
        rows = {
            spec: frame.assign(subset=self.subset(spec), key=stored_results.run_key(self.recipe(spec)))
            for spec, frame in self._finished(specs).items()
        }
        table = labelled(rows, [*ROW_COLUMNS, "subset", "key"])
        return stored_results.write_runs(self.profile.name, name, table, self._seconds(specs))

    def _seconds(self, specs: Sequence[RunSpec]) -> float:
        """Wall time of the runs behind these specs, added up; runs that several specs share count once."""
        tasks = distinct(self._task(spec) for spec in specs)
        return sum(float(self.store.manifest("runs", task.key, ".csv")["seconds"]) for task in tasks)

    def subset(self, spec: RunSpec) -> str:
        """Digest of which examples a run trains on, in order."""
        return digest([self.data.pool[i].id for i in self.picks(spec)])[:12]

    def _task(self, spec: RunSpec) -> RunTask:
        return RunTask(
            seed=spec.seed if spec.budget else 0,
            subset=[self.data.pool[i] for i in self.picks(spec)],
            queries=self.data.queries[spec.task],
            test=self.data.test[spec.task],
            model=self.profile.model,
            model_fingerprint=self.model.fingerprint,
            dtype=self.profile.dtype,
            max_length=self.profile.max_length,
            training=self.profile.training,
            metric=self._metric(spec.task),
            root=self.store.root,
        )


def labelled(finished: Mapping[RunSpec, pd.DataFrame], columns: list[str] = ROW_COLUMNS) -> pd.DataFrame:
    """One tidy table of all runs: what a run is, then metric, value and status."""
    if not finished:
        return pd.DataFrame(columns=columns)
    rows = [frame.assign(**asdict(spec)) for spec, frame in finished.items()]
    return pd.concat(rows, ignore_index=True)[columns]
