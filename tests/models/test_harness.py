from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests_support import byte_tokenizer
from tis_utils.errors import InputError, RunError
from tis_utils.examples.text import Example, chat_prompt, chat_text, exchange
from tis_utils.models import harness as module
from tis_utils.models.harness import harness
from tis_utils.models.load import LanguageModel
from tis_utils.profiles import load_profile

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

    index = module._task_manager(str(tasks.resolve())).task_index
    named = [m.split(":")[1:3] for m in load_profile("paper").metrics.values() if m.startswith("lm_eval:")]
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


def test_the_chat_format_of_the_harness_is_that_of_training() -> None:
    turns = [{"role": "system", "content": "s"}, *exchange("u\nv", "a")]
    tokenizer = byte_tokenizer()
    given = {"tokenize": False, "chat_template": module.CHAT_TEMPLATE}
    text = tokenizer.apply_chat_template([*turns, turns[1]], add_generation_prompt=True, **given)
    assert text == chat_text(Example("e", turns, "test"), tokenizer.eos_token) + chat_prompt("u\nv")
