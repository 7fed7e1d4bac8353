"""The authors' numbers of INSTA's alignment: 40 % of the positive pairs, negatives below 0.3, each used four times."""

from __future__ import annotations

import inspect
from collections import Counter

import numpy as np
import pytest

from tis_utils.neighbours.insta.alignment import align, alignment_pairs, split_pairs


def by_table(cosines: dict[str, float]):
    """Unit vectors in the plane whose cosine with those of all other texts is given."""

    def embed(texts):
        c = np.array([cosines.get(text, 1.0) for text in texts])
        return np.stack([c, np.sqrt(1 - c**2)], axis=1)

    return embed


def test_a_negative_is_below_the_ceiling() -> None:
    texts = {"a": ["a one", "a two"], "b": ["near"], "c": ["far"]}
    pairs = alignment_pairs(texts, by_table({"near": 0.301, "far": 0.299}))
    assert [(p.second, p.label) for p in pairs if p.label == 0] == [("far", 0.0)]
    assert [p for p in alignment_pairs({**texts, "c": ["x"]}, by_table({"near": 0.301, "x": 0.4})) if not p.label] == []


def test_a_wording_is_the_negative_of_four_pairs_at_most() -> None:
    texts = {"a": [f"a{i}" for i in range(8)], "b": ["far"]}
    pairs = alignment_pairs(texts, by_table({"far": 0.0}))
    assert Counter(p.second for p in pairs if p.label == 0) == {"far": 4}
    assert sum(p.label == 1 for p in pairs) == 11  # of 28


@pytest.mark.parametrize(("wordings", "positives"), [(2, 1), (3, 1), (4, 2), (5, 4), (6, 6), (7, 8)])
def test_the_share_of_positive_pairs_is_rounded(wordings: int, positives: int) -> None:
    """1, 3, 6, 10, 15 and 21 pairs: 0.4, 1.2, 2.4, 4, 6 and 8.4 of them."""
    pairs = alignment_pairs({"a": [f"a{i}" for i in range(wordings)], "b": ["far"]}, by_table({"far": 0.0}))
    assert sum(p.label == 1 for p in pairs) == positives


def test_a_share_above_one_half_is_rounded_up() -> None:
    texts = {"a": ["a0", "a1"], "b": ["b0", "b1"], "c": ["c0", "c1"], "d": ["d0", "d1"]}  # 4 pairs: 1.6
    assert sum(p.label == 1 for p in alignment_pairs(texts, by_table({}))) == 2


def test_the_authors_settings_are_the_defaults() -> None:
    defaults = {name: p.default for name, p in inspect.signature(align).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert defaults == {"learning_rate": 1e-6, "epochs": 5, "batch_size": 16, "dev_share": 0.2, "seed": 0}
    assert inspect.signature(split_pairs).parameters.keys() == {"pairs", "dev_share", "seed"}
