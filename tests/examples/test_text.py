from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from tests_support import byte_tokenizer, example, query
from tis_utils.errors import InputError
from tis_utils.examples.text import (
    IGNORE,
    Example,
    Query,
    answer,
    as_query,
    chat_prompt,
    chat_text,
    encode_example,
    encode_query,
    request,
    tokens,
    turns,
)

TOKENIZER = byte_tokenizer()
TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="<"), max_size=20)
CHATS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT}),
    min_size=1,
    max_size=5,
).filter(lambda messages: any(m["role"] == "assistant" for m in messages))


def decode(ids: np.ndarray) -> str:
    return TOKENIZER.decode(ids, clean_up_tokenization_spaces=False)


@given(CHATS)
def test_labels_cover_exactly_the_assistant_contents_and_their_eos(messages: list[dict[str, str]]) -> None:
    encoded = encode_example(Example("x", messages, "s"), TOKENIZER, 10_000)
    wanted = "".join(m["content"] + "<eos>" for m in messages if m["role"] == "assistant")
    assert decode(encoded.ids[encoded.labels != IGNORE]) == wanted
    assert decode(encoded.ids) == chat_text(Example("x", messages, "s"), "<eos>")
    learnt = encoded.labels != IGNORE
    assert (encoded.labels[learnt] == encoded.ids[learnt]).all()


def test_chat_text_is_written_out_as_in_the_methods() -> None:
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
    text = chat_text(Example("x", chat, "s"), "</s>")
    assert text == "<|system|>\nBe kind.\n<|user|>\nHi\n<|assistant|>\nHello</s>\n"
    assert text.startswith(chat_prompt("Hi", system="Be kind."))


@given(prompt=TEXT, label=TEXT, limit=st.integers(1, 60))
def test_queries_keep_the_label_and_mask_the_prompt(prompt: str, label: str, limit: int) -> None:
    encoded = encode_query(Query("q", prompt, label, "t"), TOKENIZER, limit)
    whole = list(TOKENIZER(prompt)["input_ids"])
    learnt = [*TOKENIZER(label)["input_ids"], TOKENIZER.eos_token_id]
    assert len(encoded.ids) == min(limit, len(whole) + len(learnt))
    assert list(encoded.ids[encoded.labels != IGNORE]) == learnt[:limit]
    kept = len(encoded.ids) - min(limit, len(learnt))
    assert list(encoded.ids[:kept]) == whole[len(whole) - kept :]


def test_truncation_can_leave_nothing_to_learn() -> None:
    chat = [{"role": "user", "content": "long " * 20}, {"role": "assistant", "content": "short"}]
    assert encode_example(Example("x", chat, "s"), TOKENIZER, 500).trainable
    assert not encode_example(Example("x", chat, "s"), TOKENIZER, 30).trainable


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "user", "content": "hi"}], "no assistant turn"),
        ([], "no assistant turn"),
        ([{"role": "robot", "content": "hi"}], "role is 'robot'"),
        ([{"role": "assistant", "content": 3}], "content must be a string"),
        ([{"role": "assistant"}], "content must be a string"),
        ([{"content": "hi"}], "role is None"),
    ],
)
def test_impossible_chats_are_refused(messages: list, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Example("x7", messages, "s")


SPOKEN = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Who wrote Emma?")]
CHAT = Example("c", [{"role": role, "content": text} for role, text in [*SPOKEN, ("assistant", "Austen")]], "s")


def test_what_is_asked_and_what_is_answered() -> None:
    assert request(CHAT) == "Be kind.\nHi\nWho wrote Emma?"
    assert answer(CHAT) == "Hello\nAusten"
    assert turns(CHAT, "user") == "Hi\nWho wrote Emma?"
    assert request(Query("q", chat_prompt("Why?\n\nBecause", system="Short."), "No.", "t")) == "Short.\nWhy?\n\nBecause"
    assert answer(Query("q", "p", " No.", "t")) == " No."


def test_the_last_turn_of_a_candidate_can_be_asked_for() -> None:
    query = as_query(CHAT, "trivia")
    assert (query.id, query.label, query.task, query.meta) == ("c", "Austen", "trivia", {})
    assert query.prompt + "Austen\n" == chat_text(CHAT)
    assert request(query) == "\n".join(text for _, text in SPOKEN)


@pytest.mark.parametrize("template", ["$A <eos>", "<pad> $A", "<pad> $A <eos>", "$A"])
def test_the_end_of_text_stands_where_we_put_it_whatever_the_tokenizer_adds(template: str) -> None:
    tokenizer = byte_tokenizer()
    plain = [encode_example(example("a"), tokenizer, 99), encode_query(query("a"), tokenizer, 99)]
    known = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<eos>", "<pad>")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=known)
    front = [tokenizer.pad_token_id] if template.startswith("<pad>") else []
    for encode, item, before in ((encode_example, example("a"), plain[0]), (encode_query, query("a"), plain[1])):
        after = encode(item, tokenizer, 99)
        assert after.ids.tolist() == [*front, *before.ids]
        assert after.labels.tolist() == [IGNORE] * len(front) + before.labels.tolist()
    assert tokens("", tokenizer)[0].tolist() == front
    assert (
        tokens("abc", tokenizer, 2)[0].tolist() == (front + tokenizer("abc", add_special_tokens=False)["input_ids"])[:2]
    )
