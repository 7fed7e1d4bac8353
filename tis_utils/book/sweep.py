"""A notebook under every combination of some parameters, and a table that says where each result lies."""

import functools
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from tis_utils.book.execute import execute_stale
from tis_utils.book.parameters import check_parameters
from tis_utils.errors import TisError
from tis_utils.paths import check_folder
from tis_utils.storage.keys import digest
from tis_utils.storage.manifests import write_table
from tis_utils.storage.parallel import run_all

INDEX = "index.csv"


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """All combinations of the values, the last parameter varying fastest."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def sweep(
    notebook: Path,
    grid: Mapping[str, Sequence[Any]],
    folder: Path,
    *,
    profile: str | None = None,
    jobs: int = 1,
    engine: str = "loky",
    cwd: Path | None = None,
) -> pd.DataFrame:
    """Execute a notebook once per combination of values; what is up to date in `folder` is not executed again.

    The notebooks run in `cwd`, by default in that of the chapters.

    Returns what it writes to ``index.csv``: a row each with the parameters, ``status`` (ok or failed), ``seconds``,
    ``notebook`` (a name in `folder`), ``error``. A failed run does not stop the others.
    """
    check_folder(folder)
    rows = combinations(grid)
    settings = [({"profile": profile} if profile else {}) | row for row in rows]
    for given in settings:
        check_parameters(notebook, given)
    todo = [(notebook, folder / f"{notebook.stem}-{digest(given)[:8]}.ipynb", given) for given in settings]
    call = functools.partial(_execute, cwd)
    outcomes = run_all(call, todo, jobs=jobs, engine=engine, what=notebook.stem, unit="notebook")
    index = pd.DataFrame([row | outcome for row, outcome in zip(rows, outcomes, strict=True)])
    write_table(folder / INDEX, index)
    return index


def _execute(cwd: Path | None, job: tuple[Path, Path, Mapping[str, Any]]) -> dict[str, Any]:
    try:
        done = execute_stale(*job, progress=False, folder=cwd)
    except TisError as error:
        return {"status": "failed", "seconds": float("nan"), "notebook": "", "error": str(error)}
    return {"status": "ok", "seconds": done.seconds, "notebook": done.output.name, "error": ""}
