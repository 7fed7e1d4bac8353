"""Parameters on the command line: from its words to values, and back to the line that a page prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tis_utils.errors import InputError


def join_pairs(arguments: list[str]) -> list[str]:
    """Turn ``-p NAME VALUE`` into ``-p NAME=VALUE``, which the option parser understands."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word in ("-p", "--parameter") and rest:
            name = rest.pop(0)
            joined.append(name if "=" in name or not rest else f"{name}={rest.pop(0)}")
    return joined


def split_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Texts of the parameters by name, from ``NAME=VALUE``, each name once; paths of files become absolute."""
    texts: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise InputError(
                f"-p {pair} has {'no value' if name else 'no name'}. Write the parameter's name and its value, "
                "for example -p budgets 25,50."
            )
        if name in texts:
            raise InputError(f"-p {name} is given twice. Give every parameter once; commas separate several values.")
        texts[name] = from_here(text)
    return texts


def from_here(text: str) -> str:
    """Make the path of a file absolute: notebooks run in a folder of their own."""
    return str(Path(text).absolute()) if Path(text).suffix and Path(text).is_file() else text


def parse_value(text: str) -> Any:
    """Read one value: YAML, and commas make a list (``50,100``); ``None`` is no value."""
    if text == "None":
        return None
    try:
        value = yaml.safe_load(text)
        if isinstance(value, int) and "," in text:  # YAML 1.1 reads 50,100 as 50100
            value = text
        if isinstance(value, str) and "," in value:
            return [yaml.safe_load(part) for part in value.split(",")]
    except yaml.YAMLError:
        return text
    return value


def parse_values(text: str) -> list[Any]:
    """Read the values of a sweep, each once: ``50,100``; lists stand in brackets: ``[25,50],[100]``."""
    try:
        entries = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError as error:
        raise InputError(
            f"{text!r} cannot be read as values. Separate them by commas; put lists into brackets: [25,50],[100]."
        ) from error
    if not entries:
        raise InputError("A parameter of a sweep needs at least one value, for example -p seeds 0,1,2.")
    values = [None if entry == "None" else entry for entry in entries]
    if repeated := [value for place, value in enumerate(values) if value in values[:place]]:
        raise InputError(f"The value {repeated[0]!r} is given twice in {text!r}. Give every value once.")
    return values


def write_value(value: Any) -> str:
    """Write a parameter so that :func:`parse_value` reads it back."""
    if isinstance(value, list):
        inner = ",".join(map(write_value, value))
        return inner if len(value) > 1 and "[" not in inner else f"[{inner}]"
    return str(value)


def run_line(stem: str, given: Mapping[str, Any]) -> str:
    """The ``tis run`` line that executes a notebook with these parameters."""
    words = ["tis", "run", stem, "--profile", str(given.get("profile", "classroom"))]
    for name, value in given.items():
        if name != "profile":
            words += ["-p", name, write_value(value)]
    return shlex.join(words)
