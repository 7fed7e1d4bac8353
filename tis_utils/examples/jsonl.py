"""Your own data: JSONL files in and out (one JSON object per line, UTF-8).

A line may be in any of these formats; it is recognised by its keys, line by line:

===========  =======================================================  =================================
format       keys                                                     becomes
===========  =======================================================  =================================
chat         ``messages``: list of ``{"role", "content"}``            the chat as it is
response     ``prompt``, ``response``                                 one user and one assistant turn
completion   ``prompt``, ``completion``                               the same
alpaca       ``instruction``, ``output``, optional ``input``          instruction, blank line, input: answer
query        ``prompt``, ``label`` (queries only)                     a :class:`~tis_utils.examples.text.Query`
===========  =======================================================  =================================

Optional everywhere: ``id`` (default: file stem and line number), ``source`` or ``dataset`` (default: file
stem), ``task`` (queries; default: file stem), ``system`` (not for chat), ``meta`` (an object). Keys with no
meaning here are kept in ``meta``.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tis_utils.errors import InputError, RunError
from tis_utils.examples.text import ROLES, Example, Query, chat_prompt
from tis_utils.paths import check_jsonl

log = logging.getLogger(__name__)

FORMATS: dict[str, tuple[str, ...]] = {
    "chat": ("messages",),
    "response": ("prompt", "response"),
    "completion": ("prompt", "completion"),
    "alpaca": ("instruction", "output"),
    "query": ("prompt", "label"),
}
_OTHER_KEYS = {"id", "source", "dataset", "task", "system", "meta", "input", "rendered"}
_Item = TypeVar("_Item", Example, Query)
_Record = Mapping[str, Any]


def read_examples(path: str | Path) -> list[Example]:
    """Read the candidates of a JSONL file, in the order of its lines.

    Parameters
    ----------
    path : str or Path
        A UTF-8 file; blank lines are skipped. The formats found are logged (level INFO) with their counts.

    Returns
    -------
    list of Example
        Ids are unique; white space and line separators inside the texts are kept as they are.

    Raises
    ------
    InputError
        If the file is missing, empty or not UTF-8, or a line is not a JSON object, is in no known format,
        has no assistant turn or repeats an id. The message names file and line.
    """
    return _read(Path(path), to_example)


def read_queries(path: str | Path) -> list[Query]:
    """Read the queries of a JSONL file, in the order of its lines.

    Next to ``prompt``/``label`` every candidate format is understood: the last assistant turn is the
    label, what comes before it is the prompt. A prompt is rendered as a user turn unless it already
    starts with a role header (``<|user|>`` or ``<|system|>``) or the line says ``"rendered": true``.

    Raises
    ------
    InputError
        As for :func:`read_examples`; also if a chat does not end with an assistant turn.
    """
    return _read(Path(path), to_query)


def formats(path: str | Path) -> dict[str, int]:
    """Which formats the lines of a file are in, and how many of each; see the table at the top of this module.

    Raises
    ------
    InputError
        If the file is missing, not UTF-8, or a line is not a JSON object.
    """
    return dict(Counter(str(format_of(record)) for _, record in _records(Path(path))))


def copy_lines(source: str | Path, target: str | Path, positions: Sequence[int]) -> None:
    """Write lines of a JSONL file to another one, in the given order and with their keys as they are.

    Parameters
    ----------
    source, target : str or Path
    positions : sequence of int
        Places among what :func:`read_examples` returned for `source`, from 0.

    Raises
    ------
    RunError
        If the file cannot be written; an older file of that name is then untouched.
    """
    wanted = set(positions)
    kept = {i: record for i, (_, record) in enumerate(_records(Path(source))) if i in wanted}
    _write(Path(target), (kept[i] for i in positions))


def write_examples(path: str | Path, examples: Iterable[Example]) -> None:
    """Write candidates as chats, one a line; :func:`read_examples` gives back equal ones.

    Raises
    ------
    InputError
        If something in ``meta`` has no JSON form.
    RunError
        If the file cannot be written; an older file of that name is then untouched.
    """
    _write(
        Path(path),
        (
            {"id": e.id, "source": e.source, "messages": [dict(m) for m in e.messages], "meta": dict(e.meta)}
            for e in examples
        ),
    )


def write_queries(path: str | Path, queries: Iterable[Query]) -> None:
    """Write queries, one a line, with rendered prompts; :func:`read_queries` gives back equal ones.

    Raises
    ------
    InputError, RunError
        As for :func:`write_examples`.
    """
    _write(
        Path(path),
        (
            {"id": q.id, "task": q.task, "prompt": q.prompt, "label": q.label, "rendered": True, "meta": dict(q.meta)}
            for q in queries
        ),
    )


def format_of(record: _Record) -> str | None:
    """Name of the first format in `FORMATS` whose keys are all there, None if there is none."""
    return next((name for name, keys in FORMATS.items() if all(key in record for key in keys)), None)


def to_example(record: _Record, *, where: str, name: str, default_id: str) -> Example:
    """Make a candidate of one record.

    Parameters
    ----------
    record : mapping
        A parsed line, or a row of a data set.
    where : str
        What error messages call the place ("pool.jsonl, line 3").
    name : str
        The default source.
    default_id : str
        Used if the record has no ``id``.

    Raises
    ------
    InputError
        If the record is in no known format or has no assistant turn.
    """
    if format_of(record) == "query":
        raise InputError(f"{where}: 'prompt' with 'label' is a query. A candidate's answer is called 'response'.")
    source = _word(record, "source", where) or _word(record, "dataset", where) or name
    ident = default_id if record.get("id") is None else _word(record, "id", where)
    try:
        return Example(ident, _messages(record, where), source, _meta(record, where))
    except InputError as error:
        raise error if str(error).startswith(where) else InputError(f"{where}: {error}") from error


def to_query(record: _Record, *, where: str, name: str, default_id: str) -> Query:
    """Make a query of one record; `name` is the default task, the rest is as in :func:`to_example`."""
    if format_of(record) == "query":
        text = _text(record, "prompt", where)
        prompt = (
            text
            if record.get("rendered") is True or is_rendered(text)
            else chat_prompt(text, _text(record, "system", where) if _system(record) else None)
        )
        label = _text(record, "label", where)
    else:
        *context, answer = turns = _messages(record, where)
        for place, turn in enumerate(turns):
            _check_turn(turn, place, where)
        if answer.get("role") != "assistant":
            raise InputError(f"{where}: the chat of a query must end with the assistant turn that is wanted.")
        prompt = "".join(f"<|{m['role']}|>\n{m['content']}\n" for m in context) + "<|assistant|>\n"
        label = answer["content"]
    task = _word(record, "task", where) or name
    ident = default_id if record.get("id") is None else _word(record, "id", where)
    return Query(ident, prompt, label, task, _meta(record, where))


def is_rendered(prompt: str) -> bool:
    """Whether a prompt already starts with the header of a user or system turn."""
    return prompt.startswith(("<|user|>\n", "<|system|>\n"))


def _read(path: Path, make: Callable[..., _Item]) -> list[_Item]:
    items: list[_Item] = []
    line_of: dict[str, int] = {}
    formats: Counter[str] = Counter()
    for number, record in _records(path):
        where = f"{path}, line {number}"
        item = make(record, where=where, name=path.stem, default_id=f"{path.stem}:{number}")
        if item.id in line_of:
            raise InputError(
                f"{path}: lines {line_of[item.id]} and {number} have the same id {item.id!r}. "
                "Ids must be unique; change one, or remove the key to get one made from the line number."
            )
        line_of[item.id] = number
        formats[str(format_of(record))] += 1
        items.append(item)
    if not items:
        raise InputError(f"{path} is empty. Expected one JSON object per line.")
    found = ", ".join(f"{name} ({count})" for name, count in formats.items())
    log.info("%s: %d lines read, format %s", path, len(items), found)
    return items


def check_answers(path: str | Path, items: Sequence[Example] | Sequence[Query]) -> None:
    """Refuse a file in which no line has an answer; single empty ones are a matter of warnings.

    Raises
    ------
    InputError
        If there is nothing but white space to be learnt from any example, or wanted by any query.
    """
    if not any(map(_has_answer, items)):
        raise InputError(
            f"{path}: there is no answer in any of its {len(items)} lines, all are empty. Fill in what the assistant "
            "should say ('response', 'output', 'label', or the content of the assistant's turns)."
        )


def _has_answer(item: Example | Query) -> bool:
    if isinstance(item, Query):
        return bool(item.label.strip())
    return any(turn["content"].strip() for turn in item.messages if turn["role"] == "assistant")


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers (from 1) and objects. Lines end at LF only, so U+2028 and its like stay inside texts."""
    check_jsonl(path)
    with _opened(path) as lines:
        for number, raw in enumerate(lines, start=1):
            line = _decode(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, f"{path}, line {number}")
            if line.strip():
                yield number, _parse(line, f"{path}, line {number}")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 (byte {raw[error.start]:#04x} at position {error.start}). "
            "Save the file in UTF-8 encoding and try again."
        ) from error


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        json.dumps(record, ensure_ascii=False).encode("utf-8")  # refuses half a surrogate pair, as tokenizers do
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: invalid JSON at column {error.colno} ({error.msg}). Expected one complete JSON object per line."
        ) from error
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: a \\ud… escape without its other half is no character. Remove it.") from error
    except RecursionError as error:
        raise InputError(f"{where}: nested too deeply to be read. Expected one flat JSON object.") from error
    except ValueError as error:
        raise InputError(f"{where}: a number that cannot be read ({error}). Write it as a text.") from error
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object in braces, got {type(record).__name__}.")
    return record


def _messages(record: _Record, where: str) -> list[dict[str, str]]:
    kind = format_of(record)
    if kind == "chat":
        return [_message(message, where) for message in _sequence(record["messages"], where)]
    if kind in (None, "query"):
        known = "; ".join(f"{name}: {', '.join(keys)}" for name, keys in FORMATS.items())
        keys = f"{', '.join(record) or 'none'}"
        raise InputError(f"{where}: unknown format, keys are {keys:.200}. Expected {known}.")
    ask, answer = FORMATS[str(kind)]
    user = _text(record, ask, where)
    if kind == "alpaca" and record.get("input"):
        user += f"\n\n{_text(record, 'input', where)}"
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": _text(record, answer, where)}]
    return [{"role": "system", "content": _text(record, "system", where)}, *turns] if _system(record) else turns


def _sequence(messages: Any, where: str) -> Sequence[Any]:
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not len(messages):
        raise InputError(f'{where}: \'messages\' must be a list of at least one {{"role", "content"}} object.')
    return messages


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
        raise InputError(f"{where}: a message must be an object with 'role' and 'content', got {message!r:.60}.")
    return {"role": message["role"], "content": message["content"]}


def _check_turn(turn: Mapping[str, Any], place: int, where: str) -> None:
    """What :class:`Example` checks for candidates."""
    if turn["role"] not in ROLES:
        raise InputError(f"{where}, message {place}: role is {turn['role']!r}, expected one of {', '.join(ROLES)}.")
    if not isinstance(turn["content"], str):
        raise InputError(f"{where}, message {place}: content must be a string.")


def _text(record: _Record, key: str, where: str) -> str:
    if not isinstance(record[key], str):
        raise InputError(f"{where}: {key!r} must be a string, got {type(record[key]).__name__}.")
    return record[key]


def _system(record: _Record) -> str | None:
    return record.get("system") or None


def _word(record: _Record, key: str, where: str) -> str:
    """A name or number as text; empty where there is none."""
    value = record.get(key)
    if isinstance(value, Mapping | list | tuple):
        raise InputError(f"{where}: {key!r} must be a text or a number, got {type(value).__name__}.")
    return "" if value is None else str(value)


def _meta(record: _Record, where: str) -> dict[str, Any]:
    meta = record.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise InputError(f"{where}: 'meta' must be a JSON object, got {type(meta).__name__}.")
    known = _OTHER_KEYS.union(*FORMATS.values())
    return {**{key: value for key, value in record.items() if key not in known}, **meta}


def _write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write to a temporary name and rename, so that a killed run leaves no half-written file."""
    temporary = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        temporary.replace(path)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} was not written: {error}. Keep only JSON values in meta.") from error
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror}. Check the folder and the disk.") from error
    finally:
        with contextlib.suppress(OSError):  # there is nothing to remove, or no folder to remove it from
            temporary.unlink()
