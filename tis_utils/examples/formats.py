"""Formats of one record (a line of a JSONL file, a row of a data set), recognised by its keys.

===========  =======================================================  =================================
format       keys                                                     becomes
===========  =======================================================  =================================
chat         ``messages``: list of ``{"role", "content"}``            the chat as it is
response     ``prompt``, ``response``                                 one user and one assistant turn
completion   ``prompt``, ``completion``                               the same
alpaca       ``instruction``, ``output``, optional ``input``          instruction, blank line, input: answer
query        ``prompt``, ``label`` (queries only)                     a :class:`~tis_utils.examples.text.Query`
===========  =======================================================  =================================

Optional: ``id``, ``source`` or ``dataset``, ``task`` (queries), ``system`` (not for chat), ``meta``, which gets all
keys with no meaning here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tis_utils.errors import InputError
from tis_utils.examples.text import Example, Query, as_query, chat_prompt, exchange

FORMATS: dict[str, tuple[str, ...]] = {
    "chat": ("messages",),
    "response": ("prompt", "response"),
    "completion": ("prompt", "completion"),
    "alpaca": ("instruction", "output"),
    "query": ("prompt", "label"),
}
_KNOWN_KEYS = {"id", "source", "dataset", "task", "system", "meta", "input", "rendered"}.union(*FORMATS.values())
_Record = Mapping[str, Any]


def format_of(record: _Record) -> str | None:
    """Name of the first format in `FORMATS` whose keys are all there, None if there is none."""
    return next((name for name, keys in FORMATS.items() if all(key in record for key in keys)), None)


def to_example(record: _Record, *, where: str, name: str, default_id: str) -> Example:
    """Make a candidate of one record; errors name the place `where`, `name` is its default source."""
    if format_of(record) == "query":
        raise InputError(f"{where}: 'prompt' with 'label' is a query. A candidate's answer is called 'response'.")
    source = _word(record, "source", where) or _word(record, "dataset", where) or name
    return _chat(record, where, default_id, source)


def to_query(record: _Record, *, where: str, name: str, default_id: str) -> Query:
    """Make a query of one record; `name` is the default task. Of a chat, the last turn is the label.

    A plain prompt becomes a user turn, unless it starts with a role header or the record says ``"rendered": true``.
    """
    task = _word(record, "task", where) or name
    if format_of(record) == "query":
        prompt, label = _text(record, "prompt", where), _text(record, "label", where)
        if record.get("rendered") is not True and not prompt.startswith(("<|user|>\n", "<|system|>\n")):
            prompt = chat_prompt(prompt, _system(record, where))
        return Query(_id(record, where, default_id), prompt, label, task, _meta(record, where))
    if _messages(record, where)[-1]["role"] != "assistant":
        raise InputError(f"{where}: the chat of a query must end with the assistant turn that is wanted.")
    chat = _chat(record, where, default_id, name)
    return replace(as_query(chat, task), meta=chat.meta)


def _chat(record: _Record, where: str, default_id: str, source: str) -> Example:
    messages, meta = _messages(record, where), _meta(record, where)
    try:
        return Example(_id(record, where, default_id), messages, source, meta)
    except InputError as error:
        raise error if str(error).startswith(where) else InputError(f"{where}: {error}") from error


def _messages(record: _Record, where: str) -> list[dict[str, str]]:
    kind = format_of(record)
    if kind in (None, "query"):
        formats = "; ".join(f"{name}: {', '.join(keys)}" for name, keys in FORMATS.items())
        keys = ", ".join(record) or "none"
        raise InputError(f"{where}: unknown format, keys are {keys:.200}. Expected {formats}.")
    if kind == "chat":
        messages = record["messages"]
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise InputError(f'{where}: \'messages\' must be a list of at least one {{"role", "content"}} object.')
        return [_message(message, where) for message in messages]
    asked, answered = FORMATS[str(kind)]
    user = _text(record, asked, where)
    if kind == "alpaca" and record.get("input"):
        user += f"\n\n{_text(record, 'input', where)}"
    system = _system(record, where)
    messages = exchange(user, _text(record, answered, where))
    return [{"role": "system", "content": system}, *messages] if system else messages


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
        raise InputError(f"{where}: a message must be an object with 'role' and 'content', got {message!r:.60}.")
    return {"role": message["role"], "content": message["content"]}


def _text(record: _Record, key: str, where: str) -> str:
    if not isinstance(record[key], str):
        raise InputError(f"{where}: {key!r} must be a string, got {type(record[key]).__name__}.")
    return record[key]


def _system(record: _Record, where: str) -> str | None:
    return _text(record, "system", where) if record.get("system") else None


def _id(record: _Record, where: str, default: str) -> str:
    return default if record.get("id") is None else _word(record, "id", where)


def _word(record: _Record, key: str, where: str) -> str:
    """A name or number as text; empty where there is none."""
    value = record.get(key)
    if isinstance(value, Mapping | list | tuple):
        raise InputError(f"{where}: {key!r} must be a text or a number, got {type(value).__name__}.")
    return "" if value is None else str(value)


def _meta(record: _Record, where: str) -> dict[str, Any]:
    """What the record says besides: the keys that mean nothing here, and its ``meta``."""
    meta = record.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise InputError(f"{where}: 'meta' must be a JSON object, got {type(meta).__name__}.")
    return {**{key: value for key, value in record.items() if key not in _KNOWN_KEYS}, **meta}
