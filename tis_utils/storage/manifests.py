"""Files that can be trusted: written whole or not at all, with a manifest beside them that holds their checksum."""

import contextlib
import errno
import hashlib
import importlib.metadata
import io
import json
import logging
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import RunError
from tis_utils.paths import cache_root, inside
from tis_utils.storage.keys import file_digest, plain

log = logging.getLogger(__name__)

LIBRARIES = ("numpy", "pandas", "torch", "transformers", "peft", "sentence-transformers", "POT")


def environment() -> dict[str, str]:
    """Versions and hardware that a manifest records."""
    return {
        "python": platform.python_version(),
        **{name: version for name in LIBRARIES if (version := _version(name))},
        "machine": platform.machine(),
        "processor": _processor(),
        "processors": str(os.cpu_count()),
    }


def _processor() -> str:
    """Name of the processor: Linux tells it in a file, other systems through Python."""
    listing = Path("/proc/cpuinfo")
    text = listing.read_text(encoding="utf-8", errors="replace") if listing.is_file() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or "unknown"


def _version(name: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return ""


def write_atomically(path: Path, payload: bytes | Iterable[bytes]) -> str:
    """Write bytes, or pieces of them, under a temporary name, flush, rename; the SHA-256 (hex) of what was written.

    A symbolic link stays one: what it points to is written.
    """
    path = path.resolve() if path.is_symlink() else path
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
        with contextlib.suppress(OSError):  # no folder, or a read-only disk: the error above says what matters
            temporary.unlink(missing_ok=True)
    return checksum.hexdigest()


def disk_message(path: Path, error: Exception, size: int = 0) -> str:
    """What a failed write means and what to do; `size` is the number of bytes it needed, if known."""
    reason = getattr(error, "strerror", None) or str(error)
    ours = inside(path, cache_root())
    place = "point the environment variable TIS_CACHE at another folder" if ours else "choose another place"
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if full or os.strerror(errno.ENOSPC) in reason:  # libraries in other languages only pass the words on
        folder = next((p for p in path.parents if p.exists()), Path("/"))
        needed = f"at least {size / 1e6:.1f} MB needed, " if size else ""
        free = shutil.disk_usage(folder).free
        problem = f"No space left to write {path} ({needed}{free / 1e6:.1f} MB free). Free some space"
    else:
        problem = f"Cannot write {path}: {reason}. Check the folder's permissions"
    return f"{problem} or {place}; finished work is kept."


def write_table(path: Path, frame: pd.DataFrame) -> str:
    """Write a frame as CSV, see :func:`write_atomically`."""
    return write_atomically(path, csv_bytes(frame))


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The one CSV text of a frame, the same on every system."""
    return frame.to_csv(index=False, lineterminator="\n").encode("utf-8")


def npy_bytes(array: np.ndarray) -> bytes:
    """The bytes of an array's .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def describe(path: Path, checksum: str | Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """Write the manifest ``<stem>.json`` beside a file or folder; written last, it says that all is there."""
    manifest = {**{name: plain(value) for name, value in facts.items()}, "sha256": checksum}
    text = json.dumps({"environment": environment(), **manifest}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode("utf-8"))


def read_manifest(path: Path) -> dict[str, Any]:
    """Manifest beside a file or folder; empty where there is none that can be read."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def checksum_of(path: Path) -> str | dict[str, str]:
    """SHA-256 of a file, or of every file of a folder by name."""
    if path.is_dir():
        return {file.name: file_digest(file) for file in sorted(path.iterdir())}
    return file_digest(path)


def trusted(path: Path, key: Any = None, *, what: str = "Recomputing") -> dict[str, Any] | None:
    """Manifest of a file or folder whose checksum, and `key` if given, are right; else None, and the log says why."""
    if not path.exists() or not path.with_suffix(".json").exists():
        return None
    manifest = read_manifest(path)
    if not manifest:
        log.warning("%s %s: its manifest cannot be read.", what, path)
        return None
    if key is not None and (changed := different_keys(manifest.get("key"), key)):
        log.warning("%s %s: %s.", what, path, changed)
        return None
    try:
        sound = manifest.get("sha256") == checksum_of(path)
    except OSError as error:
        log.warning("%s %s: it cannot be read (%s).", what, path, error)
        return None
    if not sound:
        log.warning("%s %s: it does not match its checksum.", what, path)
        return None
    return manifest


def different_keys(stored: Any, key: Any) -> str:
    """What differs between a stored key and today's, in words; empty where nothing does."""
    now = json.loads(json.dumps(plain(key)))
    if stored == now:
        return ""
    if not (isinstance(stored, dict) and isinstance(now, dict)):
        return "the manifest belongs to another key"
    names = sorted(name for name in {*stored, *now} if stored.get(name) != now.get(name))
    return f"the manifest belongs to another key ({', '.join(names)} changed)"
