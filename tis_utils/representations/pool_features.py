"""Features of a whole pool: shard by shard, resumable after a kill, on as many machines as there are.

Shards are artefacts of the store, joined with the queries' features below them once all are there; LESS's warm-up is
made once and shared by all.
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from tis_utils.errors import InputError, RunError, check_choice
from tis_utils.examples.text import Example, Query
from tis_utils.representations import LESS, RDS, REPRESENTATIONS, Embed, Lexical
from tis_utils.storage.cache import Store
from tis_utils.storage.keys import digest, versions
from tis_utils.storage.manifests import checksum_of, describe, read_manifest, trusted
from tis_utils.storage.stored_results import write_features

log = logging.getLogger(__name__)

SHARD = 128  # candidates; a killed run loses at most one shard
# A sentence embedder takes seconds for eight times as many, and wastes less on padding when it can sort more of them.
TIMES = {"embed": 8, "lexical": 8}


def kind_of(name: str) -> str:
    """Representation behind a name: ``less_proxy`` is LESS with another model."""
    kind = name.removesuffix("_proxy")
    check_choice("representation", kind, REPRESENTATIONS)
    return kind


@dataclass
class PoolFeatures:
    """Features of one pool and its queries under one representation."""

    name: str  # "embed", "rds", "less", "less_proxy" or "lexical"
    representation: Embed | RDS | LESS | Lexical
    pool: Sequence[Example]
    queries: Sequence[Query]  # those of all tasks, one after the other
    store: Store
    warmup_set: Sequence[Example] | None = None  # what LESS warms up on; None: a random share of the pool
    pool_digest: str = ""  # where it is known already

    def __post_init__(self) -> None:
        self.pool_key = {
            **self.representation.settings,
            "pool": self.pool_digest or digest(self.pool),
            "versions": versions(kind_of(self.name)),
            **({"warmup_set": digest(self.warmup_set)} if self.warmup_set else {}),
        }
        self.key = {**self.pool_key, "queries": digest(self.queries)}
        self._spent = 0.0

    @property
    def step(self) -> str:
        """Its name in the store."""
        return f"features/{self.name}"

    @property
    def size(self) -> int:
        """Candidates of a shard."""
        return SHARD * TIMES.get(self.name, 1)

    @property
    def shards(self) -> int:
        """Number of shards of the pool."""
        return -(-len(self.pool) // self.size)

    def missing(self) -> list[int]:
        """Shards that are not in the store yet (none once the whole matrix is there)."""
        if self.store.has(self.step, self.key, ".npy"):
            return []
        return [i for i in range(self.shards) if not self.store.has(self._shards, self._shard_key(i), ".npy")]

    def compute(self, which: Sequence[int] | None = None) -> None:
        """Compute the given shards (default: all) that are missing."""
        absent = [i for i in which or () if not 0 <= i < self.shards]
        if absent:
            raise InputError(f"There is no shard {absent[0]}: the pool has {self.shards} (0 … {self.shards - 1}).")
        todo = [i for i in self.missing() if which is None or i in set(which)]
        if todo:
            self._prepare()
        for i in tqdm(todo, desc=f"{self.name}: shards", unit="shard", disable=len(todo) < 2, delay=2):
            self._shard(i)

    def matrix(self) -> np.ndarray:
        """Candidates' rows, then the queries': float32 (N + M, D), read-only by memory map."""
        self.compute()
        rows = len(self.pool) + len(self.queries)
        stacked = self.store.mapped(
            self.step, self.key, rows, self._blocks, lambda: {"compute_seconds": round(self._spent, 3)}
        )
        for i in range(self.shards):
            self.store.drop(self._shards, self._shard_key(i), ".npy")
        return stacked

    def seconds(self) -> float:
        """Wall time of the computation, warm-up, shards and queries, as the store recorded it."""
        return float(self.store.manifest(self.step, self.key, ".npy")["compute_seconds"])

    @property
    def _shards(self) -> str:
        return f"{self.step}/shards"

    def _shard_key(self, index: int) -> dict[str, Any]:
        return {**self.pool_key, "shard": index, "size": self.size}

    def _shard(self, index: int) -> np.ndarray:
        part = self.pool[index * self.size : (index + 1) * self.size]
        return self.store.array(self._shards, self._shard_key(index), lambda: self.representation.candidates(part))

    def _blocks(self) -> Iterator[np.ndarray]:
        """All rows in order; counts the time that was spent on them, whenever that was."""
        self._spent = self._prepare()
        for i in range(self.shards):
            yield self._shard(i)
            # another run that has joined its shards may just have dropped them
            with contextlib.suppress(RunError):
                self._spent += self.store.manifest(self._shards, self._shard_key(i), ".npy")["seconds"]
        start = time.perf_counter()
        yield self.representation.queries(self.queries)
        self._spent += time.perf_counter() - start

    def _fit(self, lexical: Lexical) -> float:
        """Count the words of the pool unless that was done; seconds it took now."""
        start = time.perf_counter()
        if not lexical.fitted:
            lexical.fit(self.pool)
        return time.perf_counter() - start

    def _prepare(self) -> float:
        """Warm up LESS, or read the warm-up that another shard has made; seconds it took back then."""
        less = self.representation
        if isinstance(less, Lexical):
            return self._fit(less)
        if not isinstance(less, LESS) or not self.pool:
            return 0.0
        key = digest(self.pool_key)
        folder = self.store.root / "warmups" / key[:24]
        if not less.history and not _loaded(less, folder, key):
            start = time.perf_counter()
            with _one_thread():
                less.warm_up(self.warmup_set or less.warmup_choice(self.pool))
            seconds = round(time.perf_counter() - start, 1)
            less.save(folder)
            # another run may be replacing it; that one will write the manifest
            with contextlib.suppress(FileNotFoundError):
                describe(folder, checksum_of(folder), {"key": key, "seconds": seconds})
        return float(read_manifest(folder).get("seconds", 0.0))


def represent(job: PoolFeatures, share: tuple[int, int] | None = None, ship_to: str = "") -> str:
    """Compute one share of the shards, or the whole matrix (stored as `ship_to`'s result); say what is there."""
    if share:
        part, parts = share
        job.compute(range(part, job.shards, parts))
        return f"{job.name}: part {part} of {parts} is done, {len(job.missing())} of {job.shards} shards are missing."
    rows = job.matrix()
    text = f"{job.name}: {rows.shape[0]} rows of {rows.shape[1]} numbers, {job.seconds():.0f} s of work."
    if ship_to:
        path = write_features(ship_to, job.name, job.key, rows, job.seconds())
        text += f" Stored in {path} ({path.stat().st_size / 1e6:.1f} MB)."
    return text


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, whatever the number of cores: training makes a difference in the last digit grow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _loaded(less: LESS, folder: Path, key: str) -> bool:
    """Whether a sound warm-up was there; a damaged or foreign one is reported and made again."""
    if folder.exists() and not folder.with_suffix(".json").exists():
        log.warning("LESS warms up again: the manifest beside %s is missing.", folder)
    if not trusted(folder, key, what="LESS warms up again:"):
        return False
    try:
        less.load(folder)
    except (InputError, OSError) as error:
        log.warning("LESS warms up again: %s", error)
        return False
    return True
