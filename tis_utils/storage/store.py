"""A cache keyed by content: anything slow is computed once and read back only when it can be trusted.

An artefact is a payload (``.npy`` or ``.csv``) and a JSON manifest beside it. The file name is a hash of
everything the result depends on; the manifest repeats that key, and holds the payload's checksum, shape,
dtype, library versions, wall time and hardware. The manifest is written last, so a killed run leaves
either a complete artefact or none. Nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import errno
import functools
import hashlib
import importlib
import importlib.metadata
import inspect
import io
import json
import logging
import os
import platform
import re
import shutil
import time
import tokenize
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import RunError
from tis_utils.paths import cache_root

log = logging.getLogger(__name__)

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# A file of the store, or what a killed run left of one.
ARTEFACT = re.compile(r"[0-9a-f]{24}\.(npy|csv|json)|\.[0-9a-f]{24}\.(npy|csv|json)\.[0-9a-f]{32}\.part")
LIBRARIES = ("numpy", "pandas", "torch", "transformers", "peft", "sentence-transformers", "POT")


def plain(value: Any) -> Any:
    """Turn nested settings into JSON-able data; arrays and long lists of examples become digests."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in sorted(value.items(), key=lambda kv: str(kv[0]))}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        return "array:" + hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    return value


def digest(*parts: Any) -> str:
    """SHA-256 (hex) of any nesting of dataclasses, mappings, sequences, arrays and scalars."""
    text = json.dumps([plain(p) for p in parts], sort_keys=True, ensure_ascii=False, allow_nan=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@functools.cache
def code_version(*modules: str) -> str:
    """Digest of the code of modules of this package: a changed step never meets its old results.

    Docstrings, comments and blank lines do not count.
    """
    sources = (inspect.getsource(importlib.import_module(f"tis_utils.{name}")) for name in modules)
    return digest([bare_code(source) for source in sources])


def bare_code(source: str) -> str:
    """Source text without docstrings, comment lines, comments after code and blank lines."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if isinstance(node, _DOCUMENTED) and body and _is_text(body[0]):
            for i in range(body[0].lineno - 1, body[0].end_lineno or body[0].lineno):
                lines[i] = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and lines[token.start[0] - 1]:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def environment() -> dict[str, str]:
    """Versions and hardware that a manifest records."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES if _installed(name)}
    return {
        "python": platform.python_version(),
        **found,
        "machine": platform.machine(),
        "processor": _processor(),
        "processors": str(os.cpu_count()),
    }


def _processor() -> str:
    """Name of the processor: Linux tells it in a file, other systems through Python."""
    listing = Path("/proc/cpuinfo")
    text = listing.read_text(encoding="utf-8", errors="replace") if listing.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "unknown"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def write_atomically(path: Path, payload: bytes | Iterable[bytes]) -> str:
    """Write bytes under a temporary name in the same folder, flush them to disk, rename.

    Parameters
    ----------
    path : Path
    payload : bytes or iterable of bytes
        An iterable is written piece by piece: it may be larger than memory.

    Returns
    -------
    str
        SHA-256 (hex) of what was written.

    Raises
    ------
    RunError
        If the disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    checksum, size = hashlib.sha256(), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as handle:
            for piece in [payload] if isinstance(payload, bytes) else payload:
                size += len(piece)
                handle.write(piece)
                checksum.update(piece)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(disk_message(path, error, size)) from error
    finally:
        with contextlib.suppress(
            OSError
        ):  # no folder, or a read-only disk: the error above says what matters
            temporary.unlink(missing_ok=True)
    return checksum.hexdigest()


def disk_message(path: Path, error: Exception, size: int = 0) -> str:
    """What a failed write means and what to do; `size` is the number of bytes it needed, if known."""
    reason = getattr(error, "strerror", None) or str(error)
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if full or os.strerror(errno.ENOSPC) in reason:  # libraries in other languages only pass the words on
        folder = next((p for p in path.parents if p.exists()), Path("/"))
        needed = f"at least {size / 1e6:.1f} MB needed, " if size else ""
        free = shutil.disk_usage(folder).free
        return (
            f"No space left to write {path} ({needed}{free / 1e6:.1f} MB free). Free some space or point the "
            "environment variable TIS_CACHE at a larger disk; finished work is kept."
        )
    return (
        f"Cannot write {path}: {reason}. Check the folder's permissions or point the environment variable "
        "TIS_CACHE at a folder you can write to; finished work is kept."
    )


def write_table(path: Path, frame: pd.DataFrame) -> str:
    """Write a frame as CSV, see :func:`write_atomically`."""
    return write_atomically(path, csv_bytes(frame))


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The one CSV text of a frame, the same on every system."""
    return frame.to_csv(index=False, lineterminator="\n").encode("utf-8")


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


def _array_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


class Store:
    """Content-keyed artefacts below one folder.

    Parameters
    ----------
    root : Path, optional
        Folder of the artefacts; by default :func:`tis_utils.paths.cache_root`.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(root) if root is not None else cache_root()

    def array(self, step: str, key: Mapping[str, Any], compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the stored array of `step` for `key`, computing and storing it when needed.

        Parameters
        ----------
        step : str
            Name of the step; a folder below the root.
        key : mapping
            Everything the result depends on: content, settings, seed, code version.
        compute : callable
            Called without arguments when no trustworthy artefact exists.

        Returns
        -------
        np.ndarray
            Whatever `compute` returned, bit for bit.

        Raises
        ------
        RunError
            If the artefact cannot be written.
        """
        path = self.path(step, key, ".npy")
        payload = self._trusted(path, key)
        if payload is not None:
            return np.load(io.BytesIO(payload), allow_pickle=False)
        start = time.perf_counter()
        array = np.ascontiguousarray(compute())
        facts = {"shape": list(array.shape), "dtype": str(array.dtype)}
        self._commit(path, key, _array_bytes(array), time.perf_counter() - start, facts)
        return array

    def table(self, step: str, key: Mapping[str, Any], compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return the stored table of `step` for `key`; see :meth:`array`.

        The frame always comes back through its CSV text, so a first and a second run see the same types.
        """
        path = self.path(step, key, ".csv")
        payload = self._trusted(path, key)
        if payload is None:
            start = time.perf_counter()
            frame = compute()
            payload = csv_bytes(frame)
            facts = {"shape": list(frame.shape), "columns": list(frame.columns)}
            self._commit(path, key, payload, time.perf_counter() - start, facts)
        return pd.read_csv(io.BytesIO(payload), encoding="utf-8", float_precision="round_trip")

    def mapped(
        self,
        step: str,
        key: Mapping[str, Any],
        rows: int,
        blocks: Callable[[], Iterable[np.ndarray]],
        facts: Callable[[], Mapping[str, Any]] = dict,
    ) -> np.ndarray:
        """Return the stored array of `step` for `key` by memory map; it may be larger than memory.

        Parameters
        ----------
        step, key
            As in :meth:`array`.
        rows : int
            Rows of all blocks together.
        blocks : callable
            Called without arguments when no trustworthy artefact exists; yields the array block by block.
        facts : callable
            Asked after the last block for what the manifest should say besides.
        """
        path = self.path(step, key, ".npy")
        if not self._sound(path, key):
            start = time.perf_counter()
            checksum = write_atomically(path, _npy_pieces(rows, blocks()))
            self._describe(path, key, checksum, time.perf_counter() - start, facts())
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def manifest(self, step: str, key: Mapping[str, Any], suffix: str) -> dict[str, Any]:
        """Manifest of an artefact that is in the store.

        Raises
        ------
        RunError
            If there is none.
        """
        path = self.path(step, key, suffix).with_suffix(".json")
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise RunError(f"The manifest {path} cannot be read ({error}); run the step again.") from error

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
        return self._sound(self.path(step, key, suffix), key)

    def forget(self) -> None:
        """Remove every artefact below the root, and nothing else that may lie there."""
        for path in self.root.rglob("*"):
            if ARTEFACT.fullmatch(path.name):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.root / "warmups", ignore_errors=True)

    def _sound(self, path: Path, key: Mapping[str, Any]) -> bool:
        """Whether payload and manifest belong together and to `key`; the log says why not."""
        manifest_path = path.with_suffix(".json")
        if not manifest_path.exists() or not path.exists():
            return False
        try:
            manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
            with path.open("rb") as handle:
                checksum = hashlib.file_digest(handle, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            log.warning("Recomputing %s: its manifest cannot be read (%s).", path, error)
            return False
        if not isinstance(manifest, dict) or manifest.get("key") != json.loads(json.dumps(plain(key))):
            log.warning("Recomputing %s: the manifest belongs to another key.", path)
            return False
        if manifest.get("sha256") != checksum:
            log.warning("Recomputing %s: the file does not match its checksum.", path)
            return False
        return True

    def _trusted(self, path: Path, key: Mapping[str, Any]) -> bytes | None:
        """Payload bytes, or None when the artefact must be recomputed."""
        if not self._sound(path, key):
            return None
        try:
            return path.read_bytes()
        except FileNotFoundError:  # another run has just dropped it
            return None

    def _commit(
        self, path: Path, key: Mapping[str, Any], payload: bytes, seconds: float, facts: Mapping[str, Any]
    ) -> None:
        self._describe(path, key, write_atomically(path, payload), seconds, facts)

    def _describe(
        self, path: Path, key: Mapping[str, Any], checksum: str, seconds: float, facts: Mapping[str, Any]
    ) -> None:
        manifest = {
            "key": plain(key),
            "sha256": checksum,
            **facts,
            "seconds": round(seconds, 3),
            "environment": environment(),
        }
        text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
        write_atomically(path.with_suffix(".json"), text.encode("utf-8"))
