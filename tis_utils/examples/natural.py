"""A pool of natural candidates from installed packages, for a real model without a network.

HumanEval problems and MMLU examples that no query is about, the rest in equal parts from reasoning-gym families near
and far from the target tasks. All are free to use: HumanEval, MMLU, lm-eval (MIT), reasoning-gym (Apache-2.0).
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import count, islice

import numpy as np
from reasoning_gym.factory import create_dataset

from tis_utils.errors import InputError
from tis_utils.examples import benchmarks
from tis_utils.examples.kinds import NEAR
from tis_utils.examples.text import Example, Query, exchange, request

# Left out: codeio (it runs code snippets to make an example) and list_functions (its draws do not follow the seed).
FAMILIES = tuple(NEAR)
_DRAWS = 10_000  # per family, far more than any pool takes
MAX_CHARACTERS = 1600  # question and answer together: about 500 tokens


def load_pool(
    size: int,
    *,
    tasks: Collection[str] = (),
    reserved: Iterable[Query] = (),
    without: Collection[str] = (),
    shuffled: bool = False,
    seed: int = 0,
) -> list[Example]:
    """Draw `size` natural candidates; no prompt or MMLU subject of a `reserved` query is among them.

    MMLU is kept out as well when it is one of the `tasks` and no query of it is reserved; so are the families
    `without`. Unless `shuffled`, sources follow one another, and the earlier wins where similarities are equal.
    """
    if size < 1:
        raise InputError(f"size = {size}: a pool needs at least one candidate.")
    reserved = list(reserved)
    taken = {text for query in reserved for text in (query.prompt, request(query))}
    subjects = {query.meta["subject"] for query in reserved if query.task == "mmlu"}
    pool = [*_benchmark("codex", taken)]
    if subjects or "mmlu" not in tasks:
        pool += [e for e in _benchmark("mmlu", taken) if e.meta["family"] not in subjects]
    streams = [_family(name, seed, taken) for name in FAMILIES if name not in without]
    rounds = (next(stream) for _ in count() for stream in streams)
    pool = [*pool[:size], *islice(rounds, max(0, size - len(pool)))]
    return [pool[i] for i in np.random.default_rng(seed).permutation(size)] if shuffled else pool


def _benchmark(task: str, taken: set[str]) -> Iterator[Example]:
    for query in [*benchmarks.queries(task), *benchmarks.held_out(task)]:
        if query.prompt not in taken:
            taken.add(query.prompt)
            yield _example(query.id, request(query), query.label, task, str(query.meta["subject"]))


def _family(name: str, seed: int, taken: set[str]) -> Iterator[Example]:
    data = create_dataset(name, seed=seed, size=_DRAWS)
    for index in count():
        entry = data[index]
        question, answer = entry["question"].strip(), str(entry["answer"]).strip()
        if question not in taken and answer and len(question) + len(answer) <= MAX_CHARACTERS:
            taken.add(question)
            yield _example(f"{name}-{index}", question, answer, f"reasoning-gym/{name}", name)


def _example(name: str, question: str, answer: str, source: str, family: str) -> Example:
    return Example(name, exchange(question, answer), source, {"group": source, "kind": "natural", "family": family})
