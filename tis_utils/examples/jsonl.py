"""Your own data: files (and what else :mod:`tis_utils.examples.records` reads) of :mod:`tis_utils.examples.formats`.

Without ``id``, file stem and line number make one; without ``source`` or ``task``, the file stem is it. What a line
says and is not read is counted in the log.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from tis_utils.errors import InputError
from tis_utils.examples.columns import Columns
from tis_utils.examples.fields import Skip
from tis_utils.examples.formats import Read, read_example, read_query
from tis_utils.examples.records import Source, tell_apart
from tis_utils.examples.text import Example, Query, answer
from tis_utils.storage.manifests import write_atomically

log = logging.getLogger(__name__)

Item = TypeVar("Item", Example, Query)


@dataclass
class Reading(Generic[Item]):
    """What was read from some sources.

    Attributes
    ----------
    items
        Candidates or queries, in order.
    places : list of (int, int)
        Source, and number of the record in it, of every item.
    names : list of str
        What the sources are called, each differently.
    formats : dict of str to dict
        How many records of each format a source has.
    remarks : list of str
        Sentences on what was not read, skipped or changed.
    """

    sources: Sequence[Source]
    items: list[Item] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    formats: dict[str, dict[str, int]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_examples(path: str | Path) -> list[Example]:
    """Read the candidates of a source, in order.

    Parameters
    ----------
    path : str or Path
        See :class:`tis_utils.examples.records.Source`; blank lines are skipped. The log tells the formats of the lines
        (level INFO), and what of them was skipped or is not read (WARNING).

    Returns
    -------
    list of Example
        Ids are unique; white space and line separators inside the texts are kept as they are.

    Raises
    ------
    InputError
        With file and line: missing, empty, not UTF-8, no JSON object, no known format, no assistant turn, repeated id.
    """
    return read_pool([Source(path)]).items


def read_queries(path: str | Path) -> list[Query]:
    """Read the queries of a source, see :func:`tis_utils.examples.formats.to_query`, in order.

    Raises
    ------
    InputError
        As for :func:`read_examples`; also if a chat does not end with an assistant turn.
    """
    return read_targets([Source(path)]).items


def read_pool(sources: Sequence[Source], columns: Columns | None = None) -> Reading[Example]:
    """Read the candidates of all sources, one after the other."""
    return _read(sources, read_example, columns or Columns())


def read_targets(sources: Sequence[Source], columns: Columns | None = None) -> Reading[Query]:
    """Read the queries of all sources, one after the other."""
    return _read(sources, read_query, columns or Columns())


def check_answers(path: str | Path, items: Sequence[Example] | Sequence[Query]) -> None:
    """Refuse a file in which no line has an answer; single empty ones are a matter of warnings."""
    if not any(answer(item).strip() for item in items):
        raise InputError(
            f"{path}: there is no answer in any of its {len(items)} lines, all are empty. Fill in what the assistant "
            "should say ('response', 'output', 'label', or the content of the assistant's turns)."
        )


def write_examples(path: str | Path, examples: Iterable[Example]) -> None:
    """Write candidates as chats, one a line; :func:`read_examples` gives back equal ones."""
    chats = ((e, {"messages": [dict(m) for m in e.messages], "meta": dict(e.meta)}) for e in examples)
    _write(Path(path), ({"id": e.id, "source": e.source, **chat} for e, chat in chats))


def write_queries(path: str | Path, queries: Iterable[Query]) -> None:
    """Write queries, one a line, with rendered prompts; :func:`read_queries` gives back equal ones."""
    texts = ((q, {"prompt": q.prompt, "label": q.label, "rendered": True, "meta": dict(q.meta)}) for q in queries)
    _write(Path(path), ({"id": q.id, "task": q.task, **text} for q, text in texts))


def _read(sources: Sequence[Source], make: Callable[..., Read], columns: Columns) -> Reading[Any]:
    tell_apart(sources)
    names = [source.name for source in sources]
    reading: Reading[Any] = Reading(sources, names=names)
    ids: list[set[str]] = []
    for place, source in enumerate(sources):
        ids.append(_read_one(reading, place, source, make, columns))
    if sum(map(len, ids)) > len(set().union(*ids)):
        pairs = zip(reading.items, reading.places, strict=True)
        reading.items = [replace(item, id=f"{sources[place].stem}/{item.id}") for item, (place, _) in pairs]
        reading.remarks.append(
            f"Ids of {' and '.join(names)} repeat each other: the name of the file stands before each."
        )
    for remark in reading.remarks:
        log.warning("%s", remark)
    return reading


def _read_one(
    reading: Reading[Any], place: int, source: Source, make: Callable[..., Read], columns: Columns
) -> set[str]:
    """Add what one source holds; the ids of its items."""
    where_is: dict[str, str] = {}
    formats: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for record in source.records():
        where = f"{source}, {record.called}"
        default = f"{source.stem}:{record.number}"
        try:
            read = make(columns.rename(record.values), where=where, name=source.stem, default_id=default)
        except Skip as reason:
            skipped[f"skipped {reason}"] += 1
            continue
        skipped.update(record.remarks)
        name = read.item.id
        if name in where_is and source.hub:
            read = replace(read, item=replace(read.item, id=f"{name}#{record.number}"))
            skipped["with an id that another one has: the number of the row was appended"] += 1
        elif name in where_is:
            kind, number = where_is[name].split()
            raise InputError(
                f"{source}: {kind}s {number} and {record.place.split()[1]} have the same id {name!r}. "
                "Ids must be unique; change one, or remove the key to get one made from the line number."
            )
        where_is[read.item.id] = record.place
        formats[read.format] += 1
        unread.update(read.unread)
        reading.items.append(read.item)
        reading.places.append((place, record.number))
    _check_any(source, formats, skipped)
    counts = ", ".join(f"{name} ({count})" for name, count in formats.items())
    log.info("%s: %d lines read, format %s", source, formats.total(), counts)
    reading.formats[reading.names[place]] = dict(formats)
    reading.remarks += [remark] if (remark := source.remark()) else []
    reading.remarks += _remarks(reading.names[place], unread, skipped)
    return set(where_is)


def _check_any(source: Source, formats: Mapping[str, int], skipped: Counter[str]) -> None:
    if not formats and skipped.total():
        raise InputError(f"{source}: all {skipped.total()} lines are {'; '.join(skipped)}. Give other data.")
    if not formats:
        raise InputError(f"{source} is empty. Expected at least one example.")


def lines(count: int) -> str:
    """A number of lines, in words."""
    return f"{count:,} line{'s' * (count != 1)}"


def _remarks(name: str, unread: Counter[str], others: Counter[str]) -> list[str]:
    sentences = [f"{name}: {lines(count)} {what}." for what, count in others.items() if count]
    if unread:
        parts = ", ".join(f"{what} ({lines(count)})" for what, count in unread.most_common())
        sentences.append(f"{name}: not read, so that it plays no part in the selection: {parts}.")
    return sentences


def _write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    try:
        texts = (json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
        write_atomically(path, (f"{text}\n".encode() for text in texts))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} was not written: {error}. Keep only JSON values in meta.") from error
