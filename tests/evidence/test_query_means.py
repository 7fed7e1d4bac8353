"""Means over tasks with intervals over queries."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tis_utils.evidence.query_means import estimates_text, over_queries, per_query, query_estimates


def test_every_method_is_measured_on_every_task_of_every_data_set() -> None:
    studies = {name: SimpleNamespace(profile=SimpleNamespace(tasks=["bbh", "gsm8k"])) for name in ("one", "two")}
    methods = {"one": {"EMBED": 1, "LESS": 2}, "two": {"LESS": 2}}
    rows = per_query(studies, methods, lambda study, method, task: {"twice": np.full(3, 2.0 * method)})
    assert rows[["data", "method", "task"]].values.tolist()[:2] == [["one", "EMBED", "BBH"], ["one", "EMBED", "GSM8K"]]
    assert rows["data"].tolist() == ["one"] * 4 + ["two"] * 2
    assert rows["values"].iloc[-1].tolist() == [4.0] * 3


def test_every_task_counts_the_same_however_many_queries_it_has() -> None:
    estimate = over_queries([np.zeros(30), np.ones(2)])
    assert estimate == (0.5, 0.5, 0.5)


def test_the_interval_is_about_two_standard_errors_of_the_queries_wide() -> None:
    values = np.random.default_rng(0).normal(size=(2, 200))
    value, low, high = over_queries(values)
    assert low < value < high
    error = np.sqrt((values.var(axis=1) / 200).sum()) / 2
    assert np.isclose(high - low, 2 * 1.96 * error, rtol=0.01)


def test_estimates_by_columns_keep_their_order() -> None:
    rows = pd.DataFrame(
        [("b", "y", [1.0, 1.0]), ("b", "y", [3.0]), ("a", "x", [0.5])], columns=["method", "measure", "values"]
    )
    table = query_estimates(rows, ["method", "measure"])
    assert table["value"].tolist() == [2.0, 0.5]
    several = query_estimates(pd.DataFrame([("b", "y", [1.0, 1.0])], columns=rows.columns), ["method", "measure"])
    assert estimates_text(several, ["method"], "measure").loc["b", "y"] == "1.00 [1.00, 1.00]"
    text = estimates_text(table, ["method"], "measure")
    assert text.index.tolist() == ["b", "a"]
    assert text.columns.tolist() == ["y", "x"]
    assert text.loc["b", "y"] == "2.00"
