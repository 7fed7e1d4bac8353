"""Results that came with the repository: features and finished runs below ``data/results/<profile>``.

They stand in for what would take long here. Each carries the key of everything it depends on; a stored result
whose key no longer fits is never shown. ``TIS_FRESH=1`` (what ``tis book --fresh`` sets) hides what this machine can
compute itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.cells import CELL_COLUMNS, Cell
from tis_utils.errors import RunError
from tis_utils.paths import DATA
from tis_utils.store import digest, environment, plain, write_atomically, write_table

log = logging.getLogger(__name__)

RESULTS = DATA / "results"
VALUES = ["metric", "value", "status", "subset"]


def hidden() -> bool:
    """Whether stored results are to be computed again in this process."""
    return os.environ.get("TIS_FRESH", "") not in ("", "0")


def verified(path: Path) -> tuple[bytes, dict[str, Any]] | None:
    """Bytes and manifest of a stored file that has its manifest's checksum; else None, with a word in the log."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        payload = path.read_bytes()
    except (OSError, ValueError) as error:
        log.warning("Stored %s is not used: %s.", path.name, error)
        return None
    if manifest.get("sha256") != hashlib.sha256(payload).hexdigest():
        log.warning("Stored %s is not used: the file does not match its checksum.", path.name)
        return None
    return payload, manifest


def feature_file(profile: str, name: str) -> Path:
    """Where the features of a profile under one representation lie."""
    return RESULTS / profile / f"features-{name}.npy"


def read_features(profile: str, name: str, key: Mapping[str, Any]) -> np.ndarray | None:
    """Read stored features if their key is `key`.

    Returns
    -------
    ndarray, float32 of shape (N + M, R), or None
        Unit rows (or zero rows), candidates first. Inner products equal those of the computed features up to
        half-precision rounding; the coordinates themselves may be rotated.
    """
    path = feature_file(profile, name)
    found = verified(path) if path.exists() else None
    if found is None:
        return None
    payload, manifest = found
    different = sorted(k for k in {*key, *manifest["key"]} if manifest["key"].get(k) != plain(key).get(k))
    if different:
        log.warning("Stored features %s are not used: %s changed.", path.name, ", ".join(different))
        return None
    return unit_rows(np.load(io.BytesIO(payload), allow_pickle=False))


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Float32 rows of length one; zero rows stay zero."""
    rows = rows.astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=rows, where=length > 0)


def write_features(profile: str, name: str, key: Mapping[str, Any], rows: np.ndarray, seconds: float) -> Path:
    """Store features compactly: rotated to at most N + M coordinates, half precision.

    Parameters
    ----------
    profile, name : str
    key : mapping
        Everything the features depend on.
    rows : ndarray, float32 of shape (N + M, D)
    seconds : float
        Wall time of the computation.

    Raises
    ------
    RunError
        If half precision changed an inner product by more than 0.002.
    """
    kept = rotated(np.asarray(rows)).astype(np.float16)
    error = inner_product_error(np.asarray(rows), kept)
    if error > 2e-3:
        raise RunError(
            f"Stored {name} features would be off by {error:.4f} in an inner product, more than 0.002: not written."
        )
    buffer = io.BytesIO()
    np.save(buffer, kept, allow_pickle=False)
    path = feature_file(profile, name)
    facts = {
        "key": plain(key),
        "sha256": write_atomically(path, buffer.getvalue()),
        "shape": list(kept.shape),
        "computed_shape": list(rows.shape),
        "dtype": "float16",
        "largest_inner_product_error": round(error, 6),
        "seconds": seconds,
        "environment": environment(),
    }
    _describe(path, facts)
    return path


def rotated(rows: np.ndarray) -> np.ndarray:
    """Coordinates in an orthonormal basis of the rows' span, if that takes fewer numbers: same inner products."""
    if rows.shape[1] <= rows.shape[0]:
        return rows
    triangle = np.asarray(np.linalg.qr(rows.T.astype(np.float64), mode="r"))  # rows.T = Q triangle
    return triangle.T


def inner_product_error(rows: np.ndarray, kept: np.ndarray) -> float:
    """Largest change of an inner product between any two rows."""
    exact, stored = unit_rows(rows), unit_rows(kept)
    return float(np.abs(exact @ exact.T - stored @ stored.T).max())


# --- finished runs ----------------------------------------------------------------------------------


def cell_key(recipe: Mapping[str, Any]) -> str:
    """Short key of a cell's recipe, see :meth:`tis_utils.experiments.Study.recipe`."""
    return digest(recipe)[:16]


def read_cells(profile: str) -> dict[str, pd.DataFrame]:
    """All stored cells of a profile: key -> frame with metric, value, status and subset."""
    tables = [_read_table(path) for path in sorted((RESULTS / profile).glob("*.csv"))]
    tables = [table for table in tables if table is not None and "key" in table]
    if not tables:
        return {}
    rows = pd.concat(tables, ignore_index=True).drop_duplicates(["key", "metric"])
    return {str(key): group for key, group in rows[["key", *VALUES]].groupby("key", sort=False)[VALUES]}


def _read_table(path: Path) -> pd.DataFrame | None:
    """A table whose manifest has its checksum; any other is not used, with a word in the log."""
    found = verified(path)
    if found is None:
        return None
    return pd.read_csv(
        io.BytesIO(found[0]),
        encoding="utf-8",
        float_precision="round_trip",
        keep_default_na=False,
        na_values={"value": [""]},
        dtype={"key": "str", "subset": "str"},  # digits only would read as a number
    )


def write_cells(
    profile: str,
    name: str,
    rows: pd.DataFrame,
    keys: Mapping[Cell, str],
    subsets: Mapping[Cell, str],
    seconds: float,
) -> Path:
    """Store the rows of one grid, each with its cell's key and a digest of its subset, and a manifest.

    Parameters
    ----------
    profile, name : str
    rows : DataFrame
        What :meth:`tis_utils.experiments.Study.run` returned.
    keys, subsets : mapping of Cell to str
        What the cell depends on, and which examples it trained on.
    seconds : float
        Wall time of the runs, added up.
    """
    keyed = pd.DataFrame([asdict(cell) | {"subset": subsets[cell], "key": key} for cell, key in keys.items()])
    table = rows.merge(keyed, on=CELL_COLUMNS, how="left", validate="many_to_one")
    table["value"] = table["value"].map(lambda value: float(f"{value:.8g}"))
    path = table_file(profile, name)
    facts = {
        "sha256": write_table(path, table),
        "cells": len(keys),
        "rows": len(table),
        "seconds": round(seconds),
        "environment": environment(),
    }
    _describe(path, facts)
    return path


# --- other tables -----------------------------------------------------------------------------------


def table_file(profile: str, name: str) -> Path:
    """Where a table of a profile lies."""
    return RESULTS / profile / f"{name}.csv"


def write_keyed(profile: str, name: str, rows: pd.DataFrame, key: Mapping[str, Any]) -> Path:
    """Store a table under one key of everything it depends on; numbers keep eight digits."""
    path = table_file(profile, name)
    short = rows.map(lambda value: float(f"{value:.8g}") if isinstance(value, float) else value)
    facts = {
        "key": plain(key),
        "sha256": write_table(path, short),
        "rows": len(rows),
        "environment": environment(),
    }
    _describe(path, facts)
    return path


def read_keyed(profile: str, name: str, key: Mapping[str, Any]) -> pd.DataFrame | None:
    """Read a stored table if its key is `key`, else say in the log what changed and return nothing."""
    path = table_file(profile, name)
    found = verified(path) if path.exists() else None
    if found is None:
        return None
    payload, manifest = found
    now, then = json.loads(json.dumps(plain(key))), manifest.get("key", {})
    if now != then:
        changed = ", ".join(sorted(k for k in {*now, *then} if now.get(k) != then.get(k)))
        log.warning("Stored %s is not used: %s changed.", path.name, changed)
        return None
    return pd.read_csv(io.BytesIO(payload), encoding="utf-8", float_precision="round_trip")


def _describe(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest beside a stored file."""
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode("utf-8"))
