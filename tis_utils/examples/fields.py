"""One record as it is read: which keys hold something, which of them were read, what its content left out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tis_utils.errors import InputError

_SIMPLE = (str, int, float, bool, type(None))
_PANDAS = ("NAType", "NaTType")


class Skip(Exception):
    """A record that is no candidate; the text says why, in words that follow a number of lines."""


def plain(value: Any) -> Any:
    """Lists for the arrays and numbers for the scalars that tables hold in their cells."""
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def present(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without the keys that hold nothing: null or NaN, with which joined data sets fill their columns."""
    return {str(key): plain(value) for key, value in record.items() if not is_null(value)}


def is_null(value: Any) -> bool:
    """Whether a cell holds nothing: null, NaN, or what pandas puts in their place."""
    if isinstance(value, float | np.floating):
        return bool(value != value)
    return value is None or type(value).__name__ in _PANDAS


class Fields:
    """The keys of a record, ticked off as they are read.

    Parameters
    ----------
    record : mapping
        Keys that hold null or NaN count as absent.
    where : str
        The place that errors name.

    Attributes
    ----------
    empty : list of str
        Keys that hold null or NaN.
    unread : set of str
        Parts of the record that nothing reads, in words that follow "not read:".
    """

    def __init__(self, record: Mapping[str, Any], where: str) -> None:
        self.record, self.where = present(record), where
        self.empty = [str(key) for key in record if str(key) not in self.record]
        self.unread: set[str] = set()
        self.parts: list[Any] = []  # of messages, other than text
        self._read: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self.record

    def get(self, key: str) -> Any:
        """Read a key; None where it is absent."""
        self._read.add(key)
        return self.record.get(key)

    def text(self, key: str) -> str:
        """Read a key that must hold a string; empty where it is absent."""
        value = self.get(key)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{self.where}: {key!r} must be a string, got {type(value).__name__}. Write it as a text.")
        return value or ""

    def word(self, key: str) -> str:
        """Read a name or number as text; empty where it is absent."""
        value = self.get(key)
        if isinstance(value, Mapping | list):
            raise InputError(f"{self.where}: {key!r} must be a text or a number, got {type(value).__name__}.")
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a column of whole numbers with gaps
        return "" if value is None else str(value)

    def listed(self, key: str) -> list[Any]:
        """Read a key that must hold a list; empty where it is absent.

        Tables hold it as JSON text too, or as an object with a list for each key of the items.
        """
        value = self.get(key)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise InputError(
                    f"{self.where}: the text of {key!r} is no JSON list ({error}). Write it with json.dumps, or give a "
                    "format that holds lists (JSON lines, Parquet)."
                ) from error
        if isinstance(value, Mapping) and value and all(isinstance(column, list) for column in value.values()):
            if len(set(map(len, value.values()))) > 1:
                raise InputError(f"{self.where}: the lists in {key!r} must be equally long, one entry for each item.")
            value = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
        if value not in (None, "") and (isinstance(value, str) or not isinstance(value, Sequence)):
            raise InputError(f"{self.where}: {key!r} must be a list, got {type(value).__name__}.")
        return list(value or ())

    def rest(self) -> dict[str, Any]:
        """What nothing has read so far, and from now on is counted as not read."""
        rest = {key: value for key, value in self.record.items() if key not in self._read}
        self.unread |= {repr(key) for key, value in rest.items() if value not in ("", [], {})}
        return rest
