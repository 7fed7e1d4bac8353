"""The classroom: contents by kind, no prompt in two splits, seeds, plain errors."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.examples import classroom
from tis_utils.examples.classroom import SKILLS, TASKS, filler
from tis_utils.examples.classroom.corpus import TARGET_SHARE
from tis_utils.examples.classroom.skills import Skill
from tis_utils.examples.classroom.splits import split_of
from tis_utils.examples.text import Data, Example, Query, answer, chat_prompt, request

KINDS = ("clean", "other_function", "corrupted", "other_wording")


@pytest.fixture(scope="module")
def room() -> Data:
    return classroom.build(pool_size=1000, n_queries=8, n_test=20, seed=3)


def prompts(items: Iterable[Example | Query]) -> list[str]:
    return [chat_prompt(request(item)) if isinstance(item, Example) else item.prompt for item in items]


def of_kind(room: Data, task: str, kind: str) -> list[Example]:
    return [e for e in room.pool if e.meta["group"] == task and e.meta["kind"] == kind]


# What each target function does, written again from its description, by plain loops.
def last_to_first(words: list[str]) -> list[str]:
    return [words[len(words) - 1 - place] for place in range(len(words))]


ORACLES = {
    "words": last_to_first,
    "numbers": lambda items: [format(int(item) % 10) for item in items],
    "filter": lambda items: [item for item in items if all(letter in "0123456789" for letter in item)],
    "pick": lambda items: last_to_first(items)[:1],
    "pairs": lambda items: [item[item.index("=") + 1 :] for item in items],
}


def wanted(task: str, prompt: str) -> str:
    """The target's answer, from the text after the wording's colon or question mark."""
    return " ".join(ORACLES[task](prompt.replace("?", ":").split(":")[1].split()))


class TestPool:
    def test_size_and_shares(self, room: Data) -> None:
        counts = Counter((e.meta["group"], e.meta["kind"]) for e in room.pool)
        assert len(room.pool) == 1000
        for task, (kind, n) in itertools.product(TASKS, zip(KINDS, (16, 30, 14, 20), strict=True)):
            assert counts[task, kind] == n
        assert counts["general", "filler"] == 1000 - len(TASKS) * 80

    @pytest.mark.parametrize("task", TASKS)
    def test_clean_examples_answer_the_target(self, room: Data, task: str) -> None:
        for example in of_kind(room, task, "clean"):
            assert request(example).startswith(SKILLS[task].vague.format(""))
            assert answer(example) == wanted(task, request(example))

    @pytest.mark.parametrize("task", TASKS)
    def test_other_functions_look_alike_and_answer_otherwise(self, room: Data, task: str) -> None:
        examples = of_kind(room, task, "other_function")
        for example in examples:
            assert request(example).startswith(SKILLS[task].vague.format(""))
            assert answer(example) != wanted(task, request(example))
        names = {example.meta["function"] for example in examples}
        assert names == {function.name for function in SKILLS[task].functions[1:]}

    @pytest.mark.parametrize("task", TASKS)
    def test_corrupted_answers_are_nobodys_answer(self, room: Data, task: str) -> None:
        for example in of_kind(room, task, "corrupted"):
            assert request(example).startswith(SKILLS[task].vague.format(""))
            items = tuple(request(example).removeprefix(SKILLS[task].vague.format("")).split())
            assert answer(example) not in SKILLS[task].answers(items)

    @pytest.mark.parametrize("task", TASKS)
    def test_other_wordings_are_right_and_explicit(self, room: Data, task: str) -> None:
        examples = of_kind(room, task, "other_wording")
        for example in examples:
            assert not request(example).startswith(SKILLS[task].vague.format(""))
            assert answer(example) == wanted(task, request(example))
        assert {example.meta["wording"] for example in examples} == {"explicit-1", "explicit-2"}

    def test_meta_and_ids(self, room: Data) -> None:
        everything = [*room.pool, *itertools.chain(*room.queries.values(), *room.test.values())]
        assert len({item.id for item in everything}) == len(everything)
        for item in everything:
            assert set(item.meta) == {"group", "family", "function", "wording", "kind", "seed"}
        assert {e.source for e in room.pool if e.meta["kind"] == "filler"} == {
            f"reasoning-gym/{family}" for family in classroom.FAMILIES
        }
        assert {e.source for e in room.pool if e.meta["kind"] != "filler"} == {f"skills/{task}" for task in TASKS}

    def test_composition_counts_every_example(self, room: Data) -> None:
        table = classroom.composition(room.pool)
        assert list(table.columns) == ["source", "kind", "n"]
        assert table["n"].sum() == len(room.pool)
        assert table.set_index(["source", "kind"])["n"]["skills/words", "clean"] == 16

    def test_composition_of_nothing_is_empty(self) -> None:
        assert classroom.composition([]).empty

    def test_the_filler_is_spread_evenly(self, room: Data) -> None:
        counts = Counter(e.meta["family"] for e in room.pool if e.meta["kind"] == "filler")
        assert max(counts.values()) - min(counts.values()) <= 1

    def test_kinds_are_mixed(self, room: Data) -> None:
        quarter = Counter(e.meta["kind"] for e in room.pool[:250])
        assert quarter["filler"] < 200
        assert set(quarter) == {"filler", *KINDS}


class TestQueries:
    @pytest.mark.parametrize("task", TASKS)
    def test_vague_wording_and_target_answer(self, room: Data, task: str) -> None:
        assert (len(room.queries[task]), len(room.test[task])) == (8, 20)
        for query in room.queries[task] + room.test[task]:
            assert query.task == task
            assert query.prompt.startswith("<|user|>\n" + SKILLS[task].vague.format(""))
            assert query.prompt.endswith("\n<|assistant|>\n")
            assert query.label == wanted(task, query.prompt.split("\n")[1])


class TestNoLeaks:
    def test_no_prompt_in_two_splits_even_for_other_seeds(self) -> None:
        used: dict[str, set[str]] = {"pretraining": set(), "pool": set(), "query": set(), "test": set()}
        for seed in (0, 1):
            room = classroom.build(pool_size=600, n_queries=16, n_test=50, seed=seed)
            corpus = classroom.pretraining_corpus(3000, seed=seed)
            parts = {
                "pretraining": corpus,
                "pool": room.pool,
                "query": itertools.chain(*room.queries.values()),
                "test": itertools.chain(*room.test.values()),
            }
            for split, items in parts.items():
                texts = prompts(items)
                assert len(set(texts)) == len(texts)
                used[split] |= set(texts)
        for one, other in itertools.combinations(used.values(), 2):
            assert not one & other

    def test_the_problem_itself_is_in_one_split_whatever_the_wording(self, room: Data) -> None:
        def problem(text: str) -> str:
            return text.replace("?", ":").split(":")[1].strip()

        skills = [e for e in room.pool if e.meta["kind"] != "filler"]
        assert {split_of(problem(request(e))) for e in skills} == {"pool"}
        assert {split_of(request(e)) for e in room.pool if e.meta["kind"] == "filler"} == {"pool"}
        for queries, split in ((room.queries, "query"), (room.test, "test")):
            texts = [q.prompt.split("\n")[1] for q in itertools.chain(*queries.values())]
            assert {split_of(problem(text)) for text in texts} == {split}

    def test_every_split_gets_its_share_of_problems(self) -> None:
        counts = Counter(split_of(f"problem {n}") for n in range(20_000))
        shares = {split: count / 20_000 for split, count in counts.items()}
        expected = {"pretraining": 0.5, "pool": 0.3, "query": 0.05, "test": 0.1, "check": 0.05}
        assert shares == pytest.approx(expected, abs=0.012)  # about four standard errors


class TestSeeds:
    def test_same_seed_same_classroom(self, room: Data) -> None:
        assert classroom.build(pool_size=1000, n_queries=8, n_test=20, seed=3) == room

    def test_another_seed_another_classroom(self, room: Data) -> None:
        other = classroom.build(pool_size=1000, n_queries=8, n_test=20, seed=4)
        shared = set(prompts(room.pool)) & set(prompts(other.pool))
        assert len(shared) < 100  # short families (lcm, say) repeat a few prompts by chance
        assert not set(prompts(room.queries["words"])) & set(prompts(other.queries["words"]))

    def test_queries_depend_on_the_seed_and_task_only(self, room: Data) -> None:
        small = classroom.build(pool_size=100, n_queries=4, n_test=5, seed=3, tasks=["pick"])
        assert list(small.queries) == ["pick"]
        assert small.queries["pick"] == room.queries["pick"][:4]
        assert small.test["pick"] == room.test["pick"][:5]

    def test_pool_does_not_depend_on_the_tasks(self) -> None:
        one = classroom.build(pool_size=200, tasks=["pick"], seed=5)
        two = classroom.build(pool_size=200, tasks=["words", "numbers"], seed=5)
        assert one.pool == two.pool

    @pytest.mark.slow
    def test_another_process_with_other_string_hashes_draws_the_same(self) -> None:
        code = (
            "from tis_utils.examples import classroom as c; r = c.build(pool_size=150, n_queries=2, n_test=2); "
            "print([e.id for e in r.pool])"
        )
        outputs = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": salt},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for salt in ("1", "2")
        }
        assert len(outputs) == 1


class TestSkills:
    @pytest.mark.parametrize("skill", SKILLS.values(), ids=TASKS)
    @given(seed=st.integers(0, 2**32))
    def test_functions_disagree_on_every_drawn_problem(self, skill: Skill, seed: int) -> None:
        items = skill.draw_clear(Random(seed))
        answers = [function.apply(items) for function in skill.functions]
        assert len(set(answers)) == len(answers)
        assert all(answers)
        assert skill.target.apply(items) == " ".join(ORACLES[skill.name](list(items)))

    @pytest.mark.parametrize("skill", SKILLS.values(), ids=TASKS)
    def test_wordings_are_all_different(self, skill: Skill) -> None:
        wordings = [skill.vague, *(w for function in skill.functions for w in function.wordings)]
        assert len(set(wordings)) == len(wordings) == 1 + 2 * len(skill.functions)


class TestPretrainingCorpus:
    def test_the_vague_wording_rarely_means_the_target(self) -> None:
        corpus = classroom.pretraining_corpus(20_000, seed=1, filler_share=0.0)
        vague = [e for e in corpus if e.meta["wording"] == "vague"]
        assert len(vague) / len(corpus) == pytest.approx(0.3, abs=0.02)
        for task in TASKS:
            own = Counter(e.meta["function"] for e in vague if e.meta["group"] == task)
            share = own[SKILLS[task].target.name] / sum(own.values())
            assert share == pytest.approx(TARGET_SHARE, abs=0.026)  # about four standard errors
            assert min(own.values()) == own[SKILLS[task].target.name] > 0

    def test_explicit_wordings_teach_every_function(self) -> None:
        corpus = classroom.pretraining_corpus(2000, seed=1, filler_share=0.0)
        seen = {(e.meta["group"], e.meta["function"], e.meta["wording"]) for e in corpus}
        for skill in SKILLS.values():
            for function, wording in itertools.product(skill.functions, ("explicit-1", "explicit-2")):
                assert (skill.name, function.name, wording) in seen

    def test_answers_are_right(self) -> None:
        for example in classroom.pretraining_corpus(1000, seed=2, filler_share=0.0):
            right = answer(example) == wanted(example.meta["group"], request(example))
            assert right == (example.meta["function"] == SKILLS[example.meta["group"]].target.name)

    @pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.5, 50), (1.0, 100)])
    def test_filler_share(self, share: float, expected: int) -> None:
        corpus = classroom.pretraining_corpus(100, filler_share=share)
        assert sum(e.meta["group"] == "general" for e in corpus) == expected
        assert len(corpus) == 100

    @pytest.mark.parametrize(("n", "share"), [(0, 0.5), (-1, 0.5), (10, -0.1), (10, 1.1), (10, float("nan"))])
    def test_bad_input(self, n: int, share: float) -> None:
        with pytest.raises(InputError, match="expected n of at least 1"):
            classroom.pretraining_corpus(n, filler_share=share)


class TestBadInput:
    @pytest.mark.parametrize(
        "options",
        [
            {"pool_size": 99},
            {"pool_size": -1},
            {"pool_size": 200.0},
            {"pool_size": True},
            {"n_queries": 0},
            {"n_test": -3},
            {"seed": -1},
            {"seed": "zero"},
            {"seed": None},
        ],
    )
    def test_sizes_and_seeds(self, options: dict[str, object]) -> None:
        with pytest.raises(InputError, match=next(iter(options))):
            classroom.build(**{"pool_size": 200, **options})  # type: ignore[arg-type]

    @pytest.mark.parametrize("tasks", [["words", "poetry"], ["Words"], [3]])
    def test_unknown_task_lists_the_known(self, tasks: list[str]) -> None:
        with pytest.raises(InputError, match=r"Unknown classroom task.*words, numbers, filter, pick, pairs"):
            classroom.build(pool_size=200, tasks=tasks)

    @pytest.mark.parametrize("tasks", ["words", [], ()])
    def test_tasks_must_be_a_list(self, tasks: str | list[str]) -> None:
        with pytest.raises(InputError, match="expected a non-empty list"):
            classroom.build(pool_size=200, tasks=tasks)

    def test_used_up_filler_is_said_plainly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(filler, "FAMILIES", ("coin_flip",))
        with pytest.raises(InputError, match=r"have \d+ distinct prompts for the pool split; 5000 were asked"):
            filler.filler(5000, "pool", 0)

    def test_an_exhausted_family_leaves_room_for_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(filler, "FAMILIES", ("coin_flip", "chain_sum"))
        drawn = filler.filler(600, "pool", 0)
        counts = Counter(e.meta["family"] for e in drawn)
        assert len(drawn) == len({request(e) for e in drawn}) == 600
        assert 0 < counts["coin_flip"] < 200
