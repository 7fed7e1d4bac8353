"""What a notebook's parameters cell declares: names, defaults, types and the comments beside them.

A type is ``bool``, ``int``, ``float``, ``str``, ``dict``, ``list[…]`` of one of them, ``int | float`` for what a whole
number shows, or ``Any``. It is the annotation's or the type comment's, else the default's.
"""

import ast
import contextlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

NUMBER = int | float
PLAIN = {"bool": bool, "int": int, "float": float, "str": str, "Path": str, "dict": dict, "Dict": dict, "Mapping": dict}
LISTS = ("list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection", "set", "Set")


@dataclass(frozen=True)
class Parameter:
    """Default (None where it is no plain value), the default as it is written, type, and comment."""

    default: Any
    written: str
    type: Any
    help: str


def declared(source: str) -> dict[str, Parameter]:
    """Parameters of a cell in order: what its assignments name, tuples too.

    Raises
    ------
    SyntaxError
        If the cell is no Python.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    source = TransformerManager().transform_cell(source)  # magics and shell lines become Python
    comments = _comments(source)
    parameters: dict[str, Parameter] = {}
    for statement in ast.parse(source).body:
        kind, text = _split_comment(comments.get(statement.end_lineno or 0, ""))
        annotation = getattr(statement, "annotation", kind)
        for name, value in _assigned(statement):
            default = _plain(value)
            written = ast.get_source_segment(source, value) if value else "None"
            of_annotation = type_of_annotation(annotation) if annotation else Any
            chosen = type_of_value(default) if of_annotation is Any else of_annotation
            parameters[name] = Parameter(default, written or "", chosen, text)
    return parameters


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """Names and values of an assignment; ``a, b = 1, 2`` has two."""
    if isinstance(statement, ast.AnnAssign):
        yield from _pairs(statement.target, statement.value)
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _pairs(target, statement.value)


def _pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List):
        parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [None] * len(target.elts)
        for each, part in zip(target.elts, parts, strict=False):
            yield from _pairs(each, part)


def _plain(value: ast.expr | None) -> Any:
    """The value of a literal; None for everything else."""
    with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(value) if value else None
    return None


def _comments(source: str) -> dict[int, str]:
    """Comments by line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("#").strip() for t in tokens if t.type == tokenize.COMMENT}


def _split_comment(comment: str) -> tuple[ast.expr | None, str]:
    """The type that a comment names (``# type: float how fast``), and the rest."""
    if not comment.startswith("type:"):
        return None, comment
    name, _, rest = comment.removeprefix("type:").strip().partition(" ")
    with contextlib.suppress(SyntaxError):
        return ast.parse(name, mode="eval").body, rest.strip()
    return None, comment


def type_of_value(value: Any) -> Any:
    """The type that a default shows; a whole number stands for any number, None for anything."""
    if isinstance(value, bool | float | str | dict):
        return type(value)
    if isinstance(value, int):
        return NUMBER
    if isinstance(value, list | tuple | set):
        return list[_common(map(type_of_value, value))]  # type: ignore[misc]
    return Any


def _common(types: Iterable[Any]) -> Any:
    """One type for all: the only one there is, or numbers."""
    different = list(dict.fromkeys(types))
    if len(different) == 1:
        return different[0]
    return NUMBER if different and all(each in (int, float, NUMBER) for each in different) else Any


def type_of_annotation(node: ast.expr) -> Any:
    """The type of ``float``, ``list[int]``, ``str | None``, ``Optional[…]``, ``Literal[…]``; ``Any`` for others."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # an annotation between quotes
        with contextlib.suppress(SyntaxError):
            return type_of_annotation(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _common(map(type_of_annotation, _without_none([node.left, node.right])))
    if not isinstance(node, ast.Subscript):
        name = _name(node)
        return list[Any] if name in LISTS else PLAIN.get(name, Any)
    name = _name(node.value)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name in LISTS:
        return list[type_of_annotation(inner[0])]  # type: ignore[misc]
    if name == "Literal":
        return _common(type_of_value(_plain(each)) for each in inner)
    if name in ("Optional", "Union", "Annotated", "Final"):
        return _common(map(type_of_annotation, _without_none(inner[:1] if name == "Annotated" else inner)))
    return PLAIN.get(name, Any)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _without_none(nodes: Iterable[ast.expr]) -> list[ast.expr]:
    return [node for node in nodes if not (isinstance(node, ast.Constant) and node.value is None)]
