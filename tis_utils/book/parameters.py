"""Notebooks of the book and their parameters: what there is, what it means, what may be given."""

import difflib
import functools
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from tis_utils import paths
from tis_utils.book import arguments
from tis_utils.book.arguments import Quoted, from_here, read_each, split_pairs, typed
from tis_utils.book.signature import NUMBER, Parameter, declared
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


def assignments() -> list[Path]:
    """Notebooks for a class that are no chapters."""
    return sorted(paths.NOTEBOOKS.glob("teaching/*.ipynb"))


def find_notebook(name: str) -> Path:
    """Accept a path, a file name, the start of one (``06``, ``06_budgets``), or a chapter's number (``6``)."""
    if Path(name).is_file():
        return Path(name)
    known = [*chapters(), *assignments()]
    name = name.zfill(2) if name.isdecimal() else name
    matches = [path for path in known if path.name == Path(name).name or path.stem.startswith(Path(name).stem)]
    if len(matches) == 1:
        return matches[0]
    raise InputError(f"There is no notebook {name!r}; known: {', '.join(path.stem for path in known)}.")


def inspect(notebook: Path) -> dict[str, Parameter]:
    """A notebook's parameters in order, from its cell tagged ``parameters``; none without such a cell."""
    tagged = [cell.source for cell in read(notebook).cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) > 1:
        raise InputError(f"{notebook} has {len(tagged)} cells tagged 'parameters', expected one. Untag the others.")
    try:
        return declared(tagged[0]) if tagged else {}
    except SyntaxError as error:
        raise InputError(f"{notebook}: the parameters cell is no Python ({error}). Correct it.") from error


def parameters(notebook: Path) -> dict[str, Any]:
    """Names and defaults of a notebook's parameters in order; None for a default that is no plain value."""
    return {name: about.default for name, about in inspect(notebook).items()}


def read(notebook: Path) -> nbformat.NotebookNode:
    """A notebook of any version, which must be one in Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without an id are no concern of the reader's
            book = nbformat.read(notebook, as_version=4)
        if not isinstance(book.cells, list) or not isinstance(book.metadata, dict):
            raise ValueError("it has no cells")
    except Exception as error:  # JSON of any other kind fails in many ways
        text = " ".join(str(error).split())
        raise InputError(
            f"{notebook} cannot be read as a notebook ({type(error).__name__}: {text:.200}). Save it again in Jupyter."
        ) from error
    described = [
        book.metadata.get("language_info", {}).get("name"),
        book.metadata.get("kernelspec", {}).get("language"),
    ]
    language = next(filter(None, described), "python")
    if "python" not in language.lower():
        raise InputError(f"{notebook} is a notebook in {language}; tis runs notebooks in Python.")
    return book


def read_values(
    notebook: Path, pairs: Iterable[str], raw: Iterable[str] = (), file: Path | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """Parameters from the command line and a file, read by the notebook's types; a pair goes before the file.

    Texts that name something in `folder` (default: the current one) become absolute paths; `raw` stays as it is.
    """
    kinds = {name: about.type for name, about in inspect(notebook).items()}
    values = read_each(arguments.read_file(file), kinds, typed) if file else {}
    values |= read_each(split_pairs(pairs), kinds, functools.partial(_located, folder))
    texts = split_pairs(raw, "-r")
    if both := sorted(texts.keys() & split_pairs(pairs).keys()):
        raise InputError(f"{both[0]} is given by -p and by -r. Give every parameter once.")
    return from_here(values, folder) | texts


def read_grid(notebook: Path, pairs: Iterable[str], folder: Path | None = None) -> dict[str, list[Any]]:
    """Values of each parameter of a sweep, see :func:`read_values`."""
    kinds = {name: about.type for name, about in inspect(notebook).items()}
    texts = split_pairs(pairs)
    alone = {name: from_here(text, folder) for name, text in texts.items()}
    lists = {name: text for name, text in texts.items() if alone[name] == text}
    lists = read_each(lists, kinds, arguments.parse_values)
    return {name: from_here(lists.get(name, [alone[name]]), folder) for name in texts}


def _located(folder: Path | None, text: str, kind: Any) -> Any:
    """One value; a text that is the name of something there is not taken apart at its commas."""
    there = from_here(text, folder)
    if there == text or kind in (bool, int, float, NUMBER):
        return arguments.parse_value(text, kind)
    return typed(Quoted(there), kind)


def explain_parameters(notebook: Path, profile: str | None) -> list[str]:
    """One line per parameter: its value under a profile, and the comment beside it in the notebook.

    One that is None has the profile's value, under the name that the notebook's ``load_profile`` gives it.
    """
    known, code = inspect(notebook), _code(notebook)
    chosen = profile or _profile_of(known, {}, code)
    settings = load_profile(chosen) if chosen else None
    given = re.findall(r"(\w+)=(\w+)", " ".join(re.findall(r"load_profile\(([^()]*)\)", code)))
    given += re.findall(r'"(\w+)": (\w+)', code)  # a dictionary that is unpacked there
    fields = {value: key for key, value in given if getattr(settings, key, None)}  # its last name there
    lines = []
    for name, about in known.items():
        text, default = about.written, getattr(settings, fields.get(name, ""), None)
        if name == "profile" and profile:
            text = repr(profile)
        elif about.written == "None" and default is not None:
            text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        lines.append(f"{name} = {text}" + (f"   # {about.help}" if about.help else ""))
    return lines


def _code(notebook: Path) -> str:
    return "\n".join(cell.source for cell in read(notebook).cells if cell.cell_type == "code")


def _profile_of(known: Mapping[str, Parameter], given: Mapping[str, Any], code: str) -> str | None:
    """The profile under which a notebook runs; None where it loads none and `profile`, if any, is its own."""
    default = known["profile"].default if "profile" in known else None
    return given.get("profile", default) if "load_profile" in code else None


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters the notebook does not have, and values no profile allows.

    A notebook that loads a profile leaves to it the parameters whose default is None; others are its own.
    """
    known = inspect(notebook)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            has = f"it has: {', '.join(known)}." if known else "it has none: tag a cell of defaults 'parameters'."
            raise InputError(f"{notebook.name} has no parameter {name!r}; {has}{hint}")
    profile = _profile_of(known, given, _code(notebook))
    if profile is None:
        return
    left = (name for name, about in known.items() if about.default is None and name in Profile.model_fields)
    settings = load_profile(profile, **{name: given.get(name) for name in left})
    if given.get("tasks") is not None:
        _check_tasks(settings)


def _check_tasks(settings: Profile) -> None:
    """Refuse tasks for which the built-in sources have no queries; a folder or the Hub is not asked yet."""
    from tis_utils.examples import benchmarks, classroom, function_calls  # load transformers: only when tasks are given

    sources = {"classroom": classroom.TASKS, "benchmarks": benchmarks.TASKS | function_calls.TASKS}
    known = sources.get(settings.queries)
    for task in settings.tasks:
        if known is not None and task not in known:
            raise InputError(
                f"Profile {settings.name!r} has no queries for a task {task!r}. Its source of queries, "
                f"{settings.queries!r}, has {', '.join(known)}."
            )
