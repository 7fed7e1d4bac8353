"""What a selection from your own files is."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tis_utils.examples.jsonl import Reading
from tis_utils.examples.records import Source
from tis_utils.examples.text import Example, Query
from tis_utils.own_data.verdict import Comparison


@dataclass
class Selection:
    """What was selected, and everything a report says of it.

    Attributes
    ----------
    settings : dict of str to object
        What was asked for, as the report lists it.
    reading, targets
        Where pool and queries come from, with remarks on what was not read.
    pool, queries : list of Example, list of Query
    picks : ndarray, int64 of shape (B,)
        Places in the pool, best first.
    S : ndarray, float32 of shape (M, N), or None
        Similarities; None where there are no queries.
    others : dict of str to ndarray
        What other selectors pick from the same similarities.
    lost : int
        Candidates that could not be represented.
    cut : pair of int
        Candidates whose answer was read in part, and not at all, because the text is longer than what reads it.
    balanced : bool
        Whether every task of the queries had an equal share of the picks.
    mute : list of str
        Ids of queries that could not be represented, or are equally far from every candidate.
    distance, by_chance : float and list of float
        W1 to the queries, of the subset and of random ones; NaN and empty where there are no queries or too many picks.
    comparison : Comparison, optional
        What fine-tuning on the subset gains over random ones.
    seconds : float
        Wall time of features and selection.
    """

    settings: dict[str, object]
    reading: Reading[Example]
    targets: Reading[Query]
    pool: list[Example]
    queries: list[Query]
    picks: np.ndarray
    S: np.ndarray | None = None
    lost: int = 0
    cut: tuple[int, int] = (0, 0)
    balanced: bool = False
    mute: list[str] = field(default_factory=list)
    others: dict[str, np.ndarray] = field(default_factory=dict)
    distance: float = float("nan")
    by_chance: list[float] = field(default_factory=list)
    comparison: Comparison | None = None
    seconds: float = 0.0

    @property
    def sources(self) -> dict[str, Sequence[Source]]:
        """What was read, by role."""
        return {"pool": self.reading.sources, "queries": self.targets.sources}

    @property
    def remarks(self) -> list[str]:
        """What was not read, skipped or changed."""
        return [*self.reading.remarks, *self.targets.remarks]

    @property
    def subset(self) -> list[Example]:
        """The picked candidates, best first."""
        return [self.pool[i] for i in self.picks]

    def table(self) -> pd.DataFrame:
        """One row per pick: rank, place in the pool (from 1), id, source, nearest query and similarity to it.

        Several files of candidates are one pool; where there are several, file and number of the line follow.

        Round-robin also says for which query: they take turns, so pick k was made for query k modulo M (unless each
        task had its own turns).
        """
        chosen = self.subset
        rows = pd.DataFrame({"rank": np.arange(1, len(chosen) + 1), "place": self.picks + 1})
        rows = rows.assign(id=[example.id for example in chosen], source=[example.source for example in chosen])
        if len(self.reading.sources) > 1:
            places = [self.reading.places[i] for i in self.picks]
            rows = rows.assign(file=[self.reading.names[k] for k, _ in places], line=[number for _, number in places])
        if self.S is None:
            return rows
        if self.settings["selector"] == "round_robin" and not self.balanced:
            rows["picked_for"] = [self.queries[k % len(self.queries)].id for k in range(len(chosen))]
        near = self.S[:, self.picks].argmax(axis=0)
        similarity = self.S[near, self.picks].round(4)
        return rows.assign(nearest_query=[self.queries[i].id for i in near], similarity=similarity)
