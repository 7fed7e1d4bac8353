"""Scenes of the playground: one pool, its query sets and representations, and what every selector picks there."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.book.playground.maps import Numbers, coverage, facing, faithfulness, flatten, pack
from tis_utils.errors import InputError, check_choice
from tis_utils.labels import in_order, label
from tis_utils.plots.theme import CATEGORIES, fills
from tis_utils.selectors import SELECTORS, select
from tis_utils.selectors.similarity import similarity
from tis_utils.selectors.wasserstein import w1

MOST_KINDS = 6  # the page gives each a shape, too
GREY = CATEGORIES[7][0]
Methods = Mapping[str, Mapping[str, Any]]
Placed = tuple[Numbers, dict[str, Numbers], float | None]
SIX: Methods = {name: {} for name in SELECTORS}

Scene = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """One representation of a pool and of its query sets.

    Parameters
    ----------
    candidates : ndarray, shape (N, D)
        Unit rows (or rows of zeros).
    queries : mapping of task to ndarray, shape (M, D)
        Unit rows.
    positions : tuple of (N, 2) ndarray and mapping of task to (M, 2) ndarray, optional
        Where candidates and queries lie on the map; by default ``flatten`` places them.
    """

    candidates: NDArray[Any]
    queries: Mapping[str, NDArray[Any]]
    positions: tuple[NDArray[Any], Mapping[str, NDArray[Any]]] | None = None

    def placed(self) -> Placed:
        """Positions, and the share of the variance they show (None for positions that were given)."""
        if self.positions is None:
            return flatten(self.candidates, self.queries)
        candidates, queries = self.positions
        return np.asarray(candidates, float), {t: np.asarray(q, float) for t, q in queries.items()}, None


@dataclass(frozen=True)
class Texts:
    """What a reader may read about a pool; no selector sees any of it.

    Parameters
    ----------
    candidates : sequence of str, length N
        Short texts.
    sources : sequence of str, length N
    kinds : mapping of task to sequence of str, length N
        What each candidate is to a task; at most six kinds over all tasks, and one more that is plain.
    queries : mapping of task to sequence of str, length M
    plain : str
        The kind that is drawn grey.
    """

    candidates: Sequence[str]
    sources: Sequence[str]
    kinds: Mapping[str, Sequence[str]]
    queries: Mapping[str, Sequence[str]]
    plain: str = "filler"


def scene(
    name: str,
    title: str,
    spaces: Mapping[str, Space],
    texts: Texts,
    *,
    budgets: Sequence[int],
    about: str = "",
    methods: Methods = SIX,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
) -> Scene:
    """Run every selector on one pool and collect what the page shows, as plain lists, strings and numbers.

    Parameters
    ----------
    name, title : str
        Short name (in links) and printed name.
    spaces : mapping of representation to Space
        The same pool and the same tasks in each.
    texts : Texts
    budgets : sequence of int
        Increasing, at most N.
    about : str
        A sentence on the pool.
    methods : mapping of method to options
        Options of `select`; a name may carry a remark after a colon (``"knn_uniform: alpha 0.5"``).
    seeds : sequence of int
        Of Random; W1 is averaged over them, the picks shown are those of the first.

    Raises
    ------
    InputError
        If sizes disagree, budgets do not increase or exceed the pool, a selector is unknown, or there are too
        many kinds.
    """
    budgets = [int(b) for b in budgets]
    tasks = _check(name, spaces, texts, budgets, methods, seeds)
    kinds = _kinds(texts)
    numbers = {task: "".join(str(list(kinds).index(kind)) for kind in texts.kinds[task]) for task in tasks}
    sources = sorted(set(texts.sources))
    maps = {key: space.placed() for key, space in spaces.items()}
    return {
        "id": name,
        "title": title,
        "about": about,
        "texts": list(texts.candidates),
        "sources": sources,
        "source": [sources.index(s) for s in texts.sources],
        "kinds": [{"label": k, "colour": c, "plain": k == texts.plain} for k, c in kinds.items()],
        "budgets": budgets,
        "tasks": [
            {"id": task, "label": label(task), "queries": list(texts.queries[task]), "kind": numbers[task]}
            for task in tasks
        ],
        "spaces": [_space(key, spaces[key], *maps[key]) for key in spaces],
        "cells": {
            f"{key}/{task}": _cell(space, task, maps[key], budgets, methods, seeds)
            for key, space in spaces.items()
            for task in tasks
        },
        "methods": list(methods),
        "seeds": list(seeds),
    }


def _check(
    name: str, spaces: Mapping[str, Space], texts: Texts, budgets: list[int], methods: Methods, seeds: Sequence[int]
) -> list[str]:
    """The tasks, if all sizes agree."""
    if not (name.replace("_", "").isalnum() and spaces and methods and seeds):
        raise InputError(f"Scene {name!r} needs a name of letters and digits, and at least one space, method and seed.")
    for method in methods:
        check_choice("selector", method.partition(":")[0], SELECTORS)
    tasks, n = list(texts.queries), len(texts.candidates)
    sizes = {"sources": len(texts.sources)} | {f"kinds of {t}": len(k) for t, k in texts.kinds.items()}
    sizes |= {f"candidates of space {key}": len(space.candidates) for key, space in spaces.items()}
    wrong: dict[str, Any] = {what: size for what, size in sizes.items() if size != n}
    for key, space in spaces.items():
        counts = {task: len(q) for task, q in space.queries.items()}
        if counts != {task: len(q) for task, q in texts.queries.items()}:
            wrong[f"queries of space {key}"] = counts
    if wrong or set(texts.kinds) != set(tasks) or not tasks:
        raise InputError(
            f"Scene {name!r} has texts of {n} candidates and the tasks {tasks}; these disagree: {wrong or 'kinds'}."
        )
    if not budgets or sorted(set(budgets)) != budgets or budgets[0] < 1 or budgets[-1] > n:
        raise InputError(
            f"The budgets of scene {name!r} must increase from at least 1 to at most the pool's {n}; got {budgets}."
        )
    return tasks


def _kinds(texts: Texts) -> dict[str, str]:
    """Kinds in the book's order, each with a colour; the plain one last and grey."""
    kinds = in_order({k for names in texts.kinds.values() for k in names} - {texts.plain})
    if len(kinds) > MOST_KINDS:
        raise InputError(f"{len(kinds)} kinds, but only {MOST_KINDS} can be told apart: {', '.join(kinds)}.")
    plain = any(texts.plain in names for names in texts.kinds.values())
    return {kind: colour for kind, (colour, _) in fills(kinds).items()} | ({texts.plain: GREY} if plain else {})


def _space(key: str, space: Space, candidates: Numbers, queries: Mapping[str, Numbers], share: float | None) -> Scene:
    points = np.concatenate([candidates, *queries.values()])  # (N + all M, 2)
    middle, half = (points.max(0) + points.min(0)) / 2, 0.52 * np.ptp(points, axis=0).max()
    low, high = middle - half, middle + half  # a square: both axes have one scale
    axes = range(2)
    return {
        "id": key,
        "label": label(key),
        "dimensions": int(space.candidates.shape[1]),
        "share": None if share is None else round(share, 3),
        "map": [pack(candidates[:, a], low[a], high[a]) for a in axes],
        "queries": {task: [pack(q[:, a], low[a], high[a]) for a in axes] for task, q in queries.items()},
    }


def _cell(space: Space, task: str, placed: Placed, budgets: list[int], methods: Methods, seeds: Sequence[int]) -> Scene:
    """Orders and measures of one representation and one query set."""
    queries, candidates = space.queries[task], space.candidates
    S = similarity(queries, candidates)  # (M, N)
    near = facing(queries, candidates)
    seen = [S.max(axis=0), S.mean(axis=0)]  # (N,) each
    draws = [select("random", S, budgets[-1], seed=seed) for seed in seeds]
    values = np.array([_w1(near, draw, budgets) for draw in draws]).round(4)  # (seeds, budgets)
    spread = {"mean": values.mean(axis=0), "low": values.min(axis=0), "high": values.max(axis=0)}
    return {
        "faithful": round(faithfulness(placed[1][task], placed[0], S), 3),
        "pool_best": S.max(axis=1).astype(float).round(3).tolist(),
        "seen": [{"low": float(v.min()), "high": float(v.max()), "at": pack(v, v.min(), v.max())} for v in seen],
        "random": {name: row.round(4).tolist() for name, row in spread.items()},
        "methods": {
            name: _method(name, options, S, candidates, near, budgets, seeds[0]) for name, options in methods.items()
        },
    }


def _method(
    name: str,
    options: Mapping[str, Any],
    S: NDArray[Any],
    candidates: NDArray[Any],
    near: tuple[Numbers, Numbers],
    budgets: list[int],
    seed: int,
) -> Scene:
    """One order and its measures; what the selector warns of becomes a note."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        selector = name.partition(":")[0]
        order = select(selector, S, budgets[-1], candidates=candidates, seed=seed, **options)
    nearest, records = coverage(S, order.tolist())
    return {
        "order": order.tolist(),
        "nearest": nearest,
        "records": records,
        "w1": [round(v, 4) for v in _w1(near, order, budgets)],
        "note": " ".join(str(w.message) for w in notes if issubclass(w.category, UserWarning)),
    }


def _w1(near: tuple[Numbers, Numbers], order: NDArray[np.int64], budgets: list[int]) -> list[float]:
    return [w1(near[1][order[:budget]], near[0]) for budget in budgets]
