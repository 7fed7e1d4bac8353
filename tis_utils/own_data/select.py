"""Select from your own files: a pool and queries in, a subset and the facts for a report out (``tis select``)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

import tis_utils.neighbours  # noqa: F401  makes INSTA and ILA known
from tis_utils.errors import InputError
from tis_utils.examples import jsonl as files
from tis_utils.examples.load import Data
from tis_utils.examples.text import Example, Query
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.experiments.subset import CHOOSERS
from tis_utils.paths import check_file, same_file
from tis_utils.profiles import Profile
from tis_utils.selectors import SELECTORS
from tis_utils.selectors.wasserstein import w1
from tis_utils.storage.cache import Store
from tis_utils.storage.manifests import write_table
from tis_utils.storage.stored_results import unit_rows

GIVEN = "given"  # features from files
TASK = "target"  # all queries of the file together
UNTARGETED = ("random", "ila")  # selectors that look at no query
REPRESENTATIONS = ("embed", "rds", "less")
W1_LIMIT = 5_000  # examples up to which the exact distance is computed (memory grows with examples × queries)
DRAWS = 5  # random subsets that the distance is compared with


@dataclass
class Selection:
    """What was selected, and everything a report says of it.

    Attributes
    ----------
    pool, queries
        As read; `formats` counts the formats of their lines.
    picks : ndarray, int64 of shape (B,)
        Places in the pool, best first.
    S : ndarray, float32 of shape (M, N), or None
        Similarity of every query with every candidate; None where there are no queries.
    others : dict of str to ndarray
        What the other selectors would have picked from the same similarities.
    distance : float
        W1 between subset and queries; NaN where there are no queries or too many examples.
    by_chance : list of float
        W1 between random subsets and queries.
    seconds : float
        Wall time of features and selection.
    """

    settings: dict[str, object]
    pool: list[Example]
    queries: list[Query]
    formats: dict[str, dict[str, int]]
    picks: np.ndarray
    S: np.ndarray | None = None
    lost: int = 0
    others: dict[str, np.ndarray] = field(default_factory=dict)
    distance: float = float("nan")
    by_chance: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def table(self) -> pd.DataFrame:
        """One row per pick: rank, place in the pool (from 1), id, source, nearest query and similarity to it.

        Round-robin also says for which query: they take turns, so pick k was made for query k modulo M.
        """
        chosen = [self.pool[i] for i in self.picks]
        rows = pd.DataFrame(
            {
                "rank": np.arange(1, len(chosen) + 1),
                "place": self.picks + 1,
                "id": [example.id for example in chosen],
                "source": [example.source for example in chosen],
            }
        )
        if self.S is None:
            return rows
        if self.settings["selector"] == "round_robin":
            rows["picked_for"] = [self.queries[k % len(self.queries)].id for k in range(len(chosen))]
        near = self.S[:, self.picks].argmax(axis=0)
        similarity = self.S[near, self.picks].round(4)
        return rows.assign(nearest_query=[self.queries[i].id for i in near], similarity=similarity)


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
    """Select examples of a JSONL pool for the task that the queries of another file show.

    Parameters
    ----------
    pool, queries : Path
        JSONL files, see :mod:`tis_utils.examples.jsonl`. Random and ILA need no queries.
    representation : {"embed", "rds", "less"}
    selector : str
        A name of `SELECTORS`, or ``insta``/``ila`` with settings after ``@`` (:mod:`tis_utils.neighbours`).
    budget : int
        How many examples.
    settings : Profile
        Models, LESS settings and the longest text; its data are not used.
    seed : int
        For what draws: Random, INSTA, ILA.
    store : Store, optional
        Where features are kept: a second selection from the same files computes none.
    features : pair of Path, optional
        ``.npy`` files with features of the pool (N, D) and of the queries (M, D), one row per line: no model is
        asked then.

    Raises
    ------
    InputError
        For unknown names, unreadable files, missing queries, features that do not fit, or a budget that the pool
        cannot fill.
    """
    start = time.perf_counter()
    _check(representation, selector, queries, budget)
    if queries and pool.exists() and queries.exists() and same_file(pool, queries):
        raise InputError(
            f"--pool and --queries are the same file, {queries}: every candidate would be its own nearest query. Give "
            "--queries a file with other examples of your task."
        )
    candidates = files.read_examples(pool)
    wanted = files.read_queries(queries) if queries else []
    files.check_answers(pool, candidates)
    if queries:
        files.check_answers(queries, wanted)
    if budget > len(candidates):
        count = f"{len(candidates)} example{'s' * (len(candidates) != 1)}"
        raise InputError(f"Budget {budget} is larger than the pool: {pool} holds {count}. Lower --budget.")
    study = _study(settings, candidates, wanted, store)
    if features:
        if queries is None:
            raise InputError("--features needs --queries: the second file holds one row for each of them.")
        representation = GIVEN
        study.add_features(GIVEN, *_given(features, (pool, len(candidates)), (queries, len(wanted))))
    plain = selector.partition("@")[0]
    alone = plain == "random" or plain in CHOOSERS
    cell = RunSpec(TASK, NONE if alone else representation, selector, budget, seed)
    result = Selection(
        settings=_told(pool, queries, representation, selector, budget, seed, settings),
        pool=candidates,
        queries=wanted,
        formats={path.name: files.formats(path) for path in (pool, queries) if path},
        picks=study.picks(cell),
    )
    if wanted:
        _compare(result, study, representation, cell)
    result.seconds = time.perf_counter() - start
    return result


def _check(representation: str, selector: str, queries: Path | None, budget: int) -> None:
    known = (*SELECTORS, *CHOOSERS)
    plain = selector.partition("@")[0]
    if plain not in known or ("@" in selector and plain not in CHOOSERS):
        raise InputError(f"There is no selector {selector!r}. Known selectors: {', '.join(known)}.")
    if representation not in REPRESENTATIONS:
        raise InputError(f"There is no representation {representation!r}; known: {', '.join(REPRESENTATIONS)}.")
    if queries is None and plain not in UNTARGETED:
        raise InputError(
            f"{selector} selects for a task, so it needs --queries: a JSONL file with some examples of the task, the "
            f"wanted answers included. Only {' and '.join(UNTARGETED)} do without."
        )
    if budget < 1:
        raise InputError(f"The budget must be a positive number of examples; got {budget}.")


def _study(settings: Profile, pool: list[Example], queries: list[Query], store: Store | None) -> Study:
    """A study of these data; a candidate's task, which INSTA asks for, is its source unless it says otherwise."""
    told = [replace(e, meta={"family": e.source, **e.meta}) for e in pool]
    study = Study(settings.model_copy(update={"name": "select", "tasks": (TASK,)}), store, live=True)
    study.data = Data(told, {TASK: [replace(q, task=TASK) for q in queries]}, {TASK: []})  # type: ignore[misc]
    return study


def _given(
    features: tuple[Path, Path], pool: tuple[Path, int], queries: tuple[Path | None, int]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Unit rows of the pool and of the queries from files."""
    a, b = _rows(features[0], *pool), _rows(features[1], *queries)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"The rows of {features[0]} have {a.shape[1]} numbers, those of {features[1]} have {b.shape[1]}. Both must "
            "come from one representation."
        )
    return a, {TASK: b}


def _rows(path: Path, texts: Path | None, count: int) -> np.ndarray:
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"The features {path} cannot be read ({error}). Save a matrix of numbers with numpy.save."
        ) from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f":
        raise InputError(f"The features {path} must be one matrix of floating-point numbers (.npy).")
    if len(rows) != count:
        raise InputError(f"{path} has {len(rows)} rows, {texts} has {count} examples. Give one row per example.")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).argmax())
        raise InputError(f"Row {bad + 1} of {path} holds NaN or infinity. Compute it again.")
    return unit_rows(rows)


def _told(
    pool: Path, queries: Path | None, representation: str, selector: str, budget: int, seed: int, settings: Profile
) -> dict[str, object]:
    models = {"embed": settings.embedder, GIVEN: "none (features from files)"}
    model = models.get(representation, settings.model)
    return {
        "pool": pool.name,
        "queries": queries.name if queries else "none",
        "representation": representation,
        "selector": selector,
        "budget": budget,
        "model": model,
        "longest text": f"{settings.max_length} tokens",
        "seed": seed,
    }


def _compare(result: Selection, study: Study, representation: str, cell: RunSpec) -> None:
    """Fill in what the other selectors would have taken, and how far all is from the queries."""
    candidates, queries = study.features(representation)
    result.S = study.similarity(representation, TASK)
    result.lost = int((~candidates.any(axis=1)).sum())
    for name in SELECTORS:
        other = replace(cell, selector=name, representation=NONE if name == "random" else representation)
        if other != cell:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about methods that nobody asked for
                result.others[name] = study.picks(other)
    if cell.budget <= W1_LIMIT:
        targets = queries[TASK]
        result.distance = w1(candidates[result.picks], targets)
        draws = (replace(cell, selector="random", representation=NONE, seed=s) for s in range(DRAWS))
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
    from tis_utils.own_data.report import report

    paths = outputs(pool, None, output)
    files.copy_lines(pool, output, result.picks.tolist())
    write_table(paths["table"], result.table())
    report(result, paths["report"])
    return paths


def outputs(pool: Path, queries: Path | None, output: Path) -> dict[str, Path]:
    """Check the files that :func:`save` will write; ``tis select`` asks before it computes anything.

    Raises
    ------
    InputError
        If one would replace the pool, the queries or another one, or could not be written.
    """
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


def overlap(a: Sequence[int] | np.ndarray, b: Sequence[int] | np.ndarray) -> float:
    """Share of `a` that is in `b` too."""
    return len(np.intersect1d(a, b)) / len(a)
