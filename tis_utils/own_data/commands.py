"""The command ``tis compare``, which :mod:`tis_utils.cli` registers."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

Files = list[str]
Text = str | None
Texts = list[str] | None


def compare(
    pool: Annotated[Files, Option(help="Candidates, as for `tis select`; repeatable.")],
    queries: Annotated[Files, Option(help="Examples of your task, which the methods see; repeatable.")],
    test: Annotated[Files, Option(help="Other examples of your task, on which losses are measured; repeatable.")],
    methods: Annotated[
        str, Option(metavar="M1,M2", help="REPRESENTATION/SELECTOR (less/uot), a selector (on EMBED), insta, ila.")
    ] = "embed/round_robin",
    budget: Annotated[str, Option("--budget", "-B", help="Examples in each subset, or a share: 5%.")] = "64",
    model: Annotated[
        Text, Option("--model", "-M", help="What is fine-tuned and read by rds, less, ila; default: the profile's.")
    ] = None,
    draws: Annotated[int, Option(help="Random subsets to compare with, two or more.")] = 3,
    seeds: Annotated[int, Option(help="Fine-tuning runs of each method.", min=1)] = 1,
    columns: Annotated[Text, Option(metavar="OURS=YOURS,…", help="Your names of keys, as for `tis select`.")] = None,
    output: Annotated[
        Path | None,
        Option("--output", "-o", help="The first method's subset, with a table of picks and a report of it all."),
    ] = None,
    jobs: Annotated[int | None, Option("--jobs", "-j", min=1, help="Runs at once; default one per core.")] = None,
    profile: Annotated[
        str, Option("--profile", "-P", help="Decides model, training and longest text: a name or a .yaml file.")
    ] = "smollm2",
) -> None:
    """Does a selection help? Fine-tune on it, on random subsets and not at all, and compare held-out losses.

    Finished runs are kept: a stopped comparison continues, and more draws, seeds or methods add to it.
    """
    from tis_utils.examples.records import Source
    from tis_utils.own_data import compare as comparison
    from tis_utils.own_data.output import outputs, save
    from tis_utils.own_data.select import select_files
    from tis_utils.profiles import load_profile

    candidates, targets, held_out = ([Source(name) for name in given] for given in (pool, queries, test))
    if output:
        outputs({"pool": candidates, "queries": targets, "test": held_out}, output)
    names, settings = [name.strip() for name in methods.split(",") if name.strip()], load_profile(profile, model=model)
    files: dict[str, Any] = {"budget": budget, "settings": settings, "columns": columns}
    result = comparison.compare_files(
        candidates, targets, held_out, methods=names, draws=draws, seeds=seeds, jobs=jobs, **files
    )
    typer.echo(result.text)
    if output:
        representation, selector = comparison.parts(names[0])
        representation = "embed" if representation == comparison.NONE else representation
        chosen = select_files(candidates, targets, representation=representation, selector=selector, **files)
        chosen.comparison = result
        for what, path in save(chosen, output).items():
            typer.echo(f"{what}: {path}")
