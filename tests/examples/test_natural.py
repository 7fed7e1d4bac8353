from __future__ import annotations

import pytest

from tis_utils.errors import InputError
from tis_utils.examples import natural
from tis_utils.examples.load import load_data
from tis_utils.examples.text import chat_text
from tis_utils.profiles import load_profile


def test_the_smollm2_pool_is_large_varied_and_leaks_nothing() -> None:
    profile = load_profile("smollm2")
    data = load_data(profile)
    assert len(data.pool) == profile.pool_size >= 1000
    assert len({e.id for e in data.pool}) == len(data.pool)
    texts = [chat_text(example) for example in data.pool]
    assert len(set(texts)) == len(texts)
    assert len({e.source for e in data.pool}) > 25
    seen = [query for part in (data.queries, data.test) for task in profile.tasks for query in part[task]]
    assert not any(text.startswith(query.prompt) for query in seen for text in texts)
    assert {task: len(queries) for task, queries in data.queries.items()} == {
        "gsm8k": 8, "codex": 16, "bbh": 27, "mmlu": 27,
    }  # fmt: skip
    assert len({query.meta["subject"] for query in data.queries["bbh"]}) == 27  # one of every sub-task
    asked = {query.meta["subject"] for query in data.queries["mmlu"]}
    offered = {e.meta["family"] for e in data.pool if e.source == "mmlu"}
    assert len(asked) == 27
    assert offered
    assert not asked & offered
    assert data.test["gsm8k"] == []
    assert len(data.test["codex"]) == profile.n_test


def test_the_pool_is_seeded_and_a_target_task_is_left_out() -> None:
    first, again, other = (natural.load_pool(500, tasks=("mmlu",), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert "mmlu" not in {e.source for e in first}


def test_a_shuffled_pool_has_the_same_candidates_and_no_source_in_front() -> None:
    plain, shuffled = (natural.load_pool(500, shuffled=flag) for flag in (False, True))
    assert sorted(e.id for e in plain) == sorted(e.id for e in shuffled)
    assert len({e.source for e in plain[:20]}) == 1 < len({e.source for e in shuffled[:20]})


def test_what_is_held_out_is_not_in_the_pool() -> None:
    profile = load_profile("smollm2/gpu")
    data = load_data(profile)
    assert len(data.pool) == profile.pool_size
    assert "gsm_symbolic" not in {e.meta["family"] for e in data.pool}
    assert len(data.test["gsm8k"]) == profile.n_test
    assert {q.meta["subject"] for q in data.test["gsm8k"]} == {"gsm_symbolic"}


def test_a_pool_needs_candidates() -> None:
    with pytest.raises(InputError, match="at least one candidate"):
        natural.load_pool(0)
