"""Results that came with the repository, below ``data/results/<profile>``; one whose key no longer fits is never shown.

``TIS_FRESH=1`` (what ``tis book --fresh`` sets) hides what this machine can compute itself.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import RunError
from tis_utils.paths import DATA
from tis_utils.storage.keys import digest
from tis_utils.storage.manifests import describe, npy_bytes, read_manifest, trusted, write_atomically, write_table

log = logging.getLogger(__name__)

RESULTS = DATA / "results"
VALUES = ["metric", "value", "status", "subset"]
EXACT: dict[str, Any] = {"encoding": "utf-8", "float_precision": "round_trip"}  # how numbers are read
UNUSED = "Not used, stored"  # how the log begins when a stored file is not to be trusted


def hidden() -> bool:
    """Whether stored results are to be computed again in this process."""
    return os.environ.get("TIS_FRESH", "") not in ("", "0")


def feature_file(profile: str, name: str) -> Path:
    """Where the features of a profile under one representation lie."""
    return RESULTS / profile / f"features-{name}.npy"


def read_features(profile: str, name: str, key: Mapping[str, Any]) -> np.ndarray | None:
    """Stored features if their key is `key`: float32 (N + M, R), unit or zero rows, candidates first, maybe rotated."""
    path = feature_file(profile, name)
    if trusted(path, key, what=UNUSED) is None:
        return None
    return unit_rows(np.load(path, allow_pickle=False))


def feature_seconds(profile: str, name: str) -> float:
    """Seconds per text that stored features took; NaN where there are none."""
    about = read_manifest(feature_file(profile, name))
    return about["seconds"] / about["shape"][0] if about else float("nan")


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Float32 rows of length one; zero rows stay zero.

    Rows whose squares would leave the range of float32 are divided by their largest entry first, in double precision.
    """
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0).astype(np.float64)
    odd = ((largest > 0) & ((largest < 1e-15) | (largest > 1e15)))[:, 0]
    wide = rows[odd].astype(np.float64) / largest[odd]
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32)
    rows[odd] = wide
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=rows, where=length > 0)


def write_features(
    profile: str, name: str, key: Mapping[str, Any], rows: np.ndarray, seconds: float, **facts: Any
) -> Path:
    """Store features (N + M, D) rotated to at most N + M coordinates, in half precision; `seconds` they took.

    More `facts` go into the manifest, for instance the ``environment`` where it was not this machine.
    """
    kept = rotated(np.asarray(rows)).astype(np.float16)
    error = inner_product_error(np.asarray(rows), kept)
    if error > 2e-3:
        raise RunError(
            f"Stored {name} features would be off by {error:.4f} in an inner product, more than 0.002: not written."
        )
    path = feature_file(profile, name)
    facts |= {
        "key": key,
        "shape": kept.shape,
        "computed_shape": rows.shape,
        "dtype": "float16",
        "largest_inner_product_error": round(error, 6),
        "seconds": seconds,
    }
    describe(path, write_atomically(path, npy_bytes(kept)), facts)
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


def run_key(recipe: Mapping[str, Any]) -> str:
    """Short key of a run's recipe, see :meth:`tis_utils.experiments.study.Study.recipe`."""
    return digest(recipe)[:16]


def read_runs(profile: str) -> dict[str, pd.DataFrame]:
    """All stored runs of a profile: key -> frame with metric, value, status and subset."""
    paths = [path for path in sorted((RESULTS / profile).glob("*.csv")) if trusted(path, what=UNUSED)]
    tables = [table for table in map(_read_runs, paths) if "key" in table]
    if not tables:
        return {}
    rows = pd.concat(tables, ignore_index=True).drop_duplicates(["key", "metric"])
    return {str(key): group for key, group in rows[["key", *VALUES]].groupby("key", sort=False)[VALUES]}


def _read_runs(path: Path) -> pd.DataFrame:
    types = {"key": "str", "subset": "str"}  # digits only would read as a number
    return pd.read_csv(path, keep_default_na=False, na_values={"value": [""]}, dtype=types, **EXACT)


def write_runs(profile: str, name: str, rows: pd.DataFrame, seconds: float, **facts: Any) -> Path:
    """Store the rows of one grid, with a digest of each run's ``subset`` and its ``key``; `seconds` of all together.

    `facts` as for :func:`write_features`.
    """
    path = table_file(profile, name)
    facts |= {"runs": rows["key"].nunique(), "rows": len(rows), "seconds": round(seconds)}
    describe(path, write_table(path, eight_digits(rows)), facts)
    return path


# --- other tables -----------------------------------------------------------------------------------


def table_file(profile: str, name: str) -> Path:
    """Where a table of a profile lies."""
    return RESULTS / profile / f"{name}.csv"


def write_keyed(profile: str, name: str, rows: pd.DataFrame, key: Mapping[str, Any], **facts: Any) -> Path:
    """Store a table under one key of everything it depends on; numbers keep eight digits.

    `facts` as for :func:`write_features`.
    """
    path = table_file(profile, name)
    describe(path, write_table(path, eight_digits(rows)), facts | {"key": key, "rows": len(rows)})
    return path


def read_keyed(profile: str, name: str, key: Mapping[str, Any], columns: Sequence[str]) -> pd.DataFrame:
    """Read a stored table if its key is `key`, else say in the log what changed and return no rows of `columns`."""
    path = table_file(profile, name)
    if trusted(path, key, what=UNUSED) is None:
        return pd.DataFrame(columns=list(columns))
    return pd.read_csv(path, **EXACT)


def compared(stored: pd.DataFrame, live: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """The values of the rows that both tables have: the keys, ``stored``, ``live`` and their ``difference``."""
    left, right = (rows[[*keys, value]] for rows in (stored, live))
    both = left.rename(columns={value: "stored"}).merge(right.rename(columns={value: "live"}), on=list(keys))
    return both.assign(difference=both["live"] - both["stored"])


def eight_digits(rows: pd.DataFrame) -> pd.DataFrame:
    """The table with its numbers as they are stored."""
    return rows.map(lambda value: float(f"{value:.8g}") if isinstance(value, float) else value)
