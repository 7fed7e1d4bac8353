"""Leads of methods over each other from runs that may have been made at different budgets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tis_utils.errors import InputError
from tis_utils.evidence.claims import judged_tasks
from tis_utils.evidence.cube import Cube, cube
from tis_utils.evidence.statistics import Floats
from tis_utils.evidence.tables import UNTUNED

UNIT = "% of the larger loss"


def common_cube(rows: pd.DataFrame, metric: str, methods: Sequence[str]) -> Cube:
    """Runs of all `methods` (``representation/selector``) at the budgets that all have; the untuned model has each.

    Raises
    ------
    InputError
        If no task has all methods at these budgets, or there is no such budget.
    """
    method = rows["representation"] + "/" + rows["selector"]
    usable = method.isin(methods) & (rows["metric"] == metric) & rows["value"].notna()
    rows, method = rows[usable], method[usable]
    flat = method.isin(UNTUNED)
    budgets = set.intersection(*(set(rows.loc[method == name, "budget"]) for name in methods if name not in UNTUNED))
    if not budgets:
        raise InputError(f"No task and budget has the {metric} of all of {', '.join(methods)}.")
    return cube(rows[rows["budget"].isin(budgets) | flat], metric, "both", methods)


def task_leads(data: Cube, method: str, over: str) -> Floats:
    """Lead of a method over another in every task, log(loss of the other / loss), mean over budgets, (T,)."""
    return data.gain(over)[:, data.methods.index(method)].mean(axis=-1)


def judged_leads(leads: Floats) -> dict[str, object]:
    """Estimate, interval, counts and grade of leads in every task, (T,), in ``UNIT``.

    Swapping the methods changes the sign only.
    """
    line = judged_tasks(leads, "log ratio")
    numbers = {name: np.asarray(line[name], dtype=float) for name in ("estimate", "low", "high") if name in line}
    return line | {name: float(of_larger(value)) for name, value in numbers.items()}


def of_larger(leads: ArrayLike) -> Floats:
    """Log ratios of two losses in ``UNIT``, from −100 to 100.

    Per cent below the rival's loss has no lower end: at nine times that loss it is −800.
    """
    leads = np.asarray(leads, dtype=float)
    return -100 * np.sign(leads) * np.expm1(-np.abs(leads))
