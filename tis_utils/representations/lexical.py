"""Lexical: which words a text holds, weighted as a search engine does; no model plays a part.

A control: what finds examples by their meaning or their gradient should do better than shared words do.
"""

from __future__ import annotations

import functools
import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from tis_utils.errors import InputError
from tis_utils.examples.text import ROLES, Example, Query, answer, request, turns
from tis_utils.representations.sketch import CountSketch
from tis_utils.storage.keys import step

VERSION = step("lexical", 1)

log = logging.getLogger(__name__)

K1, B = 1.2, 0.75  # of BM25, as in Lucene
# Thai and Lao, Myanmar, Khmer, Bopomofo and kana, Han: scripts that put no space between words.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u31f0-\u31ff\u3400-\u9fff\U00020000-\U0003ffff"
)


class Lexical:
    r"""BM25 weights of the words of a text (Robertson and Zaragoza 2009), sketched to `dim` numbers.

    A word that occurs f times in a text of n words, n̄ on average, weighs
    :math:`\sqrt{\mathrm{idf}}\; f (k_1 + 1) / (f + k_1 (1 - b + b\, n / \bar n))` with the inverse document frequency
    :math:`\log(1 + (N - m + ½) / (m + ½))` of a word that m of the pool's N candidates hold: an inner product counts it
    once. Rows are scaled to length 1. Role headers are no words; words that the pool does not hold do not count.

    Where a script puts no space between words, two neighbouring characters are a word, as in search engines: a whole
    clause would never be met again, and pieces of words everywhere would make all texts in spaced scripts look alike.

    Parameters
    ----------
    dim, seed : int, int
        Length and seed of the count sketch (:mod:`~tis_utils.representations.sketch`).

    Attributes
    ----------
    wordless : int
        Texts of the last call without any known word (also logged). Their rows are zero.
    """

    def __init__(self, *, dim: int = 4096, seed: int = 0) -> None:
        self.dim, self.seed, self.wordless = dim, seed, 0
        self.counter = CountVectorizer(analyzer=words, dtype=np.float64)
        self.weights = np.empty(0)  # square root of each word's IDF, (V,)

    def fit(self, pool: Sequence[Example]) -> Lexical:
        """Learn the words of a pool, how rare each is, and the mean length of a text.

        Raises
        ------
        InputError
            If the pool holds no word.
        """
        try:
            counts = self.counter.fit_transform(map(_text, pool))  # (N, V)
        except ValueError as error:
            raise InputError(
                f"None of the {len(pool)} candidates holds a word (a letter or a digit), so words cannot be compared. "
                "Check what was read as their text, or choose another representation."
            ) from error
        n, v = counts.shape
        holders = np.bincount(counts.indices, minlength=v)  # (V,)
        self.mean_length = counts.sum() / n
        self.weights = np.sqrt(np.log1p((n - holders + 0.5) / (holders + 0.5)))
        buckets, signs = CountSketch(v, self.dim, self.seed).places(0, v)
        self.sketch = sparse.csr_array((signs, (np.arange(v), buckets)), shape=(v, self.dim))
        return self

    def candidates(self, examples: Sequence[Example]) -> np.ndarray:
        """Features of candidates, float32 of shape (N, dim), rows of length 1; fits to them what was not fitted."""
        if not self.fitted and examples:
            self.fit(examples)
        return self._features([_text(example) for example in examples], "candidates")

    def queries(self, queries: Sequence[Query]) -> np.ndarray:
        """Features of queries, float32 of shape (M, dim), rows of length 1.

        Raises
        ------
        InputError
            If there was no pool yet, from which words and their weights come.
        """
        if queries and not self.fitted:
            raise InputError("Words are weighted by how rare they are in the pool: call fit() or candidates() first.")
        return self._features([f"{request(query)}\n{answer(query)}" for query in queries], "queries")

    @property
    def fitted(self) -> bool:
        """Whether the words of a pool are known."""
        return bool(self.weights.size)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything the features depend on besides the texts, ready for JSON (a cache key)."""
        return {"representation": "lexical", "k1": K1, "b": B, "dim": self.dim, "seed": self.seed}

    def _features(self, texts: list[str], what: str) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        rows = normalize(self._weighted(self.counter.transform(texts)) @ self.sketch).toarray()  # (N, dim)
        self.wordless = int((~rows.any(axis=1)).sum())
        if self.wordless:
            log.warning("%d of %d %s hold no word of the pool: nothing is near them.", self.wordless, len(texts), what)
        return np.asarray(rows, dtype=np.float32)

    def _weighted(self, counts: Any) -> sparse.csr_array:
        """BM25 weights in the place of counts, sparse (N, V)."""
        lengths = np.asarray(counts.sum(axis=1)).ravel()  # (N,)
        room = np.repeat(K1 * (1 - B + B * lengths / self.mean_length), np.diff(counts.indptr))  # one per count
        weights = self.weights[counts.indices] * counts.data * (K1 + 1) / (counts.data + room)
        return sparse.csr_array((weights, counts.indices, counts.indptr), shape=counts.shape)


def words(text: str) -> list[str]:
    """Words of a text, letter case and width aside; pairs of characters in scripts that do not mark words."""
    pieces = []
    for match in _pattern().finditer(unicodedata.normalize("NFKC", text).casefold()):
        run = match.group()
        unspaced = match.lastgroup == "unspaced" and len(run) > 1
        pieces += [run[i : i + 2] for i in range(len(run) - 1)] if unspaced else [run]
    return pieces


@functools.cache
def _pattern() -> re.Pattern[str]:
    # `\w` leaves out the marks that stand on letters, which are half of the vowels of many scripts
    marks = "".join(c for c in map(chr, range(0x300, 0x1E000)) if unicodedata.category(c).startswith("M"))
    letter = rf"[^\W_{UNSPACED}]"
    return re.compile(rf"(?P<unspaced>(?:(?=[\w{marks}])[{UNSPACED}])+)|{letter}(?:{letter}|[{marks}])*")


def _text(example: Example) -> str:
    return turns(example, *ROLES)
