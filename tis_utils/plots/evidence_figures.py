"""Figures of the evidence chapters: critical-difference diagrams, the scorecard, a browser of all settings."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from plotly.subplots import make_subplots

from tis_utils.evidence.published import EMBED, LESS, MODELS, POOLS, RDS
from tis_utils.evidence.published_analysis import method_name, published_cube
from tis_utils.evidence.ranks import cliques
from tis_utils.evidence.statistics import Floats
from tis_utils.evidence.tables import RANDOM, ZERO_SHOT
from tis_utils.labels import label
from tis_utils.plots.charts import INK, LINE, MUTED, axes_grid, ticks
from tis_utils.plots.figures import LOOKS
from tis_utils.plots.theme import style

TABLE_CSS = """
.tis-claims{color:#1F2430;overflow-x:auto}
.tis-claims table{border-collapse:collapse;font-size:.8rem;margin:0;color:#1F2430}
.tis-claims :is(td,th):first-child{min-width:11rem!important}
.tis-claims :is(td,th):nth-child(2){min-width:6rem!important}
.tis-claims :is(td,th){padding:.3rem .35rem;text-align:left;vertical-align:top;border-bottom:1px solid #E4E6EA;
background:#fff;color:#1F2430;min-width:0!important;overflow-wrap:normal!important}
"""
VERDICTS = {
    "supported": ("+", "#5E4FA2", "white"),
    "mixed": ("~", "#E8E6EF", INK),
    "contradicted": ("−", "#E08214", "black"),
    "not testable": ("·", "#FFFFFF", MUTED),
}


def rank_diagram(panels: Mapping[str, tuple[Floats, float]], names: Sequence[str]) -> Figure:
    """Critical-difference diagrams (Demšar 2006): mean ranks on a line, bars join what is not told apart.

    Parameters
    ----------
    panels : mapping of title to (ranks, critical difference)
        Ranks have shape (K,), 1 is best.
    names : sequence of str
        Names of the K methods.
    """
    each = 0.62 + 0.15 * math.ceil(len(names) / 2) + 0.18
    with style():
        figure, axes = axes_grid(len(panels), 1, each * len(panels))
        for ax, (title, (ranks, difference)) in zip(axes, panels.items(), strict=True):
            _rank_panel(ax, np.asarray(ranks, dtype=float), difference, names)
            ax.set_title(title)
    return figure


def _rank_panel(ax: Axes, ranks: Floats, difference: float, names: Sequence[str]) -> None:
    k = len(ranks)
    ax.set(xlim=(1 - 0.45 * k, k + 0.45 * k), ylim=(-0.9 - 0.62 * math.ceil(k / 2), 1.45))
    ax.axis("off")
    ax.hlines(0, 1, k, color=INK, linewidth=1)
    for rank in range(1, k + 1):
        ax.vlines(rank, 0, 0.14, color=INK, linewidth=1)
        ax.text(rank, 0.22, str(rank), ha="center", va="bottom", fontsize=7.5, color=MUTED)
    ax.hlines(1.15, 1, 1 + difference, color=INK, linewidth=2)
    ax.text(1 + difference + 0.1, 1.15, f"critical difference {difference:.2f}", va="center", fontsize=8)
    groups = cliques(ranks, difference)
    for level, group in enumerate(groups):
        ax.hlines(
            -0.2 - 0.2 * level, ranks[group].min() - 0.04, ranks[group].max() + 0.04, color="#D55E00", linewidth=2.6
        )
    order = np.argsort(ranks, kind="stable")
    half = math.ceil(k / 2)
    top = -0.45 - 0.2 * len(groups)
    for place, index in enumerate(order):
        left = place < half
        y = top - 0.5 * (place if left else k - 1 - place)
        end = 0.8 if left else k + 0.2
        ax.plot([ranks[index], ranks[index], end], [0, y, y], color=MUTED, linewidth=0.8)
        text = f"{names[index]}  {ranks[index]:.2f}" if left else f"{ranks[index]:.2f}  {names[index]}"
        ax.text(end - 0.06 if left else end + 0.06, y, text, ha="right" if left else "left", va="center", fontsize=8)
    ax.set_ylim(top - 0.5 * half + 0.1, 1.45)


def verdict_map(card: pd.DataFrame, sources: Mapping[str, str], claims: Mapping[str, str]) -> Figure:
    """Draw the scorecard: claims × sources, the verdict by colour and by symbol.

    Parameters
    ----------
    card : DataFrame
        From :func:`tis_utils.evidence.claims.scorecard`.
    sources, claims : mapping of name to printed label
        Columns and rows, in order.
    """
    table = card.pivot(index="claim", columns="source", values="verdict").loc[list(claims), list(sources)]
    kinds = list(VERDICTS)
    codes = table.replace({kind: k for k, kind in enumerate(kinds)}).to_numpy(float)  # (claims, sources)
    with style():
        figure, (ax,) = axes_grid(1, 1, 0.235 * len(claims) + 1.75)
        ax.imshow(codes, aspect="auto", cmap=ListedColormap([VERDICTS[k][1] for k in kinds]), vmin=-0.5, vmax=3.5)
        for (i, j), code in np.ndenumerate(codes):
            symbol, _, ink = VERDICTS[kinds[int(code)]]
            ax.text(j, i, symbol, ha="center", va="center", fontsize=10, color=ink, fontweight="bold")
        ticks(ax, list(sources.values()), list(claims.values()))
        ax.xaxis.tick_top()
        ax.tick_params(axis="x", rotation=60, labelsize=8)
        for text in ax.get_xticklabels():
            text.set(ha="left", rotation_mode="anchor")
        ax.set_xticks(np.arange(-0.5, len(sources)), minor=True)
        ax.set_yticks(np.arange(-0.5, len(claims)), minor=True)
        ax.grid(visible=True, which="minor", color="white", linewidth=1.5)
        ax.tick_params(which="minor", length=0)
        ax.axvline(0.5, color=INK, linewidth=1.2)
        handles = [ax.scatter([], [], marker="s", s=70, color=VERDICTS[k][1], edgecolor=LINE) for k in kinds]
        texts = [f"{VERDICTS[k][0]}  {k}" for k in kinds]
        figure.legend(handles, texts, loc="outside lower left", ncols=4)
    return figure


def colour(method: str) -> str:
    """Colour of "representation/selector": the representation's with round-robin, else the selector's."""
    selector = method.split("/")[1]
    key = {EMBED: "embed", RDS: "rds", LESS: "less", RANDOM: "random", ZERO_SHOT: "zero_shot"}.get(method)
    return LOOKS[key or selector].colour


def budget_browser(metrics: Sequence[str]) -> Any:
    """Every setting and metric of the budget experiment in one plotly figure with a menu.

    Parameters
    ----------
    metrics : sequence of str
        Metrics on offer, the first one is drawn first.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel per task; the menu exchanges the values (it needs no server).
    """
    cubes = {metric: published_cube(metric) for metric in metrics}
    first = cubes[metrics[0]]
    figure = make_subplots(
        rows=3, cols=2, subplot_titles=[label(t).split(" ")[0] for t in first.tasks], vertical_spacing=0.1
    )
    for t in range(len(first.tasks)):
        for method in first.methods:
            look = {"color": colour(method), "width": 1.8, "dash": "dash" if method == ZERO_SHOT else "solid"}
            line: dict[str, Any] = {"name": method_name(method), "legendgroup": method, "line": look}
            line["x"] = [f"{b / 1000:g}k" for b in first.budgets]
            line["showlegend"] = t == 0
            line["mode"] = "lines" if method == ZERO_SHOT else "lines+markers"
            figure.add_scatter(**line, row=t // 2 + 1, col=t % 2 + 1)
    figure.update_xaxes(type="category")
    buttons: list[dict[str, Any]] = []
    for metric, data in cubes.items():
        for m, model in enumerate(data.models):
            for pool in range(len(data.pools)):
                values = data.mean[m, :, pool].reshape(-1, len(data.budgets))  # (T·K, S)
                text = f"{label(metric)}: {MODELS[model]}, {POOLS[data.pools[pool]]}"
                buttons.append({"method": "restyle", "label": text, "args": [{"y": values.tolist()}]})
    for trace, y in zip(figure.data, buttons[0]["args"][0]["y"], strict=True):
        trace.y = y
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.07, "yanchor": "bottom", "font": {"size": 12}}
    figure.update_layout(height=780, margin={"t": 100, "l": 40}, updatemenus=[menu], hovermode="x unified")
    return figure


class ClaimTable:
    """One row per claim with its evidence, as HTML that wraps on small screens.

    Parameters
    ----------
    card : DataFrame
        From :func:`tis_utils.evidence.claims.scorecard`.
    claims : mapping of name to printed label
        Rows, in order.
    settings : sequence of str
        Sources to count verdicts over.
    own : mapping of name to printed label
        Further sources with a column each.
    """

    def __init__(
        self, card: pd.DataFrame, claims: Mapping[str, str], settings: Sequence[str], own: Mapping[str, str]
    ) -> None:
        self.card, self.claims, self.settings, self.own = card, claims, settings, own

    def _cells(self, claim: str, text: str) -> list[str]:
        part = self.card[self.card["claim"] == claim].set_index("source")
        total = part.loc["paper"].to_dict()
        verdicts = part["verdict"].to_dict()
        votes = Counter(verdicts[s] for s in self.settings)
        tally = " / ".join(str(votes[v]) for v in ("supported", "mixed", "contradicted"))
        cells = [f"<b>{html.escape(text)}</b><br>{html.escape(total['statement'])}", _number(total)]
        return [*cells, _mark(total["verdict"]), tally, *(_own(part.loc[s].to_dict()) for s in self.own)]

    def _repr_html_(self) -> str:
        titles = ["Claim", "All ten settings", "Verdict", "Settings + / ~ / −", *self.own.values()]
        head = "".join(f'<th scope="col">{html.escape(t)}</th>' for t in titles)
        rows = "".join(
            f"<tr>{''.join(f'<td>{c}</td>' for c in self._cells(*pair))}</tr>" for pair in self.claims.items()
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return f'<figure class="tis-figure tis-claims"><style>{TABLE_CSS}</style>{table}</figure>'

    def __repr__(self) -> str:
        return f"Table of {len(self.claims)} claims"


def _mark(verdict: str) -> str:
    return f"{VERDICTS[verdict][0]} {verdict}"


def _own(row: Mapping[Any, Any]) -> str:
    if row["verdict"] != "not testable" or pd.isna(row["statistic"]):
        return _mark(row["verdict"])
    return f"{VERDICTS['not testable'][0]} {row['tasks']} task{'s' * (row['tasks'] > 1)} only: {_values(row)}"


def _number(row: Mapping[Any, Any]) -> str:
    return html.escape(row["reason"]) if row["verdict"] == "not testable" else _values(row)


def _values(row: Mapping[Any, Any]) -> str:
    digits = 2 if abs(row["statistic"]) < 3 else 1
    values = (f"{row[c]:+.{digits}f}".replace("-", "−") for c in ("statistic", "low", "high"))
    return "{} [{}, {}] {}".format(*values, html.escape(row["unit"]))
