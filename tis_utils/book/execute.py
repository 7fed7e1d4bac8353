"""Execute a notebook through papermill, again only when something in the manifest beside its executed copy changed."""

import functools
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbclient
import nbformat
import papermill
from joblib import cpu_count

from tis_utils import paths
from tis_utils.book.kernel import NAME, ThisPython
from tis_utils.book.parameters import check_parameters
from tis_utils.errors import InputError, RunError
from tis_utils.storage.keys import digest, file_digest
from tis_utils.storage.manifests import describe, different_keys, trusted, write_atomically
from tis_utils.storage.parallel import run_all

logging.getLogger("papermill").setLevel(logging.ERROR)  # it does not know every parameter that we do
BRACES = str.maketrans({"{": "{{", "}": "}}"})  # papermill fills parameters into paths
BAR = {"bar_format": "{desc}: {n_fmt} of {total_fmt} cells, {elapsed}"}  # cells differ too much for a time left


@dataclass(frozen=True)
class Run:
    """One executed notebook: where it lies, how long it took in seconds, and whether that was just now."""

    notebook: Path
    output: Path
    seconds: float
    fresh: bool


def execute_all(notebooks: Sequence[Path], folder: Path, given: Mapping[str, Any], jobs: int) -> list[Run]:
    """Execute stale notebooks, `jobs` at once, each on its share of the cores.

    The first goes alone, on all cores: it caches the features that the others would compute side by side.
    """
    first, *others = ((path, folder / path.name, given) for path in notebooks)
    share = max(1, cpu_count() // jobs)
    call = functools.partial(_execute_within, share)
    return [execute_stale(*first), *run_all(call, others, jobs=jobs, what="chapters", unit="chapter")]


def _execute_within(cores: int, job: tuple[Path, Path, Mapping[str, Any]]) -> Run:
    """Set in the worker: workers live on between calls and keep the environment they started with."""
    with patch.dict(os.environ, OMP_NUM_THREADS=str(cores), LOKY_MAX_CPU_COUNT=str(cores)):
        return execute_stale(*job, progress=False)


def execute_stale(
    notebook: Path, output: Path, given: Mapping[str, Any], *, progress: bool = True, folder: Path | None = None
) -> Run:
    """Execute a notebook into `output` unless an up-to-date copy is there; see :func:`dependencies`."""
    key = dependencies(notebook, given, folder)
    manifest = trusted(output, what=f"Executing {notebook.name} again,")
    if manifest and not different_keys(manifest.get("key"), key):
        return Run(notebook, output, manifest["seconds"], fresh=False)
    seconds = round(execute(notebook, output, given, progress=progress, folder=folder), 1)
    describe(output, file_digest(output), {"key": key, "seconds": seconds})
    return Run(notebook, output, seconds, fresh=True)


def dependencies(notebook: Path, given: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """Digests of everything that an executed notebook depends on."""
    package = (path for path in (paths.ROOT / "tis_utils").rglob("*") if path.suffix != ".pyc")
    named = (path for value in given.values() for path in _files_named(value, folder or Path()))
    here = {} if folder is None else {"folder": str(folder)}
    return here | {
        "notebook": _files_digest([notebook]),
        "profiles": _files_digest(paths.PROFILES.rglob("*.yaml")),
        "package": _files_digest(package),
        "data": _files_digest(paths.DATA.rglob("*")),
        "parameters": dict(given),
        "files": _files_digest(named),
    }


def _files_named(value: Any, folder: Path) -> list[Path]:
    """Files that a parameter names: pools, queries, a profile of the reader's own, the files of a model's folder."""
    if isinstance(value, list):
        return [path for each in value for path in _files_named(each, folder)]
    if not isinstance(value, str | Path):
        return []
    path = folder / value
    try:
        return sorted(path.iterdir()) if (path / "config.json").is_file() else [path]
    except (OSError, ValueError):  # a text that is no path
        return []


def _files_digest(candidates: Iterable[Path]) -> str:
    return digest([(path.name, file_digest(path)) for path in sorted(candidates) if path.is_file()])


def execute(
    notebook: Path, output: Path, given: Mapping[str, Any], *, progress: bool = True, folder: Path | None = None
) -> float:
    """Execute one notebook and return its wall time in seconds; a failed one is left under ``build/failed``.

    A RunError names the cell, its error and the partial notebook; an InputError of a cell stays one. With `progress`
    the notebook's bars are shown. It runs in `folder`, by default that of the chapters.
    """
    check_parameters(notebook, given)
    live = paths.BUILD / "running" / str(os.getpid()) / output.name  # two books may be built at once
    live.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        _run_cells(notebook, live, given, progress, folder or paths.NOTEBOOKS)
    except papermill.PapermillExecutionError as error:
        failed = paths.BUILD / "failed" / output.name
        failed.parent.mkdir(parents=True, exist_ok=True)
        live.replace(failed)
        if error.ename == InputError.__name__:  # a sentence for whoever chose the parameters
            raise InputError(f"{notebook.name}: {error.evalue} The notebook up to there is {failed}.") from error
        raise RunError(
            f"{notebook.name} stopped at code cell {error.exec_count}: {error.ename}: {error.evalue} "
            f"The notebook up to that cell is {failed}."
        ) from error
    except nbclient.exceptions.DeadKernelError as error:
        raise RunError(
            f"{notebook.name}: its Python process ended in the middle of a cell, as happens when memory runs out. "
            f"Close other programs or take a smaller profile. The notebook up to that cell is {live}."
        ) from error
    seconds = time.perf_counter() - start
    write_atomically(output, _clean(live, notebook, given).encode("utf-8"))
    live.unlink()
    return seconds


def _run_cells(notebook: Path, live: Path, given: Mapping[str, Any], progress: bool, folder: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # papermill passes on its libraries' deprecation notes
            papermill.execute_notebook(
                *(str(path).translate(BRACES) for path in (notebook, live)),
                parameters=dict(given),
                kernel_name=NAME,
                language="python",
                kernel_manager_class=ThisPython,
                cwd=str(folder),
                progress_bar=BAR | {"desc": notebook.stem} if progress else False,
                autosave_cell_every=0,
                stderr_file=sys.stderr if progress and sys.stderr.isatty() else None,
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
            )
    except nbclient.exceptions.DeadKernelError:
        raise
    except RuntimeError as error:  # what jupyter_client raises when a kernel does not answer
        raise RunError(
            f"{notebook.name}: its Python process did not start: {error}. What it printed stands above; "
            "`tis doctor` looks for a damaged installation."
        ) from error


def _clean(executed: Path, source: Path, given: Mapping[str, Any]) -> str:
    """Drop times, random ids and machine paths, so that equal runs give equal files; keep the parameters."""
    book = nbformat.read(executed, as_version=4)
    book.metadata.pop("papermill", None)
    for cell in book.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"  # papermill draws a random one
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_noise(output)]
    book.metadata |= {"source": source.name, "parameters": dict(given)}
    return nbformat.writes(book)


def _is_noise(output: Mapping[str, Any]) -> bool:
    """Progress bars, what they leave behind, and notes on this machine or its libraries; messages stay."""
    text = output.get("text", "")
    noise = "\r" in text or "\x1b[A" in text or "Warning:" in text or "[transformers] mtime" in text or not text.strip()
    return output.get("name") == "stderr" and noise
