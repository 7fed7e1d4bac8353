"""Chats as a model's own template writes them, with the loss on what the assistant says, its end mark included."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, ROLES, Encoded, Example, Query

_HEADER = re.compile(rf"<\|({'|'.join(ROLES)})\|>\n")
MARK = "\ue000answer\ue000"
Message = Mapping[str, str]


def check_template(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that has no template."""
    if not tokenizer.chat_template:
        raise InputError(
            f"The tokenizer of {name} has no chat template: it is a base model. Use --chat-template tulu, which needs "
            "none, or a model that was tuned on chats."
        )


def encode_by_template(item: Example | Query, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
    """Tokenise a candidate, or a query with its answer, as the template writes it.

    A candidate that is too long loses its end, a query the start of its prompt. The loss is on each answer of a
    candidate, and on the last one only of a query. White space behind the last answer is left out.
    """
    query = isinstance(item, Query)
    messages = messages_of(item) if isinstance(item, Query) else item.messages
    text, spans = _written(messages, tokenizer, item.id)
    if messages[-1]["role"] == "assistant":
        text = text[: spans[-1][1]]
    # the template writes special tokens itself, BOS among them
    out = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    learn = np.zeros(len(text) + 1, dtype=bool)
    for start, end in spans[-1:] if query else spans:
        learn[start:end] = True
    ids = np.asarray(out["input_ids"], dtype=np.int64)
    learnt = np.array([end > start and learn[start] for start, end in out["offset_mapping"]], dtype=bool)
    labels = np.where(learnt, ids, IGNORE)
    kept = slice(max(0, len(ids) - max_length), None) if query else slice(max_length)
    return Encoded(ids[kept], labels[kept])


def messages_of(query: Query) -> list[Message]:
    """Turns of a query's prompt, by its role headers (a prompt without any is one request), and its answer."""
    known = _HEADER.match(query.prompt)
    parts = _HEADER.split(query.prompt)[1:] if known else ["user", query.prompt]
    roles, contents = parts[::2], parts[1::2]
    turns = [{"role": r, "content": c.removesuffix("\n")} for r, c in zip(roles, contents, strict=True)]
    if turns[-1] == {"role": "assistant", "content": ""}:  # the place of the answer
        turns.pop()
    return [*turns, {"role": "assistant", "content": query.label}]


def _written(
    messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, name: str
) -> tuple[str, list[tuple[int, int]]]:
    """Text of a chat, and where in it each of the assistant's turns begins and ends."""
    whole = _render(messages, tokenizer, name)
    spans = []
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        # an answer may read like a part of the template, a mark in its place does not
        before, mark, after = _render([*messages[:i], {**message, "content": MARK}], tokenizer, name).partition(MARK)
        content = message["content"]
        written = (content, content.strip(), content.lstrip(), content.rstrip())
        fits = [f"{text}{after.rstrip()}" for text in written]
        answer = next((text for text in fits if whole.startswith(text, len(before))), None)
        if not mark or answer is None or not whole.startswith(before):
            raise InputError(
                f"The model's chat template changes turns of {name}, or writes earlier ones otherwise once others "
                "follow, so its answers cannot be told from the rest. Use --chat-template tulu."
            )
        spans.append((len(before), len(before) + len(answer)))
    return whole, spans


def _render(messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, name: str) -> str:
    try:
        return str(tokenizer.apply_chat_template([dict(m) for m in messages], tokenize=False))
    except Exception as error:  # a template may refuse whatever it likes, in its own words
        raise InputError(
            f"The model's chat template refuses {name}: {' '.join(str(error).split()):.200}. Use --chat-template tulu, "
            "or leave such chats out."
        ) from error
