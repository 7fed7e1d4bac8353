"""Which candidates a cell trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tis_utils.cells import BINS, NONE, Cell
from tis_utils.examples import IGNORE, encode_all
from tis_utils.selectors import select

if TYPE_CHECKING:
    from tis_utils.experiments import Study

CODE = (  # modules whose code decides the picks, besides that of the features
    "cells",
    "picks",
    "geometry",
    *(f"selectors.{m}" for m in ("random", "greedy", "neighbours", "density", "transport", "ranking")),
)


def picks(study: Study, cell: Cell) -> np.ndarray:
    """Indices into the pool, best first, int64 (B,); see :class:`tis_utils.cells.Cell` for the experiments."""
    if cell.selector == NONE:
        return np.empty(0, dtype=np.int64)
    if cell.experiment in ("quantile", "focus"):
        order = study.order(cell.representation, cell.task)
        return distance_bin(order, cell.bin, focus=cell.experiment == "focus")[: cell.budget]
    if cell.experiment == "tokens":
        order = _select(study, cell, len(study.data.pool))
        tokens = np.cumsum(study.answer_tokens[order])
        return order[: 1 + np.searchsorted(tokens, cell.budget * study.answer_tokens.mean())]
    return _select(study, cell, cell.budget)


def distance_bin(order: np.ndarray, index: int, *, focus: bool = False) -> np.ndarray:
    """One of ten equal parts of an order, nearest first; the last takes the rest (METHODS §5).

    With `focus`, the first part is cut into ten again.
    """
    if focus:
        order = order[: len(order) // BINS]
    size = len(order) // BINS
    return order[index * size : (index + 1) * size if index < BINS - 1 else None]


def half_of(queries: int, draw: int) -> np.ndarray:
    """Row numbers of a random half of the queries (at least one), sorted; the same for every method."""
    return np.sort(np.random.default_rng(draw).choice(queries, max(1, queries // 2), replace=False))


def answer_tokens(study: Study) -> np.ndarray:
    """Tokens of each candidate that carry a loss, int64 (N,)."""
    encoded = encode_all(study.data.pool, study.model.tokenizer, study.profile.max_length)
    return np.array([(text.labels != IGNORE).sum() for text in encoded])


def _select(study: Study, cell: Cell, budget: int) -> np.ndarray:
    if cell.representation == NONE:
        blank = np.zeros((1, len(study.data.pool)), dtype=np.float32)  # Random looks at nothing
        return select(cell.selector, blank, budget, seed=cell.seed)
    S = study.similarity(cell.representation, cell.task)
    if cell.experiment == "resample":
        S = S[half_of(len(S), cell.draw)]
    return select(cell.selector, S, budget, candidates=study.features(cell.representation)[0])
