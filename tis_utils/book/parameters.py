"""Notebooks of the book and their parameters: what there is, what it means, what may be given."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill

from tis_utils import paths
from tis_utils.errors import InputError, RunError
from tis_utils.profiles import Profile, load_profile


def chapters() -> list[Path]:
    """The book's notebooks in reading order."""
    notebooks = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise RunError(
            f"No notebooks in {paths.NOTEBOOKS}. Install the package from a clone of the repository "
            "(`make setup`), or set the environment variable TIS_ROOT to the clone."
        )
    return notebooks


def find_notebook(name: str) -> Path:
    """Accept a path, a file name, the start of one (``06``, ``06_budgets``), or a chapter's number (``6``)."""
    if Path(name).is_file():
        return Path(name)
    known = chapters()
    name = name.zfill(2) if name.isdecimal() else name
    matches = [path for path in known if path.name == Path(name).name or path.stem.startswith(Path(name).stem)]
    if len(matches) == 1:
        return matches[0]
    raise InputError(f"There is no notebook {name!r}; known: {', '.join(path.stem for path in known)}.")


def parameters(notebook: Path) -> dict[str, Any]:
    """Names and defaults of a notebook's parameters, in order, from its one cell tagged ``parameters``."""
    try:
        return {name: ast.literal_eval(about["default"]) for name, about in _inspect(notebook).items()}
    except InputError:
        raise
    except (ValueError, SyntaxError) as error:
        raise InputError(f"{notebook}: the parameters cell must hold plain values only ({error}).") from error


def _inspect(notebook: Path) -> dict[str, dict[str, str]]:
    """What papermill reads in the parameters cell: by name, ``default`` (its source) and ``help`` (the comment)."""
    tagged = sum("parameters" in cell.metadata.get("tags", []) for cell in _cells(notebook))
    if tagged != 1:
        raise InputError(f"{notebook} has {tagged} cells tagged 'parameters', expected exactly one.")
    return papermill.inspect_notebook(notebook)


def _cells(notebook: Path) -> list[nbformat.NotebookNode]:
    try:
        return nbformat.read(notebook, as_version=4).cells
    except (OSError, ValueError, nbformat.reader.NotJSONError) as error:
        raise InputError(f"{notebook} cannot be read as a notebook: {error}") from error


def explain_parameters(notebook: Path, profile: str) -> list[str]:
    """One line per parameter: its value under a profile, and the comment beside it in the notebook.

    One that is None has the profile's value, under the name that the notebook's ``load_profile`` gives it.
    """
    values, settings = parameters(notebook) | {"profile": profile}, load_profile(profile)
    code = "\n".join(cell.source for cell in _cells(notebook) if cell.cell_type == "code")
    fields: dict[str, str] = {}  # the last name under which a parameter goes into the profile
    for call in re.findall(r"load_profile\(([^()]*)\)", code):
        fields |= {value: key for key, value in re.findall(r"(\w+)=(\w+)", call)}
    lines = []
    for name, about in _inspect(notebook).items():
        text, default = repr(values[name]), getattr(settings, fields.get(name, ""), None)
        if values[name] is None and default is not None:
            text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        lines.append(f"{name} = {text}" + (f"   # {about['help']}" if about["help"] else ""))
    return lines


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters the notebook does not have, and values no profile allows."""
    known = parameters(notebook)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{notebook.name} has no parameter {name!r}; it has: {', '.join(known)}.{hint}")
    values = {**known, **given}
    fields = {name: value for name, value in values.items() if name in Profile.model_fields}
    settings = load_profile(values.get("profile", "classroom"), **fields)
    if given.get("tasks") is not None:
        _check_tasks(settings)


def _check_tasks(settings: Profile) -> None:
    """Refuse tasks for which the built-in sources have no queries; a folder or the Hub is not asked yet."""
    from tis_utils.examples import benchmarks, classroom  # load transformers: only when tasks are given

    known = {"classroom": classroom.TASKS, "benchmarks": benchmarks.TASKS}.get(settings.queries)
    for task in settings.tasks:
        if known is not None and task not in known:
            raise InputError(
                f"Profile {settings.name!r} has no queries for a task {task!r}. Its source of queries, "
                f"{settings.queries!r}, has {', '.join(known)}."
            )
