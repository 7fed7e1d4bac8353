from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from itertools import combinations
from operator import methodcaller

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests_support import query
from tis_utils.errors import InputError
from tis_utils.examples import benchmarks
from tis_utils.examples.text import Query
from tis_utils.models import pass_at_k as module
from tis_utils.models.downstream import measure
from tis_utils.models.pass_at_k import completion, pass_at_k
from tis_utils.storage.parallel import run_all

PROBLEMS = benchmarks.queries("codex") + benchmarks.held_out("codex")


@pytest.fixture(autouse=True)
def allowed(monkeypatch) -> None:
    """The programs here are this file's own, or noise of a model with random weights."""
    monkeypatch.setenv("TIS_RUN_CODE", "1")


def test_a_model_s_programs_are_not_run_without_permission(random_model, monkeypatch) -> None:
    monkeypatch.setattr(module, "_executor", lambda: pytest.fail("something was run"))
    monkeypatch.setattr(module, "answers", lambda *_, **__: pytest.fail("something was written"))
    for value in (None, "", "0"):
        monkeypatch.delenv("TIS_RUN_CODE") if value is None else monkeypatch.setenv("TIS_RUN_CODE", value)
        with pytest.raises(InputError, match=r"pass@2 runs programs that a model wrote.*--run-code.*TIS_RUN_CODE=1"):
            measure(random_model, "pass@2", PROBLEMS[:1])


JUNK = (
    "\ndef another(x):\n    return x +",
    "\nprint(undefined)",
    "\n# The end",
    "\nThis works because it's obvious.",
    "\nassert False",
)


def with_signature(problem: Query, body: str) -> str:
    return problem.meta["prompt"].strip("\n") + "\n" + body


WRAPPINGS: dict[str, Callable[[Query, str], str]] = {
    "as it is": lambda problem, junk: problem.label,
    "something follows": lambda problem, junk: problem.label + junk,
    "blank line first": lambda problem, junk: "\n" + problem.label + "\n" + junk,
    "closing fence": lambda problem, junk: f"{problem.label}\n```\nHope it helps!{junk}",
    "fenced body": lambda problem, junk: f"Sure, here it is:\n\n```python\n{problem.label}\n```\nDone.{junk}",
    "fence without language": lambda problem, junk: f"```\n{problem.label}\n```{junk}",
    "fence that never closes": lambda problem, junk: f"```python\n{problem.label}",
    "fenced body at the margin": lambda problem, junk: (
        f"```python\n{textwrap.dedent(problem.label.strip(chr(10)))}\n```{junk}"
    ),
    "fenced function": lambda problem, junk: (
        f"It's easy:\n```python\n{with_signature(problem, problem.label)}\n```\nDone!{junk}"
    ),
    "function": lambda problem, junk: with_signature(problem, problem.label),
    "explained function": lambda problem, junk: f"Let's see.\n\n{with_signature(problem, problem.label)}\n\nThat's it.",
    "function and cut-off text": lambda problem, junk: with_signature(problem, problem.label) + "\n\ndef main(:",
    "first indentation lost": lambda problem, junk: problem.label.strip() + junk,
    "one space lost": lambda problem, junk: problem.label.strip("\n")[1:] + junk,
}


def passes(problem: Query, answer: str) -> bool:
    """Runs reference solutions only, so it needs no other process."""
    code = problem.meta["prompt"] + completion(answer, problem) + "\n" + problem.meta["test"]
    space: dict = {}
    try:
        exec(code + f"\ncheck({problem.meta['entry_point']})", space)
    except Exception:
        return False
    return True


@settings(max_examples=250)
@given(st.sampled_from(PROBLEMS), st.sampled_from(sorted(WRAPPINGS)), st.sampled_from(JUNK))
def test_a_reference_solution_passes_however_it_is_wrapped(problem: Query, wrapping: str, junk: str) -> None:
    assert passes(problem, WRAPPINGS[wrapping](problem, junk))


@pytest.mark.parametrize(
    "answer",
    ["", "I don't know.", "    return None", "```python\n```", "```", "    pass\n", "def flip_case(string):", "\0"],
)
def test_an_answer_that_is_none_does_not_pass(answer: str) -> None:
    problem = next(p for p in PROBLEMS if p.meta["entry_point"] == "flip_case")
    assert not passes(problem, answer)


def test_a_solution_beside_the_function_does_not_count() -> None:
    problem = next(p for p in PROBLEMS if p.meta["entry_point"] == "flip_case")
    assert not passes(problem, "    pass\n\ndef another(string):\n    return string.swapcase()")
    assert passes(problem, "```python\ndef flip_case(string):\n    return string.swapcase()\n```")
    assert passes(problem, "import os\n\ndef flip_case(string):\n    return os.fspath(string).swapcase()")


# --- pass@k -----------------------------------------------------------------------------------------

WRONG = ["    return None", "    raise SystemExit(0)", "    import os\n    os._exit(0)", "    (", ""]
ENDLESS = "    while True:\n        pass"


def by_enumeration(passed: list[bool], k: int) -> float:
    """Share of the subsets of k samples in which one passes."""
    return float(np.mean([any(subset) for subset in combinations(passed, k)]))


@pytest.mark.slow  # a process per sample
@pytest.mark.parametrize("k", [1, 2, 4])
def test_pass_at_k_is_the_share_of_subsets_with_a_solution(random_model, monkeypatch, k: int) -> None:
    problems = [PROBLEMS[2], PROBLEMS[5], PROBLEMS[9]]
    truth = [[True, False, False, True, False], [False] * 5, [False, True, False, False, False]]
    wrong = [*WRONG, *WRONG, ENDLESS, *WRONG]
    texts = [p.label if ok else wrong.pop(0) for p, row in zip(problems, truth, strict=True) for ok in row]
    monkeypatch.setattr(module, "answers", lambda model, queries, **kwargs: texts)
    expected = np.mean([by_enumeration(row, k) for row in truth])
    found = pass_at_k(random_model, problems, k=k, samples=5, timeout=2.0)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_endless_completions_fail_and_the_next_one_still_runs(random_model, monkeypatch) -> None:
    problem = PROBLEMS[2]
    monkeypatch.setattr(module, "answers", lambda *args, **kwargs: [ENDLESS, problem.label])
    assert pass_at_k(random_model, [problem], k=1, samples=2, timeout=2.0, jobs=1) == 0.5


def test_samples_follow_the_seed_and_leave_the_random_state_alone(random_model, monkeypatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(module, "_passes", lambda problem, code, timeout: bool(seen[-1].append(code)))
    before = torch.random.get_rng_state()
    for seed in (0, 0, 1):
        seen.append([])
        assert pass_at_k(random_model, PROBLEMS[:1], k=2, seed=seed, new_tokens=6, jobs=1) == 0
    assert torch.equal(before, torch.random.get_rng_state())
    assert len(seen[0]) == module.SAMPLES
    assert seen[0] == seen[1] != seen[2]
    assert len(set(seen[0])) > 1


@pytest.mark.slow  # worker processes import everything
def test_pass_at_k_runs_in_a_worker_process(random_model) -> None:
    alone = partial(pass_at_k, random_model, PROBLEMS[:1], k=1, samples=2, new_tokens=8)
    solved = partial(module._passes, PROBLEMS[2], PROBLEMS[2].label, 5.0)
    value, passed = run_all(methodcaller("__call__"), [alone, solved], jobs=2)
    assert 0 <= value <= 1
    assert passed


def test_pass_at_k_says_what_it_needs(random_model) -> None:
    with pytest.raises(InputError, match="pass@10 needs at least 10 samples per problem, not 3"):
        pass_at_k(random_model, PROBLEMS[:1], k=10, samples=3)
    with pytest.raises(InputError, match="needs problems with tests; 1 of 2 have none, first q0"):
        pass_at_k(random_model, [PROBLEMS[0], query("yes")], k=1)
