"""Commands about notebooks and the book, which :mod:`tis_utils.cli` registers."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from tis_utils import paths
from tis_utils.book.arguments import from_here
from tis_utils.errors import InputError
from tis_utils.own_data.commands import Text, Texts

ProfileName = Annotated[str, Option("--profile", "-P", help="A name that `tis doctor` lists, or a .yaml file.")]
Notebook = Annotated[str, Argument(help="Path, name or number of a notebook: 00, 00_quickstart, ….")]
OwnProfile = Annotated[
    Text, Option("--profile", "-P", help="A name that `tis doctor` lists, or a .yaml file. Default: the notebook's.")
]
Raw = Annotated[
    Texts, Option("--raw", "-r", metavar="NAME TEXT", help="A text as it is, never a number, list or path; repeatable.")
]
File = Annotated[Path | None, Option("--file", "-f", help="YAML file of parameters; -p goes before it.")]
Values = Annotated[
    list[str],
    Option("--parameter", "-p", metavar="NAME V1,V2", help="As -p seeds 0,1,2; -p budgets [25,50],[100]; repeatable."),
]
Folder = Annotated[Path | None, Option("--cwd", help="Run there; paths start there.", show_default="here")]
GRADES = paths.BUILD / "grades.csv"
Engine = Annotated[str, Option(help="joblib backend: loky, or ray or dask (extra `cluster`).")]


def book(
    profile: ProfileName = "classroom",
    fresh: Annotated[bool, Option("--fresh", help="Forget every cached result and executed notebook first.")] = False,
    into: Annotated[Path, Option(help="Build in a copy of book/ here.", show_default="book/ itself")] = paths.BOOK,
    jobs: Annotated[
        int | None, Option("--jobs", "-j", min=1, help="Chapters at once; default one per core, up to 4.")
    ] = None,
) -> None:
    """Execute the chapters that are out of date, then render the book."""
    from tis_utils.book.build import build_book, home_page

    for run in build_book(profile, folder=into, fresh=fresh, jobs=jobs):
        state = "executed in" if run.fresh else "up to date, took"
        typer.echo(f"{run.notebook.name}: {state} {run.seconds:.0f} s")
    typer.echo(f"The book is at {home_page(into)}")


def pdf(
    folder: Annotated[
        Path, Option("--from", help="Folder of the rendered book.", show_default="book/ itself")
    ] = paths.BOOK,
    output: Annotated[Path | None, Option("--output", "-o", help="The file; default _build/book.pdf there.")] = None,
) -> None:
    """Print the rendered book, solutions included, as one PDF; needs Chromium."""
    from tis_utils.book.pdf import make_pdf

    typer.echo(f"The PDF is {make_pdf(folder, output)}")


def run(
    notebook: Notebook,
    profile: OwnProfile = None,
    parameter: Annotated[
        Texts, Option("--parameter", "-p", metavar="NAME VALUE", help="As -p budgets 25,50; repeatable.")
    ] = None,
    raw: Raw = None,
    file: File = None,
    output: Annotated[Path | None, Option("--output", "-o", help="Executed notebook; default in build/runs.")] = None,
    cwd: Folder = None,
    show: Annotated[bool, Option("--parameters", help="List the parameters, their values and their meaning.")] = False,
) -> None:
    """Execute one notebook with your own parameters, read as the notebook's defaults are: numbers, texts, lists."""
    from tis_utils.book.execute import execute
    from tis_utils.book.parameters import explain_parameters, find_notebook, read_values
    from tis_utils.storage.keys import digest

    path, folder = find_notebook(notebook), _folder(cwd)
    if show:
        typer.echo("\n".join(explain_parameters(path, _profile(profile).get("profile"))))
        return
    given = _profile(profile) | read_values(path, parameter or [], raw or [], file, folder)
    target = output or paths.BUILD / "runs" / f"{path.stem}-{digest(given)[:8]}.ipynb"
    paths.check_file(target)
    if paths.same_file(target, path):
        raise InputError(f"The executed notebook would replace {path}: choose another name after --output.")
    seconds = execute(path, target, given, folder=folder)
    typer.echo(f"{path.name} ran in {seconds:.0f} s; the result is {target}")


def _folder(cwd: Path | None) -> Path:
    folder = Path.cwd() if cwd is None else cwd.absolute()
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Give --cwd the folder in which the notebook shall run.")
    return folder


def _profile(profile: str | None) -> dict[str, str]:
    """The parameter that a profile is, if one is given; an InputError if there is none of that name."""
    from tis_utils.profiles import load_profile

    if profile is None:
        return {}
    load_profile(profile)
    return {"profile": from_here(profile)}


def sweep(
    notebook: Notebook,
    parameter: Values,
    profile: OwnProfile = None,
    raw: Raw = None,
    file: File = None,
    cwd: Folder = None,
    jobs: Annotated[int, Option("--jobs", "-j", min=1, help="Notebooks executed at once.")] = 1,
    engine: Engine = "loky",
    into: Annotated[Path | None, Option(help="Folder of the results; default below build/sweeps.")] = None,
) -> None:
    """Execute a notebook under every combination of parameters; finished ones are kept, index.csv lists all."""
    from tis_utils.book import sweep as sweeps
    from tis_utils.book.parameters import find_notebook, read_grid, read_values

    path, start = find_notebook(notebook), _folder(cwd)
    fixed = _profile(profile) | read_values(path, [], raw or [], file, start)
    grid = {name: [value] for name, value in fixed.items()} | read_grid(path, parameter, start)
    folder = into or paths.BUILD / "sweeps" / path.stem
    index = sweeps.sweep(path, grid, folder, jobs=jobs, engine=engine, cwd=start)
    typer.echo(index.drop(columns="error").to_string(index=False))
    typer.echo(f"The table is {folder / sweeps.INDEX}")
    failed = index["status"] == "failed"
    for error in index.loc[failed, "error"]:
        typer.echo(f"tis: {error}", err=True)
    raise typer.Exit(int(failed.any()))


def student(
    notebook: Annotated[Texts, Argument(help="Paths, names or numbers. Default: all of them.")] = None,
    into: Annotated[Path, Option(help="Folder of the copies.", show_default="build/student")] = paths.BUILD / "student",
) -> None:
    """Write copies for a class: without solutions and answers, and with them in `solutions/`."""
    from tis_utils.book.parameters import assignments, chapters, find_notebook
    from tis_utils.book.student import write_copies

    if paths.inside(into, paths.NOTEBOOKS):
        raise InputError(f"{into} lies in {paths.NOTEBOOKS}: the copies would be chapters. Choose another folder.")
    written = write_copies([find_notebook(name) for name in notebook or []] or [*chapters(), *assignments()], into)
    typer.echo(f"{len(written) // 2} notebooks are in {into}, with solutions in {into / 'solutions'}.")


def grade(
    files: Annotated[list[Path], Argument(metavar="FILE...", help="Notebooks that were handed in.")],
    assigned: Annotated[
        Texts, Option("--parameter", "-p", metavar="NAME VALUE", help="What was prescribed; repeatable.")
    ] = None,
    profile: OwnProfile = None,
    assignment: Annotated[str, Option(help="Notebook with solutions; a path or a name.")] = "assignment",
    minutes: Annotated[float, Option(min=0.1, help="Longest time of a run.")] = 60,
    gib: Annotated[float, Option(min=0.5, help="Most memory of a process, in GiB.")] = 4,
    output: Annotated[Path, Option("--output", "-o", help="CSV file.", show_default="build/grades.csv")] = GRADES,
) -> None:
    """Check handed-in assignments: run their parameters again, compare numbers, leave a table for the rest."""
    from tis_utils.book.confined import can_shut_in
    from tis_utils.book.grade import Grader, table
    from tis_utils.book.parameters import find_notebook, read_values
    from tis_utils.storage.manifests import write_table

    for path in files:
        if not path.is_file():
            raise InputError(f"{path} is no file. Give the notebooks that were handed in.")
        if paths.same_file(path, output):
            raise InputError(f"The table would replace {path}: choose another name after --output.")
    paths.check_file(output)
    notebook, cache = find_notebook(assignment), paths.BUILD / "grading"
    given = _profile(profile) | read_values(notebook, assigned or [])
    grader = Grader(notebook, given, minutes=minutes, gib=gib, cache=cache)
    if not can_shut_in():
        typer.echo("This system cannot shut programs in: the submissions' own code is not run, only their parameters.")
    grades = []
    for path in files:
        grades.append(grader.grade(path))
        write_table(output, frame := table(grades, grader.defaults))  # what is done stays when it is stopped
        row = frame.iloc[-1]
        state = f"{row['points']} of {row['of']} answers right" if grades[-1].right else "not graded"
        remarks = [f"its code stops: {row['runs']}"] * bool(grades[-1].runs) + [row["notes"]] * bool(row["notes"])
        typer.echo(f"{row['file']}: {state}" + "".join(f"\n  {remark}" for remark in remarks))
    typer.echo(f"The table is {output}")
    raise typer.Exit(int(not all(one.right for one in grades)))
