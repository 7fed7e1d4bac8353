from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests_support import byte_tokenizer
from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Example, Query, chat_prompt, chat_text, encode_example, encode_query

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
    answer = [*TOKENIZER(label)["input_ids"], TOKENIZER.eos_token_id]
    assert len(encoded.ids) == min(limit, len(whole) + len(answer))
    assert list(encoded.ids[encoded.labels != IGNORE]) == answer[:limit]
    kept = len(encoded.ids) - min(limit, len(answer))
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
