"""JSON texts into objects, strictly: what is no JSON, or could not be written again, is refused or mended aloud."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tis_utils.errors import InputError

DEEPEST = 100  # levels of nesting: what digests and writes records is recursive
# A string, or one of the words that Python and JavaScript write for numbers that JSON does not have.
_NO_JSON = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")|-?\b(?:NaN|Infinity)\b', re.DOTALL)
_BLANK = re.compile(r"\s*")
Parsed = tuple[bytes, dict[str, Any], tuple[str, ...]]  # bytes to write again, object, remarks ("N lines …")
_NULLS = "with NaN or Infinity, which is no JSON: null is read and written instead"
T = TypeVar("T")


def parse(raw: bytes, where: str) -> Parsed:
    """One object, and the bytes it was read from, with null for NaN and Infinity, which are no JSON."""
    text = decode(raw, where)
    with _in_words(where):
        value, remarks = _decoded(lambda decoder: decoder.decode(text.rstrip("\r\n")))
        return _strict(raw, value, where, remarks)


def parse_array(raw: bytes, where: str) -> Iterator[Parsed]:
    """The objects of an array, each with its own bytes, on one line."""
    text = decode(raw.removeprefix(b"\xef\xbb\xbf"), where)
    with _in_words(where):
        count = len(json.loads(text, parse_constant=_null))
    position = text.index("[")
    for number in range(1, count + 1):
        start = _BLANK.match(text, position + 1).end()  # type: ignore[union-attr]
        place = f"{where}, item {number}"
        with _in_words(place):
            (value, end), remarks = _decoded(lambda decoder, at=start: decoder.raw_decode(text, at))  # type: ignore[misc]
            lines = text[start:end].split("\n")  # a line break stands between keys, never inside a string
            item = _strict(" ".join(line.strip() for line in lines).encode() + b"\n", value, place, remarks)
        yield item
        position = text.find(",", end)


def decode(raw: bytes, where: str) -> str:
    """UTF-8, or an error that names the place."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 (byte {raw[error.start]:#04x} at position {error.start}). "
            "Save the file in UTF-8 encoding and try again."
        ) from error


class _Twice(Exception):
    """A key that an object has twice."""


def _null(name: str) -> None:
    """NaN and Infinity hold nothing, as null does."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, of whose keys none may hide another."""
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return record


_DECODER = json.JSONDecoder(parse_constant=_null, object_pairs_hook=_unique)
_LENIENT = json.JSONDecoder(parse_constant=_null)


def _decoded(read: Callable[[json.JSONDecoder], T]) -> tuple[T, tuple[str, ...]]:
    """What a decoder reads, and a remark where a key stands twice: the bytes are kept, the last value is read."""
    try:
        return read(_DECODER), ()
    except _Twice as error:
        return read(_LENIENT), (f"with the key {str(error)!r} twice in one object, of which the last is read",)


def _strict(raw: bytes, record: Any, where: str, remarks: tuple[str, ...]) -> Parsed:
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object in braces, got {type(record).__name__}.")
    if raw.count(b"[") + raw.count(b"{") > DEEPEST:
        level: list[Any] = [record]
        for _ in range(DEEPEST):
            level = [inner for value in level for inner in (value.values() if isinstance(value, dict) else value)]
            level = [value for value in level if isinstance(value, dict | list)]
        if level:
            raise InputError(f"{where}: nested too deeply, more than {DEEPEST} levels. Expected one flat JSON object.")
    json.dumps(record, ensure_ascii=False).encode("utf-8")  # refuses half a surrogate pair, as tokenizers do
    sound = raw
    if b"NaN" in raw or b"Infinity" in raw:
        sound = _NO_JSON.sub(lambda match: match[1] or b"null", raw)
    return sound, record, (*remarks, _NULLS) if sound != raw else remarks


@contextlib.contextmanager
def _in_words(where: str) -> Iterator[None]:
    try:
        yield
    except json.JSONDecodeError as error:
        if "\0" in error.doc:
            raise InputError(
                f"{where}: holds zero bytes, as files in UTF-16 do, and files that were not written to their end. Save "
                "it in UTF-8 encoding, or write it again."
            ) from error
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise InputError(
            f"{where}: invalid JSON at {line}column {error.colno} ({error.msg}). Expected one complete JSON object per "
            "line, or one array of objects."
        ) from error
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: a \\ud… escape without its other half is no character. Remove it.") from error
    except RecursionError as error:
        raise InputError(f"{where}: nested too deeply to be read. Expected one flat JSON object.") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: a number that cannot be read ({error}). Write it as a text.") from error
