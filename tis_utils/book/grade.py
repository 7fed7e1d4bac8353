"""Grade an assignment: run a submission's parameters again, compare its numbers, count its answers that are right.

What counts is what the assignment's own code gives under the submitted parameters. The code of a submission is run as
well, shut in (:mod:`tis_utils.book.confined`), but only to see whether it reaches its end and prints the same answers.
"""

import ast
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
from nbformat import NotebookNode

from tis_utils.book import student
from tis_utils.book.arguments import write_value
from tis_utils.book.confined import Outcome, run_confined
from tis_utils.book.parameters import check_parameters, parameters
from tis_utils.errors import InputError
from tis_utils.experiments.reproduce import TOLERANCE

FOR_THE_TEACHER = ("prediction", "picks", "doubt", "advice")  # 0 to 4 points each, by the rubric of book/teach.md
RELATIVE = 0.01  # of a number, beside TOLERANCE: processors round differently
OTHER_NUMBERS = "numbers that are not those of its run"
LARGEST = 50 * 2**20  # bytes of a submission
NUMBER = re.compile(r"(?<![\w.])([-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)")
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError, MemoryError)


@dataclass
class Grade:
    """What is known of one submission.

    Parameters
    ----------
    file : str
    given : dict
        Its parameters.
    right : dict of bool
        For each answer of the assignment whether the submission's is right; empty if it could not be graded.
    runs : str
        Why its code stops before its end; "" if it does not.
    notes : list of str
        What the teacher should look at.
    """

    file: str
    given: dict[str, Any] = field(default_factory=dict)
    right: dict[str, bool] = field(default_factory=dict)
    runs: str = ""
    notes: list[str] = field(default_factory=list)


class Grader:
    """Grades submissions to one assignment; equal parameters are run once.

    Parameters
    ----------
    assignment : Path
        Notebook with solutions: one cell tagged ``parameters``, and one tagged ``answers`` that prints a JSON object.
    assigned : mapping
        Parameters that the teacher has prescribed, by name; the profile is that of the assignment if not given.
    minutes, gib : float
        Limits on each run.
    cache : Path
        Folder of what the runs have in common.
    """

    def __init__(self, assignment: Path, assigned: Mapping[str, Any], *, minutes: float, gib: float, cache: Path):
        self.path, self.defaults = assignment, parameters(assignment)
        self.assigned = {name: value for name, value in self.defaults.items() if name == "profile"} | dict(assigned)
        check_parameters(assignment, assigned)
        self.notebook = nbformat.read(assignment, as_version=4)
        if _tagged(self.notebook, "answers") is None:
            raise InputError(f"{assignment} has no cell tagged 'answers' that prints the answers as a JSON object.")
        blank = student.copy(self.notebook, solved=False)  # what a student gets
        code = [cell for cell in blank.cells if cell.cell_type == "code" and cell.source != student.OWN]
        self.ours = [cell for cell in code if "parameters" not in cell.metadata.get("tags", [])]
        self.minutes, self.gib, self.cache = minutes, gib, cache
        self._truths: dict[str, Outcome] = {}
        self._files: dict[str, str] = {}

    def grade(self, path: Path) -> Grade:
        """Grade one file; what is wrong with it stands in its notes."""
        result = Grade(str(path))
        try:
            submission = read_submission(path)
            result.given = self.defaults | submitted_parameters(submission)
            check_parameters(self.path, result.given)
            truth, expected = self._truth(result.given)
        except InputError as error:
            result.notes.append(f"not graded: {error}")
            return result
        result.notes += self._oddities(result) + compare_cells(self.ours, submission, truth.notebook)
        stated = read_answers(submission)
        result.right = {name: is_right(value, stated.get(name)) for name, value in expected.items()}
        own = self._run(submission, ours=False)
        result.runs = own.stopped
        if not own.stopped and (
            gone := sorted(n for n in expected if read_answers(own.notebook).get(n) != stated.get(n))
        ):
            result.notes.append(f"its own code gives other answers: {', '.join(gone)}")
        return result

    def _run(self, notebook: NotebookNode, *, ours: bool) -> Outcome:
        return run_confined(notebook, minutes=self.minutes, gib=self.gib, cache=self.cache, ours=ours)

    def _truth(self, given: Mapping[str, Any]) -> tuple[Outcome, dict[str, Any]]:
        """The assignment under these parameters, and its answers."""
        key = repr(sorted(given.items()))
        if key not in self._truths:
            notebook = nbformat.from_dict(self.notebook)
            if cell := _tagged(notebook, "parameters"):
                cell.source = "\n".join(f"{name} = {value!r}" for name, value in given.items())
            self._truths[key] = self._run(notebook, ours=True)
        truth = self._truths[key]
        if truth.stopped:
            raise InputError(f"the assignment does not run with its parameters: {truth.stopped}")
        return truth, read_answers(truth.notebook)

    def _oddities(self, result: Grade) -> list[str]:
        """Parameters that are not those prescribed, or those of another submission."""
        notes = [
            f"{name} is {write_value(result.given[name])}, not {write_value(value)}"
            for name, value in self.assigned.items()
            if result.given[name] != value
        ]
        first = self._files.setdefault(repr(sorted(result.given.items())), result.file)
        return notes + [f"same parameters as {first}"] * (first != result.file)


def _tagged(notebook: NotebookNode, tag: str) -> NotebookNode | None:
    cells = (cell for cell in notebook.cells if tag in cell.metadata.get("tags", []))
    return next(cells, None)


def read_submission(path: Path) -> NotebookNode:
    """Read a notebook; an InputError says why it is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"it has more than {LARGEST // 2**20} MiB")
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except InputError:
        raise
    except (*UNREADABLE, nbformat.ValidationError) as error:
        raise InputError(f"it cannot be read as a notebook ({type(error).__name__})") from error
    return notebook


def submitted_parameters(notebook: NotebookNode) -> dict[str, Any]:
    """Values of the cell tagged ``parameters`` and of the one that ``tis run`` puts below; nothing is executed."""
    values: dict[str, Any] = {}
    cells = [cell for tag in ("parameters", "injected-parameters") if (cell := _tagged(notebook, tag))]
    if not cells:
        raise InputError("it has no cell tagged 'parameters'; the assignment's must stay in place")
    for cell in cells:
        try:
            for line in ast.parse(cell.source).body:
                targets = getattr(line, "targets", [getattr(line, "target", None)])
                plain = isinstance(line, ast.Assign | ast.AnnAssign) and len(targets) == 1
                if not plain or not isinstance(targets[0], ast.Name):
                    raise InputError(f"line {line.lineno} of its parameters is no assignment of a plain value")
                values[targets[0].id] = ast.literal_eval(line.value or "None")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InputError(f"its parameters are not plain values ({' '.join(str(error).split()):.100})") from error
    return values


def read_answers(notebook: NotebookNode) -> dict[str, Any]:
    """The JSON object that the cell tagged ``answers`` has printed; empty if it has not."""
    cell = _tagged(notebook, "answers")
    text = "".join(output.get("text", "") for output in cell.get("outputs", [])) if cell else ""
    try:
        answers = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return answers if isinstance(answers, dict) else {}


def is_right(expected: Any, given: Any) -> bool:
    """Whether an answer is right: one of a list, the same word, or a number within tolerance.

    >>> is_right(["less", "rds"], "LESS"), is_right(61.2, 61), is_right(0.5, "0.5"), is_right(None, 0)
    (True, True, False, False)
    """
    if isinstance(expected, list):
        return expected == given or any(is_right(one, given) for one in expected)
    if isinstance(expected, str):
        return isinstance(given, str) and given.strip().lower() == expected.lower()
    numbers = [value for value in (expected, given) if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == 2 and bool(np.isclose(given, expected, rtol=RELATIVE, atol=TOLERANCE))


def compare_cells(ours: Sequence[NotebookNode], submission: NotebookNode, truth: NotebookNode) -> list[str]:
    """Name the assignment's cells that are missing or changed, or whose printed numbers are not those of the run."""
    cells = [cell for cell in submission.cells if cell.cell_type == "code"]
    sources = {cell.source.strip(): cell for cell in reversed(cells)}
    ids = {cell.get("id"): cell for cell in cells}
    results = {cell.get("id"): cell for cell in truth.cells}
    notes: dict[str, list[str]] = {what: [] for what in ("missing", "changed", "not run", OTHER_NUMBERS)}
    for cell in ours:
        name = cell.id
        handed_in = sources.get(cell.source.strip()) or ids.get(cell.id)
        if handed_in is None:
            notes["missing"].append(name)
            continue
        if handed_in.source.strip() != cell.source.strip():
            notes["changed"].append(name)
        expected, shown = list(texts(results[cell.id])), list(texts(handed_in))
        if "answers" in cell.metadata.get("tags", []):
            continue  # judged one by one
        if expected and not shown:
            notes["not run"].append(name)
        elif not all(same_numbers(a, b) for a, b in zip_longest(expected, shown, fillvalue="")):
            notes[OTHER_NUMBERS].append(name)
    return [f"{what}: {', '.join(names)}" for what, names in notes.items() if names]


def texts(cell: NotebookNode) -> Iterator[str]:
    """What a cell shows, as text without markup; figures are left out."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown = [output.get("text", "") if output.get("name") == "stdout" else "", data.get("text/plain", "")]
        if "<figure" not in (page := data.get("text/html", "")):
            shown.append(html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)))
            yield from (text for text in shown if text.strip())


def same_numbers(expected: str, shown: str) -> bool:
    """Whether two texts have the same words and, within tolerance, the same numbers."""
    ours, theirs = (NUMBER.split(" ".join(text.split())) for text in (expected, shown))
    values = [[float(part.replace("−", "-")) for part in parts[1::2]] for parts in (ours, theirs)]
    words = [[part.strip() for part in parts[::2]] for parts in (ours, theirs)]
    return words[0] == words[1] and bool(np.allclose(values[1], values[0], rtol=RELATIVE, atol=TOLERANCE))


def table(grades: Iterable[Grade], defaults: Mapping[str, Any]) -> pd.DataFrame:
    """One row per submission: what could be checked, points for right answers, empty columns for the teacher."""
    grades = list(grades)
    names = list(dict.fromkeys(name for grade in grades for name in grade.right))
    rows = []
    for grade in grades:
        changed = {name: value for name, value in grade.given.items() if value != defaults.get(name)}
        row: dict[str, Any] = {
            "file": grade.file,
            "parameters": "; ".join(f"{n} {write_value(v)}" for n, v in changed.items()),
        }
        row["runs"] = (grade.runs or "yes") if grade.right else ""
        row |= {name: int(grade.right[name]) if grade.right else "" for name in names}
        row |= {"points": sum(grade.right.values()) if grade.right else "", "of": len(names)}
        rows.append(row | dict.fromkeys(FOR_THE_TEACHER, "") | {"notes": "; ".join(grade.notes)})
    return pd.DataFrame(rows).map(_plain)


def _plain(value: Any) -> Any:
    """A text that no terminal obeys and no spreadsheet computes."""
    if not isinstance(value, str):
        return value
    text = "".join(letter if letter.isprintable() else "?" for letter in value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
