"""Parameters from the command line and from files, read by the types of a notebook, and the line that a page prints."""

import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from tis_utils.book.signature import NUMBER
from tis_utils.errors import InputError
from tis_utils.paths import exists

NOTHING = ("None", "null")
TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
WHOLE = re.compile(r"[-+]?(0|[1-9]\d*)")  # 010 is a text: a number has no such zero
DECIMAL = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?")
PAIRS = ("-p", "--parameter", "-r", "--raw")


def join_pairs(arguments: list[str]) -> list[str]:
    """Turn ``-p NAME VALUE`` into ``-p NAME=VALUE``, which the option parser understands."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word in PAIRS and rest:
            name = rest.pop(0)
            joined.append(name if "=" in name or not rest else f"{name}={rest.pop(0)}")
    return joined


def split_pairs(pairs: Iterable[str], option: str = "-p") -> dict[str, str]:
    """Texts of the parameters by name, from ``NAME=VALUE``, each name once."""
    texts: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise InputError(
                f"{option} {pair} has {'no value' if name else 'no name'}. Write the parameter's name and its value, "
                f"for example {option} budgets 25,50."
            )
        if name in texts:
            raise InputError(
                f"{option} {name} is given twice. Give every parameter once; commas separate several values."
            )
        texts[name] = text
    return texts


def from_here(value: Any, folder: Path | None = None) -> Any:
    """Make paths in `folder` (default: the current one) absolute: what exists there and has a suffix or a slash."""
    if isinstance(value, dict):
        return {name: from_here(each, folder) for name, each in value.items()}
    if isinstance(value, list):
        return [from_here(each, folder) for each in value]
    if not isinstance(value, str) or not (Path(value).suffix or re.search(r"[/\\]", value)):
        return value
    path = (folder or Path()) / Path(value).expanduser()
    return os.path.normpath(path.absolute()) if exists(path) else value


# --- from a text to a value ------------------------------------------------------------------------------


class Quoted(str):
    """A text that stood between quotes: never a number, never nothing."""

    __slots__ = ()


def parse_value(text: str, kind: Any = Any) -> Any:
    """Read one value of type `kind`, see :mod:`tis_utils.book.signature`.

    A text is what it is, without the quotes around all of it. Commas make a list where a list is expected or nothing
    is known of the type, and there one value is a list of one. ``None`` and ``null`` are no value.
    """
    if get_origin(kind) is list and not text.strip():
        return []
    if kind in (Any, dict) or get_origin(kind) is list:
        entries = _entries(text)
        alone = len(entries) == 1 and not text.rstrip().endswith(",")
        if alone and (kind in (Any, dict) or isinstance(entries[0], list) or entries[0] in NOTHING):
            return typed(entries[0], kind)
        return typed(entries, kind)
    return typed(_unquoted(text), kind)


def parse_values(text: str, kind: Any = Any) -> list[Any]:
    """Read the values of a sweep, each once: ``50,100``; lists stand in brackets: ``[25,50],[100]``."""
    if _flow(text) is None and re.search(r"[\[\]{}]", text):
        raise InputError(
            f"{text!r} cannot be read as values. Separate them by commas; put lists into brackets: [25,50],[100]."
        )
    values = [typed(entry, kind) for entry in _entries(text)]
    if values in ([], [""]):
        raise InputError("A parameter of a sweep needs at least one value, for example -p seeds 0,1,2.")
    if repeated := [value for place, value in enumerate(values) if value in values[:place]]:
        raise InputError(f"The value {repeated[0]!r} is given twice in {text!r}. Give every value once.")
    return values


def read_file(path: Path) -> dict[str, Any]:
    """Parameters of a YAML or JSON file as texts, lists and mappings of texts, for :func:`read_each`."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The parameters {path} cannot be read ({error}). Give a YAML file in UTF-8.") from error
    except (yaml.YAMLError, RecursionError) as error:
        message = " ".join(str(error).split())
        raise InputError(f"The parameters {path} are not valid YAML: {message}. Correct that place.") from error
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"The file of parameters {path} must hold lines such as `budgets: [25, 50]`.")
    names = [key.value for key, _ in node.value]
    if repeated := [name for place, name in enumerate(names) if name in names[:place]]:
        raise InputError(f"The parameters {path} name {repeated[0]!r} twice. Give every parameter once.")
    return _tree(node)


def read_each(given: Mapping[str, Any], kinds: Mapping[str, Any], read: Callable[[Any, Any], Any]) -> dict[str, Any]:
    """Every value by its name's type; the error names the parameter."""
    values = {}
    for name, value in given.items():
        try:
            values[name] = read(value, kinds.get(name, Any))
        except InputError as error:
            raise InputError(f"Parameter {name}: {error}") from error
    return values


def typed(tree: Any, kind: Any) -> Any:
    """Texts, in lists and mappings too, as values of a type."""
    if isinstance(tree, dict):
        return {name: typed(value, Any) for name, value in tree.items()}
    if isinstance(tree, list):
        return [typed(each, get_args(kind)[0] if get_origin(kind) is list else Any) for each in tree]
    if tree in NOTHING and not isinstance(tree, Quoted):
        return None
    if get_origin(kind) is list:
        return [typed(tree, get_args(kind)[0])]
    return str(tree) if isinstance(tree, Quoted) and kind is Any else _scalar(str(tree), kind)


def _scalar(text: str, kind: Any) -> Any:
    """One number, truth value or text."""
    try:
        if kind is bool:
            return TRUTH[text.strip().lower()]
        if kind in (int, float, NUMBER):
            return _number(text, kind)
    except (ValueError, KeyError, OverflowError):
        what = {bool: "yes or no", int: "a whole number"}.get(kind, "a number")
        raise InputError(f"the notebook has {what} here, and {text!r} is none.") from None
    if kind is dict:
        raise InputError(f"the notebook has a mapping here, such as {{a: 1}}, and {text!r} is none.")
    return _guess(text) if kind is Any else text


def _number(text: str, kind: Any) -> int | float:
    try:
        return float(text) if kind is float else int(text)
    except ValueError:
        value = float(text)
        if value == int(value):
            return int(value)
        if kind is int:
            raise
        return value


def _guess(text: str) -> Any:
    """A value of which nothing is known: a number, a truth value, else the text; `no`, 010, 12:30 are texts."""
    if WHOLE.fullmatch(text):
        return int(text)
    if DECIMAL.fullmatch(text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _entries(text: str) -> list[Any]:
    """What commas separate; quotes and brackets of YAML count where they fit, else they are signs like others."""
    if not re.search(r"[,\[{'\"]", text):
        return [text]
    nodes = _flow(text)
    return [part.strip() for part in text.split(",")] if nodes is None else [_tree(node) for node in nodes]


def _flow(text: str) -> list[yaml.Node] | None:
    """Entries of a list in YAML, or None: `it's, a: b` and `&x` are texts, and YAML would read more into them."""
    try:
        node = yaml.compose(f"[{text}]", Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    if not isinstance(node, yaml.SequenceNode) or re.search(r"(^|[\[,{:\s])[&!]", text):
        return None
    pairs = any(isinstance(e, yaml.MappingNode) and text[e.start_mark.index - 1] != "{" for e in node.value)
    return None if pairs else node.value


def _tree(node: yaml.Node) -> Any:
    """Texts in lists and mappings, as they are written."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _tree(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_tree(each) for each in node.value]
    if getattr(node, "style", None):
        return Quoted(node.value)
    return "null" if node.value in ("", "~") else node.value


def _unquoted(text: str) -> str:
    """A text without the quotes around all of it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        entries = _flow(text)
        if entries and len(entries) == 1 and isinstance(entries[0], yaml.ScalarNode) and entries[0].style:
            return Quoted(entries[0].value)
    return text


# --- from a value to a text ------------------------------------------------------------------------------


def write_value(value: Any) -> str:
    """Write a parameter so that :func:`parse_value` reads it back."""
    if isinstance(value, str):
        return value if parse_value(value) == value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, list):
        return str(value)
    inner = ",".join(map(write_value, value))
    text = inner if len(value) > 1 and "[" not in inner else f"[{inner}]"
    return text if parse_value(text) == value else json.dumps(value, ensure_ascii=False)


def run_line(stem: str, given: Mapping[str, Any]) -> str:
    """The ``tis run`` line that executes a notebook with these parameters."""
    words = ["tis", "run", stem, "--profile", str(given.get("profile", "classroom"))]
    for name, value in given.items():
        if name != "profile":
            words += ["-p", name, write_value(value)]
    return shlex.join(words)
