"""Select from your own data (``tis select``): pool and queries in, a `Selection` out."""

import functools
import logging
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import tis_utils.neighbours  # noqa: F401  makes INSTA and ILA known
from tis_utils.errors import InputError, check_choice
from tis_utils.examples import jsonl
from tis_utils.examples.columns import Columns
from tis_utils.examples.load import Data
from tis_utils.examples.records import Source, tell_apart
from tis_utils.examples.text import Example, Query
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.experiments.subset import CHOOSERS
from tis_utils.own_data import budget as budgets
from tis_utils.own_data.balance import TASK, groups_of, in_turns
from tis_utils.own_data.checks import aloud
from tis_utils.own_data.cost import in_words
from tis_utils.own_data.features import read_features
from tis_utils.own_data.result import Selection
from tis_utils.own_data.settings import settings_for
from tis_utils.own_data.windows import Window, window_of
from tis_utils.paths import same_file
from tis_utils.profiles import Profile
from tis_utils.representations import REPRESENTATIONS
from tis_utils.selectors import SELECTORS
from tis_utils.selectors.wasserstein import w1
from tis_utils.storage.cache import Store

__all__ = ["select_files", "settings_for"]

log = logging.getLogger(__name__)

GIVEN = "given"  # features from files
UNTARGETED = ("random", "ila", "deita")  # selectors that look at no query
W1_LIMIT = 5_000  # examples up to which the exact distance is computed (memory grows with examples × queries)
DRAWS = 5  # random subsets that the distance is compared with
Given = str | Path | Source


def select_files(
    pool: Given | Sequence[Given],
    queries: Given | Sequence[Given] | None,
    *,
    representation: str,
    selector: str,
    settings: Profile,
    budget: int | str | None = None,
    tokens: int | str | None = None,
    seed: int = 0,
    store: Store | None = None,
    features: tuple[Path, Path] | None = None,
    columns: str | None = None,
    balance: bool = False,
) -> Selection:
    """Select from a file for the task that another file shows.

    Parameters
    ----------
    pool, queries : path or Source, or several of them
        See :class:`tis_utils.examples.records.Source`. Random and ILA need no queries.
    representation : {"embed", "rds", "less", "lexical"}
    selector : str
        A name of `SELECTORS`, or ``insta``/``ila`` with settings after ``@`` (:mod:`tis_utils.neighbours`).
    settings : Profile
        Models, LESS settings and the longest text; its data are not used.
    budget : int or str
        How many examples, or which share of the pool ("5%").
    tokens : int or str
        In the place of a budget: as many picks as hold at most so many tokens ("200k"), counted on whole chats by the
        tokenizer of the model.
    seed : int
        For what draws: Random, INSTA, ILA.
    store : Store, optional
        Where features are kept for the next selection.
    features : pair of Path, optional
        ``.npy`` files with features of the pool (N, D) and of the queries (M, D), one row per example.
    columns : str, optional
        See :class:`tis_utils.examples.columns.Columns`.
    balance : bool
        Give every task of the queries an equal share of the picks; else all queries are one pool.

    Raises
    ------
    InputError
        For unknown names, unreadable files, missing queries, features that do not fit, or a budget above the pool.
    """
    start = time.perf_counter()
    _check(representation, selector, queries is not None)
    reading, targets = _read(_sources(pool), _sources(queries), columns)
    candidates, examples = reading.items, targets.items
    if (budget is None) == (tokens is None):
        raise InputError("Give either a budget (a number of examples, or a share as in 5%) or a number of tokens.")
    count = len(candidates) if budget is None else budgets.examples(budget, len(candidates))
    study = _study(settings, candidates, examples, store)
    if features:
        if queries is None:
            raise InputError("--features needs --queries: the second file holds one row for each of them.")
        rows = read_features(features, (str(reading.sources[0]), str(targets.sources[0])), (candidates, examples))
        representation = GIVEN
        study.add_features(GIVEN, rows[0], {TASK: rows[1]})
    method = selector.partition("@")[0]
    alone = method == "random" or method in CHOOSERS
    spec = RunSpec(TASK, NONE if alone else representation, selector, count, seed)
    if spec.representation in REPRESENTATIONS and (cost := in_words(study.pool_features(spec.representation))):
        log.warning("%s", cost)
    groups = groups_of(examples) if balance else {}
    if balance and alone:
        raise InputError(f"{method} does not pick by queries, so --balance cannot give each task its share.")
    if tokens is None:
        picks = in_turns(study, spec, groups)
    else:
        sizes = np.array([len(text.ids) for text in study.model.encode(candidates, settings.max_length)])
        limit = budgets.tokens(tokens)
        picks = budgets.within(limit, sizes, lambda count: in_turns(study, replace(spec, budget=count), groups))
        spec = replace(spec, budget=len(picks))
    window = window_of(study, representation, selector)
    result = Selection(
        settings=_facts(reading, targets, representation, spec, settings, window, balance),
        reading=reading,
        targets=targets,
        pool=candidates,
        queries=examples,
        picks=picks,
        cut=window.cut(candidates),
        balanced=len(groups) > 1,
    )
    if columns:
        result.settings["columns"] = columns
    if tokens is not None:
        amount = f"{int(sizes[picks].sum()):,} tokens of at most {limit:,}, whole chats as {settings.model} counts them"
        result.settings["budget"] = f"{len(picks)} examples ({amount})"
    if "tasks" in result.settings:
        log.warning("Tasks of the queries: %s.", result.settings["tasks"])
    if examples:
        _compare(result, study, representation, spec, groups)
    for sentence in aloud(result):
        log.warning("%s", sentence)
    result.seconds = time.perf_counter() - start
    return result


def _sources(given: Given | Sequence[Given] | None) -> list[Source]:
    several = [given] if isinstance(given, str | Path | Source) else list(given or ())
    return [item if isinstance(item, Source) else Source(item) for item in several]


def _check(representation: str, selector: str, targeted: bool) -> None:
    method = selector.partition("@")[0]
    check_choice("selector", method if method in CHOOSERS else selector, (*SELECTORS, *CHOOSERS))
    check_choice("representation", representation, REPRESENTATIONS)
    if not targeted and method not in UNTARGETED:
        raise InputError(
            f"{selector} selects for a task, so it needs --queries: a file with some examples of the task, the "
            f"wanted answers included. These do without: {', '.join(UNTARGETED)}."
        )


def _read(
    pool: list[Source], queries: list[Source], columns: str | None
) -> tuple[jsonl.Reading[Example], jsonl.Reading[Query]]:
    names = Columns(columns)
    for i, a in enumerate([*pool, *queries]):
        for b in [*pool, *queries][:i]:
            if a.given == b.given or (a.path.exists() and b.path.exists() and same_file(a.path, b.path)):
                raise InputError(
                    f"--pool and --queries name {a} twice: every candidate would be its own nearest "
                    "query, or a repetition of itself. Give --queries other examples of your task."
                )
    tell_apart([*pool, *queries])
    reading, targets = jsonl.read_pool(pool, names), jsonl.read_targets(queries, names)
    names.check()
    jsonl.check_answers(" and ".join(map(str, pool)), reading.items)
    if queries:
        jsonl.check_answers(" and ".join(map(str, queries)), targets.items)
    return reading, targets


def _study(settings: Profile, pool: list[Example], queries: list[Query], store: Store | None) -> Study:
    """A study of these data; a candidate's task, which INSTA asks for, is its source unless it says otherwise."""
    candidates = [replace(e, meta={"family": e.source, **e.meta}) for e in pool]
    data = Data(candidates, {TASK: [replace(q, task=TASK) for q in queries]}, {TASK: []})
    study = Study(settings.model_copy(update={"name": "select", "tasks": (TASK,)}), store, data=data, live=True)
    study.__dict__["representation"] = functools.cache(study.representation)  # loaded once
    return study


def _facts(
    reading: jsonl.Reading[Example],
    targets: jsonl.Reading[Query],
    representation: str,
    spec: RunSpec,
    settings: Profile,
    window: Window,
    balance: bool,
) -> dict[str, object]:
    tasks = Counter(query.task for query in targets.items)
    how = "each has an equal share of the picks" if balance else "pooled, every query counts the same (see --balance)"
    listed = ", ".join(f"{name} ({count} queries)" for name, count in tasks.items())
    return {
        "pool": ", ".join(reading.names),
        "queries": ", ".join(targets.names) or "none",
        **({"tasks": f"{listed}; {how}"} if len(tasks) > 1 else {}),
        "representation": window.features,
        "selector": spec.selector,
        "budget": spec.budget,
        "model": window.model,
        "longest text": window.words,
        "seed": spec.seed,
        **({"compared with the queries by": representation} if targets.items and spec.representation == NONE else {}),
    }


def _compare(
    result: Selection, study: Study, representation: str, spec: RunSpec, groups: dict[str, np.ndarray]
) -> None:
    """Fill in what other selectors would have taken, and how far all is from the queries; refuse an arbitrary order."""
    candidates, queries = study.features(representation)
    result.S = study.similarity(representation, TASK)
    result.lost = int((~candidates.any(axis=1)).sum())
    equal = np.ptp(result.S, axis=1) == 0  # (M,); a candidate alone is equal to itself
    result.mute = [result.queries[i].id for i in np.flatnonzero(equal & (len(candidates) > 1))]
    if len(result.mute) == len(queries[TASK]) and spec.representation != NONE:
        raise InputError(
            f"No query tells the {len(candidates)} candidates apart ({result.lost} could not be represented), so any "
            "order is arbitrary. Give texts with words and answers, read more of them (--max-length), or choose "
            "another representation."
        )
    for name in SELECTORS:
        other = replace(spec, selector=name, representation=NONE if name == "random" else representation)
        if other != spec:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about methods that nobody asked for
                result.others[name] = in_turns(study, other, groups)
    if spec.budget <= W1_LIMIT:
        targets = queries[TASK]
        result.distance = w1(candidates[result.picks], targets)
        draws = (replace(spec, selector="random", representation=NONE, seed=s) for s in range(DRAWS))
        result.by_chance = [w1(candidates[study.picks(draw)], targets) for draw in draws]
