"""Do the tests notice? Changes modules of the package in small ways, one at a time, and runs their room's tests.

``python tests/mutate.py tis_utils/selectors/greedy.py --most 30`` prints the mutations that no test noticed. Everything
happens in a copy; the working tree is left alone. Some survivors are equal in behaviour: they need a look, not a test.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
# Types, names of files and what messages say are not behaviour that this looks at.
SKIPPED = {"annotation", "returns", "decorator_list", "exc"}


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """What a node could be changed to."""
    if type(node) in SWAPS:
        yield SWAPS[type(node)]()
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield ast.Constant(node.value * 1.5 or 0.5)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield node.operand
    elif isinstance(node, ast.Call) and len(node.args) > 1 and not isinstance(node.args[1], ast.Starred):
        first, second, *rest = node.args
        yield ast.Call(node.func, [second, first, *rest], node.keywords)
    elif isinstance(node, ast.Raise | ast.AugAssign) or isinstance(getattr(node, "value", None), ast.Call):
        yield from [ast.Pass()] if isinstance(node, ast.Raise | ast.AugAssign | ast.Expr) else []


def mutants(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, what was changed to what, and the source of the changed module."""
    stack: list[tuple[ast.AST, int]] = [(tree, 1)]
    while stack:
        parent, line = stack.pop()
        for field, value in ast.iter_fields(parent):
            if field in SKIPPED:
                continue
            children = value if isinstance(value, list) else [value]
            for place, child in enumerate(children):
                if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr | ast.ImportFrom | ast.Import):
                    continue
                here = getattr(child, "lineno", line)
                stack.append((child, here))
                for changed in variants(child):
                    put(parent, field, place, changed)
                    after, source = text(parent), ast.unparse(ast.fix_missing_locations(tree))
                    put(parent, field, place, child)
                    yield here, f"{text(parent)}  ->  {after}", source


def put(parent: ast.AST, field: str, place: int, child: ast.AST) -> None:
    if isinstance(getattr(parent, field), list):
        getattr(parent, field)[place] = child
    else:
        setattr(parent, field, child)


def text(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node)).strip().replace("\n", "; ")[:160]


def copied(folder: Path) -> Path:
    """A copy of what may change; all else is linked."""
    for path in ROOT.iterdir():
        if path.name in ("tis_utils", "tests"):
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.name not in (".git", "build"):
            (folder / path.name).symlink_to(path)
    return folder


def complaint(root: Path, module: Path, seconds: float) -> str:
    """What the tests of a module's room, or the golden tests, say last when they fail; empty when they pass."""
    room = Path("tests", *module.parts[1:-1])
    first = room / f"test_{module.name}"
    tests = [*([str(first)] if (root / first).exists() else []), str(room), "tests/test_golden.py"]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *dict.fromkeys(tests)]
    command += ["-m", "not slow and not browser and not notebook"]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    try:
        run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"They take longer than {seconds:g} seconds."
    return run.stdout[-1000:] or "They cannot be run." if run.returncode else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", type=Path, help="files or folders of tis_utils")
    parser.add_argument("--most", type=int, default=60, help="mutations, drawn at random from all (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=300, help="time limit of one run of the tests")
    options = parser.parse_args()
    places = [ROOT / module for module in options.modules]
    files = [file for place in places for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    every = [(f.relative_to(ROOT), *m) for f in files for m in mutants(ast.parse(f.read_text(encoding="utf-8")))]
    drawn = sorted(random.Random(options.seed).sample(range(len(every)), min(options.most, len(every))))
    survivors = 0
    with tempfile.TemporaryDirectory() as scratch:
        root = copied(Path(scratch))
        for module in {every[i][0].parent: every[i][0] for i in drawn}.values():  # one of each room
            if message := complaint(root, module, options.seconds):
                sys.exit(f"The tests of {module} fail before anything was changed. {message}")
        for number, (module, line, change, source) in enumerate(every[i] for i in drawn):
            original = (root / module).read_text(encoding="utf-8")
            (root / module).write_text(source, encoding="utf-8")
            if not complaint(root, module, options.seconds):
                survivors += 1
                print(f"{module}:{line}: {change}", flush=True)
            (root / module).write_text(original, encoding="utf-8")
            print(f"{number + 1} of {len(drawn)}", end="\r", file=sys.stderr, flush=True)
    print(f"{survivors} of {len(drawn)} mutations survived ({len(every)} are possible).")


if __name__ == "__main__":
    main()
