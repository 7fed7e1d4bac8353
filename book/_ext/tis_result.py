"""Sphinx extension: the picture on the home page, drawn from stored runs when the book is rendered.

``{tis-result} classroom`` shows how far each representation is ahead of Random, with its interval, for one budget and
one loss; ``_static/result.js`` adds the controls. Without scripts the smallest budget stays.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tis_utils import labels as looks
from tis_utils import paths
from tis_utils.evidence import statistics as stats
from tis_utils.evidence import sweeps
from tis_utils.plots.theme import LOOKS

METRICS = {"test_loss": "held-out examples", "query_loss": "the queries that chose them"}
SHOWN = ("embed", "rds", "less", "zero_shot")
DRAWS = 2000
STEP = 25  # per cent between two ticks


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
    told = []
    for name, (value, _, _) in zip(SHOWN, values, strict=True):
        side = "lower" if value > 0 else "higher"
        amount = f"{abs(value):.0f} % {side}" if round(value) else "the same"
        label = "no fine-tuning at all" if name == "zero_shot" else LOOKS[name].label
        told.append(f"{label} {amount}")
    return f"Loss with {budget} examples, compared with {budget} random ones: {', '.join(told)}."


def picture(rows: pd.DataFrame) -> dict[str, Any]:
    """Everything the picture needs: labels, ticks, and per metric and budget the values and a sentence."""
    states, data = {}, {}
    for metric in METRICS:
        data[metric] = sweeps.sweep(rows, metric, "representation")
        table = sweeps.leads(data[metric], "random", DRAWS)
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


def row_html(name: str, values: list[float], place: Callable[[float], float]) -> str:
    """One method: its name, the interval as a line, the mean as a dot, the number."""
    value, low, high = values
    look = LOOKS[name]
    line = f"left: {place(low):.2f}%; width: {place(high) - place(low):.2f}%"
    return (
        f'<div class="tis-result-row" style="--method: {look.colour}"><span>{html.escape(look.label)}</span>'
        f'<span class="tis-result-track"><i style="{line}"></i><b style="left: {place(value):.2f}%"></b></span>'
        f"<span>{signed(value)}</span></div>"
    )


def figure_html(facts: dict[str, Any]) -> str:
    """Return the figure in its first state, with the numbers of all states for the script."""
    low, high = facts["range"]

    def place(value: float) -> float:
        return 100 * (value - low) / (high - low)

    state = facts["states"]["test_loss"][facts["budgets"][0]]
    rows = "".join(row_html(name, values, place) for name, values in zip(SHOWN, state["values"], strict=True))
    ticks = "".join(
        f'<span style="left: {place(x):.2f}%">{signed(x) if x else "Random"}</span>'
        for x in range(int(low), int(high) + 1, STEP)
    )
    about = html.escape(f"Dot plot with intervals, one row per method. {state['text']}")
    zero = f'<div class="tis-result-zero"><span style="left: {place(0):.2f}%"></span></div>'
    axis = f'<span></span><span class="tis-result-track">{ticks}</span><span></span>'
    return f"""<figure class="tis-result">
<p class="tis-result-title">How much lower is the loss than with randomly chosen examples?</p>
<div role="img" aria-label="{about}">
<div class="tis-result-rows">{zero}{rows}</div>
<div class="tis-result-row tis-result-axis">{axis}</div>
</div>
<figcaption><span aria-live="polite">{html.escape(state["text"])}</span>
Round-robin chooses; dots are means over {facts["tasks"]} tasks and {facts["seeds"]} seeds of the book's tiny model,
lines {stats.LEVEL:.0%} intervals.</figcaption>
<script type="application/json">{json.dumps(facts)}</script>
</figure>"""


class Result(SphinxDirective):
    """``{tis-result} PROFILE``: the picture of that profile's stored budget sweep."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draw, and note the files that decide what is drawn."""
        path = paths.DATA / "results" / self.arguments[0] / "budgets.csv"
        for source in (path, __file__, sweeps.__file__, looks.__file__):
            self.env.note_dependency(str(source))
        return [nodes.raw("", figure_html(picture(load(path))), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("tis-result", Result)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
