from __future__ import annotations

import json
import random
import textwrap
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import Parallel, delayed

from tests_support import byte_tokenizer, query
from tis_utils.errors import InputError, RunError
from tis_utils.examples import benchmarks
from tis_utils.examples.text import Query
from tis_utils.models import downstream
from tis_utils.models.downstream import completion, harness, measure, padding, pass_at_k, short_name
from tis_utils.models.evaluation import answers, exact_match
from tis_utils.models.load import LanguageModel
from tis_utils.profiles import load_profile

PROBLEMS = benchmarks.queries("codex") + benchmarks.held_out("codex")


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("exact_match", "exact_match"),
        ("none", "none"),
        ("pass@1", "pass@1"),
        ("pass@10", "pass@10"),
        ("lm_eval:gsm8k_cot:exact_match", "exact_match"),
        ("lm_eval:gsm8k_cot:exact_match,strict-match", "exact_match,strict-match"),
    ],
)
def test_metrics_have_short_names(metric: str, name: str) -> None:
    assert short_name(metric) == name


@pytest.mark.parametrize(
    "metric", ["", "pass@0", "pass@", "pass@-1", "pass@1.5", "accuracy", "lm_eval:gsm8k", "lm_eval::f1", "None"]
)
def test_unknown_metrics_are_refused(metric: str, random_model) -> None:
    with pytest.raises(InputError, match=r"Unknown metric .*known: exact_match, none, pass@K"):
        short_name(metric)
    with pytest.raises(InputError, match="Unknown metric"):
        measure(random_model, metric, [])


@pytest.fixture(autouse=True)
def allowed(monkeypatch) -> None:
    """The programs here are this file's own, or noise of a model with random weights."""
    monkeypatch.setenv("TIS_RUN_CODE", "1")


def test_a_model_s_programs_are_not_run_without_permission(random_model, monkeypatch) -> None:
    monkeypatch.setattr(downstream, "_executor", lambda: pytest.fail("something was run"))
    monkeypatch.setattr(downstream, "answers", lambda *_, **__: pytest.fail("something was written"))
    for value in (None, "", "0"):
        monkeypatch.delenv("TIS_RUN_CODE") if value is None else monkeypatch.setenv("TIS_RUN_CODE", value)
        with pytest.raises(InputError, match=r"pass@2 runs programs that a model wrote.*--run-code.*TIS_RUN_CODE=1"):
            measure(random_model, "pass@2", PROBLEMS[:1])


def test_measure_takes_the_right_road(random_model, monkeypatch) -> None:
    test = [query("yes"), query("no")]
    assert measure(random_model, "exact_match", test) == exact_match(random_model, test)
    assert np.isnan(measure(random_model, "exact_match", []))
    assert np.isnan(measure(random_model, "pass@1", []))
    assert np.isnan(measure(random_model, "none", test))
    monkeypatch.setattr(downstream, "harness", lambda model, task, metric: f"{task} {metric}")
    assert measure(random_model, "lm_eval:gsm8k_cot:exact_match", []) == "gsm8k_cot exact_match"
    monkeypatch.setattr(downstream, "pass_at_k", lambda model, test, *, k, seed: (len(test), k, seed))
    assert measure(random_model, "pass@10", test, seed=3) == (2, 10, 3)


def test_a_tokenizer_without_a_padding_token_can_fill_batches(random_model) -> None:
    assert padding(random_model) is random_model
    bare = byte_tokenizer()
    bare.pad_token = None
    model = replace(random_model, tokenizer=bare)
    test = [query("yes"), query("no", prompt="a longer prompt")]
    assert measure(model, "exact_match", test) == measure(random_model, "exact_match", test)
    assert answers(padding(model), test) == answers(random_model, test)
    assert bare.pad_token_id is None


# --- completions ------------------------------------------------------------------------------------

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
    monkeypatch.setattr(downstream, "answers", lambda model, queries, **kwargs: texts)
    expected = np.mean([by_enumeration(row, k) for row in truth])
    found = pass_at_k(random_model, problems, k=k, samples=5, timeout=2.0)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_endless_completions_fail_and_the_next_one_still_runs(random_model, monkeypatch) -> None:
    problem = PROBLEMS[2]
    monkeypatch.setattr(downstream, "answers", lambda *args, **kwargs: [ENDLESS, problem.label])
    assert pass_at_k(random_model, [problem], k=1, samples=2, timeout=2.0, jobs=1) == 0.5


def test_samples_follow_the_seed_and_leave_the_random_state_alone(random_model, monkeypatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(downstream, "_passes", lambda problem, code, timeout: bool(seen[-1].append(code)))
    before = torch.random.get_rng_state()
    for seed in (0, 0, 1):
        seen.append([])
        assert pass_at_k(random_model, PROBLEMS[:1], k=2, seed=seed, max_new_tokens=6, jobs=1) == 0
    assert torch.equal(before, torch.random.get_rng_state())
    assert len(seen[0]) == downstream.SAMPLES
    assert seen[0] == seen[1] != seen[2]
    assert len(set(seen[0])) > 1


@pytest.mark.slow  # worker processes import everything
def test_pass_at_k_runs_in_a_worker_process(random_model) -> None:
    alone = delayed(pass_at_k)(random_model, PROBLEMS[:1], k=1, samples=2, max_new_tokens=8)
    solved = delayed(downstream._passes)(PROBLEMS[2], PROBLEMS[2].label, 5.0)
    value, passed = Parallel(n_jobs=2, backend="loky")([alone, solved])
    assert 0 <= value <= 1
    assert passed


def test_pass_at_k_says_what_it_needs(random_model) -> None:
    with pytest.raises(InputError, match="pass@10 needs at least 10 samples per problem, not 3"):
        pass_at_k(random_model, PROBLEMS[:1], k=10, samples=3)
    with pytest.raises(InputError, match="needs problems with tests; 1 of 2 have none, first q0"):
        pass_at_k(random_model, [PROBLEMS[0], query("yes")], k=1)


# --- LM Evaluation Harness --------------------------------------------------------------------------

QUESTIONS = ("a b", "seven", "red?", "x", "The end of", "0 1 2")


def greedy(model: LanguageModel, prompt: str, tokens: int) -> str:
    ids = model.tokenizer(prompt)["input_ids"]
    new: list[int] = []
    for _ in range(tokens):
        with torch.no_grad():
            new.append(int(model.model(torch.tensor([ids + new])).logits[0, -1].argmax()))
    return model.tokenizer.decode(new, skip_special_tokens=True)


def log_likelihood(model: LanguageModel, prompt: str, answer: str) -> float:
    start = len(model.tokenizer(prompt)["input_ids"])
    ids = torch.tensor(model.tokenizer(prompt + answer)["input_ids"])
    with torch.no_grad():
        log_p = torch.log_softmax(model.model(ids[None]).logits[0], -1)
    return float(log_p[torch.arange(start - 1, len(ids) - 1), ids[start:]].sum())


def write_task(folder: Path, name: str, rows: list[dict], **settings) -> None:
    data = folder / f"{name}.json"
    data.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    files = {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")}
    task = {"task": name, "dataset_path": "json", "dataset_kwargs": files, "test_split": "test", **settings}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")


GENERATE = {
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["<stop>"], "max_gen_toks": 4, "do_sample": False},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "tag": ["tis_writing"],
}
CHOOSE = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
    "doc_to_choice": ["yes", "no", "maybe"],
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture
def right(tasks: Path, random_model) -> dict[str, float]:
    """Writes the tasks, with answers of which a known share is right."""
    said = [greedy(random_model, question, 4) for question in QUESTIONS]
    rows = [{"question": q, "answer": a} for q, a in zip(QUESTIONS, said, strict=True)]
    wrong = [{"question": q, "answer": "something else"} for q in QUESTIONS]
    write_task(tasks, "tis_gen_a", [*rows[:4], *wrong[4:]], **GENERATE)
    write_task(tasks, "tis_gen_b", [*rows[:1], *wrong[1:3]], **GENERATE)
    likely = [
        int(np.argmax([log_likelihood(random_model, q, f" {c}") for c in CHOOSE["doc_to_choice"]])) for q in QUESTIONS
    ]
    marks = [(a + (i % 3 == 0)) % 3 for i, a in enumerate(likely)]  # every third answer is another one
    write_task(
        tasks, "tis_choice", [{"question": q, "answer": a} for q, a in zip(QUESTIONS, marks, strict=True)], **CHOOSE
    )
    group = {"group": "tis_group", "task": ["tis_gen_a", "tis_gen_b"]}
    for name, weighted in (("tis_group", True), ("tis_even_group", False)):
        mean = {"metric": "exact_match", "aggregation": "mean", "weight_by_size": weighted}
        text = yaml.safe_dump({**group, "group": name, "aggregate_metric_list": [mean]})
        (tasks / f"{name}.yaml").write_text(text, encoding="utf-8")
    (tasks / "tis_silent.yaml").write_text(yaml.safe_dump({**group, "group": "tis_silent"}), encoding="utf-8")
    return {
        "tis_gen_a": 4 / 6,
        "tis_gen_b": 1 / 3,
        "tis_choice": float(np.mean(np.array(marks) == likely)),
        "tis_group": 5 / 9,
        "tis_even_group": (4 / 6 + 1 / 3) / 2,
        "tis_writing": (4 / 6 + 1 / 3) / 2,  # a tag: the plain mean over its tasks
    }


@pytest.mark.slow  # lm-eval indexes thousands of files
@pytest.mark.parametrize("name", ["tis_gen_a", "tis_gen_b", "tis_choice", "tis_group", "tis_even_group", "tis_writing"])
def test_the_harness_gives_what_a_hand_computation_gives(name: str, tasks, right, random_model) -> None:
    metric = "acc" if name == "tis_choice" else "exact_match"
    assert harness(random_model, name, metric, folder=tasks) == pytest.approx(right[name])
    assert harness(random_model, name, f"{metric},none", folder=tasks, batch_size=1) == pytest.approx(right[name])


@pytest.mark.slow
def test_the_harness_leaves_no_trace(tasks, right, random_model, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    bare = byte_tokenizer()
    bare.pad_token = None
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    relative = Path("..") / tasks.name if tasks.parent == tmp_path.parent else tasks
    value = harness(replace(random_model, tokenizer=bare), "tis_gen_a", "exact_match", folder=relative, limit=2)
    assert value == 1.0
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []
    assert bare.pad_token_id is None
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert states[1] == random.getstate()
    assert states[2] == np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.slow
def test_what_the_harness_does_not_have_is_refused_before_anything_runs(
    tasks, right, random_model, monkeypatch
) -> None:
    monkeypatch.setattr("lm_eval.simple_evaluate", lambda **kwargs: pytest.fail("evaluated"))
    with pytest.raises(InputError, match="lm-eval has no task 'tis_nothing'"):
        harness(random_model, "tis_nothing", "acc", folder=tasks)
    with pytest.raises(InputError, match="'tis_gen_a' has no metric 'f1'; it has exact_match"):
        harness(random_model, "tis_gen_a", "f1", folder=tasks)
    with pytest.raises(InputError, match="'tis_silent' has no metric 'exact_match'; it has none"):
        harness(random_model, "tis_silent", "exact_match", folder=tasks)
    with pytest.raises(RunError, match=r"could not load the data of 'gsm8k_cot'.*comes from the Hub"):
        harness(random_model, "gsm8k_cot", "exact_match", folder=tasks)


@pytest.mark.slow
def test_a_filter_that_is_not_there_is_named(tasks, right, random_model) -> None:
    with pytest.raises(InputError, match=r"no metric 'exact_match,strict'; it has exact_match,none\."):
        harness(random_model, "tis_gen_b", "exact_match,strict", folder=tasks)


@pytest.mark.slow
def test_the_paper_profiles_tasks_and_metrics_are_in_lm_eval(tasks) -> None:
    from lm_eval.tasks._yaml_loader import load_yaml

    index = downstream._task_manager(str(tasks.resolve())).task_index
    named = [m.split(":")[1:] for m in load_profile("paper").metrics.values() if m.startswith("lm_eval:")]
    assert len(named) == 4
    for name, metric in named:
        members = [name]
        if index[name].kind.name == "TAG":
            members = sorted(index[name].tags)
        elif index[name].kind.name == "GROUP":
            group = load_yaml(index[name].yaml_path, resolve_func=False)
            assert metric in {entry["metric"] for entry in group["aggregate_metric_list"]}
            members = group["task"]
        for member in members:
            settings = load_yaml(index[member].yaml_path, resolve_func=False)
            assert metric in {entry["metric"] for entry in settings["metric_list"]}, member
