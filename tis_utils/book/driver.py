"""Execute parameterised notebooks and build the book from them.

A notebook is executed again only when something it depends on changed: its own text, the profile, the
package, the shipped data. What it depended on is recorded beside the executed copy.
"""

from __future__ import annotations

import ast
import difflib
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml
from joblib import cpu_count

from tis_utils import paths
from tis_utils.errors import InputError, RunError
from tis_utils.profiles import Profile, load_profile
from tis_utils.storage.cache import Store
from tis_utils.storage.keys import digest
from tis_utils.storage.manifests import environment, write_atomically
from tis_utils.storage.parallel import run_all

log = logging.getLogger(__name__)

KERNEL = "python3"
STARTS = 3  # tries; a kernel that starts beside another can be given a port that is taken by then
BAR = {"bar_format": "{desc}: {n_fmt} of {total_fmt} cells, {elapsed}"}  # cells differ too much for a time left


@dataclass(frozen=True)
class Run:
    """One executed notebook: where it lies and how long it took in seconds."""

    notebook: Path
    output: Path
    seconds: float
    fresh: bool


def chapters() -> list[Path]:
    """The book's notebooks in reading order.

    Raises
    ------
    RunError
        If there are none, for instance outside the repository.
    """
    found = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise RunError(
            f"No notebooks in {paths.NOTEBOOKS}. Install the package from a clone of the repository "
            "(`make setup`), or set the environment variable TIS_ROOT to the clone."
        )
    return found


def find_notebook(name: str) -> Path:
    """Accept a path, a file name, the start of one (``06``, ``06_budgets``), or a chapter's number (``6``).

    Raises
    ------
    InputError
        If nothing fits.
    """
    if Path(name).is_file():
        return Path(name)
    known = chapters()
    name = name.zfill(2) if name.isdecimal() else name
    hits = [path for path in known if path.name == Path(name).name or path.stem.startswith(Path(name).stem)]
    if len(hits) == 1:
        return hits[0]
    raise InputError(f"There is no notebook {name!r}; known: {', '.join(path.stem for path in known)}.")


# --- parameters -----------------------------------------------------------------------------------


def parameters(notebook: Path) -> dict[str, Any]:
    """Names and defaults of a notebook's parameters, in order, from its cell tagged ``parameters``.

    Raises
    ------
    InputError
        If the file is not a notebook, or has not exactly one such cell with literal values.
    """
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (OSError, ValueError, nbformat.reader.NotJSONError) as error:
        raise InputError(f"{notebook} cannot be read as a notebook: {error}") from error
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise InputError(f"{notebook} has {len(tagged)} cells tagged 'parameters', expected exactly one.")
    try:
        return {name: ast.literal_eval(value) for name, value in _assignments(tagged[0].source)}
    except (ValueError, SyntaxError) as error:
        raise InputError(f"{notebook}: the parameters cell must hold plain values only ({error}).") from error


def explain_parameters(notebook: Path, profile: str) -> list[str]:
    """One line per parameter: its value under a profile, and the comment beside it in the notebook.

    A parameter that is None and goes into ``load_profile`` has the profile's value; the notebook's own call says
    under which name.

    Raises
    ------
    InputError
        As :func:`parameters` and :func:`tis_utils.profiles.load_profile` do.
    """
    values, settings = parameters(notebook) | {"profile": profile}, load_profile(profile)
    code = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    fields: dict[str, str] = {}  # the last name under which a parameter goes into the profile
    for cell in code:
        for found in re.finditer(r"load_profile\(([^()]*)\)", cell.source):
            fields |= {value: key for key, value in re.findall(r"(\w+)=(\w+)", found[1])}
    comments = {}
    for cell in code:
        if "parameters" in cell.metadata.get("tags", []):
            comments = dict(re.findall(r"^(\w+)\s*=.*?#\s*(.+)$", cell.source, re.MULTILINE))
    lines = []
    for name, value in values.items():
        shown = repr(value)
        if value is None and (own := getattr(settings, fields.get(name, ""), None)) is not None:
            shown = ",".join(map(str, own)) if isinstance(own, tuple) else str(own)
        lines.append(f"{name} = {shown}" + (f"   # {comments[name]}" if name in comments else ""))
    return lines


def _assignments(source: str) -> Iterable[tuple[str, ast.expr]]:
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            yield statement.targets[0].id, statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            yield statement.target.id, statement.value


def parse_value(text: str) -> Any:
    """Read a value from the command line: YAML, and commas make a list (``50,100``); ``None`` is no value."""
    if text == "None":
        return None
    try:
        value = yaml.safe_load(text)
        if isinstance(value, int) and "," in text:  # YAML 1.1 reads 50,100 as 50100
            value = text
        if isinstance(value, str) and "," in value:
            return [yaml.safe_load(part) for part in value.split(",")]
    except yaml.YAMLError:
        return text
    return value


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters the notebook does not have, and values no profile allows.

    Raises
    ------
    InputError
        Before anything is executed.
    """
    known = parameters(notebook)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{notebook.name} has no parameter {name!r}; it has: {', '.join(known)}.{hint}")
    merged = {**known, **given}
    fields = {k: v for k, v in merged.items() if k in Profile.model_fields}
    settings = load_profile(merged.get("profile", "classroom"), **fields)
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


# --- execution ------------------------------------------------------------------------------------


def execute(notebook: Path, output: Path, given: Mapping[str, Any], *, progress: bool = True) -> float:
    """Execute one notebook through papermill and return its wall time in seconds.

    The result is renamed into place only when every cell ran. Until then it grows under ``build/running``; a failed
    run leaves it under ``build/failed``. With `progress` the notebook's own bars appear on the terminal too.

    Raises
    ------
    InputError
        For unknown parameters or impossible values.
    RunError
        When a cell fails (names the cell, the error and the partial notebook) or the kernel dies or does not start.
    """
    import nbclient
    import papermill

    check_parameters(notebook, given)
    live = paths.BUILD / "running" / output.name  # several runs of one notebook may go on at once
    failed = paths.BUILD / "failed" / output.name
    live.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        _run_cells(notebook, live, given, progress)
    except papermill.exceptions.PapermillExecutionError as error:
        failed.parent.mkdir(parents=True, exist_ok=True)
        live.replace(failed)
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
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, _clean(live, notebook).encode("utf-8"))
    live.unlink()
    return seconds


def _run_cells(notebook: Path, live: Path, given: Mapping[str, Any], progress: bool) -> None:
    """Execute all cells with papermill; start the kernel again where it ended before the first cell."""
    import nbclient
    import papermill

    for left in reversed(range(STARTS)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # papermill passes on its libraries' deprecation notes
                papermill.execute_notebook(
                    str(notebook),
                    str(live),
                    parameters=dict(given),
                    kernel_name=KERNEL,
                    cwd=str(paths.NOTEBOOKS),
                    progress_bar=BAR | {"desc": notebook.stem} if progress else False,
                    autosave_cell_every=0,
                    stderr_file=sys.stderr if progress and sys.stderr.isatty() else None,
                    extra_arguments=["--IPKernelApp.log_level=ERROR"],
                )
            return
        except nbclient.exceptions.DeadKernelError:
            raise
        except RuntimeError as error:  # what jupyter_client raises when a kernel does not answer
            if not left:
                raise RunError(
                    f"{notebook.name}: its Python process did not start in {STARTS} tries: {error}. "
                    "What it printed stands above; `tis doctor` looks for a damaged installation."
                ) from error
            log.warning("%s: its Python process did not start (%s); trying again.", notebook.name, error)


def _clean(executed: Path, source: Path) -> str:
    """Drop times, random ids and machine paths, so that equal runs give equal files."""
    book = nbformat.read(executed, as_version=4)
    book.metadata.pop("papermill", None)
    for cell in book.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"  # papermill draws a random one
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if not _is_noise(out)]
    book.metadata["source"] = source.name
    return nbformat.writes(book)


def _is_noise(output: Mapping[str, Any]) -> bool:
    """Progress bars, what they leave behind, and notes on this machine or its libraries; messages stay."""
    text = output.get("text", "")
    noise = "\r" in text or "\x1b[A" in text or "Warning:" in text or "[transformers] mtime" in text or not text.strip()
    return output.get("name") == "stderr" and noise


def _files_digest(files: Iterable[Path]) -> str:
    entries = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(files)]
    return digest(entries)


def dependencies(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Digest of everything an executed chapter depends on."""
    package = paths.ROOT / "tis_utils"
    return {
        "notebook": _files_digest([notebook]),
        "profiles": _files_digest(paths.PROFILES.glob("*.yaml")),
        "package": _files_digest([*package.rglob("*.py"), *package.rglob("*.mplstyle")]),
        "data": _files_digest(path for path in paths.DATA.rglob("*") if path.is_file()),
        "parameters": dict(given),
        "files": _files_digest(_named_files(given)),
    }


def _named_files(given: Mapping[str, Any]) -> list[Path]:
    """Files that parameters name: pools, queries, a profile of the reader's own."""
    texts = [str(value) for value in given.values() if isinstance(value, str | Path)]
    return [path for path in map(Path, texts) if path.suffix and path.is_file()]


def execute_stale(notebook: Path, output: Path, given: Mapping[str, Any], *, progress: bool = True) -> Run:
    """Execute a notebook into `output` unless an up-to-date copy is there; see :func:`dependencies`."""
    record = output.with_suffix(".run.json")
    key = dependencies(notebook, given)
    if output.exists() and record.exists():
        try:
            last = json.loads(record.read_text(encoding="utf-8"))
            if last["key"] == key and last["output"] == _files_digest([output]):
                return Run(notebook, output, last["seconds"], fresh=False)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("Executing %s again: %s is damaged (%s).", notebook.name, record, error)
    seconds = round(execute(notebook, output, given, progress=progress), 1)
    facts = {"key": key, "output": _files_digest([output]), "seconds": seconds, "environment": environment()}
    write_atomically(record, json.dumps(facts, indent=1, sort_keys=True).encode("utf-8"))
    return Run(notebook, output, seconds, fresh=True)


# --- the book -------------------------------------------------------------------------------------


def build_book(
    profile: str = "classroom", *, folder: Path = paths.BOOK, fresh: bool = False, jobs: int | None = None
) -> list[Run]:
    """Execute stale chapters, then render the book to ``_build/html`` below `folder`.

    Parameters
    ----------
    profile : str
        Name or file of the profile that every chapter runs under.
    folder : Path
        Where to build: ``book/``, or a place that receives a copy of it.
    fresh : bool
        Forget executed chapters and cached results first.
    jobs : int, optional
        Chapters executed at once; by default as many as :func:`default_jobs` says.

    Raises
    ------
    InputError
        If `jobs` is not positive.
    RunError
        When a notebook fails or the renderer warns.
    """
    settings = load_profile(profile)
    if folder.resolve() != paths.BOOK.resolve():
        skip = shutil.ignore_patterns("_build", "chapters")
        shutil.copytree(paths.BOOK, folder, ignore=skip, dirs_exist_ok=True)
    if fresh:
        os.environ["TIS_FRESH"] = "1"  # the notebooks' kernels inherit it: nothing comes from data/results
        shutil.rmtree(folder / "chapters", ignore_errors=True)
        Store().forget()
        recompute(settings)
    runs = execute_all(chapters(), folder / "chapters", {"profile": profile}, jobs or default_jobs())
    render(folder)
    return runs


def recompute(profile: Profile) -> None:
    """Run every grid on all cores: chapters side by side would compute the runs they share twice."""
    from tis_utils.experiments.grids import GRIDS
    from tis_utils.experiments.study import Study  # loads PyTorch

    Study(profile).run([cell for cells in GRIDS.values() for cell in cells(profile)])


def default_jobs() -> int:
    """One chapter per core, at most four (each takes 1 to 2 GiB); one where a GPU does the work."""
    import torch

    return 1 if torch.cuda.is_available() else min(4, cpu_count())


def execute_all(notebooks: Sequence[Path], folder: Path, given: Mapping[str, Any], jobs: int) -> list[Run]:
    """Execute stale notebooks, `jobs` at once, each on its share of the cores.

    The first goes alone and on all cores: it leaves the features in the cache that the others would otherwise
    compute side by side.
    """
    first, *others = ((path, folder / path.name, given) for path in notebooks)
    share = max(1, cpu_count() // jobs)
    call = functools.partial(_execute_within, share)
    return [execute_stale(*first), *run_all(call, others, jobs=jobs, what="chapters", unit="chapter")]


def _execute_within(cores: int, job: tuple[Path, Path, Mapping[str, Any]]) -> Run:
    """Set in the worker: workers live on between calls and keep the environment they started with."""
    with environ(OMP_NUM_THREADS=str(cores), LOKY_MAX_CPU_COUNT=str(cores)):
        return execute_stale(*job, progress=False)


@contextmanager
def environ(**variables: str) -> Iterator[None]:
    """Environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def home_page(folder: Path = paths.BOOK) -> Path:
    """Where the rendered book starts."""
    return folder / "_build" / "html" / "index.html"


def render(folder: Path = paths.BOOK) -> None:
    """Run Jupyter Book with warnings as errors.

    Raises
    ------
    RunError
        With the renderer's own messages.
    """
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(folder), "-n", "-W", "--keep-going"]
    variables = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False, env=variables)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-15:]
        raise RunError("The book could not be rendered:\n" + "\n".join(told))
