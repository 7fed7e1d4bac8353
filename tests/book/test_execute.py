"""Notebooks are executed when they must be, and leave clean copies or clear messages."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from joblib import cpu_count
from jupyter_client.provisioning.local_provisioner import LocalPortCache

from tests_support import notebook
from tis_utils.book import kernel
from tis_utils.book.execute import Run, dependencies, execute, execute_all, execute_stale
from tis_utils.errors import InputError, RunError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"wrod": "b"}, r"has no parameter 'wrod'; it has: profile, budgets, tasks, word\. Did you mean 'word'\?"),
        ({"budgets": -5}, r"budgets\.0 = -5"),
        ({"budgets": [10, 0]}, r"budgets\.1 = 0"),
        ({"profile": "nope"}, "no profile 'nope'"),
        ({"tasks": ["words", "nope"]}, "'smoke' has no queries for a task 'nope'.*'classroom', has words"),
        ({"profile": "smollm2", "tasks": "words"}, "no queries for a task 'words'.*'benchmarks', has .*gsm8k"),
    ],
)
def test_bad_parameters_are_refused_before_anything_runs(folder: Path, given: dict, message: str) -> None:
    path = notebook(folder / "00_x.ipynb", "raise SystemError('must not run')\nload_profile(profile)")
    with pytest.raises(InputError, match=message):
        execute(path, folder / "out.ipynb", given)
    assert not (folder / "out.ipynb").exists()


@pytest.mark.slow
def test_an_executed_notebook_has_values_but_no_times_and_no_noise(folder: Path) -> None:
    path = notebook(
        folder / "00_x.ipynb",
        "import sys; print(word * 3)",
        "print('bar\\r', file=sys.stderr); sys.stderr.flush(); print(file=sys.stderr)",
        "print('3 dropped', file=sys.stderr)",
    )
    out = folder / "deep" / "out.ipynb"
    assert execute(path, out, {"word": "b"}, progress=False) > 0
    cells = nbformat.read(out, as_version=4).cells
    assert cells[3].outputs[0]["text"] == "bbb\n"
    assert cells[4].outputs == []
    assert cells[5].outputs[0]["text"] == "3 dropped\n"
    assert "injected-parameters" in cells[2].metadata.tags
    assert "papermill" not in out.read_text()
    assert '"execution"' not in out.read_text()
    again = folder / "again.ipynb"
    execute(path, again, {"word": "b"}, progress=False)
    assert out.read_bytes() == again.read_bytes()


@pytest.mark.slow
def test_a_failing_cell_names_itself_its_error_and_the_partial_notebook(folder: Path) -> None:
    path = notebook(folder / "00_x.ipynb", "print('before')", "{}['missing']", "print('never')")
    with pytest.raises(RunError, match=r"00_x\.ipynb stopped at code cell 4: KeyError: 'missing'.* is ") as caught:
        execute(path, folder / "out.ipynb", {"word": "b"}, progress=False)
    partial = Path(str(caught.value).rsplit(" is ", 1)[1].rstrip("."))
    assert "before" in partial.read_text()
    assert not (folder / "out.ipynb").exists()


@pytest.mark.slow
def test_a_cell_that_refuses_its_parameters_is_misuse_in_its_own_words(folder: Path) -> None:
    code = "from tis_utils import InputError\nraise InputError('word must be b. Choose b.')"
    path = notebook(folder / "00_x.ipynb", code)
    with pytest.raises(InputError, match=r"00_x\.ipynb: word must be b\. Choose b\. The notebook up to there is "):
        execute(path, folder / "out.ipynb", {"word": "a"}, progress=False)


@pytest.mark.slow
def test_a_kernel_takes_no_port_that_another_could_have_by_then(folder: Path, monkeypatch) -> None:
    def find(*_: object) -> int:
        raise AssertionError("a port was asked for")

    monkeypatch.setattr(LocalPortCache, "find_available_port", find)
    path = notebook(folder / "00_x.ipynb", "print(6 * 7)")
    execute(path, folder / "out.ipynb", {}, progress=False)
    assert "42" in (folder / "out.ipynb").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_kernel_that_does_not_start_says_where_to_look(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(kernel, "make_ipkernel_cmd", lambda: [sys.executable, "-c", "raise SystemExit(1)"])
    path = notebook(folder / "00_x.ipynb", "print(6 * 7)")
    with pytest.raises(RunError, match=r"00_x\.ipynb: its Python process did not start: .*died.*`tis doctor`"):
        execute(path, folder / "out.ipynb", {}, progress=False)


@pytest.mark.slow
def test_a_kernel_that_dies_in_a_cell_is_named_and_not_run_again(folder: Path) -> None:
    cells = ("open('tries', 'a').write('x')", "import os; os._exit(1)")
    path = notebook(folder / "00_x.ipynb", *cells)
    with pytest.raises(RunError, match=r"00_x\.ipynb: its Python process ended in the middle of a cell.* is ") as told:
        execute(path, folder / "out.ipynb", {}, progress=False)
    assert (folder / "tries").read_text(encoding="utf-8") == "x"
    assert Path(str(told.value).rsplit(" is ", 1)[1].rstrip(".")).is_file()


@pytest.mark.slow
def test_a_chapter_runs_again_only_when_something_it_depends_on_changed(folder: Path) -> None:
    path = notebook(folder / "00_x.ipynb", "print(1)")
    executed = folder / "chapters" / "00_x.ipynb"

    def run(profile: str) -> Run:
        return execute_stale(path, executed, {"profile": profile}, progress=False)

    assert run("smoke").fresh
    assert not run("smoke").fresh
    assert run("classroom").fresh
    notebook(path, "print(2)")
    assert run("classroom").fresh
    executed.write_text(executed.read_text().replace("2", "3"))  # somebody edits the result by hand
    assert run("classroom").fresh
    record = executed.with_suffix(".json")
    assert json.loads(record.read_text())["seconds"] > 0
    for damaged in ("{", "[]", "null"):
        record.write_text(damaged)
        assert run("classroom").fresh


@pytest.mark.slow
def test_chapters_side_by_side_share_the_cores_and_keep_their_order(folder: Path) -> None:
    saw = "import os, joblib; print(word, os.environ.get('OMP_NUM_THREADS'), joblib.cpu_count())"
    sources = [notebook(folder / f"0{i}_x.ipynb", saw) for i in range(3)]
    before = dict(os.environ)
    runs = execute_all(sources, folder / "chapters", {"word": "b"}, 2)
    assert dict(os.environ) == before
    assert [run.notebook for run in runs] == sources
    share = max(1, cpu_count() // 2)
    texts = [nbformat.read(run.output, as_version=4).cells[-1].outputs[0]["text"] for run in runs]
    assert texts[1:] == [f"b {share} {share}\n"] * 2
    assert texts[0].split()[-1] == str(cpu_count())  # the first has the machine to itself
    assert not any(run.fresh for run in execute_all(sources, folder / "chapters", {"word": "b"}, 2))


@pytest.mark.slow
def test_a_failing_chapter_among_several_is_named(folder: Path) -> None:
    sources = [notebook(folder / "00_x.ipynb"), notebook(folder / "01_y.ipynb", "1 / 0")]
    with pytest.raises(RunError, match=r"01_y\.ipynb stopped at code cell 2: ZeroDivisionError"):
        execute_all(sources, folder / "chapters", {}, 2)


def test_a_changed_file_of_the_readers_makes_a_run_stale(folder: Path) -> None:
    path, own = notebook(folder / "00_x.ipynb"), folder / "pool.jsonl"
    own.write_text("1", encoding="utf-8")
    before = dependencies(path, {"word": str(own)})
    assert before == dependencies(path, {"word": str(own)})
    own.write_text("2", encoding="utf-8")
    assert before != dependencies(path, {"word": str(own)})
