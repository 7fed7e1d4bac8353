"""Function calls: a second real pool, and a query set whose answers a program can check, from ``bfcl-eval``.

The Berkeley Function Calling Leaderboard (Patil et al. 2025, Apache-2.0) describes functions, a request, and which
calls answer it. What users of real services asked, about one function, is the task ``bfcl``; what the leaderboard's
authors wrote is half of the pool ``calls``. (Their categories share functions and requests with each other, and so do
the users', so queries and candidates must not both come from one side.) Only the package's data files are read. Left
out are texts longer than the natural pool's longest, requests of several turns, with a system message or without an
answer, and calls in Java and JavaScript.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from tis_utils.errors import RunError
from tis_utils.examples import natural
from tis_utils.examples.benchmarks import wheel
from tis_utils.examples.text import Example, Query, chat_prompt, exchange, request

TASKS = {"bfcl": "BFCL: call the one function that is described, with the right arguments"}
ASKED = "live_simple"  # by users
OFFERED = ("simple_python", "multiple", "parallel", "parallel_multiple")  # by the leaderboard's authors
WHEEL = ("bfcl_eval", "bfcl-eval", "data")
INSTALL = "pip install --no-deps bfcl-eval==2026.3.23"  # what it depends on asks for an older NumPy and is not used
Call = tuple[str, str, str]  # id, request with the functions it may call, answer


def queries() -> list[Query]:
    """All requests of the task ``bfcl``, each once; those that are no queries are held out."""
    meta = {"subject": ASKED, "origin": f"bfcl-eval {ASKED}"}
    return [Query(f"bfcl/{name}", chat_prompt(asked), answer, "bfcl", meta) for name, asked, answer in _calls(ASKED)]


def load_pool(
    size: int,
    *,
    tasks: Collection[str] = (),
    reserved: Iterable[Query] = (),
    without: Collection[str] = (),
    seed: int = 0,
) -> list[Example]:
    """Draw `size` candidates in a seeded order: half function calls, half those of the natural pool.

    No request of a `reserved` query is among them.
    """
    reserved = list(reserved)
    taken, offered = {request(query) for query in reserved}, []
    for category in OFFERED:
        for name, asked, answer in _calls(category):
            if asked not in taken:
                taken.add(asked)
                meta = {"group": "bfcl", "kind": "natural", "family": category}
                offered.append(Example(name, exchange(asked, answer), "bfcl", meta))
    rng = np.random.default_rng(seed)
    calls = [offered[i] for i in rng.permutation(len(offered))[: size // 2]]
    rest = natural.load_pool(size - len(calls), tasks=tasks, reserved=reserved, without=without, seed=seed)
    pool = calls + rest
    return [pool[i] for i in rng.permutation(size)]


def _calls(category: str) -> Iterator[Call]:
    """Requests of one category in the order of its file."""
    asked, answers = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        for path in (
            wheel(*WHEEL, *folder, f"BFCL_v4_{category}.json", install=INSTALL) for folder in ((), ("possible_answer",))
        )
    )
    known = {row["id"]: row["ground_truth"] for row in answers}
    for row in asked:
        turns = row["question"]
        if row["id"] in known and len(turns) == 1 and [message["role"] for message in turns[0]] == ["user"]:
            functions = "\n".join(json.dumps(function, ensure_ascii=False) for function in row["function"])
            text = f"You can call these functions:\n{functions}\n\n{turns[0][0]['content'].strip()}"
            answer = "\n".join(call_text(call) for call in known[row["id"]])
            if len(text) + len(answer) <= natural.MAX_CHARACTERS:
                yield row["id"], text, answer


def call_text(call: dict[str, dict[str, list[Any]]]) -> str:
    """One allowed answer as a line of Python: the first allowed value of every argument that cannot be left out.

    >>> call_text({"area": {"base": [10], "unit": ["units", ""], "of": [{"name": ["a", "b"], "tag": ["", "x"]}]}})
    "area(base=10, of={'name': 'a'})"
    """
    if len(call) != 1:
        raise RunError(f"An answer of bfcl-eval names {len(call)} functions instead of one: {sorted(call)}.")
    [(name, arguments)] = call.items()
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in _given(arguments).items())})"


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    """First allowed values; none, or an empty text among them, says that the argument may be left out."""
    lists = {key: allowed if isinstance(allowed, list) else [allowed] for key, allowed in arguments.items()}
    return {key: _plain(allowed[0]) for key, allowed in lists.items() if allowed and "" not in allowed}


def _plain(value: Any) -> Any:
    """Fields of an object have lists of allowed values themselves."""
    if isinstance(value, dict):
        return _given(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value
