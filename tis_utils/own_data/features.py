"""Features that somebody has already, from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tis_utils.errors import InputError
from tis_utils.storage.stored_results import unit_rows


def read_features(files: tuple[Path, Path], texts: tuple[Path, Path], counts: tuple[int, int]) -> list[np.ndarray]:
    """Unit rows of the pool (N, D) and of the queries (M, D), float32, from two ``.npy`` files.

    `texts` are the files that they are features of, `counts` is (N, M).
    """
    pool, queries = (_rows(*each) for each in zip(files, texts, counts, strict=True))
    if pool.shape[1] != queries.shape[1]:
        raise InputError(
            f"The rows of {files[0]} have {pool.shape[1]} numbers, those of {files[1]} have {queries.shape[1]}. Both "
            "must come from one representation."
        )
    return [pool, queries]


def _rows(path: Path, texts: Path, count: int) -> np.ndarray:
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"The features {path} cannot be read ({error}). Save a matrix of numbers with numpy.save."
        ) from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f":
        raise InputError(f"The features {path} must be one matrix of floating-point numbers (.npy).")
    if len(rows) != count:
        raise InputError(f"{path} has {len(rows)} rows, {texts} has {count} examples. Give one row per example.")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise InputError(f"Row {int(finite.argmin()) + 1} of {path} holds NaN or infinity. Compute it again.")
    return unit_rows(rows)
