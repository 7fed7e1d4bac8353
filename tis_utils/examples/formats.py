"""Formats of one record (a line of a file, a row of a data set), recognised by the keys that hold something.

===========  =======================================================  =================================
format       keys                                                     becomes
===========  =======================================================  =================================
chat         ``messages``: list of ``{"role", "content"}``            the chat as it is
sharegpt     ``conversations``: list of ``{"from", "value"}``         the same
response     ``prompt``, ``response``                                 one user and one assistant turn
completion   ``prompt``, ``completion``                               the same
alpaca       ``instruction``, ``output``, optional ``input``          instruction, blank line, input: answer
preference   ``prompt`` or ``instruction``, ``chosen``                the chosen answer
             a chat that ends with the request, ``chosen``            the chat with the chosen answer
chosen       ``chosen``: list of messages                             the chosen chat
query        ``prompt``, ``label`` (queries only)                     a :class:`~tis_utils.examples.text.Query`
text         ``text``                                                 one assistant turn
===========  =======================================================  =================================

Request and answer may be lists of messages too (:mod:`tis_utils.examples.messages` says what a message may hold).
Optional: ``id``, ``source`` or ``dataset``, ``task`` (queries), ``system``, ``history`` (earlier turns, in pairs or
messages), ``reasoning``, ``label`` (false: an answer that was rejected, skipped), ``meta``. Keys with no meaning here
go to ``meta`` and are counted as not read. Null and NaN count as absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tis_utils.errors import InputError
from tis_utils.examples.fields import Fields, Skip, present
from tis_utils.examples.messages import REASONING, read_turns, think, transcript
from tis_utils.examples.text import Example, Query, as_query, chat_prompt

FORMATS: dict[str, tuple[str, ...]] = {
    "chat": ("messages",),
    "sharegpt": ("conversations",),
    "response": ("prompt", "response"),
    "completion": ("prompt", "completion"),
    "alpaca": ("instruction", "output"),
    "preference": ("prompt", "chosen"),
    "alpaca preference": ("instruction", "chosen"),
    "chosen": ("chosen",),
    "query": ("prompt", "label"),
    "text": ("text",),
}
REJECTED = ("label", "kto_tag")  # false: an answer that people did not want
_CHATS = ("chat", "sharegpt", "chosen")  # of one key that holds a list of messages
_Turns = list[dict[str, Any]]


@dataclass(frozen=True)
class Read:
    """What a record became, the format it was in, and what of it is not read (in words that follow "not read:")."""

    item: Any
    format: str
    unread: frozenset[str]


def format_of(record: Mapping[str, Any]) -> str | None:
    """Name of the first format in `FORMATS` whose keys all hold something, None if there is none."""
    return _known(present(record))


def _known(record: Mapping[str, Any]) -> str | None:
    return next((name for name, keys in FORMATS.items() if all(key in record for key in keys)), None)


def to_example(record: Mapping[str, Any], *, where: str, name: str, default_id: str) -> Example:
    """Make a candidate of one record; errors name the place `where`, `name` is its default source.

    Raises
    ------
    InputError
        If it is in no known format, or a key holds what it cannot hold.
    Skip
        If it is no candidate: an answer that was rejected, or a chat of which no turn is to be learnt.
    """
    item: Example = read_example(record, where=where, name=name, default_id=default_id).item
    return item


def to_query(record: Mapping[str, Any], *, where: str, name: str, default_id: str) -> Query:
    """Make a query of one record; `name` is the default task. Of a chat, the last turn is the label.

    A plain prompt becomes a user turn, unless it starts with a role header or the record says ``"rendered": true``.
    """
    item: Query = read_query(record, where=where, name=name, default_id=default_id).item
    return item


def read_example(record: Mapping[str, Any], *, where: str, name: str, default_id: str) -> Read:
    """A candidate as from :func:`to_example`, and what was not read."""
    fields = Fields(record, where)
    kind = _format(fields)
    if kind == "query":
        raise InputError(f"{where}: 'prompt' with 'label' is a query. A candidate's answer is called 'response'.")
    source = fields.word("source") or fields.word("dataset") or name
    example = _chat(fields, _messages(fields, kind), default_id, source)
    if not any(turn["role"] == "assistant" and turn.get("loss", True) for turn in example.messages):
        raise Skip("in which no answer is to be learnt")
    return Read(example, kind, frozenset(fields.unread))


def read_query(record: Mapping[str, Any], *, where: str, name: str, default_id: str) -> Read:
    """A query as from :func:`to_query`, and what was not read."""
    fields = Fields(record, where)
    kind, task = _format(fields), fields.word("task") or name
    if kind == "query" and isinstance(fields.get("prompt"), str):
        prompt, label, system = fields.text("prompt"), fields.text("label"), fields.text("system")
        if fields.get("rendered") is not True and not prompt.startswith(("<|user|>\n", "<|system|>\n")):
            prompt = chat_prompt(prompt, system)
        item = Query(_id(fields, default_id), prompt, label, task, _meta(fields))
        return Read(item, kind, frozenset(fields.unread))
    messages = _messages(fields, kind)
    if messages[-1]["role"] != "assistant":
        raise InputError(f"{where}: the chat of a query must end with the assistant turn that is wanted.")
    if not messages[-1].get("loss", True):
        raise Skip("whose last answer is not to be learnt")
    chat = _chat(fields, messages, default_id, name)
    return Read(replace(as_query(chat, task), meta=chat.meta), kind, frozenset(fields.unread))


def _format(fields: Fields) -> str:
    kind = _known(fields.record)
    if kind is None:
        formats = "; ".join(f"{name}: {', '.join(keys)}" for name, keys in FORMATS.items())
        keys, empty = ", ".join(fields.record) or "none", ", ".join(fields.empty)
        null = f" (nothing, that is null, in {empty:.200})" if empty else ""
        raise InputError(
            f"{fields.where}: unknown format, keys are {keys:.200}{null}. Expected {formats}; --columns says which "
            "keys of yours these are."
        )
    labels = [key for key in REJECTED if str(fields.record.get(key)).lower() in ("true", "false")]
    if kind not in ("query", "text") and any(str(fields.get(key)).lower() == "false" for key in labels):
        raise Skip("whose answer was rejected ('label' is false)")
    return kind


def _id(fields: Fields, default: str) -> str:
    return fields.word("id") or default


def _chat(fields: Fields, messages: _Turns, default_id: str, source: str) -> Example:
    try:
        return Example(_id(fields, default_id), messages, source, _meta(fields))
    except InputError as error:
        raise error if str(error).startswith(fields.where) else InputError(f"{fields.where}: {error}") from error


def _messages(fields: Fields, kind: str) -> _Turns:
    keys = FORMATS[kind]
    if kind in _CHATS:
        text = fields.get(keys[0])
        turns = transcript(text) if kind == "chosen" and isinstance(text, str) else fields.listed(keys[0])
        if not turns:
            alone = " A chosen answer alone needs its 'prompt'." if kind == "chosen" and text else ""
            raise InputError(
                f'{fields.where}: {keys[0]!r} must be a list of at least one {{"role", "content"}} object.{alone}'
            )
        messages = read_turns(turns, fields)
        if "chosen" in fields and messages[-1]["role"] != "assistant":
            chosen = _turns(fields, "chosen", "assistant")
            messages = [*messages, *chosen] if chosen[0]["role"] == "assistant" else chosen
    elif kind == "text":
        messages = [{"role": "assistant", "content": fields.text("text")}]
    else:
        messages = _exchange(fields, *keys)
    messages = [*_history(fields), *messages]
    if system := fields.text("system"):
        messages.insert(0, {"role": "system", "content": system})
    return messages


def _exchange(fields: Fields, asked: str, answered: str) -> _Turns:
    """Request and answer, each a text or a list of messages; a chosen chat may hold its request already."""
    answers = _turns(fields, answered, "assistant")
    if answered == "chosen" and answers[0]["role"] != "assistant":
        fields.get(asked)
        return answers
    requests = _turns(fields, asked, "user")
    if asked == "instruction" and (more := fields.text("input")):
        requests[-1]["content"] += f"\n\n{more}"
    if reasoning := think(next(filter(None, map(fields.text, REASONING)), "")):
        answers[0]["content"] = reasoning + answers[0]["content"]
    return [*requests, *answers]


def _turns(fields: Fields, key: str, role: str) -> _Turns:
    given = fields.record[key]
    if isinstance(given, Mapping) and any(isinstance(given.get(name), list) for name in ("role", "from")):
        given = fields.listed(key)  # a list for each key
    turns = [given] if isinstance(given, Mapping) and not given.keys().isdisjoint(("role", "from")) else given
    if isinstance(turns, list) and turns and all(isinstance(turn, Mapping) for turn in turns):
        fields.get(key)
        return read_turns(turns, fields)
    return [{"role": role, "content": fields.text(key)}]


def _history(fields: Fields) -> _Turns:
    turns = []
    for pair in fields.listed("history"):
        if isinstance(pair, Mapping):
            turns += read_turns([pair], fields)
            continue
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise InputError(
                f"{fields.where}: 'history' must be a list of pairs of request and answer, got {pair!r:.60}."
            )
        turns += [{"role": role, "content": text} for role, text in zip(("user", "assistant"), pair, strict=True)]
    return turns


def _meta(fields: Fields) -> dict[str, Any]:
    """What the record says besides: the keys that mean nothing here, parts that are no text, and its ``meta``."""
    meta = fields.get("meta")
    if meta is not None and not isinstance(meta, Mapping):
        raise InputError(f"{fields.where}: 'meta' must be a JSON object, got {type(meta).__name__}.")
    parts = {"parts": fields.parts} if fields.parts else {}
    return {**fields.rest(), **parts, **(meta or {})}
