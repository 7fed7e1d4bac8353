"""A notebook under every combination of some parameters, and a table that says where each result lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tis_utils.book.driver import check_parameters, execute_stale
from tis_utils.errors import InputError, RunError
from tis_utils.storage.keys import digest
from tis_utils.storage.manifests import write_table
from tis_utils.storage.parallel import run_all

INDEX = "index.csv"


@dataclass(frozen=True)
class Job:
    """One execution: which notebook, with which parameters, to which file."""

    notebook: Path
    given: dict[str, Any]
    output: Path


def parse_values(text: str) -> list[Any]:
    """The values of one parameter: ``50,100``; a value that is a list stands in brackets: ``[25,50],[100]``.

    Raises
    ------
    InputError
        If the text cannot be read.
    """
    try:
        values = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError as error:
        raise InputError(
            f"{text!r} cannot be read as values. Separate them by commas; put lists into brackets: [25,50],[100]."
        ) from error
    if not values:
        raise InputError("A parameter of a sweep needs at least one value, for example -p seeds 0,1,2.")
    found = [None if value == "None" else value for value in values]
    if repeated := [value for place, value in enumerate(found) if value in found[:place]]:
        raise InputError(f"The value {repeated[0]!r} is given twice in {text!r}. Give every value once.")
    return found


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """All combinations of the values, the last parameter varying fastest."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def sweep(
    notebook: Path,
    grid: Mapping[str, Sequence[Any]],
    folder: Path,
    *,
    profile: str = "classroom",
    jobs: int = 1,
    engine: str = "loky",
) -> pd.DataFrame:
    """Execute a notebook once per combination; what is up to date in `folder` is not executed again.

    Parameters
    ----------
    notebook : Path
    grid : mapping of str to sequence
        Values of each parameter.
    folder : Path
        Receives the executed notebooks and ``index.csv``.
    profile : str
        For all runs, unless `grid` varies it.
    jobs, engine
        See :func:`tis_utils.storage.parallel.run_all`.

    Returns
    -------
    DataFrame
        One row per combination: the parameters, ``status`` (ok or failed), ``seconds``, ``notebook`` (file name in
        `folder`), ``error``. A failed run does not stop the others.

    Raises
    ------
    InputError
        For unknown parameters or impossible values, before anything runs.
    """
    every = combinations(grid)
    todo = []
    for chosen in every:
        given = {"profile": profile} | chosen
        check_parameters(notebook, given)
        todo.append(Job(notebook, given, folder / f"{notebook.stem}-{digest(given)[:8]}.ipynb"))
    outcomes = run_all(_execute, todo, jobs=jobs, engine=engine, what=notebook.stem, unit="notebook")
    index = pd.DataFrame([chosen | outcome for chosen, outcome in zip(every, outcomes, strict=True)])
    write_table(folder / INDEX, index)
    return index


def _execute(job: Job) -> dict[str, Any]:
    try:
        done = execute_stale(job.notebook, job.output, job.given, progress=False)
    except RunError as error:
        return {"status": "failed", "seconds": float("nan"), "notebook": "", "error": str(error)}
    return {"status": "ok", "seconds": done.seconds, "notebook": job.output.name, "error": ""}
