"""Your own data: JSONL files (one JSON object per line, UTF-8) in any format of :mod:`tis_utils.examples.formats`.

Without ``id``, file stem and line number make one; without ``source`` or ``task``, the file stem is it.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tis_utils.errors import InputError
from tis_utils.examples.formats import format_of, to_example, to_query
from tis_utils.examples.text import Example, Query, answer
from tis_utils.paths import check_jsonl
from tis_utils.storage.manifests import write_atomically

log = logging.getLogger(__name__)

_Item = TypeVar("_Item", Example, Query)


def read_examples(path: str | Path) -> list[Example]:
    """Read the candidates of a JSONL file, in the order of its lines.

    Parameters
    ----------
    path : str or Path
        A UTF-8 file; blank lines are skipped. The log tells the formats of the lines (level INFO).

    Returns
    -------
    list of Example
        Ids are unique; white space and line separators inside the texts are kept as they are.

    Raises
    ------
    InputError
        With file and line: missing, empty, not UTF-8, no JSON object, no known format, no assistant turn, repeated id.
    """
    return _read(Path(path), to_example)


def read_queries(path: str | Path) -> list[Query]:
    """Read the queries of a JSONL file, see :func:`tis_utils.examples.formats.to_query`, in the order of its lines.

    Raises
    ------
    InputError
        As for :func:`read_examples`; also if a chat does not end with an assistant turn.
    """
    return _read(Path(path), to_query)


def count_formats(path: str | Path) -> dict[str, int]:
    """Which formats the lines of a file are in, and how many of each."""
    return dict(Counter(str(format_of(record)) for _, record in _records(Path(path))))


def check_answers(path: str | Path, items: Sequence[Example] | Sequence[Query]) -> None:
    """Refuse a file in which no line has an answer; single empty ones are a matter of warnings."""
    if not any(answer(item).strip() for item in items):
        raise InputError(
            f"{path}: there is no answer in any of its {len(items)} lines, all are empty. Fill in what the assistant "
            "should say ('response', 'output', 'label', or the content of the assistant's turns)."
        )


def copy_lines(source: str | Path, target: str | Path, positions: Sequence[int]) -> None:
    """Copy lines, given by their places among what :func:`read_examples` returned, in that order, keys as they are."""
    chosen = set(positions)
    records = {i: record for i, (_, record) in enumerate(_records(Path(source))) if i in chosen}
    _write(Path(target), (records[i] for i in positions))


def write_examples(path: str | Path, examples: Iterable[Example]) -> None:
    """Write candidates as chats, one a line; :func:`read_examples` gives back equal ones."""
    _write(
        Path(path),
        (
            {"id": e.id, "source": e.source, "messages": [dict(m) for m in e.messages], "meta": dict(e.meta)}
            for e in examples
        ),
    )


def write_queries(path: str | Path, queries: Iterable[Query]) -> None:
    """Write queries, one a line, with rendered prompts; :func:`read_queries` gives back equal ones."""
    _write(
        Path(path),
        (
            {"id": q.id, "task": q.task, "prompt": q.prompt, "label": q.label, "rendered": True, "meta": dict(q.meta)}
            for q in queries
        ),
    )


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
    counts = ", ".join(f"{name} ({count})" for name, count in formats.items())
    log.info("%s: %d lines read, format %s", path, len(items), counts)
    return items


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


def _write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    try:
        write_atomically(path, (f"{json.dumps(record, ensure_ascii=False)}\n".encode() for record in records))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} was not written: {error}. Keep only JSON values in meta.") from error
