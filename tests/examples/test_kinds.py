"""What a candidate is, from the point of view of a pool and of a task."""

from __future__ import annotations

import numpy as np
import pytest

from tis_utils.examples import classroom, natural
from tis_utils.examples.kinds import MEANT_FOR, NEAR, contrasts, group, pool_frame, view
from tis_utils.examples.text import IGNORE, Encoded, Example


def example(source: str = "mine", **meta: str) -> Example:
    return Example("e", [{"role": "assistant", "content": "yes"}], source, meta)


def test_every_family_of_the_natural_pool_has_a_group() -> None:
    assert set(NEAR) == set(natural.FAMILIES)


def test_groups_of_the_natural_pool_are_those_meant_for_the_tasks() -> None:
    pool = natural.load_pool(520, tasks=["gsm8k"])
    found = {group(e) for e in pool}
    assert found == {*NEAR.values(), "HumanEval", "MMLU"}
    assert set(MEANT_FOR.values()) <= {*found, "function calls"}  # those are in a pool of their own
    assert {e.source for e in pool if group(e) == "HumanEval"} == {"codex"}
    assert {view(e, "gsm8k") for e in pool} == found


def test_classroom_candidates_are_seen_from_a_task() -> None:
    pool = classroom.build(pool_size=200, n_queries=1, n_test=1, tasks=["pick"]).pool
    for e in pool:
        if e.meta["group"] == "pick":
            assert view(e, "pick") == str(e.meta["kind"]).replace("_", " ")
        else:
            assert view(e, "pick") == ("filler" if e.meta["kind"] == "filler" else "other skills")
    assert {group(e) for e in pool} == {*classroom.TASKS, "general"}


def test_unknown_pools_fall_back_to_the_source() -> None:
    assert group(example()) == view(example(), "anything") == "mine"
    assert group(example("reasoning-gym/new", kind="natural", family="new")) == "other puzzles"


def test_pool_frame_counts_tokens_with_and_without_loss() -> None:
    tokens = Encoded(np.arange(5), np.array([IGNORE, IGNORE, 2, 3, IGNORE]))
    frame = pool_frame([example(kind="other_function", group="words")], [tokens])
    assert frame.iloc[0].to_dict() == {
        "id": "e",
        "source": "mine",
        "group": "words",
        "kind": "other function",
        "prompt_tokens": 3,
        "answer_tokens": 2,
    }


def test_pool_frame_wants_one_encoding_per_candidate() -> None:
    with pytest.raises(ValueError, match="shorter"):
        pool_frame([example()], [])


def test_contrasts_set_clean_candidates_against_each_other_kind() -> None:
    pool = classroom.build(pool_size=200, n_queries=1, n_test=1, tasks=["pick"]).pool
    pairs = contrasts(pool, "pick")
    assert {"clean vs other function", "clean vs corrupted", "clean vs filler"} <= set(pairs)
    for name, (good, bad) in pairs.items():
        assert {view(pool[i], "pick") for i in good} == {"clean"}
        assert {view(pool[i], "pick") for i in bad} == {name.removeprefix("clean vs ")}


def test_contrasts_set_the_own_group_against_the_rest_where_a_pool_has_one() -> None:
    pool = natural.load_pool(520, tasks=["gsm8k"])
    good, bad = contrasts(pool, "gsm8k")["own group vs the rest"]
    assert {group(pool[i]) for i in good} == {"near GSM8K"}
    assert len(good) + len(bad) == len(pool)
    assert contrasts([example("mine")], "gsm8k") == {}
