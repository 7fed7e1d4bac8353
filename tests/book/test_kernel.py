"""Which Python executes notebooks."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tis_utils.book.doctor import examine
from tis_utils.book.execute import execute
from tis_utils.book.kernel import ThisPython, other_python


@pytest.fixture
def install(tmp_path: Path, monkeypatch):
    """Return a function that makes Jupyter know a kernel of the name ``python3``."""

    def write(*argv: str) -> None:
        folder = tmp_path / "jupyter" / "kernels" / "python3"
        folder.mkdir(parents=True)
        about = {"argv": [*argv, "-f", "{connection_file}"], "display_name": "x", "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(about), encoding="utf-8")
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))

    return write


def test_a_kernel_of_this_python_is_no_other(install) -> None:
    assert other_python() is None
    install(sys.executable, "-m", "ipykernel_launcher")
    assert other_python() is None


def test_the_doctor_names_another_python(install) -> None:
    install("/no/python", "-m", "ipykernel_launcher")
    assert "/no/python -m ipykernel_launcher … (" in str(other_python())
    kernel = next(check for check in examine("smoke").checks if check.name == "kernel")
    assert kernel.ok is None
    assert "/no/python" in kernel.detail
    assert sys.executable in kernel.detail


@pytest.mark.slow
def test_a_foreign_notebook_runs_in_this_python_where_it_shall(install, folder: Path) -> None:
    """Without metadata, with braces in its name, beside a file that it reads, whatever kernels there are."""
    install("/no/python", "-m", "ipykernel_launcher")
    beside = folder / "my {data}"
    beside.mkdir()
    (beside / "x.txt").write_text("7", encoding="utf-8")
    cells = [
        new_code_cell("a, b = 1, 2", metadata={"tags": ["parameters"]}),
        new_code_cell("import sys; print(sys.executable, a, b, open('x.txt').read())"),
        new_code_cell("import ipykernel; print(ipykernel.get_connection_info(unpack=True)['transport'])"),
    ]
    path = beside / "a {note}.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    execute(path, folder / "out {1}.ipynb", {"b": 3}, progress=False, folder=beside)
    executed = nbformat.read(folder / "out {1}.ipynb", as_version=4)
    assert executed.cells[-2].outputs[0]["text"] == f"{sys.executable} 1 3 7\n"
    assert executed.cells[-1].outputs[0]["text"] == "ipc\n"  # ports can be taken by others


def test_kernels_side_by_side_share_no_address(tmp_path: Path, monkeypatch) -> None:
    one, two = ThisPython(), ThisPython()
    assert one.transport == two.transport == "ipc"
    assert one.ip != two.ip
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 100)))
    Path(tempfile.tempdir).mkdir()
    assert ThisPython().transport == "tcp"  # an address of a socket is short
