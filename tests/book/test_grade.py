"""Ten submissions, hostile ones among them: what is right counts, nothing foreign runs here, all end."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from typer.testing import CliRunner

from tis_utils import cli, paths
from tis_utils.book import confined, student
from tis_utils.book.confined import can_shut_in, run_confined
from tis_utils.book.execute import execute
from tis_utils.book.grade import Grade, compare_cells, is_right, read_answers, same_numbers, submitted_parameters, table
from tis_utils.book.parameters import assignments
from tis_utils.errors import InputError

SHUT = pytest.mark.skipif(not can_shut_in(), reason="this system cannot shut programs in")
PARAMETERS = 'profile = "smoke"\ntask = "words"\nseeds = [0, 1]'
ASSIGNMENT = {
    "parameters": PARAMETERS,
    "start": "import json\n\nanswers = dict.fromkeys(['best', 'loss'])",
    "losses": "losses = {m: len(task) + sum(seeds) / (k + 2) for k, m in enumerate(['less', 'embed'])}\nlosses",
    "solution": "# Solution\nanswers = {'best': min(losses, key=losses.get), 'loss': min(losses.values())}",
    "answers": "print(json.dumps(answers))",
}
OTHER_SEEDS, OTHER_TASK = "seeds = [5, 6]", 'task = "pick"'


def made(sources: dict[str, str]) -> NotebookNode:
    cells = [new_code_cell(source, id=name) for name, source in sources.items()]
    for cell in cells:
        if cell.id in ("parameters", "answers"):
            cell.metadata["tags"] = [cell.id]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def cell(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(c for c in notebook.cells if c.id == name)


# --- in this process: nothing is run ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "given", "right"),
    [
        ("less", " LESS ", True), ("less", "rds", False), ("less", None, False), (["less", "rds"], "rds", True),
        (["less"], ["less"], True), (["less"], "random", False), (61.2, 61, True), (61.2, 63, False),
        (0.5, "0.5", False), (1, True, False), (0.5, float("nan"), False), (12, 12, True), (12, 13, False),
    ],
)  # fmt: skip
def test_an_answer_is_right_or_not(expected, given, right):
    assert is_right(expected, given) is right


@pytest.mark.parametrize(
    ("shown", "same"),
    [("less 0.512 −3", True), ("less  0.513\n−3", True), ("less 0.612 −3", False), ("rds 0.512 −3", False),
     ("less 0.512", False), ("", False)],
)  # fmt: skip
def test_numbers_are_compared_within_tolerance_and_words_exactly(shown, same):
    assert same_numbers("less 0.512 −3", shown) is same


def test_parameters_are_read_and_never_executed(tmp_path):
    written = tmp_path / "written"
    for source in (
        f"a = open({str(written)!r}, 'w')",
        "a = [x for x in (1,)]",
        "import os",
        "a.b = 1",
        "a = (",
        "a = 1 + 1",
    ):
        with pytest.raises(InputError, match="plain value"):
            submitted_parameters(made({"parameters": source}))
    assert not written.exists()
    injected = made({"parameters": PARAMETERS, "more": "seeds: list[int] = [\n  7,\n]"})
    injected.cells[1].metadata["tags"] = ["injected-parameters"]
    assert submitted_parameters(injected) == {"profile": "smoke", "task": "words", "seeds": [7]}


def test_cells_that_differ_are_named():
    ours, truth = [cell(made(ASSIGNMENT), "losses")], made(ASSIGNMENT)
    cell(truth, "losses").outputs = [new_output("execute_result", {"text/plain": "0.5"})]
    handed_in = made(ASSIGNMENT)
    assert compare_cells(ours, handed_in, truth) == ["not run: losses"]
    cell(handed_in, "losses").outputs = [new_output("execute_result", {"text/plain": "0.9"})]
    assert compare_cells(ours, handed_in, truth) == ["numbers that are not those of its run: losses"]
    handed_in.cells.remove(cell(handed_in, "losses"))
    assert compare_cells(ours, handed_in, truth) == ["missing: losses"]


def test_the_assignment_of_the_book_has_what_grading_needs():
    assert [path.stem for path in assignments()] == ["assignment"]
    notebook = nbformat.read(assignments()[0], as_version=4)
    blank = student.copy(notebook, solved=False)
    texts = "\n".join(c.source for c in blank.cells)
    assert "# Solution" not in texts
    assert ":::" not in texts
    assert (
        sum(c.source == student.OWN for c in blank.cells)
        == sum(c.source.startswith("# Solution") for c in notebook.cells)
        > 3
    )
    assert {c.id for c in blank.cells} == {c.id for c in notebook.cells}
    assert submitted_parameters(notebook)["profile"] == "classroom"


@pytest.mark.slow
def test_what_students_get_runs_and_answers_nothing(tmp_path):
    student.write_copies(assignments(), tmp_path)
    small = {"representations": ["embed", "rds"], "budget": 10, "seeds": [0, 1], "doubt_seeds": [2, 3]}
    execute(tmp_path / "assignment.ipynb", tmp_path / "out.ipynb", {"profile": "smoke", **small}, progress=False)
    answers = read_answers(nbformat.read(tmp_path / "out.ipynb", as_version=4))
    assert len(answers) == 8
    assert set(answers.values()) == {None}


def test_foreign_code_does_not_run_where_it_cannot_be_shut_in(monkeypatch, tmp_path):
    monkeypatch.setattr(confined, "can_shut_in", lambda: False)
    monkeypatch.setattr(confined.subprocess, "run", lambda *_, **__: pytest.fail("it was run"))
    outcome = run_confined(made(ASSIGNMENT), minutes=1, gib=1, cache=tmp_path, ours=False)
    assert "cannot shut it in" in outcome.stopped


# --- shut in ----------------------------------------------------------------------------------------


@SHUT
@pytest.mark.slow
def test_a_notebook_that_is_shut_in_reaches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    closed = [str(Path(__file__).parent), str(tmp_path), "/root", "/tmp", "/run/user"]
    code = [
        "import os, pathlib, socket, subprocess\nfound = []",
        "found += [name for name in os.environ if 'SECRET' in name]",
        "environments = ['/proc/%s/environ' % p for p in os.listdir('/proc') if p.isdecimal()]",
        "found += [e for e in environments if b'hidden' in pathlib.Path(e).read_bytes()]",
        f"for folder in {closed}:\n"
        "    try:\n        pathlib.Path(folder, 'tis-was-here').write_text('x'); found.append(folder)\n"
        "    except OSError: pass",
        "try:\n    socket.create_connection(('192.0.2.1', 80), 2); found.append('network')\nexcept OSError as error:\n"
        "    assert error.errno == 101, error",
        "remount = subprocess.run(['mount', '-o', 'remount,bind,rw', '/'], capture_output=True)",
        "found += [] if remount.returncode else ['/']",
        "print(found, pathlib.Path.home() == pathlib.Path.cwd(), os.environ['TIS_CACHE'])",
    ]
    (tmp_path / "kept").write_text("x")
    notebook = made({f"c{i}": source for i, source in enumerate(code)})
    outcome = run_confined(notebook, minutes=1, gib=1, cache=tmp_path, ours=False)
    assert outcome.stopped == ""
    assert outcome.notebook.cells[-1].outputs[0]["text"].startswith("[] True")
    assert not notebook.cells[-1].outputs
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory) -> dict[str, Path]:
    """Ten files by what is the matter with them, and the assignment."""
    folder = tmp_path_factory.mktemp("grade")

    def ran(**changed: str) -> NotebookNode:
        notebook = made(ASSIGNMENT | changed)
        outcome = run_confined(notebook, minutes=1, gib=1, cache=folder / "cache", ours=False)
        assert outcome.stopped == ""
        return outcome.notebook

    right = ran()
    files = {"assignment": made(ASSIGNMENT), "right": right}
    files["wrong_numbers"] = ran(solution="answers = {'best': 'rds', 'loss': 3}")
    files |= {name: nbformat.from_dict(right) for name in ("edited", "missing", "endless", "bomb", "unparameterised")}
    cell(files["edited"], "losses").outputs[0].data["text/plain"] = "{'less': 1.5, 'embed': 2.0}"
    files["missing"].cells = [c for c in right.cells if c.id != "losses"]
    files["endless"].cells.append(new_code_cell("while True:\n    pass"))
    files["bomb"].cells.append(new_code_cell("x = []\nwhile True:\n    x.append(b'x' * 2**26)"))
    cell(files["unparameterised"], "parameters").metadata = NotebookNode()
    files["other_seed"] = ran(parameters=PARAMETERS.replace("seeds = [0, 1]", OTHER_SEEDS))
    files["other_task"] = ran(parameters=PARAMETERS.replace('task = "words"', OTHER_TASK))
    for name, notebook in files.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / "no_notebook.ipynb").write_text("=cmd|' /C calc'!A0", encoding="utf-8")
    return {path.stem: path for path in folder.glob("*.ipynb")}


EXPECTED = {  # points, why its code stops, and what is noted
    "right": ("2", "yes", "^$"),
    "wrong_numbers": ("0", "yes", "^same parameters as .*right.ipynb$"),
    "edited": ("2", "yes", "numbers that are not those of its run: losses"),
    "missing": ("2", "cell 3 failed with NameError", "missing: losses"),
    "endless": ("2", "cell 6 was not done when the time was up", "same parameters"),
    "bomb": ("2", "cell 6 needed more memory than it may have", "same parameters"),
    "unparameterised": ("", "", "not graded: .*no cell tagged 'parameters'"),
    "other_seed": ("2", "yes", r"^seeds is 5,6, not 0,1$"),
    "other_task": ("2", "yes", "^task is pick, not words$"),
    "no_notebook": ("", "", "not graded: it cannot be read as a notebook"),
}


@SHUT
@pytest.mark.slow
def test_ten_submissions(handed_in, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    before = dict(os.environ)
    options = ["-P", "smoke", "-p", "task=words", "-p", "seeds=0,1", "--minutes", "0.15", "--gib", "0.7"]
    options += ["--assignment", str(handed_in["assignment"]), "-o", str(tmp_path / "grades.csv")]
    done = CliRunner().invoke(cli.app, ["grade", *options, *(str(handed_in[name]) for name in EXPECTED)])
    assert done.exit_code == 1, done.output  # two could not be graded
    rows = list(csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8")))
    assert [Path(row["file"]).stem for row in rows] == list(EXPECTED)
    for row, (points, runs, notes) in zip(rows, EXPECTED.values(), strict=True):
        assert row["points"] == points, row
        assert row["runs"].startswith(runs), row
        assert re.search(notes, row["notes"]), row
        assert row["prediction"] == row["advice"] == ""  # the teacher's
    assert dict(os.environ) == before
    assert "2 of 2 answers right" in done.output


def test_a_table_is_safe_to_open():
    grade = Grade("=1+1.ipynb", {"task": "@x\x1b[31m"}, {"best": True}, "", ["-1"])
    row = table([grade], {}).iloc[0]
    assert (row["file"], row["notes"]) == ("'=1+1.ipynb", "'-1")
    assert "\x1b" not in row["parameters"]


@pytest.mark.parametrize("words", [["nothing.ipynb"], ["x.ipynb", "-p", "nope=1"], ["x.ipynb", "-o", "x.ipynb"]])
def test_misuse_is_refused(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    nbformat.write(made(ASSIGNMENT), tmp_path / "x.ipynb")
    done = CliRunner().invoke(cli.app, ["grade", *words])
    assert isinstance(done.exception, InputError)
