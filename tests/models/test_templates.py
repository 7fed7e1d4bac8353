from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tests_support import byte_tokenizer, example
from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Encoded, Example, Query, chat_prompt
from tis_utils.models.load import LanguageModel
from tis_utils.models.templates import encode_by_template, messages_of
from tis_utils.representations import RDS

CHATML = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% if m.role == 'assistant' %}<eos>{% endif %}"
    "{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


def with_template(template: str = CHATML) -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def read(encoded: Encoded, tokenizer: PreTrainedTokenizerFast) -> tuple[str, str]:
    """The text, and what of it carries a loss."""
    return tokenizer.decode(encoded.ids), tokenizer.decode(encoded.labels[encoded.labels != IGNORE])


@given(st.lists(st.text("abt[]s\n i", max_size=9), min_size=2, max_size=2))
def test_the_loss_is_on_what_the_assistant_says_whatever_it_says(answers: list[str]) -> None:
    """Answers that read like parts of the template too."""
    tokenizer = with_template()
    chat = [("user", "one"), ("assistant", answers[0]), ("user", "assistant"), ("assistant", answers[1])]
    item = Example("e", [{"role": role, "content": content} for role, content in chat], "s")
    first, second = (answer.strip() for answer in answers)
    text, learnt = read(encode_by_template(item, tokenizer, 999), tokenizer)
    assert text == f"[user]one\n[assistant]{first}<eos>\n[user]assistant\n[assistant]{second}<eos>"
    assert learnt == f"{first}<eos>{second}<eos>"


def test_a_query_keeps_its_answer_and_loses_the_start_of_its_prompt() -> None:
    tokenizer = with_template()
    query = Query("q", f"<|user|>\nHi\n<|assistant|>\nHo\n{chat_prompt('And?')}", "No", "t")
    assert [m["content"] for m in messages_of(query)] == ["Hi", "Ho", "And?", "No"]
    whole = "[user]Hi\n[assistant]Ho<eos>\n[user]And?\n[assistant]No<eos>"
    assert read(encode_by_template(query, tokenizer, 999), tokenizer) == (whole, "No<eos>")
    cut, learnt = read(encode_by_template(query, tokenizer, 9), tokenizer)
    assert (cut, learnt) == ("stant]No<eos>", "No<eos>")
    raw = Query("q", "plain", "No", "t")
    assert read(encode_by_template(raw, tokenizer, 99), tokenizer)[0] == "[user]plain\n[assistant]No<eos>"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[-1].content | upper }}", "cannot be told from the rest"),
        ("{{ raise_exception('no system turns') }}", "refuses e0: no system turns"),
        ("{% for m in messages %}{{ m.content[:3] }}{% endfor %}", "cannot be told from the rest"),
    ],
)
def test_templates_that_hide_answers_are_refused(template: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_by_template(example("a long answer"), with_template(template), 99)


def test_a_model_with_its_own_template_is_another_model(random_model: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"no chat template.*tulu"):
        random_model.with_own_template()
    random_model.tokenizer.chat_template = CHATML
    try:
        own = random_model.with_own_template()
        assert own.fingerprint != random_model.fingerprint
        rows = [RDS(lm, show_progress=False).candidates([example("a")]) for lm in (own, random_model)]
        assert abs(rows[0] - rows[1]).max() > 1e-3
        assert read(own.encode([example("a")], 99)[0], own.tokenizer)[0] == "[user]say it\n[assistant]a<eos>"
    finally:
        random_model.tokenizer.chat_template = None  # the tokenizer is shared by tests
