"""The classroom: one pool for several target tasks, with queries and held-out test examples."""

import functools
from collections.abc import Mapping, Sequence
from random import Random

import pandas as pd

from tis_utils.errors import InputError
from tis_utils.examples.classroom.drawing import VAGUE, draw_problem, explicit, skill_example, skill_query
from tis_utils.examples.classroom.filler import filler
from tis_utils.examples.classroom.skills import SKILLS, Skill
from tis_utils.examples.classroom.splits import seed_of
from tis_utils.examples.text import Data, Example, Query

TASKS: tuple[str, ...] = tuple(SKILLS)
MIN_POOL = 100
# Share of the pool per skill group and kind; what is left is filler (60 % with five groups).
SHARES: Mapping[str, float] = {"clean": 0.016, "other_function": 0.030, "corrupted": 0.014, "other_wording": 0.020}


def build(
    *, pool_size: int, n_queries: int = 16, n_test: int = 100, seed: int = 0, tasks: Sequence[str] = TASKS
) -> Data:
    """Draw a pool, and for each task a query set and a test set.

    The pool holds every skill group, whatever the `tasks`: *clean* examples (vague wording, target function), the same
    wording with *other functions* or *corrupted* answers (to another problem), the target function under *other
    wordings*; the rest is filler. No prompt is in two splits.

    Parameters
    ----------
    pool_size : int
        Number of candidates, at least 100.
    n_queries, n_test : int
        Queries and test examples per task, at least 1 each.
    seed : int
        Seed of everything drawn; at least 0.
    tasks : sequence of str
        Target tasks, from :data:`TASKS`.

    Returns
    -------
    Data
        The pool in random order; ``meta["kind"]`` is filler, clean, other_function, corrupted or other_wording.

    Raises
    ------
    InputError
        If a size, the seed or a task is not possible, or the filler has too few distinct prompts.
    """
    _check_sizes(pool_size=(pool_size, MIN_POOL), n_queries=(n_queries, 1), n_test=(n_test, 1), seed=(seed, 0))
    _check_tasks(tasks)
    return Data(
        pool=list(_pool(pool_size, seed)),
        queries={task: _queries(SKILLS[task], n_queries, "query", seed) for task in tasks},
        test={task: _queries(SKILLS[task], n_test, "test", seed) for task in tasks},
    )


def composition(pool: Sequence[Example]) -> pd.DataFrame:
    """Count a pool's examples: columns source, kind, n, sorted."""
    rows = pd.DataFrame(
        [(e.source, e.meta.get("kind", "unknown")) for e in pool], columns=["source", "kind"], dtype=str
    )
    return rows.groupby(["source", "kind"], as_index=False).size().rename(columns={"size": "n"})


@functools.lru_cache(maxsize=4)  # several models share one pool, and it takes seconds
def _pool(size: int, seed: int) -> list[Example]:
    examples = [example for skill in SKILLS.values() for example in _group(skill, size, seed)]
    examples += filler(size - len(examples), "pool", seed)
    Random(seed_of(seed, "pool", "order")).shuffle(examples)
    return examples


def _group(skill: Skill, size: int, seed: int) -> list[Example]:
    """All candidates of one skill group, kind by kind."""
    group_seed = seed_of(seed, "pool", skill.name)
    rng, taken = Random(group_seed), set[str]()
    counts = {kind: max(1, round(share * size)) for kind, share in SHARES.items()}
    return [
        _candidate(skill, kind, nth, rng, taken, group_seed) for kind, count in counts.items() for nth in range(count)
    ]


def _candidate(skill: Skill, kind: str, nth: int, rng: Random, taken: set[str], seed: int) -> Example:
    """The `nth` candidate of a kind; other functions take turns."""
    items = draw_problem(skill, "pool", rng, taken)
    function, wording, answer = skill.target, VAGUE, None
    if kind == "other_function":
        function = skill.functions[1 + nth % (len(skill.functions) - 1)]
    elif kind == "other_wording":
        wording = explicit(function, rng)
    elif kind == "corrupted":
        answer = _wrong_answer(skill, items, rng)
    return skill_example(skill, function, items, wording, kind, seed, answer)


def _wrong_answer(skill: Skill, items: tuple[str, ...], rng: Random) -> str:
    """The target's answer to another problem, different from every function's answer to this one."""
    while True:
        answer = skill.target.apply(draw_problem(skill, "pool", rng, set()))
        if answer not in skill.answers(items):
            return answer


def _queries(skill: Skill, n: int, split: str, seed: int) -> list[Query]:
    split_seed = seed_of(seed, split, skill.name)
    rng, taken = Random(split_seed), set[str]()
    return [skill_query(skill, draw_problem(skill, split, rng, taken), split, split_seed) for _ in range(n)]


def _check_sizes(**bounds: tuple[int, int]) -> None:
    for name, (value, least) in bounds.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(
                f"{name} is {value!r}; the classroom needs an integer of at least {least} there. "
                f"Choose {name}={least} or more."
            )


def _check_tasks(tasks: Sequence[str]) -> None:
    if isinstance(tasks, str) or not tasks:
        raise InputError(f"tasks is {tasks!r}; expected a non-empty list of names out of {', '.join(TASKS)}.")
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise InputError(
            f"Unknown classroom task {', '.join(map(repr, unknown))}; the tasks are {', '.join(TASKS)}. "
            "Check the spelling."
        )
