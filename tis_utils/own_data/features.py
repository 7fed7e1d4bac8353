"""Features that somebody has already, from files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tis_utils.errors import InputError
from tis_utils.examples.text import Example, Query
from tis_utils.storage.stored_results import unit_rows


def read_features(
    files: tuple[Path, Path], texts: tuple[str, str], items: tuple[Sequence[Example], Sequence[Query]]
) -> list[np.ndarray]:
    """Unit rows of the pool (N, D) and of the queries (M, D), float32, from two ``.npy`` files.

    `texts` names what they are features of, `items` are the N candidates and M queries themselves.
    """
    pool, queries = _rows(files[0], texts[0], items[0]), _rows(files[1], texts[1], items[1])
    if pool.shape[1] != queries.shape[1]:
        raise InputError(
            f"The rows of {files[0]} have {pool.shape[1]} numbers, those of {files[1]} have {queries.shape[1]}. Both "
            "must come from one representation."
        )
    return [pool, queries]


def _rows(path: Path, texts: str, items: Sequence[Example] | Sequence[Query]) -> np.ndarray:
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"The features {path} cannot be read ({error}). Save a matrix of numbers with numpy.save."
        ) from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f":
        raise InputError(f"The features {path} must be one matrix of floating-point numbers (.npy).")
    if len(rows) != len(items):
        raise InputError(f"{path} has {len(rows)} rows, {texts} has {len(items)} examples. Give one row per example.")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        bad = int(finite.argmin())
        raise InputError(
            f"Row {bad + 1} of {path} holds NaN or infinity. Compute it again for the example {items[bad].id!r}."
        )
    return unit_rows(rows)
