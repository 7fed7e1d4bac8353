"""Which keys of a record stand for which of ours: ``prompt=question,response=answer``, or a YAML file that says it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tis_utils.errors import InputError, check_choice
from tis_utils.examples.formats import FORMATS

NAMES = (*dict.fromkeys(key for keys in FORMATS.values() for key in keys), "input", "system", "history", "reasoning")
NAMES = (*NAMES, "id", "source", "task", "meta")


class Columns:
    """A renaming of keys.

    Parameters
    ----------
    text : str, optional
        ``ours=yours`` pairs with commas between them, or the name of a YAML file with such a mapping.

    Raises
    ------
    InputError
        If it is neither, or a name on the left is none of `NAMES`.
    """

    def __init__(self, text: str | None = None) -> None:
        self.names = _mapping(text) if text else {}
        for ours in self.names:
            check_choice("key in --columns", ours, NAMES)
        self._missing: set[str] = set(self.names.values())
        self._keys = ""

    def rename(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record under our keys; what stood under one of them before stays, under a name that says so."""
        if not self.names:
            return record
        self._missing -= record.keys()
        self._keys = self._keys or ", ".join(map(str, record))
        there = {ours: yours for ours, yours in self.names.items() if yours in record}
        rest = {key: value for key, value in record.items() if key not in there.values()}
        moved = {f"{key} (replaced)" if key in there else key: value for key, value in rest.items()}
        return {**moved, **{ours: record[yours] for ours, yours in there.items()}}

    def check(self) -> None:
        """Refuse names that no record had.

        Raises
        ------
        InputError
            With the keys that the first record has.
        """
        if self._missing:
            raise InputError(
                f"--columns: no line has the key {', '.join(map(repr, sorted(self._missing)))}. Keys of the first "
                f"line: {self._keys:.300}."
            )


def _mapping(text: str) -> dict[str, str]:
    if text.endswith((".yaml", ".yml")):
        try:
            names = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"--columns {text}: {error}. Give a YAML file that maps our keys to yours.") from error
    else:
        pairs = [pair.partition("=") for pair in text.split(",")]
        names = {ours.strip(): yours.strip() for ours, _, yours in pairs}
        if len(names) < len(pairs):
            raise InputError(f"--columns {text!r} names one of our keys twice.")
    if not isinstance(names, dict) or not all(isinstance(n, str) and n for pair in names.items() for n in pair):
        raise InputError(f"--columns {text!r}: expected ours=yours pairs, as in prompt=question,response=answer.")
    return names
