"""Rows to draw, and what a figure has drawn."""

from __future__ import annotations

import itertools
from html.parser import HTMLParser

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tis_utils.plots import LOOKS


def results(tasks=("words", "pick"), seeds=(0, 1, 2), metric="query_loss") -> pd.DataFrame:
    """Raw rows: three representations with round-robin, Random, zero-shot."""
    rng = np.random.default_rng(7)
    rows = []
    for task, budget, seed in itertools.product(tasks, (50, 100, 200), seeds):
        for representation, selector in [
            ("less", "round_robin"), ("rds", "round_robin"), ("embed", "round_robin"), ("none", "random"),
        ]:  # fmt: skip
            rows.append([representation, selector, task, budget, seed, metric, rng.normal()])
    for task in tasks:
        rows.append(["none", "none", task, np.nan, 0, metric, 5.0 + len(task)])
    return pd.DataFrame(rows, columns=["representation", "selector", "task", "budget", "seed", "metric", "value"])


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def line(ax: Axes, method: str) -> Line2D:
    """The line of a method, known by its colour."""
    return next(item for item in ax.get_lines() if item.get_color() == LOOKS[method].colour)


class Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text[self.tags[-1][0]] = self.text.get(self.tags[-1][0], "") + data
