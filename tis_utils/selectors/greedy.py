"""Greedy selectors: round-robin and doubly greedy."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.errors import InputError
from tis_utils.selectors.arrays import Ints
from tis_utils.selectors.similarity import largest
from tis_utils.storage.keys import step

VERSION = step("greedy", 1)

BUFFER = 32  # free candidates a query looks up at a time
GROWTH = 8  # how much longer a query's list gets when it has run out


def doubly_greedy(S: NDArray[Any], budget: int | None, *, groups: Sequence[Hashable] | None = None) -> Ints:
    """Order candidates by their largest similarity to any query.

    Parameters
    ----------
    groups : sequence of M labels, optional
        Sub-task of each query: similarities are averaged within a sub-task before the largest is taken, the original
        rule of LESS (Xia et al. 2024, arXiv 2402.04333).
    """
    if groups is not None:
        labels = _labels(groups, len(S))
        S = np.stack([S[labels == group].mean(axis=0, dtype=np.float64) for group in range(labels.max() + 1)])
    return largest(S.max(axis=0), budget)


def _labels(groups: Sequence[Hashable], queries: int) -> Ints:
    """Number of each query's group, (M,)."""
    if isinstance(groups, str) or not hasattr(groups, "__len__"):
        raise InputError(f"Groups are a list with one label per query; got {groups!r}.")
    if len(groups) != queries:
        raise InputError(
            f"There are {len(groups)} group labels for {queries} queries. Give one label per query, in their order."
        )
    if None in (known := list(groups)):
        raise InputError(f"Query {known.index(None)} belongs to no group (its label is None): label every query.")
    numbers = {label: number for number, label in enumerate(dict.fromkeys(known))}
    return np.array([numbers[label] for label in known])


def round_robin(S: NDArray[Any], budget: int | None) -> Ints:
    """Let the queries take turns: each takes its most similar candidate not yet taken, pick t is query t mod M's.

    A budget of None orders the whole pool. Each query's candidates are sorted only as far as it has to look.
    """
    count = S.shape[1] if budget is None else min(budget, S.shape[1])
    taken = bytearray(S.shape[1])
    turns = [_Turn(row, taken, 2 * (count // len(S)) + BUFFER, count) for row in S]
    picks = np.empty(count, dtype=np.int64)
    for t in range(count):
        pick = turns[t % len(turns)].take()
        taken[pick] = 1
        picks[t] = pick
    return picks


class _Turn:
    """One query's walk down its candidates, most similar first."""

    def __init__(self, row: NDArray[Any], taken: bytearray, first: int, most: int) -> None:
        self.row, self.most = row, most
        self.taken = taken  # shared by all queries; single look-ups are faster here than in an array
        self.mask = np.frombuffer(taken, dtype=bool)  # the same bytes, for many look-ups at once
        self.ranked = self._ranked(min(first, most))
        self.next = 0  # where in `ranked` the next buffer starts
        self.buffer: list[int] = []  # candidates that were free when looked up, most similar last

    def _ranked(self, k: int) -> NDArray[np.int32]:
        return largest(self.row, k).astype(np.int32)  # half the memory of int64 for M full orders

    def take(self) -> int:
        while True:
            while self.buffer:
                candidate = self.buffer.pop()
                if not self.taken[candidate]:
                    return candidate
            self._refill()

    def _refill(self) -> None:
        """Look up the next free candidates, in ever larger steps while none is free."""
        size = BUFFER
        while not self.buffer:
            if self.next == len(self.ranked):
                self.ranked = self._ranked(min(GROWTH * len(self.ranked), self.most))
            chunk = self.ranked[self.next : self.next + size]
            self.next += len(chunk)
            self.buffer = chunk[~self.mask[chunk]][::-1].tolist()
            size *= 2
