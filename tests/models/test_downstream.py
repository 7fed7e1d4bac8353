from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests_support import byte_tokenizer, query
from tis_utils.errors import InputError
from tis_utils.models import downstream
from tis_utils.models.downstream import measure, short_name
from tis_utils.models.evaluation import answers, exact_match, padding


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("exact_match", "exact_match"),
        ("none", "none"),
        ("acc", "acc"),
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
    with pytest.raises(InputError, match=r"Unknown metric .*known: exact_match, acc, answer_probability, none"):
        short_name(metric)
    with pytest.raises(InputError, match="Unknown metric"):
        measure(random_model, metric, [])


@pytest.fixture(autouse=True)
def allowed(monkeypatch) -> None:
    """The programs here are this file's own, or noise of a model with random weights."""
    monkeypatch.setenv("TIS_RUN_CODE", "1")


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
    for name in ("harness", "pass_at_k"):
        monkeypatch.setattr(downstream, name, lambda *_, **options: options)
    assert measure(random_model, "lm_eval:mmlu_pro:exact_match:shots=0,chat=1", []) == {"shots": 0, "chat": 1}
    sampling = {"k": 10, "seed": 0, "samples": 10, "top_p": 0.95}
    assert measure(random_model, "pass@10:samples=10,top_p=0.95", test) == sampling
    assert downstream.short_name("pass@10:samples=10") == "pass@10"
    assert downstream.short_name("lm_eval:tydiqa_goldp:f1:shots=1") == "f1"


def test_accuracy_is_the_share_of_questions_whose_right_choice_is_the_likeliest(random_model) -> None:
    asked = [
        query(f"So the answer is ({right}).", prompt=f"Which one? (A) {a} (B) {b} (C) {c}")
        for a, b, c, right in ("xyzA", "abcB", "pqrC", "ghiA", "uvwB", "lmnC")
    ] + [query("So the answer is False.", prompt="True or not?")]
    open_ended = query("The answer is 4.", prompt="2 + 2?")
    hits = []
    for question, choices, right in [(q, ["(A)", "(B)", "(C)"], "ABC".index(q.label[-3])) for q in asked[:-1]] + [
        (asked[-1], ["True", "False"], 1)
    ]:
        start = random_model.tokenizer(f"{question.prompt}The answer is")["input_ids"]
        scores = []
        for choice in choices:
            end = random_model.tokenizer(f" {choice}", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = random_model.model(torch.tensor([[*start, *end]])).logits[0].log_softmax(1)
            scores.append(sum(float(logits[len(start) - 1 + i, token]) for i, token in enumerate(end)))
        hits.append(int(np.argmax(scores)) == right)
    assert 0 < np.mean(hits) < 1
    assert measure(random_model, "acc", [*asked, open_ended]) == pytest.approx(np.mean(hits))
    assert np.isnan(measure(random_model, "acc", [open_ended]))


def test_the_probability_of_the_answer_is_the_geometric_mean_over_its_tokens_behind_the_worked_steps(
    random_model,
) -> None:
    worked = [query(f"Steps {i}.\nThe answer is {i * 37}.", prompt=f"What is {i} x 37?") for i in (1, 20, 300)]
    expected = []
    for item in worked:
        steps, _, end = item.label.rpartition(" ")
        start = random_model.tokenizer(f"{item.prompt}{steps}")["input_ids"]
        answer = random_model.tokenizer(f" {end[:-1]}", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = random_model.model(torch.tensor([[*start, *answer]])).logits[0].log_softmax(1)
        expected.append(np.exp(np.mean([float(logits[len(start) - 1 + i, token]) for i, token in enumerate(answer)])))
    no_end = query("It is 4", prompt="2 + 2?")
    assert measure(random_model, "answer_probability", [*worked, no_end]) == pytest.approx(np.mean(expected), rel=1e-5)
    assert np.isnan(measure(random_model, "answer_probability", [no_end]))


def test_a_tokenizer_without_a_padding_token_can_fill_batches(random_model) -> None:
    assert padding(random_model) is random_model
    bare = byte_tokenizer()
    bare.pad_token = None
    model = replace(random_model, tokenizer=bare)
    test = [query("yes"), query("no", prompt="a longer prompt")]
    assert measure(model, "exact_match", test) == measure(random_model, "exact_match", test)
    assert answers(padding(model), test) == answers(random_model, test)
    assert bare.pad_token_id is None
