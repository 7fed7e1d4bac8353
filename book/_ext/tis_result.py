"""Sphinx extension: how much choosing buys with the book's own model, drawn from stored runs when the book is rendered.

``{tis-result} classroom`` shows how far each representation is ahead of Random, with its interval, for one budget and
one loss; ``_static/result.js`` adds the controls. Without scripts the smallest budget stays.
"""

from __future__ import annotations

from inspect import getfile
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from jinja2 import Environment, FileSystemLoader
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tis_utils import labels, paths
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import cube, leads
from tis_utils.plots.theme import LOOKS, Look

METRICS = {"test_loss": "held-out examples", "query_loss": "the queries that chose them"}
SHOWN = ("embed", "rds", "less", "zero_shot")
TEMPLATE = Path(__file__).with_suffix(".html")
STEP = 50  # per cent between two ticks


def load(path: Path) -> pd.DataFrame:
    """Stored runs that choose with round-robin, Random, and the untuned model."""
    rows = pd.read_csv(path, keep_default_na=False, na_values={"value": [""]})
    return rows[rows["selector"].isin(["round_robin", "random", "none"])]


def panel(table: pd.DataFrame, budget: int) -> list[list[float]]:
    """Lead over Random and its interval, one row per method shown."""
    part = table[table["budget"] == budget].set_index("method")
    return [[round(float(x), 1) for x in part.loc[name, ["value", "low", "high"]]] for name in SHOWN]


def sentence(values: list[list[float]], budget: int) -> str:
    """Say what one state of the picture shows."""
    parts = []
    for name, (value, _, _) in zip(SHOWN, values, strict=True):
        side = "lower" if value > 0 else "higher"
        amount = f"{abs(value):.0f} % {side}" if round(value) else "the same"
        who = "no fine-tuning at all" if name == "zero_shot" else LOOKS[name].label
        parts.append(f"{who} {amount}")
    return f"Loss with {budget} examples, compared with {budget} random ones: {', '.join(parts)}."


def picture(rows: pd.DataFrame) -> dict[str, Any]:
    """Everything the picture needs: labels, ticks, and per metric and budget the values and a sentence."""
    states, data = {}, {}
    for metric in METRICS:
        data[metric] = cube(rows, metric, "representation")
        table = leads(data[metric], "random")
        states[metric] = {}
        for budget in data[metric].budgets:
            values = panel(table, budget)
            labels = [signed(value) for value, _, _ in values]
            states[metric][str(budget)] = {"values": values, "labels": labels, "text": sentence(values, budget)}
    ends = [x for metric in states.values() for state in metric.values() for row in state["values"] for x in row]
    low, high = min(ends) // STEP * STEP, -(-max(ends) // STEP) * STEP
    return {
        "metrics": METRICS,
        "budgets": [str(b) for b in data["test_loss"].budgets],
        "tasks": len(data["test_loss"].tasks),
        "seeds": int(rows.loc[rows["selector"] == "round_robin", "seed"].nunique()),
        "range": [low, high],
        "states": states,
    }


def signed(value: float) -> str:
    """``+25 %``, ``0 %`` or ``−25 %``."""
    whole = round(value)
    return f"{whole:+d} %".replace("-", "\N{MINUS SIGN}") if whole else "0 %"


def figure_html(facts: dict[str, Any]) -> str:
    """Return the figure in its first state, with the numbers of all states for the script."""
    low, high = facts["range"]
    state = facts["states"]["test_loss"][facts["budgets"][0]]

    def place(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    rows = [
        {"look": LOOKS[name], "at": place(mean), "low": place(least), "width": place(low + most - least), "text": text}
        for name, (mean, least, most), text in zip(SHOWN, state["values"], state["labels"], strict=True)
    ]
    ticks = [(place(x), signed(x) if x else "Random") for x in range(int(low), int(high) + 1, STEP)]
    environment = Environment(autoescape=True, loader=FileSystemLoader(TEMPLATE.parent))
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # the buttons have an order
    return environment.get_template(TEMPLATE.name).render(
        rows=rows, ticks=ticks, zero=place(0), text=state["text"], facts=facts, level=f"{stats.LEVEL:.0%}"
    )


class Result(SphinxDirective):
    """``{tis-result} PROFILE``: the picture of that profile's stored budget sweep."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draw, and note the files that decide what is drawn."""
        path = paths.DATA / "results" / self.arguments[0] / "budgets.csv"
        for source in (path, __file__, TEMPLATE, getfile(cube), getfile(Look), labels.__file__):
            self.env.note_dependency(str(source))
        return [nodes.raw("", figure_html(picture(load(path))), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("tis-result", Result)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
