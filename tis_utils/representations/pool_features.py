"""Features of a whole pool: shard by shard, resumable after a kill, on as many machines as there are.

A shard holds the features of some consecutive candidates and is an artefact of its own in the store. When all
are there they are joined, with the queries' features below them, into one file that is read by memory map.
LESS's warm-up is made once and shared by all shards.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from tis_utils.errors import InputError, RunError
from tis_utils.examples import Example, Query
from tis_utils.model_files import file_hash
from tis_utils.representations import LESS, RDS, Embed
from tis_utils.store import Store, code_version, digest, write_atomically

log = logging.getLogger(__name__)

SHARD = 128  # candidates; a killed run loses at most one shard
# A sentence embedder takes seconds for eight times as many, and wastes less on padding when it can sort more of them.
TIMES = {"embed": 8}
_CODE = {  # modules whose code decides a feature's value
    "embed": ("examples", "representations.embed"),
    "rds": ("examples", "models", "batching", "representations.rds"),
    "less": (
        "examples",
        "models",
        "batching",
        *(f"representations.{m}" for m in ("gradients", "sketch", "warmup", "less")),
    ),
}


def code_of(name: str) -> str:
    """Version of the code that makes the features of one representation.

    Raises
    ------
    InputError
        If there is no such representation.
    """
    kind = name.removesuffix("_proxy")
    if kind not in _CODE:
        raise InputError(f"Unknown representation {name!r}; known: {', '.join(_CODE)}.")
    return code_version(*_CODE[kind])


@dataclass
class PoolFeatures:
    """Features of one pool and its queries under one representation.

    Parameters
    ----------
    name : {"embed", "rds", "less"}
    representation : Embed, RDS or LESS
    pool : sequence of Example, length N
    queries : sequence of Query
        Those of all tasks, one after the other.
    store : Store
    """

    name: str
    representation: Embed | RDS | LESS
    pool: Sequence[Example]
    queries: Sequence[Query]
    store: Store

    def __post_init__(self) -> None:
        self.pool_key = {
            **self.representation.settings,
            "pool": digest(self.pool),
            "code": code_of(self.name),
        }
        self.key = {**self.pool_key, "queries": digest(self.queries)}
        self._spent = 0.0

    @property
    def step(self) -> str:
        """Name of the step in the store."""
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
        """Compute the given shards (default: all) that are missing.

        Raises
        ------
        InputError
            If there is no such shard.
        """
        absent = [i for i in which or () if not 0 <= i < self.shards]
        if absent:
            raise InputError(
                f"There is no shard {absent[0]}: the pool has {self.shards} (0 … {self.shards - 1})."
            )
        todo = [i for i in self.missing() if which is None or i in set(which)]
        if todo:
            self._prepare()
        for i in tqdm(todo, desc=f"{self.name}: shards", unit="shard", disable=len(todo) < 2, delay=2):
            self._shard(i)

    def matrix(self) -> np.ndarray:
        """Candidates' rows, then the queries': float32 (N + M, D), read-only by memory map."""
        self.compute()
        rows = len(self.pool) + len(self.queries)
        found = self.store.mapped(
            self.step, self.key, rows, self._blocks, lambda: {"compute_seconds": round(self._spent, 3)}
        )
        for i in range(self.shards):
            self.store.drop(self._shards, self._shard_key(i), ".npy")
        return found

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
        return self.store.array(
            self._shards, self._shard_key(index), lambda: self.representation.candidates(part)
        )

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

    def _prepare(self) -> float:
        """Warm up LESS, or read the warm-up that another shard has made; seconds it took back then."""
        less = self.representation
        if not isinstance(less, LESS) or not self.pool:
            return 0.0
        key = digest(self.pool_key)
        folder = self.store.root / "warmups" / key[:24]
        note = folder.with_suffix(".json")
        if not less.history and not _loaded(less, folder, key):
            start = time.perf_counter()
            with _one_thread():
                less.warm_up(less.warmup_choice(self.pool))
            seconds = round(time.perf_counter() - start, 1)
            less.save(folder)
            # another run may be replacing it; that one will write the note
            with contextlib.suppress(FileNotFoundError):
                told = {"key": key, "seconds": seconds, "sha256": _checksums(folder)}
                text = json.dumps(told, indent=1, sort_keys=True)
                write_atomically(note, text.encode("utf-8"))  # last: all is there
        return float(_note(folder).get("seconds", 0.0))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, whatever the number of cores: training makes a difference in the last digit grow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _checksums(folder: Path) -> dict[str, str]:
    return {path.name: file_hash(path) for path in sorted(folder.iterdir())}


def _note(folder: Path) -> dict[str, Any]:
    """What stands beside a warm-up: its key, its time, its files' checksums; empty if that cannot be read."""
    try:
        told = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _loaded(less: LESS, folder: Path, key: str) -> bool:
    """Whether a sound warm-up was there; a damaged or foreign one is reported and made again."""
    if not folder.exists():
        return False
    note = _note(folder)
    if note.get("key") != key:
        log.warning(
            "LESS warms up again: what stands beside %s is missing or belongs to another warm-up.", folder
        )
        return False
    try:
        if note.get("sha256") != _checksums(folder):
            log.warning("LESS warms up again: the files in %s do not match their checksums.", folder)
            return False
        less.load(folder)
    except (InputError, OSError) as error:
        log.warning("LESS warms up again: %s", error)
        return False
    return True
