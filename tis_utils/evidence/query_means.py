"""Numbers per query become means over tasks with intervals over queries."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm

from tis_utils.evidence.statistics import LEVEL, Estimate
from tis_utils.experiments.study import Study
from tis_utils.labels import label

Measures = Callable[[Study, Any, str], Mapping[str, ArrayLike]]


def per_query(
    studies: Mapping[str, Study], methods: Mapping[str, Mapping[str, Any]], measures: Measures
) -> pd.DataFrame:
    """Measure every method on every task of several data sets.

    Parameters
    ----------
    studies : mapping of name to Study
    methods : mapping of name to mapping
        Printed name of each method of a study -> what `measures` is called with.
    measures : callable
        Study, method and task -> name of a measure -> one number per query, shape (M,).

    Returns
    -------
    DataFrame
        Columns ``data``, ``method``, ``task``, ``measure``, ``values`` (arrays).
    """
    rows = [
        (name, text, label(task), measure, values)
        for name, study in studies.items()
        for text, method in methods[name].items()
        for task in study.profile.tasks
        for measure, values in measures(study, method, task).items()
    ]
    return pd.DataFrame(rows, columns=["data", "method", "task", "measure", "values"])


def over_queries(per_task: Iterable[ArrayLike]) -> Estimate:
    """Mean over tasks of the mean over queries; the normal 95 % interval takes the tasks as they are.

    `per_task` has an array of shape (M,) for each task, one number per query; M may differ. A task
    with a single query leaves the ends NaN.
    """
    tasks = [np.asarray(values, dtype=float) for values in per_task]
    value = float(np.mean([values.mean() for values in tasks]))
    variance = sum(values.var(ddof=1) / len(values) if len(values) > 1 else np.nan for values in tasks)
    half = float(norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance) / len(tasks))
    return Estimate(value, value - half, value + half)


def query_estimates(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """:func:`over_queries` of the column ``values`` (arrays) for each combination of the columns `by`, in order.

    Returns
    -------
    DataFrame
        Columns `by`, ``value``, ``low``, ``high``.
    """
    groups = rows.groupby(list(by), sort=False)["values"]
    table = [(*key, *over_queries(values)) for key, values in groups]
    return pd.DataFrame(table, columns=[*by, "value", "low", "high"])


def estimates_text(table: pd.DataFrame, rows: Sequence[str], columns: str) -> pd.DataFrame:
    """Spread estimates out as "value [low, high]", two digits, with `columns` in order of appearance."""
    text = [Estimate(*row).text(2, plus=False) for row in table[["value", "low", "high"]].to_numpy(float)]
    spread = table.assign(text=text).pivot(index=list(rows), columns=columns, values="text")
    first = table.drop_duplicates(list(rows)).set_index(list(rows)).index
    return spread.loc[first, list(dict.fromkeys(table[columns]))]
