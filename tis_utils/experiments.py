"""A grid of cells becomes tidy rows: cached cell by cell, resumable, in parallel.

A *cell* is one fine-tuning run: which task, which representation and selector chose the subset, how many
examples, which seed. A :class:`Study` holds what all cells of a profile share: pool, queries, held-out
examples, features.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from tis_utils.errors import InputError
from tis_utils.evaluation import exact_match, mean_loss
from tis_utils.examples import Example, Query
from tis_utils.geometry import similarity
from tis_utils.models import LanguageModel, load_model
from tis_utils.profiles import Profile, Training
from tis_utils.representations import LESS, RDS, Embed
from tis_utils.selectors import select
from tis_utils.sources.assemble import Data, load_data
from tis_utils.store import Store, code_version, digest
from tis_utils.training import fine_tune

log = logging.getLogger(__name__)

NONE = "none"  # representation of Random, representation and selector of the zero-shot model
ROW_COLUMNS = ["task", "representation", "selector", "budget", "seed", "metric", "value", "status"]
_FEATURE_CODE = {  # modules whose text decides a feature's value
    "embed": ("examples", "representations.embed"),
    "rds": ("examples", "models", "representations.batching", "representations.rds"),
    "less": (
        "examples",
        "models",
        *(f"representations.{m}" for m in ("batching", "gradients", "sketch", "warmup", "less")),
    ),
}
_CELL_CODE = ("examples", "training", "evaluation")

Features = tuple[np.ndarray, dict[str, np.ndarray]]


@dataclass(frozen=True, order=True)
class Cell:
    """One fine-tuning run; ``budget=0`` with ``selector="none"`` is the untuned model."""

    task: str
    representation: str
    selector: str
    budget: int
    seed: int


def grid(
    tasks: Iterable[str],
    methods: Iterable[tuple[str, str]],
    budgets: Iterable[int],
    seeds: Iterable[int],
    *,
    baselines: bool = True,
) -> list[Cell]:
    """All cells of ``methods`` = (representation, selector) pairs; Random and zero-shot join unless told not to."""
    tasks, budgets, seeds = list(tasks), list(budgets), list(seeds)
    pairs = [*methods, (NONE, "random")] if baselines else list(methods)
    cells = [Cell(t, r, s, b, seed) for t, (r, s), b, seed in product(tasks, pairs, budgets, seeds)]
    zero_shot = [Cell(task, NONE, NONE, 0, 0) for task in tasks] if baselines else []
    return zero_shot + cells


class Study:
    """Everything the cells of one profile share.

    Parameters
    ----------
    profile : Profile
    store : Store, optional
        Where features and finished cells are kept.
    """

    def __init__(self, profile: Profile, store: Store | None = None) -> None:
        self.profile = profile
        self.store = store or Store()
        self._features: dict[str, Features] = {}
        self._similarities: dict[tuple[str, str], np.ndarray] = {}

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
            return Embed(profile.embedder)
        if name == "rds":
            return RDS(self.model, max_length=profile.max_length)
        if name == "less":
            return LESS(self.model, max_length=profile.max_length, **less.model_dump())
        raise InputError(f"Unknown representation {name!r}; known: embed, rds, less.")

    def features(self, name: str) -> Features:
        """Candidate features (N, D) and, per task, query features (M, D): float32 unit rows, cached."""
        if name not in self._features:
            self._features[name] = self._load_features(name)
        return self._features[name]

    def _load_features(self, name: str) -> Features:
        tasks = self.profile.tasks
        counts = [len(self.data.queries[task]) for task in tasks]
        representation = self.representation(name)
        queries = [query for task in tasks for query in self.data.queries[task]]
        key = {
            **representation.settings,
            "pool": digest(self.data.pool),
            "queries": digest(queries),
            "code": code_version(*_FEATURE_CODE[name]),
        }

        def compute() -> np.ndarray:
            return np.concatenate(
                [representation.candidates(self.data.pool), representation.queries(queries)]
            )

        stacked = self.store.array(f"features/{name}", key, compute)  # (N + all queries, D)
        n = len(self.data.pool)
        parts = np.split(stacked[n:], np.cumsum(counts)[:-1])
        return stacked[:n], dict(zip(tasks, parts, strict=True))

    def similarity(self, representation: str, task: str) -> np.ndarray:
        """Similarity matrix of one task, float32 (M, N), read-only: all budgets and seeds share it."""
        if (representation, task) not in self._similarities:
            candidates, queries = self.features(representation)
            matrix = similarity(queries[task], candidates)
            matrix.flags.writeable = False
            self._similarities[representation, task] = matrix
        return self._similarities[representation, task]

    def picks(self, cell: Cell) -> np.ndarray:
        """Indices into the pool that a cell trains on, best first, int64 (B,)."""
        if cell.selector == NONE:
            return np.empty(0, dtype=np.int64)
        if cell.representation == NONE:
            blank = np.zeros((1, len(self.data.pool)), dtype=np.float32)  # Random looks at nothing
            return select(cell.selector, blank, cell.budget, seed=cell.seed)
        candidates, _ = self.features(cell.representation)
        return select(
            cell.selector, self.similarity(cell.representation, cell.task), cell.budget, candidates=candidates
        )

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
            One row per cell and metric: task, representation, selector, budget, seed, metric, value, status.

        Raises
        ------
        InputError
            If a budget is larger than the pool.
        """
        too_large = sorted({c.budget for c in cells if c.budget > len(self.data.pool)})
        if too_large:
            raise InputError(
                f"Budget {too_large[0]} is larger than the pool of {len(self.data.pool)} candidates. "
                "Lower the budget or raise pool_size."
            )
        jobs = jobs or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
        tasks = [self._task(cell) for cell in cells]
        todo = [task for task in tasks if not self.store.has("cells", task.key, ".csv")]
        if todo:
            results = Parallel(n_jobs=min(jobs, len(todo)), backend=engine, return_as="generator_unordered")(
                delayed(run_cell)(task) for task in todo
            )
            for _ in tqdm(results, total=len(todo), desc="fine-tuning", unit="run"):
                pass
        return pd.concat([run_cell(task) for task in tasks], ignore_index=True)[ROW_COLUMNS]

    def _task(self, cell: Cell) -> CellTask:
        return CellTask(
            cell=cell,
            subset=[self.data.pool[i] for i in self.picks(cell)],
            queries=self.data.queries[cell.task],
            test=self.data.test[cell.task],
            model=self.profile.model,
            model_fingerprint=self.model.fingerprint,
            dtype=self.profile.dtype,
            max_length=self.profile.max_length,
            training=self.profile.training,
            root=self.store.root,
        )


@dataclass(frozen=True)
class CellTask:
    """A cell with all it needs, so that any worker process can run it alone."""

    cell: Cell
    subset: list[Example]
    queries: list[Query]
    test: list[Query]
    model: str
    model_fingerprint: str
    dtype: str
    max_length: int
    training: Training
    root: Path

    @functools.cached_property
    def key(self) -> dict[str, object]:
        """What the rows depend on: contents, weights, settings and code, not where the files lie."""
        return {
            "cell": asdict(self.cell),
            "subset": digest(self.subset),
            "queries": digest(self.queries),
            "test": digest(self.test),
            "model": self.model_fingerprint,
            "dtype": self.dtype,
            "max_length": self.max_length,
            "training": self.training.model_dump(),
            "code": code_version(*_CELL_CODE),
        }


def run_cell(task: CellTask) -> pd.DataFrame:
    """Rows of one cell, from the store when they are there."""
    return Store(task.root).table("cells", task.key, lambda: _train_and_evaluate(task))


def _train_and_evaluate(task: CellTask) -> pd.DataFrame:
    torch.set_num_threads(1)  # the same sums in the same order, however many workers share the machine
    tuned = _model(task.model, task.dtype)
    if task.subset:
        tuned = fine_tune(tuned, task.subset, task.training, seed=task.cell.seed, max_length=task.max_length)
    values = {
        "query_loss": mean_loss(tuned, task.queries, max_length=task.max_length),
        "test_loss": mean_loss(tuned, task.test, max_length=task.max_length) if task.test else np.nan,
        "exact_match": exact_match(tuned, task.test) if task.test else np.nan,
    }
    rows = [
        {**asdict(task.cell), "metric": k, "value": v, "status": _status(k, v, task)}
        for k, v in values.items()
    ]
    return pd.DataFrame(rows, columns=ROW_COLUMNS)


def _status(metric: str, value: float, task: CellTask) -> str:
    if np.isfinite(value):
        return "ok"
    return "no held-out examples" if metric != "query_loss" and not task.test else "diverged"


@functools.lru_cache(maxsize=2)
def _model(name: str, dtype: str) -> LanguageModel:
    return load_model(name, dtype=dtype)
