"""Texts that two sets share: such checks can find contamination, never show that there is none."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LARGE = 1 / 3  # share of its runs of words from which on a text counts as shared


def words(text: str, *, signs: bool = False) -> tuple[str, ...]:
    """Lower-case words and numbers of a text, with `signs` all else but a sentence's punctuation too.

    In code, sums and bracket puzzles signs are what tells texts apart.
    """
    return tuple(re.findall(r"\w+|[^\w\s.,;:!?'\"]" if signs else r"\w+", text.casefold()))


def normalised(text: str) -> str:
    """Lower-case words and numbers; blanks, signs and punctuation are gone."""
    return " ".join(words(text))


def runs(text: tuple[str, ...], n: int) -> set[tuple[str, ...]]:
    """All `n` words in a row."""
    return {text[i : i + n] for i in range(len(text) - n + 1)}


def largest_share(texts: Sequence[str], others: Sequence[str], n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """For each text the largest share of its runs of `n` words that one other text has, and which one that is."""
    where = defaultdict(list)
    for place, other in enumerate(others):
        for run in runs(words(other), n):
            where[run].append(place)
    shares, places = np.zeros(len(texts)), np.zeros(len(texts), dtype=np.int64)
    for i, text in enumerate(texts):
        own = runs(words(text), n)
        hits = np.bincount([place for run in own for place in where.get(run, [])], minlength=len(others))
        if own and len(others):
            shares[i], places[i] = hits.max() / len(own), hits.argmax()
    return shares, places


def shared_texts(sets: Mapping[str, Sequence[str]], n: int) -> pd.DataFrame:
    """Count the texts that each set shares with the earlier ones and with itself: rows (texts of, found in).

    ``exact``, ``normalised``: distinct common texts (in a set itself: repeats); ``a third shared``: those a third of
    whose runs of `n` words one text of the other set has.
    """
    rows: dict[tuple[str, str], tuple[Any, ...]] = {}
    for k, (name, texts) in enumerate(sets.items()):
        alike = [normalised(text) for text in texts]
        for other, there in list(sets.items())[:k]:
            close = int((largest_share(texts, there, n)[0] > LARGE).sum())
            both = len({*alike} & {normalised(text) for text in there})
            rows[name, other] = (len(texts), len({*texts} & {*there}), both, close)
        rows[name, name] = (len(texts), len(texts) - len({*texts}), len(alike) - len({*alike}), pd.NA)
    table = pd.DataFrame.from_dict(rows, "index", columns=["texts", "exact", "normalised", "a third shared"])
    return table.set_axis(pd.MultiIndex.from_tuples(rows, names=["texts of", "found in"])).astype("Int64")


def twins(texts: Collection[str], others: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of a text and another one that differ, but not once they are normalised; sorted."""
    groups = defaultdict(set)
    for other in others:
        groups[normalised(other)].add(other)
    return sorted({(text, other) for text in texts for other in groups.get(normalised(text), ()) if text != other})
