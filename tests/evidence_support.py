"""A small cube of the published kind, for several test modules."""

from __future__ import annotations

import numpy as np

from tis_utils.evidence.cube import Cube
from tis_utils.evidence.published import PAPER_METHODS
from tis_utils.evidence.tables import ZERO_SHOT


def plain(**change: object) -> Cube:
    """2 models, 1 task, 1 pool, 9 methods, 2 budgets; every mean 10, sd 1, n 3."""
    full = {"mean": np.full((2, 1, 1, 9, 2), 10.0), "sd": np.ones((2, 1, 1, 9, 2)), "n": np.full((2, 1, 1, 9, 2), 3.0)}
    names = {"models": ("a", "b"), "tasks": ("t",), "pools": ("p",), "budgets": (1, 2), "metric": "downstream"}
    names["methods"] = (*PAPER_METHODS, ZERO_SHOT)
    return Cube(**{**full, **names, **change})  # type: ignore[arg-type]


def at(method: str) -> int:
    return (*PAPER_METHODS, ZERO_SHOT).index(method)
