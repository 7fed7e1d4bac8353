"""A small sweep whose every value is known."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

BUDGETS = (25, 50, 100)
PAIRS = [("less", "round_robin"), ("embed", "round_robin"), ("none", "random")]


def value(task: str, method: str, budget: int, seed: int) -> float:
    base = {"less": 1.0, "embed": 2.0, "none": 2.5}[method]
    return base + {"words": 0.0, "pick": 1.0}[task] + (seed - 1) * 0.1 + (method == "less") * budget / 60


def rows(metric: str = "test_loss", tasks=("words", "pick"), seeds=(0, 1, 2)) -> pd.DataFrame:
    lines = [
        ("budget", t, r, s, b, seed, metric, value(t, r, b, seed))
        for t, (r, s), b, seed in itertools.product(tasks, PAIRS, BUDGETS, seeds)
    ]
    lines += [("zero_shot", t, "none", "none", 0, 0, metric, 4.0) for t in tasks]
    columns = ["experiment", "task", "representation", "selector", "budget", "seed", "metric", "value"]
    return pd.DataFrame(lines, columns=columns)


@pytest.fixture
def sweep_value():
    """Loss of a run by task, representation, budget and seed."""
    return value


@pytest.fixture
def sweep_rows():
    """Tidy rows of two tasks, three methods, three budgets and three seeds, by metric."""
    return rows
