"""Lexical rows against BM25 written out in loops, and what every representation owes."""

from __future__ import annotations

import logging
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.examples.text import Example, Query, chat_prompt, chat_text
from tis_utils.representations import Lexical
from tis_utils.representations.lexical import words
from tis_utils.selectors import select
from tis_utils.selectors.similarity import similarity

WORDS = st.lists(st.sampled_from(["red", "Blue", "seven", "7", "run,", "über", "東京", "…", "ไทย"]), max_size=9)


def chat(user: str, answer: str = "", name: str = "c") -> Example:
    return Example(name, [{"role": "user", "content": user}, {"role": "assistant", "content": answer}], "toy")


def bm25(text: list[str], other: list[str], pool: list[list[str]]) -> float:
    """Cosine of two texts whose inner product counts IDF once, frequencies saturated on both sides."""
    mean = sum(map(len, pool)) / len(pool)

    def weight(word: str, words_: list[str]) -> float:
        f, holders = words_.count(word), sum(word in candidate for candidate in pool)
        known = [w for w in words_ if any(w in candidate for candidate in pool)]
        idf = math.log(1 + (len(pool) - holders + 0.5) / (holders + 0.5)) if holders else 0
        return math.sqrt(idf) * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(known) / mean))

    def inner(a: list[str], b: list[str]) -> float:
        return sum(weight(word, a) * weight(word, b) for word in set(a) & set(b))

    return inner(text, other) / math.sqrt(inner(text, text) * inner(other, other))


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=6), st.lists(WORDS.map(" ".join), min_size=1, max_size=4))
def test_cosines_are_those_of_bm25_weights(pool: list[str], asked: list[str]) -> None:
    method, split = Lexical(dim=1 << 20), [words(text) for text in pool]  # wide enough that no two words meet
    if not any(split):
        return
    rows = method.candidates([chat(text) for text in pool])
    queries = method.queries([Query("q", chat_prompt(text), "", "toy") for text in asked])
    known = {word for candidate in split for word in candidate}
    assert method.wordless == sum(not known & set(words(text)) for text in asked)
    for text, query in zip(asked, queries, strict=True):
        for candidate, row in zip(split, rows, strict=True):
            some = known & set(words(text)) and candidate
            expected = bm25(words(text), candidate, split) if some else 0
            assert float(query @ row) == pytest.approx(expected, abs=1e-6)


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=6), st.integers(8, 64), st.integers(0, 5))
def test_rows_are_of_length_one_or_zero_and_do_not_depend_on_their_neighbours(
    pool: list[str], dim: int, seed: int
) -> None:
    examples = [chat(text) for text in [*pool, "one word"]]
    method = Lexical(dim=dim, seed=seed).fit(examples)
    rows = method.candidates(examples)
    assert (rows.dtype, rows.shape) == (np.float32, (len(examples), dim))
    lengths = np.linalg.norm(rows, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
    for i, example in enumerate(examples):
        np.testing.assert_array_equal(method.candidates([example])[0], rows[i])


def test_a_query_with_the_words_of_a_candidate_is_equal_to_it_and_role_headers_are_no_words() -> None:
    pool = [chat("reverse the word", "drow"), chat("user assistant system", "model"), chat("add one", "two")]
    method = Lexical().fit(pool)
    S = similarity(
        method.queries([Query("q", chat_prompt("reverse the word"), "drow", "toy")]), method.candidates(pool)
    )
    np.testing.assert_allclose(S, [[1, 0, 0]], atol=1e-6)


def test_the_sketch_keeps_cosines() -> None:
    rng = np.random.default_rng(0)
    pool = [chat(" ".join(f"w{i}" for i in rng.zipf(1.3, 60) % 5000)) for _ in range(60)]
    narrow, exact = (Lexical(dim=dim).candidates(pool) for dim in (2048, 1 << 20))
    error = narrow @ narrow.T - exact @ exact.T
    assert np.abs(error).max() < 0.15
    assert np.sqrt((error**2).mean()) < 1.5 / math.sqrt(2048)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't  STOP_now: x1=-2.5", ["don", "t", "stop", "now", "x1", "2", "5"]),
        ("ＡＢＣ ﬁn Straße", ["abc", "fin", "strasse"]),
        ("हिन्दी भाषा, العَرَبِيَّة", ["हिन्दी", "भाषा", "العَرَبِيَّة"]),
        ("나는 학교에", ["나는", "학교에"]),
        ("我爱北京。你呢", ["我爱", "爱北", "北京", "你呢"]),
        ("東京タワー2023年", ["東京", "京タ", "タワ", "ワー", "2023", "年"]),
        ("ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        (" …!?\n-- ", []),
    ],
)
def test_words_of_many_scripts(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_texts_without_spaces_find_their_like() -> None:
    pool = [chat("我想去北京旅游"), chat("今天天气很好"), chat("猫在桌子上睡觉")]
    method = Lexical().fit(pool)
    asked = [Query("q", chat_prompt(text), "", "toy") for text in ("北京在哪里", "天气怎么样", "桌子多少钱")]
    assert (method.queries(asked) @ method.candidates(pool).T).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("texts", [["", ""], ["?!", "…"], ["\n"]])
def test_a_pool_without_words_is_refused(texts: list[str]) -> None:
    pool = [chat(text, text) for text in texts]
    with pytest.raises(InputError, match=rf"None of the {len(texts)} candidates holds a word \(a letter or a digit\)"):
        Lexical().candidates(pool)
    with pytest.raises(InputError, match="choose another representation"):
        Lexical().fit([])


def test_queries_before_any_pool_are_refused() -> None:
    with pytest.raises(InputError, match=r"call fit\(\) or candidates\(\) first"):
        Lexical().queries([Query("q", "p", "a", "toy")])
    assert Lexical(dim=7).queries([]).shape == Lexical(dim=7).candidates([]).shape == (0, 7)


def test_what_shares_no_word_with_the_pool_is_zero_and_said(caplog: pytest.LogCaptureFixture) -> None:
    pool = [chat("red apples"), chat("…"), chat("blue river")]
    method = Lexical().fit(pool)
    candidates = method.candidates(pool)
    assert method.wordless == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        queries = method.queries(
            [Query("a", chat_prompt("zzz"), "yyy", "t"), Query("b", chat_prompt("river"), "", "t")]
        )
    assert method.wordless == 1
    assert "1 of 2 queries hold no word of the pool" in caplog.text
    S = similarity(queries, candidates)
    np.testing.assert_allclose(S[:, [0, 1]], [[0, -1], [0, -1]])  # no query near, no candidate: farthest from all
    assert select("round_robin", S, 3, candidates=candidates).tolist() == [0, 2, 1]
    assert select("doubly_greedy", S, 3, candidates=candidates).tolist() == [2, 0, 1]


def test_settings_hold_what_features_depend_on() -> None:
    assert Lexical().settings == Lexical().settings
    assert len({str(method.settings) for method in (Lexical(), Lexical(dim=8), Lexical(seed=1))}) == 3


def test_headers_of_chats_do_not_decide() -> None:
    """All chats hold the same headers: as words they would be a part of every cosine."""
    assert Counter(words(chat_text(chat("a"))))["user"] == 1
    first, second = chat("alpha", "beta"), chat("gamma", "delta")
    rows = Lexical().candidates([first, second])
    assert float(rows[0] @ rows[1]) == 0
