"""A cache keyed by content: a payload (``.npy`` or ``.csv``) and, written last, a manifest that says it can be trusted.

Nothing is ever unpickled.
"""

import contextlib
import io
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import RunError
from tis_utils.paths import cache_root
from tis_utils.storage.keys import digest
from tis_utils.storage.manifests import csv_bytes, describe, npy_bytes, read_manifest, trusted, write_atomically

# A file of the store, or what a killed run left of one.
ARTEFACT = re.compile(r"[0-9a-f]{24}\.(npy|csv|json)|\.[0-9a-f]{24}\.(npy|csv|json)\.[0-9a-f]{32}\.part")


class Store:
    """Content-keyed artefacts below one folder, by default :func:`tis_utils.paths.cache_root`."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(root) if root is not None else cache_root()

    def array(self, step: str, key: Mapping[str, Any], compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The stored array of `step` for `key` (all it depends on), computed and stored when there is none to trust."""
        path = self.path(step, key, ".npy")
        payload = _payload(path, key)
        if payload is not None:
            return np.load(io.BytesIO(payload), allow_pickle=False)
        start = time.perf_counter()
        array = np.ascontiguousarray(compute())
        _keep(path, key, npy_bytes(array), start, lambda: {"shape": array.shape, "dtype": str(array.dtype)})
        return array

    def table(self, step: str, key: Mapping[str, Any], compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """As :meth:`array` for a frame, always read back from its CSV text, so that every run sees the same types."""
        path = self.path(step, key, ".csv")
        payload = _payload(path, key)
        if payload is None:
            start = time.perf_counter()
            frame = compute()
            payload = csv_bytes(frame)
            _keep(path, key, payload, start, lambda: {"shape": frame.shape, "columns": list(frame.columns)})
        return pd.read_csv(io.BytesIO(payload), encoding="utf-8", float_precision="round_trip")

    def mapped(
        self,
        step: str,
        key: Mapping[str, Any],
        rows: int,
        blocks: Callable[[], Iterable[np.ndarray]],
        facts: Callable[[], Mapping[str, Any]] = dict,
    ) -> np.ndarray:
        """As :meth:`array`, by memory map: `blocks` yields `rows` rows in all, `facts` are asked for after the last."""
        path = self.path(step, key, ".npy")
        if not trusted(path, key):
            _keep(path, key, _npy_pieces(rows, blocks()), time.perf_counter(), facts)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def manifest(self, step: str, key: Mapping[str, Any], suffix: str) -> dict[str, Any]:
        """Manifest of an artefact that is in the store."""
        path = self.path(step, key, suffix)
        if not (manifest := read_manifest(path)):
            raise RunError(f"The manifest of {path} cannot be read; run the step again.")
        return manifest

    def drop(self, step: str, key: Mapping[str, Any], suffix: str) -> None:
        """Remove one artefact, if it is there; where nothing can be removed, it stays."""
        path = self.path(step, key, suffix)
        with contextlib.suppress(OSError):  # a read-only disk refuses even to remove what is not there
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def path(self, step: str, key: Mapping[str, Any], suffix: str) -> Path:
        """Where the payload of `step` for `key` lives (it may not exist)."""
        return self.root / step / f"{digest(step, key)[:24]}{suffix}"

    def has(self, step: str, key: Mapping[str, Any], suffix: str) -> bool:
        """Whether a trustworthy artefact exists for `key`."""
        return trusted(self.path(step, key, suffix), key) is not None

    def forget(self) -> None:
        """Remove every artefact below the root, and nothing else that may lie there."""
        for path in self.root.rglob("*"):
            if ARTEFACT.fullmatch(path.name):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.root / "warmups", ignore_errors=True)


def _keep(
    path: Path,
    key: Mapping[str, Any],
    payload: bytes | Iterable[bytes],
    start: float,
    facts: Callable[[], Mapping[str, Any]],
) -> None:
    """Write payload and manifest; the work began at `start`, and pieces may still be computed while written."""
    checksum = write_atomically(path, payload)
    describe(path, checksum, {"key": key, **facts(), "seconds": round(time.perf_counter() - start, 3)})


def _payload(path: Path, key: Mapping[str, Any]) -> bytes | None:
    """Bytes of a sound artefact, or None when it must be computed."""
    try:
        return path.read_bytes() if trusted(path, key) else None
    except FileNotFoundError:  # another run has just dropped it
        return None


def _npy_pieces(rows: int, blocks: Iterable[np.ndarray]) -> Iterator[bytes]:
    """Bytes of the .npy file that holds all blocks below each other."""
    header = None
    for block in blocks:
        if header is None:
            buffer = io.BytesIO()
            header = {"descr": block.dtype.str, "fortran_order": False, "shape": (rows, *block.shape[1:])}
            np.lib.format.write_array_header_1_0(buffer, header)
            yield buffer.getvalue()
        yield np.ascontiguousarray(block).tobytes()
