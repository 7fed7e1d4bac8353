"""Select from your own files: a pool and queries in, a subset, a table and a report out (``tis select``)."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

import tis_utils.neighbours  # noqa: F401  makes INSTA and ILA known
from tis_utils.errors import InputError, check_choice
from tis_utils.examples import jsonl
from tis_utils.examples.load import Data
from tis_utils.examples.text import Example, Query
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.experiments.subset import CHOOSERS
from tis_utils.own_data.features import read_features
from tis_utils.own_data.report import report
from tis_utils.own_data.result import Selection
from tis_utils.paths import check_file, same_file
from tis_utils.profiles import Profile, load_profile
from tis_utils.representations import REPRESENTATIONS
from tis_utils.selectors import SELECTORS
from tis_utils.selectors.wasserstein import w1
from tis_utils.storage.cache import Store
from tis_utils.storage.manifests import write_table

GIVEN = "given"  # features from files
TASK = "target"  # all queries of the file together
UNTARGETED = ("random", "ila")  # selectors that look at no query
W1_LIMIT = 5_000  # examples up to which the exact distance is computed (memory grows with examples × queries)
DRAWS = 5  # random subsets that the distance is compared with


def settings_for(profile: str, representation: str, selector: str, model: str | None) -> Profile:
    """The profile, with `model` in the place of what this selection reads: the embedder or the language model."""
    reads = "embedder" if representation == "embed" and not selector.startswith("ila") else "model"
    return load_profile(profile, **{reads: model})


def select_files(
    pool: Path,
    queries: Path | None,
    *,
    representation: str,
    selector: str,
    budget: int,
    settings: Profile,
    seed: int = 0,
    store: Store | None = None,
    features: tuple[Path, Path] | None = None,
) -> Selection:
    """Select from a file for the task that another file shows.

    Parameters
    ----------
    pool, queries : Path
        JSONL files, see :mod:`tis_utils.examples.jsonl`. Random and ILA need no queries.
    representation : {"embed", "rds", "less", "lexical"}
    selector : str
        A name of `SELECTORS`, or ``insta``/``ila`` with settings after ``@`` (:mod:`tis_utils.neighbours`).
    budget : int
        How many examples.
    settings : Profile
        Models, LESS settings and the longest text; its data are not used.
    seed : int
        For what draws: Random, INSTA, ILA.
    store : Store, optional
        Where features are kept for the next selection.
    features : pair of Path, optional
        ``.npy`` files with features of the pool (N, D) and of the queries (M, D), one row per line.

    Raises
    ------
    InputError
        For unknown names, unreadable files, missing queries, features that do not fit, or a budget above the pool.
    """
    start = time.perf_counter()
    _check(representation, selector, queries, budget)
    candidates, targets = _read(pool, queries, budget)
    study = _study(settings, candidates, targets, store)
    if features:
        if queries is None:
            raise InputError("--features needs --queries: the second file holds one row for each of them.")
        rows = read_features(features, (pool, queries), (len(candidates), len(targets)))
        representation = GIVEN
        study.add_features(GIVEN, rows[0], {TASK: rows[1]})
    method = selector.partition("@")[0]
    alone = method == "random" or method in CHOOSERS
    spec = RunSpec(TASK, NONE if alone else representation, selector, budget, seed)
    result = Selection(
        settings=_facts(pool, queries, representation, spec, settings),
        pool=candidates,
        queries=targets,
        formats={path.name: jsonl.count_formats(path) for path in (pool, queries) if path},
        picks=study.picks(spec),
    )
    if targets:
        _compare(result, study, representation, spec)
    result.seconds = time.perf_counter() - start
    return result


def _check(representation: str, selector: str, queries: Path | None, budget: int) -> None:
    method = selector.partition("@")[0]
    check_choice("selector", method if method in CHOOSERS else selector, (*SELECTORS, *CHOOSERS))
    check_choice("representation", representation, REPRESENTATIONS)
    if queries is None and method not in UNTARGETED:
        raise InputError(
            f"{selector} selects for a task, so it needs --queries: a JSONL file with some examples of the task, the "
            f"wanted answers included. Only {' and '.join(UNTARGETED)} do without."
        )
    if budget < 1:
        raise InputError(f"The budget must be a positive number of examples; got {budget}.")


def _read(pool: Path, queries: Path | None, budget: int) -> tuple[list[Example], list[Query]]:
    if queries and pool.exists() and queries.exists() and same_file(pool, queries):
        raise InputError(
            f"--pool and --queries are the same file, {queries}: every candidate would be its own nearest query. Give "
            "--queries a file with other examples of your task."
        )
    candidates = jsonl.read_examples(pool)
    targets = jsonl.read_queries(queries) if queries else []
    jsonl.check_answers(pool, candidates)
    if queries:
        jsonl.check_answers(queries, targets)
    if budget > len(candidates):
        count = f"{len(candidates)} example{'s' * (len(candidates) != 1)}"
        raise InputError(f"Budget {budget} is larger than the pool: {pool} holds {count}. Lower --budget.")
    return candidates, targets


def _study(settings: Profile, pool: list[Example], queries: list[Query], store: Store | None) -> Study:
    """A study of these data; a candidate's task, which INSTA asks for, is its source unless it says otherwise."""
    candidates = [replace(e, meta={"family": e.source, **e.meta}) for e in pool]
    data = Data(candidates, {TASK: [replace(q, task=TASK) for q in queries]}, {TASK: []})
    return Study(settings.model_copy(update={"name": "select", "tasks": (TASK,)}), store, data=data, live=True)


def _facts(
    pool: Path, queries: Path | None, representation: str, spec: RunSpec, settings: Profile
) -> dict[str, object]:
    models = {"embed": settings.embedder, "lexical": "none (words are compared)", GIVEN: "none (features from files)"}
    return {
        "pool": pool.name,
        "queries": queries.name if queries else "none",
        "representation": representation,
        "selector": spec.selector,
        "budget": spec.budget,
        "model": models.get(representation, settings.model),
        "longest text": f"{settings.max_length} tokens",
        "seed": spec.seed,
    }


def _compare(result: Selection, study: Study, representation: str, spec: RunSpec) -> None:
    """Fill in what other selectors would have taken, and how far all is from the queries."""
    candidates, queries = study.features(representation)
    result.S = study.similarity(representation, TASK)
    result.lost = int((~candidates.any(axis=1)).sum())
    result.mute = [result.queries[i].id for i in np.flatnonzero(~queries[TASK].any(axis=1))]
    for name in SELECTORS:
        other = replace(spec, selector=name, representation=NONE if name == "random" else representation)
        if other != spec:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about methods that nobody asked for
                result.others[name] = study.picks(other)
    if spec.budget <= W1_LIMIT:
        targets = queries[TASK]
        result.distance = w1(candidates[result.picks], targets)
        draws = (replace(spec, selector="random", representation=NONE, seed=s) for s in range(DRAWS))
        result.by_chance = [w1(candidates[study.picks(draw)], targets) for draw in draws]


def save(result: Selection, pool: Path, output: Path) -> dict[str, Path]:
    """Write the subset (lines of the pool as they are, best first) and beside it a table and a report.

    Raises
    ------
    InputError
        If the subset would replace the pool.
    RunError
        If a file cannot be written.
    """
    paths = outputs(pool, None, output)
    jsonl.copy_lines(pool, output, result.picks.tolist())
    write_table(paths["table"], result.table())
    report(result, paths["report"])
    return paths


def outputs(pool: Path, queries: Path | None, output: Path) -> dict[str, Path]:
    """The files that :func:`save` writes; an InputError where one could not be written or would replace another."""
    if output.suffix in (".csv", ".html"):
        raise InputError(
            f"{output} is the name of the table or the report that are written beside the subset. Give --output a name "
            "that ends in .jsonl."
        )
    paths = {"subset": output, "table": output.with_suffix(".csv"), "report": output.with_suffix(".html")}
    for what, path in paths.items():
        check_file(path)
        if what != "subset" and path.exists() and not output.exists():
            raise InputError(
                f"The {what} would replace {path}, which does not belong to an earlier {output.name}. Choose another "
                "name after --output."
            )
        for role, given in (("pool", pool), ("queries", queries)):
            if given is not None and same_file(path, given):
                raise InputError(f"The {what} would replace the {role} {given}: choose another name after --output.")
    return paths
