"""Hybrids: ILA's map with a target, and INSTA's tasks with ILA's depth. Run specs whose selector is ``hybrid@…``.

After ``@`` stands

- ``nearest``: rounds over ILA's cells in the order in which LESS with round-robin comes to them, from each cell the
  candidate that LESS names first: targeted coverage;
- ``deepest``: the same order of the cells, from each cell the deepest: ILA's rounds, the target's cells first;
- ``insta@5:cards``, or any other INSTA: its tasks, and inside them the deepest instead of any example.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tis_utils.errors import InputError
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import selector as ila
from tis_utils.neighbours.ila.coverage_depth import checked_budget
from tis_utils.neighbours.insta import selector as insta
from tis_utils.neighbours.insta.pool_tasks import tasks_of
from tis_utils.neighbours.insta.scores import top_tasks
from tis_utils.selectors.arrays import Ints
from tis_utils.storage.keys import step, versions

VERSION = step("hybrids", 1)
BY_CELLS = ("nearest", "deepest")


def targeted_rounds(cells: ArrayLike, ranks: ArrayLike, merits: ArrayLike, budget: int) -> Ints:
    """Rounds over cells, the cell with the lowest rank first, each takes its best remaining candidate: int64 (B,).

    Parameters
    ----------
    cells, ranks, merits : array_like, (N,)
        Cell, rank for the target (0: the nearest) and merit of each candidate; NaN merits cannot be selected.
    budget : int

    Raises
    ------
    InputError
        If the budget is not positive, or larger than the number of candidates with a merit.
    """
    merits = np.asarray(merits, dtype=float)
    free = np.flatnonzero(~np.isnan(merits))  # (n,)
    budget = checked_budget(budget, len(free))
    cell = np.asarray(cells)[free]
    turn = pd.Series(np.asarray(ranks)[free]).groupby(cell).transform("min")  # (n,) the same in a cell
    number = pd.Series(-merits[free]).groupby(cell).rank(method="first")  # (n,) round of each
    return free[np.lexsort((turn, number))][:budget].astype(np.int64)


def deepest_of_tasks(labels: ArrayLike, order: ArrayLike, k: int, depths: ArrayLike, budget: int) -> Ints:
    """Deepest candidates of the first `k` tasks of an order, then those of the next task, int64 (B,)."""
    depths, order = np.asarray(depths, dtype=float), np.asarray(order)
    free = np.flatnonzero(~np.isnan(depths))  # (n,)
    place = np.maximum(np.argsort(order)[np.asarray(labels)[free]], k - 1)  # (n,) the first k tasks are one
    return free[np.lexsort((-depths[free], place))][: checked_budget(budget, len(free))].astype(np.int64)


def kind_of(spec: RunSpec) -> str:
    """What stands after ``@``; an InputError says what is known."""
    kind = spec.selector.partition("@")[2]
    if kind not in BY_CELLS and not kind.startswith("insta"):
        raise InputError(
            f"{spec.selector!r} is no hybrid. Write hybrid@nearest, hybrid@deepest or hybrid@insta@5:cards."
        )
    if spec.experiment != "budget":
        raise InputError(f"Hybrids have no distance, so they cannot run the {spec.experiment} experiment.")
    return kind


def picks(study: Study, spec: RunSpec) -> Ints:
    """Indices into the pool that a run trains on, best first, int64 (B,)."""
    kind = kind_of(spec)
    if kind in BY_CELLS:
        order = study.order("less", spec.task)
        ranks = np.argsort(order)  # (N,)
        land = ila.explore(study, ila.Settings())
        return targeted_rounds(land.cells, ranks, -ranks if kind == "nearest" else land.depths, spec.budget)
    names, labels = tasks_of(study)
    setting = insta.Setting.of(kind)
    top_tasks(np.zeros(len(names)), setting.k)  # raises for a k that cannot be had, before anything is measured
    order = insta.task_order(study, RunSpec(spec.task, NONE, kind, spec.budget, spec.seed))
    return deepest_of_tasks(labels, order, setting.k, ila.explore(study, ila.Settings()).depths, spec.budget)


def recipe(study: Study, spec: RunSpec) -> dict[str, Any]:
    """What the picks depend on besides spec, pool, base model and training settings."""
    by_cells = kind_of(spec) in BY_CELLS
    seen = study.feature_recipe("less") if by_cells else insta.recipe(study, spec)
    return {"seen": seen, "embed": ila.embed_key(study), "versions": versions("hybrids", "round_robin")}
