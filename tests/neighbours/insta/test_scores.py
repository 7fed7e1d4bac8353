"""INSTA's pieces against loops written from METHODS §7."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.neighbours.insta import scores as tasks

VECTORS = st.lists(st.tuples(*[st.integers(-3, 3)] * 3).filter(any), min_size=1, max_size=4)  # (wordings, 3)
TASKS = st.lists(VECTORS, min_size=1, max_size=5)
WORDS = st.text("abc12", min_size=1, max_size=2)
PROMPTS = st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12)


def unit(rows: list[tuple[int, ...]]) -> np.ndarray:
    matrix = np.array(rows, dtype=np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def cosine(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


@given(VECTORS, TASKS)
def test_scores_are_the_mean_and_the_largest_cosine_of_all_pairs(target, candidates) -> None:
    rows = [unit(c) for c in candidates]
    for how, combine in (("mean", lambda v: sum(v) / len(v)), ("max", max)):
        expected = [combine([cosine(a, b) for a in target for b in c]) for c in candidates]
        np.testing.assert_allclose(tasks.task_scores(unit(target), rows, how), expected, atol=1e-6)


@given(st.lists(st.integers(-2, 2), min_size=1, max_size=9), st.data())
def test_top_tasks_are_the_best_with_ties_to_the_lower_index(values: list[int], data) -> None:
    k = data.draw(st.integers(1, len(values)))
    noise = 1e-9 * np.arange(len(values))  # rounding must not break a tie
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert tasks.top_tasks(np.array(values) / 2 + noise, k).tolist() == expected


@pytest.mark.parametrize("k", [0, 4, -1])
def test_fewer_tasks_than_k_is_said(k: int) -> None:
    with pytest.raises(InputError, match=f"{k} nearest tasks, and there are 3"):
        tasks.top_tasks(np.zeros(3), k)


def test_scores_must_be_finite_and_the_way_known() -> None:
    with pytest.raises(InputError, match="1 of 2 task scores"):
        tasks.top_tasks(np.array([0.0, np.nan]), 1)
    with pytest.raises(InputError, match="'median'"):
        tasks.task_scores(np.ones((1, 1)), [np.ones((1, 1))], "median")
    with pytest.raises(InputError, match="without a wording"):
        tasks.task_scores(np.ones((1, 1)), [np.ones((0, 1))])


@pytest.mark.parametrize("texts", [(), ("",), ("fine", "  "), None])
def test_a_task_without_instruction_is_named(texts) -> None:
    with pytest.raises(InputError, match="1 of 2 tasks have no instruction: 'silent'"):
        tasks.checked({"good": ["Add."], "silent": texts or []})
    with pytest.raises(InputError, match="no tasks"):
        tasks.checked({})


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.permutations(range(5)),
    st.integers(1, 5),
    st.integers(1, 30),
    st.integers(0, 3),
)
def test_examples_come_from_the_first_tasks_and_then_from_the_next(labels, order, k, budget, seed) -> None:
    labels = np.array(labels)
    found = tasks.draw_examples(labels, order, k, budget, seed)
    assert len(set(found.tolist())) == len(found) == min(budget, len(labels))
    inside = int(np.isin(labels, order[:k]).sum())
    assert set(labels[found[:inside]]) <= set(order[:k])
    places = [max(0, order.index(labels[i]) - k + 1) for i in found]  # 0: one of the first k
    assert places == sorted(places)
    shorter = tasks.draw_examples(labels, order, k, max(1, budget - 1), seed)
    assert found[: len(shorter)].tolist() == shorter.tolist()


def test_examples_of_the_chosen_tasks_are_drawn_evenly() -> None:
    labels = np.repeat([0, 1, 2], [10, 30, 60])
    drawn = np.concatenate([tasks.draw_examples(labels, [1, 0, 2], 2, 20, seed) for seed in range(400)])
    counts = np.bincount(drawn, minlength=100)
    assert not counts[40:].any()
    np.testing.assert_allclose(counts[:40], 200, atol=60)  # 400 · 20 / 40, six standard deviations


# --- instructions -------------------------------------------------------------------------------------


def test_wordings_mask_what_differs_from_prompt_to_prompt() -> None:
    prompts = [f"Add {a} and b{a} please" for a in range(6)] + [f"Sum up {a}" for a in range(4)]
    assert tasks.wordings(prompts, share=0.5) == ("Add and please",)
    prompts += [f"Sum up {a}" for a in range(4, 9)]
    assert tasks.wordings(prompts) == ("Sum up", "Add and please")
    assert tasks.wordings(prompts, most=1) == ("Sum up",)
    assert tasks.wordings(["one", "two", "three"]) == ()


@given(PROMPTS)
def test_wordings_hold_only_words_of_many_prompts_in_the_prompts_own_order(prompts: list[str]) -> None:
    least = max(min(5, len(prompts)), 0.2 * len(prompts))
    often = Counter(word for prompt in prompts for word in set(prompt.split()))
    fixed = {word for word, n in often.items() if n >= least and word.isalpha()}
    kept = [" ".join(w for w in p.split() if w in fixed) for p in prompts]
    counts = Counter(text for text in kept if text)
    found = tasks.wordings(prompts)
    assert set(found) <= set(counts)
    assert len(found) == min(4, len(counts))
    assert [counts[text] for text in found] == sorted(counts.values(), reverse=True)[: len(found)]


def test_equal_texts_get_equal_rows() -> None:
    calls = []

    def embed(texts: list[str]) -> np.ndarray:
        calls.append(list(texts))
        return np.eye(len(texts), dtype=np.float32)

    rows = tasks.embed_tasks({"a": ["x", "y "], "b": [" y"]}, embed)
    assert calls == [["x", "y"]]
    assert rows["a"][1].tolist() == rows["b"][0].tolist()
