"""The package is read from the ground up: a room imports only from rooms below it, and nothing imports in a circle.

Imports inside functions and under ``TYPE_CHECKING`` count, and so do modules that are named in a string.
"""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tis_utils"
ROOMS = (
    ("errors", "paths", "labels"),
    ("profiles",),
    ("storage",),
    ("selectors",),
    ("examples",),
    ("models",),
    ("representations",),
    ("experiments",),
    ("evidence",),
    ("neighbours",),
    ("plots",),
    ("own_data",),
    ("book",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
# The front door names what it hands on; it loads it on first use.
FRONT = "tis_utils"


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def documentation(tree: ast.AST) -> set[int]:
    """Identities of docstrings: a module named there is not imported."""
    nodes = (n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef))
    firsts = (n.body[0] for n in nodes if n.body)
    return {id(n.value) for n in firsts if isinstance(n, ast.Expr)}


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that a file names in import statements and in strings of its code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names, docs = set(), documentation(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they lead"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            names |= set(re.findall(r"\btis_utils(?:\.\w+)+", node.value))
    return {module for name in names if (module := longest(name, known))}


def longest(name: str, known: dict[str, Path]) -> str | None:
    """The module that a dotted name lies in: ``tis_utils.selectors.select`` is ``tis_utils.selectors``."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def above(package: Path) -> list[str]:
    """Imports from a room that is not below the importing one."""
    known, wrong = modules(package), []
    for name, path in known.items():
        if name == FRONT:
            continue
        for target in imports(path, known) - {name, FRONT}:
            room, other = name.split(".")[1], target.split(".")[1]
            if room != other and FLOOR[other] >= FLOOR[room] and FLOOR[other] > 0:
                wrong.append(f"{name} imports {target}")
    return sorted(wrong)


def circle(package: Path) -> list[str]:
    """One circle of imports, if there is any; a package that imports its own modules is their floor."""
    known = modules(package)
    graph = {name: imports(path, known) - {name, FRONT} for name, path in known.items() if name != FRONT}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_room_is_on_the_plan() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(FLOOR)


def test_a_room_imports_only_from_rooms_below_it() -> None:
    assert above(PACKAGE) == []


def test_nothing_imports_in_a_circle() -> None:
    assert circle(PACKAGE) == []


@pytest.mark.parametrize(
    "code",
    [
        "from tis_utils.cli import app",
        "def f():\n    from tis_utils.cli import app",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tis_utils.cli",
        "import importlib\nimportlib.import_module('tis_utils.cli')",
    ],
)
def test_an_import_from_above_is_seen(code: str, tmp_path: Path) -> None:
    package = tmp_path / "tis_utils"
    (package / "storage").mkdir(parents=True)
    (package / "cli.py").write_text("from tis_utils.storage import keys\n")
    (package / "storage" / "keys.py").write_text(code + "\n")
    for folder in (package, package / "storage"):
        (folder / "__init__.py").touch()
    assert above(package) == ["tis_utils.storage.keys imports tis_utils.cli"]
    assert set(circle(package)) == {"tis_utils.cli", "tis_utils.storage.keys"}
