"""The command line: ``tis book``, ``run``, ``sweep``, ``represent``, ``grid``, ``measure``, ``select``, ``doctor``.

Exit codes: 0 fine, 1 the run failed, 2 the command was misused. ``--debug`` (before the command) shows
tracebacks.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tis_utils.book import limits as ceiling
from tis_utils.errors import InputError, TisError

if TYPE_CHECKING:
    from tis_utils.experiments.run_spec import RunSpec
    from tis_utils.experiments.study import Study
    from tis_utils.profiles import Profile

MEASURES = {  # tables of `tis measure` and the modules that make them
    "transfer": "neighbours.insta.transfer",
    "ila_subsets": "neighbours.ila.designed_subsets",
    "repeatability": "experiments.repeatability",
}
app = typer.Typer(
    name="tis",
    help="Targeted instruction selection: build the book, re-run its notebooks, check this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_debug = False
INTERRUPTED = 130  # typer's exit code for Ctrl-C

ProfileName = Annotated[
    str, typer.Option("--profile", "-P", help="smoke, classroom, smollm2, paper, or the path of a .yaml file.")
]

Engine = Annotated[str, typer.Option("--engine", help="joblib backend: loky, or ray or dask (extra `cluster`).")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show Python tracebacks instead of short messages.")] = False,
    memory: Annotated[
        float | None,
        typer.Option("--memory", metavar="GIB", help="Stop a process that needs more than this (not on Windows)."),
    ] = None,
) -> None:
    global _debug
    _debug = debug
    if memory is not None:
        ceiling.limit(memory)


@app.command()
def book(
    profile: ProfileName = "classroom",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget every cached result and executed notebook first.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option("--into", help="Build in a copy of book/ at this place instead of in book/ itself.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Chapters executed at once; by default one per core, at most 4."),
    ] = None,
) -> None:
    """Execute the chapters that are out of date, then render the book."""
    from tis_utils import paths
    from tis_utils.book import driver
    from tis_utils.paths import check_folder, inside

    folder = into or paths.BOOK
    check_folder(folder)
    if into and inside(into, paths.BOOK) and into.resolve() != paths.BOOK.resolve():
        raise InputError(
            f"{into} lies in {paths.BOOK}, which is what would be copied. Choose a folder outside of book/."
        )
    for done in driver.build_book(profile, folder=folder, fresh=fresh, jobs=jobs):
        state = "executed in" if done.fresh else "up to date, took"
        typer.echo(f"{done.notebook.name}: {state} {done.seconds:.0f} s")
    typer.echo(f"The book is at {driver.home_page(folder)}")


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="Path, name or number of a notebook: 00, 00_quickstart, ….")],
    profile: ProfileName = "classroom",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME VALUE", help="A parameter, e.g. -p budgets 25,50; repeatable."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Executed notebook to write; by default below build/runs.")
    ] = None,
    show: Annotated[
        bool,
        typer.Option("--parameters", help="List the parameters, their values under the profile and what they mean."),
    ] = False,
) -> None:
    """Execute one notebook with your own parameters."""
    from tis_utils import paths
    from tis_utils.book import driver
    from tis_utils.paths import check_file, same_file
    from tis_utils.storage.keys import digest

    path = driver.find_notebook(notebook)
    if show:
        for line in driver.explain_parameters(path, profile):
            typer.echo(line)
        return
    given = {name: driver.parse_value(_from_here(value)) for name, value in _pairs(parameter or [])}
    given.setdefault("profile", _from_here(profile))
    target = output or paths.BUILD / "runs" / f"{path.stem}-{digest(given)[:8]}.ipynb"
    check_file(target)
    if same_file(target, path):
        raise InputError(f"The executed notebook would replace {path}: choose another name after --output.")
    seconds = driver.execute(path, target, given)
    typer.echo(f"{path.name} ran in {seconds:.0f} s; the result is {target}")


@app.command()
def sweep(
    notebook: Annotated[str, typer.Argument(help="Path, name or number of a notebook.")],
    parameter: Annotated[
        list[str],
        typer.Option(
            "--parameter",
            "-p",
            metavar="NAME V1,V2",
            help="Values of a parameter, e.g. -p seeds 0,1,2; lists as values: -p budgets [25,50],[100]; repeatable.",
        ),
    ],
    profile: ProfileName = "classroom",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Notebooks executed at once.")] = 1,
    engine: Engine = "loky",
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder for the results; by default below build/sweeps.")
    ] = None,
) -> None:
    """Execute a notebook under every combination of parameters; finished ones are kept, index.csv lists all."""
    from tis_utils import paths
    from tis_utils.book import driver
    from tis_utils.book import sweep as notebook_sweeps
    from tis_utils.paths import check_folder
    from tis_utils.storage.parallel import check_engine

    path = driver.find_notebook(notebook)
    grid = {name: notebook_sweeps.parse_values(_from_here(values)) for name, values in _pairs(parameter)}
    folder = into or paths.BUILD / "sweeps" / path.stem
    check_folder(folder)
    check_engine(engine)
    profile = _from_here(profile)
    index = notebook_sweeps.sweep(path, grid, folder, profile=profile, jobs=jobs, engine=engine)
    typer.echo(index.drop(columns="error").to_string(index=False))
    typer.echo(f"The table is {folder / notebook_sweeps.INDEX}")
    for error in index.loc[index["status"] == "failed", "error"]:
        typer.echo(f"tis: {error}", err=True)
    raise typer.Exit(1 if (index["status"] == "failed").any() else 0)


def _from_here(text: str) -> str:
    """Make the path of a file absolute: notebooks run in a folder of their own."""
    return str(Path(text).absolute()) if Path(text).suffix and Path(text).is_file() else text


def _pairs(given: list[str]) -> list[tuple[str, str]]:
    """Split NAME=VALUE; every name once."""
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InputError(
                f"-p {text} has {'no value' if name else 'no name'}. Write the parameter's name and its value, "
                "for example -p budgets 25,50."
            )
        if name in pairs:
            raise InputError(f"-p {name} is given twice. Give every parameter once; commas separate several values.")
        pairs[name] = value
    return list(pairs.items())


@app.command()
def represent(
    profile: ProfileName = "classroom",
    representation: Annotated[
        list[str] | None,
        typer.Option("--representation", "-R", help="embed, rds or less; repeatable. Default: all three."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Only the I-th of N parts of the pool (0/N … N-1/N), for job arrays."
        ),
    ] = None,
    ship: Annotated[
        bool, typer.Option("--ship", help="Also store them, compactly, in data/results/<profile>.")
    ] = False,
) -> None:
    """Compute the features of a profile's pool and queries: resumable, alone or as a job array.

    Run `--shard 0/4` … `--shard 3/4` anywhere the cache (TIS_CACHE) is shared, then once without `--shard`: that
    joins the shards, adds the queries, and computes what is missing.
    """
    part = _share(shard) if shard else None
    if part and ship:
        raise InputError("--ship needs the whole pool; run it without --shard.")
    from tis_utils.experiments.study import Study  # imports torch: only now
    from tis_utils.profiles import load_profile

    study = Study(load_profile(profile))
    for name in representation or ["embed", "rds", "less"]:
        typer.echo(_represent(study, name, part, ship))


def _represent(study: Study, name: str, share: tuple[int, int] | None, ship: bool) -> str:
    from tis_utils.storage import stored_results as shipped

    job = study.pool_features(name)
    if share:
        part, parts = share
        job.compute(range(part, job.shards, parts))
        return f"{name}: part {part} of {parts} is done, {len(job.missing())} of {job.shards} shards are missing."
    rows = job.matrix()
    text = f"{name}: {rows.shape[0]} rows of {rows.shape[1]} numbers, {job.seconds():.0f} s of work."
    if ship:
        path = shipped.write_features(study.profile.name, name, job.key, rows, job.seconds())
        text += f" Stored in {path} ({path.stat().st_size / 1e6:.1f} MB)."
    return text


def _share(text: str) -> tuple[int, int]:
    """Read "i/n" with 0 <= i < n."""
    left, _, right = text.partition("/")
    if not (text.isascii() and left.isdecimal() and right.isdecimal() and int(left) < int(right)):
        raise InputError(f"--shard {text!r} is not I/N with 0 <= I < N, for example 0/4.")
    return int(left), int(right)


@app.command()
def grid(
    name: Annotated[str, typer.Argument(help="quantiles, focus, budgets, cross, tokens, resample, insta or ila.")],
    profile: ProfileName = "classroom",
    task: Annotated[
        list[str] | None, typer.Option("--task", "-t", help="Only this task of the profile; repeatable. Default: all.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Worker processes; default one per core.")
    ] = None,
    engine: Engine = "loky",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the rows (or the plan) to this CSV file.")
    ] = None,
    ship: Annotated[bool, typer.Option("--ship", help="Also store the rows in data/results/<profile>.")] = False,
    run_code: Annotated[
        bool, typer.Option("--run-code", help="Allow pass@k to run programs that the model wrote (use a container).")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="List the jobs with estimated GPU hours and disk; run nothing. For profiles with a plan: paper.",
        ),
    ] = False,
) -> None:
    """Fine-tune and evaluate every run of one experiment; finished runs are kept, a stopped grid continues."""
    from tis_utils.experiments.grids import GRIDS
    from tis_utils.paths import check_file
    from tis_utils.profiles import load_profile

    if name not in GRIDS:
        raise InputError(f"There is no grid {name!r}; known: {', '.join(GRIDS)}.")
    settings = load_profile(profile)
    if unknown := [t for t in task or () if t not in settings.tasks]:
        raise InputError(f"Profile {settings.name!r} has no task {unknown[0]!r}; it has {', '.join(settings.tasks)}.")
    if output:
        check_file(output)
    specs = [spec for spec in GRIDS[name](settings) if not task or spec.task in task]
    if dry_run:
        typer.echo(_plan(settings, specs, output))
        return
    from tis_utils.experiments.study import Study  # imports torch: only now
    from tis_utils.models import permission
    from tis_utils.storage.manifests import write_table
    from tis_utils.storage.parallel import check_engine

    check_engine(engine)
    if run_code:
        permission.allow()
    study = Study(settings, live=ship)
    rows = study.run(specs, jobs=jobs, engine=engine)
    failed = rows.loc[rows["status"] == "diverged", "metric"].count()
    typer.echo(f"{name}: {len(specs)} runs, {len(rows)} numbers, {failed} of them from runs that diverged.")
    if output:
        write_table(output, rows)
        typer.echo(f"The rows are in {output}")
    if ship:
        typer.echo(f"Stored in {study.keep(name, specs)}")


@app.command()
def measure(
    name: Annotated[
        str, typer.Argument(help="transfer (chapter 12), ila_subsets (chapter 13) or repeatability (status page).")
    ],
    profile: ProfileName = "classroom",
) -> None:
    """Measure a table that is no grid of runs and store it in data/results/<profile>; a stopped one continues."""
    from tis_utils.profiles import load_profile

    if name not in MEASURES:
        raise InputError(f"There is no table {name!r}; known: {', '.join(MEASURES)}.")
    settings = load_profile(profile)
    from tis_utils.experiments.study import Study  # imports torch: only now

    module = importlib.import_module(f"tis_utils.{MEASURES[name]}")
    typer.echo(f"Stored in {module.keep(Study(settings, live=True))}")


def _plan(settings: Profile, specs: list[RunSpec], output: Path | None) -> str:
    from tis_utils.experiments.cost_estimate import plan, summary
    from tis_utils.storage.manifests import write_table

    jobs = plan(settings, specs)
    if output:
        write_table(output, jobs)
        return f"{summary(jobs, settings)}\nEvery job is in {output}"
    shown = jobs.round({"gpu_hours": 2, "disk_gb": 1}).to_string(index=False, na_rep="")
    return f"{shown}\n\n{summary(jobs, settings)}"


@app.command()
def select(
    pool: Annotated[
        Path, typer.Option("--pool", help="JSONL file of candidates: chat, prompt/response or alpaca lines.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="JSONL file of the subset; a table and a report are written beside it."),
    ],
    queries: Annotated[
        Path | None, typer.Option("--queries", help="JSONL file of examples of your task. Random and ila need none.")
    ] = None,
    representation: Annotated[str, typer.Option("--representation", "-R", help="embed, rds or less.")] = "embed",
    selector: Annotated[
        str,
        typer.Option(
            "--selector",
            "-S",
            help="random, round_robin, doubly_greedy, knn_uniform, knn_kde, uot; insta (whole tasks by their requests: "
            "give candidates a `family` or `source`; insta@3 takes three tasks); ila (coverage and depth under "
            "--model, no queries).",
        ),
    ] = "round_robin",
    budget: Annotated[int, typer.Option("--budget", "-B", help="How many examples.")] = 500,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-M",
            help="Language model (rds, less, ila) or sentence embedder (embed, insta): a known name, "
            "a folder or a Hub name. Default: the profile's.",
        ),
    ] = None,
    features: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--features",
            metavar="POOL.npy QUERIES.npy",
            help="Features that you have already, one row per line of each file, instead of --representation.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="For what draws: random, insta, ila.", min=0)] = 0,
    profile: ProfileName = "classroom",
) -> None:
    """Select examples from your own pool for your own task: a subset, a table of the picks, and a report."""
    from tis_utils.paths import check_jsonl

    check_jsonl(pool)
    if queries:
        check_jsonl(queries)
    from tis_utils.own_data.select import outputs, save, select_files  # imports torch: only now
    from tis_utils.profiles import load_profile

    outputs(pool, queries, output)
    reads = "embedder" if representation == "embed" and not selector.startswith("ila") else "model"
    settings = load_profile(profile, **{reads: model})
    result = select_files(
        pool,
        queries,
        representation=representation,
        selector=selector,
        budget=budget,
        settings=settings,
        seed=seed,
        features=features,
    )
    for what, path in save(result, pool, output).items():
        typer.echo(f"{what}: {path}")


@app.command()
def doctor(profile: ProfileName = "classroom") -> None:
    """Say what is installed, what is missing, and what each profile needs."""
    from tis_utils.book import doctor as health

    report = health.examine(profile)
    typer.echo(report.text)
    raise typer.Exit(0 if report.healthy else 1)


def join_pairs(arguments: list[str]) -> list[str]:
    """Turn ``-p NAME VALUE`` into ``-p NAME=VALUE``, which the option parser understands."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word in ("-p", "--parameter") and rest:
            name = rest.pop(0)
            joined.append(name if "=" in name or not rest else f"{name}={rest.pop(0)}")
    return joined


def main() -> None:
    """Entry point: errors meant for the user become one paragraph and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "…" or "≤" is no reason to stop
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if cache := os.environ.get("TIS_CACHE"):
        os.environ["TIS_CACHE"] = str(Path(cache).absolute())  # notebooks run in a folder of their own
    try:
        app(join_pairs(sys.argv[1:]))
    except TisError as error:
        if _debug:
            raise
        typer.secho(f"tis: {error}", err=True, fg="red" if sys.stderr.isatty() else None)
        sys.exit(error.exit_code)
    except Exception as error:
        if _debug:
            raise
        if ceiling.is_exhausted(error):
            typer.echo(
                "tis: not enough memory, here or below --memory. Finished work is kept. Take a smaller pool, budget or "
                "model, fewer --jobs, or allow more memory.",
                err=True,
            )
            sys.exit(1)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        typer.echo(
            f"tis: stopped by an error that nobody foresaw: {what:.500}. Finished work is kept. Please report it with "
            "what `tis --debug …` prints for the same command.",
            err=True,
        )
        sys.exit(1)
    except SystemExit as stop:
        if stop.code != INTERRUPTED:
            raise
        typer.echo("tis: stopped; finished work is kept and the next run continues from it.", err=True)
        sys.exit(1)
