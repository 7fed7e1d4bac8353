"""A grid of run specs becomes tidy rows: cached run by run, resumable, in parallel.

Runs that came with the repository (``data/results``) are read from there while their key fits; all others run here.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count

from tis_utils.errors import InputError
from tis_utils.experiments import subset
from tis_utils.experiments.run import RunTask, distinct, run_task, steps_of
from tis_utils.experiments.run_spec import BINS, ROW_COLUMNS, RunSpec
from tis_utils.experiments.similarities import Similarities
from tis_utils.models.permission import insist
from tis_utils.storage import stored_results
from tis_utils.storage.keys import digest, versions
from tis_utils.storage.parallel import run_all


class Study(Similarities):
    """Everything the runs of one profile share, and the runs; parameters as for :class:`Similarities`."""

    def add_features(self, name: str, candidates: np.ndarray, queries: Mapping[str, np.ndarray]) -> None:
        """Compare a representation of your own, see :meth:`Similarities.add_features`."""
        super().add_features(name, candidates, queries)
        self._picks = {spec: picks for spec, picks in self._picks.items() if spec.representation != name}

    @functools.cached_property
    def _picks(self) -> dict[RunSpec, np.ndarray]:
        return {}

    def picks(self, spec: RunSpec) -> np.ndarray:
        """Indices into the pool that a run trains on, best first, int64 (B,), read-only."""
        draws = subset.chooser_of(spec) is not None or spec.selector == "random"
        same = spec if draws else replace(spec, seed=0)  # the others do not look at the run's seed
        if same not in self._picks:
            chosen = subset.picks(self, same)
            chosen.flags.writeable = False
            self._picks[same] = chosen
        return self._picks[same]

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
        return labelled(self.finished(specs, jobs, engine))

    def finished(
        self, specs: Sequence[RunSpec], jobs: int | None = None, engine: str = "loky"
    ) -> dict[RunSpec, pd.DataFrame]:
        """Metric, value and status of every run, see :meth:`run`."""
        self._check(specs)
        finished = self.stored_runs(specs)
        finished |= self.run_here([spec for spec in specs if spec not in finished], jobs, engine)
        return {spec: finished[spec] for spec in specs}

    def run_here(
        self, specs: Sequence[RunSpec], jobs: int | None = None, engine: str = "loky"
    ) -> dict[RunSpec, pd.DataFrame]:
        """Metric, value and status of every run, from the store of this machine or trained now."""
        jobs = jobs or (1 if torch.cuda.is_available() else cpu_count())
        tasks = {spec: self.task_of(spec) for spec in dict.fromkeys(specs)}
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

        It does not name the picks: on another machine rounding may swap two candidates of almost equal similarity.
        """
        metric, chooser = self.profile.metric_of(spec.task), subset.chooser_of(spec)
        extra = {} if chooser is None else {"chooser": chooser.recipe(self, spec)}
        selector = spec.selector.partition("@")[0] if chooser is None else spec.selector
        return extra | {
            "spec": asdict(spec),
            "features": self.feature_recipe(spec.representation),
            **self._task_digests[spec.task],
            **self.run_settings,
            "metric": metric,
            "versions": versions(selector, "subset", *steps_of(metric)),
        }

    @functools.cached_property
    def _task_digests(self) -> dict[str, dict[str, str]]:
        """Of the queries and held-out examples of every task: hundreds of runs share them."""
        queries, test = self.data.queries, self.data.test
        return {
            task: {"queries": digest(queries[task]), "test": digest(test[task])}
            for task in queries.keys() & test.keys()
        }

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

    def stored_runs(self, specs: Sequence[RunSpec]) -> dict[RunSpec, pd.DataFrame]:
        """Those runs that came with the repository and whose key still fits, with the digest of their subset."""
        known = {} if self.live else stored_results.read_runs(self.profile.name)
        keys = {spec: stored_results.run_key(self.recipe(spec)) for spec in (specs if known else ())}
        return {spec: known[key] for spec, key in keys.items() if key in known}

    def stored(self, specs: Sequence[RunSpec]) -> pd.DataFrame:
        """Rows of those runs that came with the repository and still fit, as from :meth:`run`; nothing is trained."""
        return labelled(self.stored_runs(specs))

    def table(self, name: str, key: Callable[[Self], Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
        """A table that came with the repository, if its key still fits; else, or if all is to run here, no rows."""
        if self.live or not stored_results.table_file(self.profile.name, name).exists():
            return pd.DataFrame(columns=list(columns))
        return stored_results.read_keyed(self.profile.name, name, key(self), columns)

    def subset(self, spec: RunSpec) -> str:
        """Digest of which examples a run trains on, in order."""
        return digest([self.data.pool[i].id for i in self.picks(spec)])[:12]

    def task_of(self, spec: RunSpec) -> RunTask:
        """The fine-tuning run of a spec, with all that a worker process needs."""
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
            metric=self.profile.metric_of(spec.task),
            root=self.store.root,
        )


def labelled(finished: Mapping[RunSpec, pd.DataFrame], columns: list[str] = ROW_COLUMNS) -> pd.DataFrame:
    """One tidy table of all runs: what a run is, then metric, value and status."""
    if not finished:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(finished.values(), ignore_index=True)
    specs = pd.DataFrame([vars(spec) for spec in finished])
    named = specs.loc[specs.index.repeat([len(frame) for frame in finished.values()])].reset_index(drop=True)
    return pd.concat([named, rows], axis="columns")[columns]
