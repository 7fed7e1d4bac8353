"""Greedy selectors: round-robin and doubly greedy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.selectors.arrays import Ints
from tis_utils.selectors.similarity import largest
from tis_utils.storage.keys import step

VERSION = step("greedy", 1)

BUFFER = 32  # free candidates a query looks up at a time
GROWTH = 8  # how much longer a query's list gets when it has run out


def doubly_greedy(S: NDArray[Any], budget: int | None) -> Ints:
    """Order candidates by their largest similarity to any query."""
    return largest(S.max(axis=0), budget)


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
