"""Alignment of INSTA's selector against the rules of METHODS §7."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.neighbours.insta import alignment
from tis_utils.neighbours.insta import scores as tasks
from tis_utils.neighbours.insta.alignment import Pair
from tis_utils.representations import Embed

NAMES = st.lists(st.integers(1, 4), min_size=2, max_size=6)


def embed_by_name(texts: list[str]) -> np.ndarray:
    """Angles read off the texts: cosines below 0.3 for some pairs and not for others."""
    angles = np.array([0.7 * int(text.split("-")[1]) for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@given(NAMES, st.integers(0, 3))
def test_alignment_pairs_follow_the_rules(sizes: list[int], seed: int) -> None:
    counter = itertools.count()
    texts = {f"t{t}": [f"t{t}-{next(counter)}" for _ in range(n)] for t, n in enumerate(sizes)}
    total = sum(n * (n - 1) // 2 for n in sizes)
    if not total:
        with pytest.raises(InputError, match="two different wordings"):
            alignment.alignment_pairs(texts, embed_by_name, seed=seed)
        return
    pairs = alignment.alignment_pairs(texts, embed_by_name, seed=seed)
    same = [(p.first, p.second) for p in pairs if p.label == 1]
    other = [(p.first, p.second) for p in pairs if p.label == 0]
    assert len(set(same)) == len(same) == max(1, round(0.4 * total))
    assert all(a.split("-")[0] == b.split("-")[0] and a != b for a, b in same)
    assert all(a.split("-")[0] != b.split("-")[0] for a, b in other)
    for a, b in other:
        assert float(embed_by_name([a])[0] @ embed_by_name([b])[0]) < 0.3
    assert max(Counter(b for _, b in other).values(), default=0) <= 4
    assert {a for a, _ in other} <= {a for a, _ in same}


def test_a_negative_is_only_left_out_when_none_is_free() -> None:
    """One far wording, reused at most twice: two of the six positives get it."""
    texts = {"a": [f"a-{i}" for i in (0, 9, 18, 27)], "b": ["b-4"]}
    pairs = alignment.alignment_pairs(texts, embed_by_name, share=1, reuse=2, ceiling=1.1)
    assert [sum(p.label == kind for p in pairs) for kind in (1, 0)] == [6, 2]


def test_pairs_are_split_with_both_kinds_on_both_sides() -> None:
    pairs = [Pair(f"x{i}", "y", float(i % 2)) for i in range(20)]
    train, dev = alignment.split_pairs(pairs, 0.2, 0)
    assert sorted(p.first for p in train + dev) == sorted(p.first for p in pairs)
    assert [sum(p.label == kind for p in dev) for kind in (0, 1)] == [2, 2]
    with pytest.raises(InputError, match="1 pairs with label 0"):
        alignment.split_pairs([*pairs[1::2], pairs[0]], 0.2, 0)


def test_alignment_moves_pairs_and_saves_a_model_folder(tmp_path: Path) -> None:
    encoder = Embed("minilm", show_progress=False).encoder
    pairs = [Pair(f"Add {a} and {b}.", f"Solve the sum {b}.", 1.0) for a, b in zip("abcd", "wxyz", strict=True)]
    pairs += [Pair(f"Add {a} and more.", f"Name the capital of {b}.", 0.0) for a, b in zip("abcd", "wxyz", strict=True)]
    before = tasks.encode(encoder, [pairs[0].first])
    history = alignment.align(encoder, pairs, tmp_path / "m", learning_rate=1e-4, epochs=2, batch_size=4, dev_share=0.5)
    assert history["epoch"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(tasks.encode(encoder, [pairs[0].first]), before)  # the original is untouched
    assert not list(tmp_path.rglob("*.bin"))  # safetensors only
    aligned = Embed(str(tmp_path / "m"), show_progress=False).encoder
    _, dev = alignment.split_pairs(pairs, 0.5, 0)
    a, b = (tasks.encode(aligned, [getattr(p, side) for p in dev]) for side in ("first", "second"))
    pearson = np.corrcoef((a * b).sum(axis=1), [p.label for p in dev])[0, 1]
    assert pearson == pytest.approx(history["pearson"][1:].max(), abs=1e-4)  # the best epoch was saved
    assert np.abs(a - tasks.encode(encoder, [p.first for p in dev])).max() > 1e-3
