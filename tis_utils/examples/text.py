"""Candidates (chats to train on) and queries (prompts with the wanted answer): chat format, tokens, label masks."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from tis_utils.errors import InputError
from tis_utils.storage.keys import step

VERSION = step("text", 1)

ROLES = ("system", "user", "assistant", "tool")
IGNORE = -100  # label id that the cross-entropy of PyTorch and transformers leaves out
_HEADER = re.compile(rf"<\|(?:{'|'.join(ROLES)})\|>\n")


@dataclass(frozen=True)
class Example:
    """One candidate: a chat, where it came from, and what is known of it.

    Parameters
    ----------
    id : str
        Unique within its pool.
    messages : sequence of {"role": str, "content": str}
        Roles are system, user, assistant or tool; at least one assistant turn, or there is nothing to learn. An
        assistant turn with ``"loss": False`` is read and not learnt.
    source : str
        Name of the data set.
    meta : mapping, optional
        Provenance that no method may look at (group, function, wording, …): only figures and tests do.

    Raises
    ------
    InputError
        If a message has an unknown role or no text, or if no assistant turn is present.
    """

    id: str
    messages: Sequence[Mapping[str, Any]]
    source: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for turn, message in enumerate(self.messages):
            if message.get("role") not in ROLES:
                raise InputError(
                    f"Example {self.id!r}, message {turn}: role is {message.get('role')!r}, "
                    f"expected one of {', '.join(ROLES)}."
                )
            if not isinstance(message.get("content"), str):
                raise InputError(f"Example {self.id!r}, message {turn}: content must be a string.")
        if not any(m["role"] == "assistant" for m in self.messages):
            raise InputError(
                f"Example {self.id!r} has no assistant turn, so there is no answer to learn from. "
                "Add a message with role 'assistant' or remove the example."
            )


@dataclass(frozen=True)
class Query:
    """One query or test example of a target task.

    Parameters
    ----------
    id : str
        Unique within its task.
    prompt : str
        The full text the model sees before answering (see :func:`chat_prompt`).
    label : str
        The wanted answer.
    task : str
        Name of the target task.
    meta : mapping, optional
        Provenance; no method looks at it.
    """

    id: str
    prompt: str
    label: str
    task: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """What an experiment works on: a pool, and per task the queries and the held-out examples selectors never see."""

    pool: list[Example]
    queries: dict[str, list[Query]]
    test: dict[str, list[Query]]


@dataclass(frozen=True)
class Encoded:
    """Token ids and labels of one text, both int64 of shape (T,); labels are -100 where no loss is taken."""

    ids: np.ndarray
    labels: np.ndarray

    @property
    def trainable(self) -> bool:
        """Whether any *predicted* token carries loss (the first token is never predicted)."""
        return bool((self.labels[1:] != IGNORE).any())


def chat_prompt(user: str, system: str | None = None) -> str:
    """Render a request up to the point where the assistant starts to answer."""
    head = f"<|system|>\n{system}\n" if system else ""
    return f"{head}<|user|>\n{user}\n<|assistant|>\n"


def exchange(user: str, assistant: str) -> list[dict[str, str]]:
    """A chat of one request and one answer."""
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def chat_text(example: Example, eos: str = "") -> str:
    r"""Render the whole chat: ``<|role|>\n{content}\n`` per message, `eos` after each assistant content."""
    return "".join(text for text, _ in _spans(example, eos))


def _spans(example: Example, eos: str) -> list[tuple[str, bool]]:
    """Pieces of the chat text, each with a flag that says whether the loss counts there."""
    pieces = []
    for message in example.messages:
        answer = message["role"] == "assistant"
        pieces.append((f"<|{message['role']}|>\n", False))
        pieces.append((message["content"] + (eos if answer else ""), answer and message.get("loss", True)))
        pieces.append(("\n", False))
    return pieces


def turns(example: Example, *roles: str) -> str:
    """Contents of all turns that have one of these roles, a line break between them."""
    return "\n".join(message["content"] for message in example.messages if message["role"] in roles)


def request(item: Example | Query) -> str:
    """What is asked, without role headers: a candidate's turns that are no answers, the whole prompt of a query."""
    return _HEADER.sub("", item.prompt).strip() if isinstance(item, Query) else turns(item, "system", "user", "tool")


def answer(item: Example | Query) -> str:
    """What is answered: a candidate's assistant turns, the label of a query."""
    return item.label if isinstance(item, Query) else turns(item, "assistant")


def as_query(example: Example, task: str) -> Query:
    """Ask for the last turn of a candidate, given all turns before it; its ``meta`` is left behind."""
    *context, last = example.messages
    prompt = "".join(f"<|{message['role']}|>\n{message['content']}\n" for message in context) + "<|assistant|>\n"
    return Query(example.id, prompt, last["content"], task)


def encode_example(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
    """Tokenise a candidate whole; labels only on tokens that start inside assistant content or its EOS."""
    pieces = _spans(example, tokenizer.eos_token or "")
    counts = np.concatenate([np.full(len(text), flag) for text, flag in pieces])  # one flag per character
    ids, places = tokens("".join(text for text, _ in pieces), tokenizer, max_length)
    learn = np.array([end > start and counts[start] for start, end in places], dtype=bool)
    return Encoded(ids, np.where(learn, ids, IGNORE))


def encode_query(query: Query, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
    """Tokenise prompt and label separately, end with EOS; the prompt has no loss and loses its *start* if too long."""
    prompt, _ = tokens(query.prompt, tokenizer)
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    label = [*tokenizer(query.label, add_special_tokens=False)["input_ids"], *end][:max_length]
    prompt = prompt[max(0, len(prompt) + len(label) - max_length) :]
    ids = np.asarray([*prompt, *label], dtype=np.int64)
    return Encoded(ids, np.concatenate([np.full(len(prompt), IGNORE), ids[len(prompt) :]]))


def tokens(
    text: str, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The first `max_length` token ids of a text, int64 (T,), and the characters that each stands for.

    What the tokenizer puts in front of a text (BOS) is kept. What it appends is not: some append EOS to whatever they
    are given, also to a prompt, whose answer is still to come. Where a text ends, the caller says.
    """
    out = tokenizer(text or ".", return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
    real = np.flatnonzero(np.equal(out["special_tokens_mask"], 0))  # a special token within the text is real
    end = 0 if not real.size else real[-1] + 1 if text else real[0]
    kept = slice(end if max_length is None else min(end, max_length))
    return np.asarray(out["input_ids"], dtype=np.int64)[kept], out["offset_mapping"][kept]


def encode_all(items: Iterable[Example | Query], tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[Encoded]:
    """Tokenise candidates or queries, in order."""
    return [
        encode_query(item, tokenizer, max_length)
        if isinstance(item, Query)
        else encode_example(item, tokenizer, max_length)
        for item in items
    ]


def short(text: str, width: int = 80) -> str:
    """One line of at most `width` characters."""
    return textwrap.shorten(text, width, placeholder=" …")


def one_line(item: Example | Query, width: int = 80) -> str:
    """Request (at most `width` characters) and answer (a third of that) in one line."""
    return f"{short(request(item), width)} → {short(answer(item), max(12, width // 3))}"
