"""Any task of EleutherAI's LM Evaluation Harness, for a model in memory."""

import contextlib
import copy
import functools
import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tis_utils.errors import InputError, RunError
from tis_utils.models.evaluation import padding
from tis_utils.models.load import LanguageModel

# The chat format of training (`tis_utils.examples.text.chat_text`) as a template of transformers.
CHAT_TEMPLATE = (
    "{% for turn in messages %}{{ '<|' + turn['role'] + '|>\n' + turn['content'] }}"
    "{% if turn['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def harness(
    model: LanguageModel,
    task: str,
    metric: str,
    *,
    shots: int | None = None,
    chat: bool = False,
    folder: Path | None = None,
    limit: int | None = None,
    batch_size: int = 8,
) -> float:
    """One number from lm-evaluation-harness for the model in memory; a tag stands for the mean of its tasks.

    `metric` as lm-eval writes it, ``exact_match`` (the task's first filter) or ``exact_match,strict-match``; `shots` is
    the number of worked examples (by default the task's), `chat` puts requests into the chat format of training, and
    `folder` has more task definitions (YAML).
    """
    where = str(folder.resolve()) if folder else None
    with _quiet_harness():
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        tasks = _tasks(task, metric, where)
        ready = _chatting(padding(model)) if chat else padding(model)
        judged = HFLM(pretrained=ready.model, tokenizer=ready.tokenizer, batch_size=batch_size)
        how = {"task_manager": _task_manager(where), "num_fewshot": shots, "apply_chat_template": bool(chat)}
        how |= {"limit": limit, "bootstrap_iters": 0, "log_samples": False}
        report = simple_evaluate(model=judged, tasks=list(tasks.values()), **how)
    return float(np.mean([_read(report["results"][name], name, metric) for name in tasks]))


def _chatting(model: LanguageModel) -> LanguageModel:
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.chat_template = CHAT_TEMPLATE
    return replace(model, tokenizer=tokenizer)


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
    numbers = {key: value for key, value in entries.items() if "," in key and isinstance(value, int | float)}
    for key, value in numbers.items():
        if metric in (key, key.partition(",")[0]):
            return float(value)
    raise InputError(f"lm-eval's report on {name!r} has no metric {metric!r}; it has {', '.join(sorted(numbers))}.")


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
