"""Leads of methods over each other from runs that may have been made at different budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence.cube import Cube, Leads, cube
from tis_utils.evidence.statistics import bootstrap


def common_cube(rows: pd.DataFrame, metric: str, methods: Sequence[str]) -> Cube:
    """Runs of all `methods` (``representation/selector``) at the budgets that all have.

    Raises
    ------
    InputError
        If no task has all methods at these budgets, or there is no such budget.
    """
    method = rows["representation"] + "/" + rows["selector"]
    usable = method.isin(methods) & (rows["metric"] == metric) & rows["value"].notna()
    rows, method = rows[usable], method[usable]
    budgets = set.intersection(*(set(rows.loc[method == name, "budget"]) for name in methods))
    if not budgets:
        raise InputError(f"No task and budget has the {metric} of all of {', '.join(methods)}.")
    return cube(rows[rows["budget"].isin(budgets)], metric, "both", methods)


def mean_leads(data: Cube, over: str, draws: int, seed: int, minus: str | None = None) -> Leads:
    """Leads over a method, mean over tasks, (K, S), with bootstrap draws; with `minus`, less the lead of that one.

    The noise of the bootstrap comes in the order tasks, budgets, methods.
    """
    mean, sd, n = (np.swapaxes(values, 1, 2)[None] for values in (data.mean, data.sd, data.n))  # (1, T, S, K)
    cloud = bootstrap(mean, sd, n, draws, np.random.default_rng(seed))  # (R, T, S, K)
    return Leads.of(data, over, np.swapaxes(cloud, 2, 3), minus)


def over_budgets(ahead: Leads, *, growth: bool = False) -> Leads:
    """Mean over budgets, (K,), or what the highest has more than the lowest."""
    values, draws = ahead.value, ahead.draws
    if growth:
        return replace(ahead, value=values[..., -1] - values[..., 0], draws=draws[..., -1] - draws[..., 0])
    return replace(ahead, value=values.mean(axis=-1), draws=draws.mean(axis=-1))
