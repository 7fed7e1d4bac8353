"""The command line; exit codes: 0 fine, 1 the run failed, 2 the command was misused.

A command imports what it needs when it runs: PyTorch takes seconds, and ``tis --help`` must not.
"""

import io
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from tis_utils import paths
from tis_utils.book import commands, limits
from tis_utils.book.arguments import join_pairs
from tis_utils.book.commands import Engine, ProfileName
from tis_utils.errors import TisError, check_choice, in_words
from tis_utils.own_data.commands import Text, Texts, compare

app = typer.Typer(
    name="tis",
    help="Targeted instruction selection: build the book, re-run its notebooks, check this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_debug = False
DEFAULT_BUDGET, INTERRUPTED = 500, 130  # examples that `tis select` takes; typer's exit code for Ctrl-C


@app.callback()
def _options(
    debug: Annotated[bool, Option("--debug", help="Show Python tracebacks instead of short messages.")] = False,
    memory: Annotated[float | None, Option(metavar="GIB", help="Stop a process that needs more.")] = None,
) -> None:
    global _debug
    _debug = debug
    if memory is not None:
        limits.limit(memory)


for _command in (commands.book, commands.pdf, commands.run, commands.sweep, commands.student, commands.grade):
    app.command()(_command)


@app.command()
def represent(
    profile: ProfileName = "classroom",
    representation: Annotated[
        Texts, Option("--representation", "-R", help="embed, rds, less, lexical; repeatable. Default: all.")
    ] = None,
    shard: Annotated[Text, Option(metavar="I/N", help="Only part I of N (0/N … N-1/N), for job arrays.")] = None,
    ship: Annotated[bool, Option("--ship", help="Also store them, compactly, in data/results/<profile>.")] = False,
) -> None:
    """Compute the features of a profile's pool and queries: resumable, alone or as a job array.

    Run `--shard 0/4` … `--shard 3/4` anywhere the cache (TIS_CACHE) is shared, then once without `--shard`: that
    joins the shards, adds the queries, and computes what is missing.
    """
    from tis_utils.experiments.study import Study
    from tis_utils.profiles import load_profile
    from tis_utils.representations import pool_features
    from tis_utils.storage.parallel import parse_share

    share = parse_share(shard, ship)
    study = Study(load_profile(profile))
    for name in representation or study.profile.representations:
        job = study.pool_features(name)
        typer.echo(pool_features.represent(job, share, study.profile.name if ship else ""))


@app.command()
def grid(
    name: Annotated[str, Argument(help="quantiles, focus, budgets, cross, insta, ila …; a wrong name lists all.")],
    profile: ProfileName = "classroom",
    task: Annotated[Texts, Option("--task", "-t", help="Only this task; repeatable. Default: all.")] = None,
    jobs: Annotated[int | None, Option("--jobs", "-j", min=1, help="Worker processes; default one per core.")] = None,
    engine: Engine = "loky",
    shard: Annotated[Text, Option(metavar="I/N", help="Only part I of N of the runs, one part per GPU.")] = None,
    output: Annotated[Path | None, Option("--output", "-o", help="CSV file for the rows, or for the plan.")] = None,
    ship: Annotated[bool, Option("--ship", help="Also store the rows in data/results/<profile>.")] = False,
    run_code: Annotated[bool, Option("--run-code", help="pass@k may run the model's programs (container!).")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Run nothing; list jobs, hours and disk.")] = False,
) -> None:
    """Fine-tune and evaluate every run of one experiment; finished runs are kept, a stopped grid continues.

    Four GPUs: `CUDA_VISIBLE_DEVICES=0 tis grid … --shard 0/4` to `3/4`, then once without `--shard` for the table.
    """
    from tis_utils.experiments import cost_estimate, grids
    from tis_utils.profiles import load_profile
    from tis_utils.storage.parallel import ENGINES, parse_share

    settings = load_profile(profile)
    specs = grids.specs_of(name, settings, task or (), parse_share(shard, ship) or (0, 1))
    if output:
        paths.check_file(output)
    if dry_run:
        typer.echo(cost_estimate.report(settings, specs, output))
        return
    import tis_utils.neighbours  # noqa: F401  makes INSTA, ILA and their rivals known
    from tis_utils.experiments import reproduce
    from tis_utils.experiments.study import Study
    from tis_utils.models import permission
    from tis_utils.storage.manifests import write_table

    check_choice("engine", engine, ENGINES)
    if run_code:
        permission.allow()
    study = Study(settings, live=ship)
    rows = study.run(specs, jobs=jobs, engine=engine)
    diverged = rows.loc[rows["status"] == "diverged", "metric"].count()
    typer.echo(f"{name}: {len(specs)} runs, {len(rows)} numbers, {diverged} of them from runs that diverged.")
    if output:
        write_table(output, rows)
        typer.echo(f"The rows are in {output}")
    if ship:
        typer.echo(f"Stored in {reproduce.keep(study, name, specs)}")


@app.command()
def measure(
    name: Annotated[
        str,
        Argument(
            help="pool_sources (chapter 01), less_variants (02), transfer (12), ila_subsets, ila_pools, languages, "
            "maths (13), repeatability (status)."
        ),
    ],
    profile: ProfileName = "classroom",
) -> None:
    """Measure a table that is no grid of runs and store it in data/results/<profile>; a stopped one continues."""
    from tis_utils.evidence import pool_sources
    from tis_utils.experiments import less_variants, repeatability
    from tis_utils.experiments.study import Study
    from tis_utils.neighbours import many_targets
    from tis_utils.neighbours.ila import designed_subsets, languages
    from tis_utils.neighbours.insta import transfer
    from tis_utils.profiles import load_profile

    tables: dict[str, Any] = {"less_variants": less_variants, "transfer": transfer, "ila_subsets": designed_subsets}
    tables |= {"languages": languages, "repeatability": repeatability, "pool_sources": pool_sources}
    tables |= {table.name: table for table in (many_targets.POOLS, many_targets.MATHS)}
    check_choice("table", name, tables)
    typer.echo(f"Stored in {tables[name].keep(Study(load_profile(profile), live=True))}")


@app.command()
def select(
    pool: Annotated[
        list[str],
        Option(
            help="Candidates: a file (JSON lines or array, CSV, Parquet, Arrow; gz, bz2, xz, zst), a folder of "
            "`datasets`, a name on the Hub, or - for standard input; repeatable."
        ),
    ],
    output: Annotated[
        Path,
        Option(
            "--output", "-o", help="The subset: .jsonl, .jsonl.gz, .json or .parquet; table and report go beside it."
        ),
    ],
    queries: Annotated[
        Texts, Option(help="Examples of your task, as --pool; repeatable. random, ila, deita need none.")
    ] = None,
    representation: Annotated[str, Option("--representation", "-R", help="embed, rds, less or lexical.")] = "embed",
    selector: Annotated[
        str,
        Option(
            "--selector",
            "-S",
            help="random, round_robin, doubly_greedy, knn_uniform, knn_kde, uot; insta (whole tasks: give candidates "
            "a `family` or `source`; insta@3 takes three); ila (coverage and depth under --model).",
        ),
    ] = "round_robin",
    budget: Annotated[
        Text, Option("--budget", "-B", help="How many examples, or which share of the pool: 5%. Default: 500.")
    ] = None,
    tokens: Annotated[
        Text, Option(help="Instead of --budget: as many picks as hold so many tokens of the model: 200k, 1.5M.")
    ] = None,
    columns: Annotated[
        Text,
        Option(metavar="OURS=YOURS,…", help="Your names of keys: prompt=question,response=answer; or a YAML file."),
    ] = None,
    balance: Annotated[
        bool, Option("--balance/--pooled", help="Give every task of the queries an equal share, or pool all queries.")
    ] = False,
    model: Annotated[
        Text,
        Option("--model", "-M", help="Model (rds, less, ila) or embedder (embed, insta): name, folder or Hub name."),
    ] = None,
    features: Annotated[
        tuple[Path, Path] | None,
        Option(metavar="POOL.npy QUERIES.npy", help="Features of your own, one row per line of each file."),
    ] = None,
    max_length: Annotated[
        int | None, Option(min=1, help="Longest text in tokens (rds, less, ila). Default: 2048.")
    ] = None,
    dtype: Annotated[Text, Option(help="Weights of the model: float32 or bfloat16.")] = None,
    batch_tokens: Annotated[
        int | None, Option(min=1, help="Rows × tokens at a time: lower where memory is short.")
    ] = None,
    chat_template: Annotated[
        Text, Option(help="How rds and less write chats: tulu (<|user|> …), or model, the model's own template.")
    ] = None,
    embed_prompt: Annotated[
        Text, Option(help="In front of queries for embed: a text, or the name of one that the embedder knows.")
    ] = None,
    less: Annotated[
        Texts,
        Option(
            metavar="KEY=VALUE", help="A setting of LESS (--less rank=16 or --less.rank 16), or a YAML; repeatable."
        ),
    ] = None,
    seed: Annotated[int, Option(help="For what draws: random, insta, ila.", min=0)] = 0,
    profile: Annotated[
        Text, Option("--profile", "-P", help="Settings from a profile or .yaml file. Default: smollm2's models.")
    ] = None,
) -> None:
    """Select examples from your own pool for your own task: a subset, a table of the picks, and a report."""
    from tis_utils.examples.records import Source
    from tis_utils.own_data.output import outputs, save
    from tis_utils.own_data.select import select_files
    from tis_utils.own_data.settings import settings_for

    sources = {"pool": [Source(each) for each in pool], "queries": [Source(each) for each in queries or ()]}
    outputs(sources, output)
    options = {"max_length": max_length, "dtype": dtype, "batch_tokens": batch_tokens}
    options |= {"chat_template": chat_template, "embed_prompt": embed_prompt}
    result = select_files(
        sources["pool"],
        sources["queries"] or None,
        representation=representation,
        selector=selector,
        budget=DEFAULT_BUDGET if budget is None and tokens is None else budget,
        tokens=tokens,
        settings=settings_for(profile, representation, selector, model, less=less or (), **options),
        seed=seed,
        features=features,
        columns=columns,
        balance=balance,
    )
    for what, path in save(result, output).items():
        typer.echo(f"{what}: {path}")


app.command()(compare)


@app.command()
def doctor(profile: ProfileName = "classroom") -> None:
    """Say what is installed, what is missing, and what each profile needs."""
    from tis_utils.book.doctor import examine

    report = examine(profile)
    typer.echo(report.text)
    raise typer.Exit(0 if report.healthy else 1)


def main() -> None:
    """Entry point: errors meant for the user become one paragraph and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "…" or "≤" is no reason to stop
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    warnings.formatwarning = lambda message, *_, **__: f"{message}\n"  # the place in our code helps nobody
    if cache := os.environ.get("TIS_CACHE"):
        os.environ["TIS_CACHE"] = str(Path(cache).absolute())  # notebooks run in a folder of their own
    try:
        app(join_pairs(dotted(sys.argv[1:])))
    except Exception as error:
        limits.lift()
        if _debug:
            raise
        _stop(in_words(error), error.exit_code if isinstance(error, TisError) else 1)
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        _stop("stopped; finished work is kept and the next run continues from it.", 1)


def dotted(arguments: list[str]) -> list[str]:
    """Turn ``--less.rank 16`` into ``--less rank=16``."""
    words: list[str] = []
    for word in arguments:
        if words and (key := words[-1]).startswith("--less."):
            words[-1:] = ["--less", f"{key.removeprefix('--less.')}={word}"]
        else:
            words.append(word)
    return words


def _stop(message: str, code: int) -> None:
    typer.secho(f"tis: {message}", err=True, fg="red" if sys.stderr.isatty() else None)
    sys.exit(code)
