"""Figures that answer to the reader, by plotly: live in Jupyter, and in the book without a network."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from tis_utils.errors import InputError
from tis_utils.evidence.cube import Cube
from tis_utils.evidence.published import MODELS, POOLS
from tis_utils.evidence.published_analysis import method_name, published_cube
from tis_utils.evidence.tables import ZERO_SHOT
from tis_utils.labels import label
from tis_utils.plots.display import checked_alt
from tis_utils.plots.theme import CATEGORIES, INK, LOOKS, fills, look

SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "x", "triangle-down", "pentagon")


@dataclass(frozen=True)
class Interactive:
    """A plotly figure: live in Jupyter, and in the book through the one bundled plotly.js."""

    data: dict[str, Any]
    alt: str
    height: int

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        # "</script" would end the element and "<!--<script" hide its end; "\u003c" is the same JSON
        payload = json.dumps(self.data, separators=(",", ":")).replace("<", "\\u003c")
        alt = html.escape(self.alt)
        return {
            "application/vnd.plotly.v1+json": self.data | {"config": {"responsive": True, "typesetMath": False}},
            "text/html": (
                f'<figure class="tis-plotly" aria-label="{alt}" style="min-height:{self.height}px">'
                f'<script type="application/json">{payload}</script><noscript>{alt}</noscript></figure>'
            ),
            "text/plain": f"Interactive figure: {self.alt}",
        }


def interactive(figure: Any, alt: str) -> Interactive:
    """Prepare a plotly figure, left unchanged, for the book and for Jupyter, as the last expression of a cell.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Drawn by the site's one copy of plotly.js (``_static/tis.js``), or by Jupyter.
    alt : str
        What the figure shows, in a sentence or two.

    Raises
    ------
    InputError
        If `alt` says nothing.
    """
    text = checked_alt(alt)
    data = json.loads(figure.to_json())
    layout: dict[str, Any] = data.setdefault("layout", {})
    layout["template"] = _template()
    layout.setdefault("height", 440)
    layout.setdefault("autosize", True)
    return Interactive({"data": data["data"], "layout": layout}, text, int(layout["height"]))


def _template() -> dict[str, Any]:
    axis = {"gridcolor": "#E4E6EA", "linecolor": "#8A8F99", "zeroline": False, "automargin": True}
    return {
        "layout": {
            "colorway": [entry.colour for entry in LOOKS.values()],
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
            "paper_bgcolor": "#FFFFFF",
            "plot_bgcolor": "#FFFFFF",
            "margin": {"l": 56, "r": 16, "t": 48, "b": 100},
            "title": {"x": 0, "xref": "paper", "font": {"size": 16}},
            "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0.01, "x": 0},
            "xaxis": axis,
            "yaxis": axis,
        }
    }


def point_map(tables: Mapping[str, pd.DataFrame], kinds: Sequence[str]) -> go.Figure:
    """Scatter points in the plane, coloured by kind, with one button per panel.

    Parameters
    ----------
    tables : mapping of title to DataFrame
        Columns ``x``, ``y``, ``kind``, ``text`` (shown when a point is touched); the first panel is visible.
    kinds : sequence of str
        Order of the legend; at most 8. A kind "query" is drawn last, as large stars.

    Raises
    ------
    InputError
        If there is no panel, or there are more kinds than colours.
    """
    if not tables or len(kinds) > len(CATEGORIES) + ("query" in kinds):
        raise InputError(f"point_map needs a panel and at most {len(CATEGORIES)} kinds, got {len(kinds)}.")
    plain = [kind for kind in kinds if kind != "query"]
    markers = {
        kind: {"symbol": symbol, "size": 6, "opacity": 0.75, "color": colour}
        for (kind, (colour, _)), symbol in zip(fills(plain).items(), SYMBOLS, strict=False)
    } | {"query": {"symbol": "star", "size": 13, "color": INK, "line": {"width": 1, "color": "white"}}}
    figure = go.Figure()
    for index, table in enumerate(tables.values()):
        for kind in kinds:
            part = table[table["kind"] == kind]
            places = {"x": part["x"].round(3).tolist(), "y": part["y"].round(3).tolist()}
            touched = {"text": part["text"].tolist(), "hovertemplate": "%{text}<extra>" + kind + "</extra>"}
            marks = {"mode": "markers", "marker": markers[kind]}
            figure.add_scatter(**places, **marks, **touched, name=kind, visible=index == 0)
    titles = {"xaxis": "first principal axis", "yaxis": "second"}
    axes = {axis: {"showticklabels": False, "title": title} for axis, title in titles.items()}
    room, menus = {"l": 40, "r": 10, "t": 56, "b": 110}, [_buttons(list(tables), len(kinds))]
    return figure.update_layout(updatemenus=menus, height=500, margin=room, **axes)


def _buttons(titles: Sequence[str], size: int) -> dict[str, object]:
    """Buttons above the plot; each shows the `size` traces of one panel."""
    shown = [[i // size == index for i in range(size * len(titles))] for index in range(len(titles))]
    pairs = zip(titles, shown, strict=True)
    buttons = [{"label": title, "method": "update", "args": [{"visible": traces}]} for title, traces in pairs]
    place = {"direction": "right", "x": 0, "y": 1.14, "xanchor": "left"}
    return {"type": "buttons", "showactive": True, "buttons": buttons, **place}


def budget_browser(metrics: Sequence[str]) -> go.Figure:
    """The published budget experiment: a panel per task, a menu of settings and of these `metrics`."""
    cubes = {metric: published_cube(metric) for metric in metrics}
    return _browser(cubes, [f"{b / 1000:g}k" for b in cubes[metrics[0]].budgets])


def quantile_browser(metrics: Sequence[str]) -> go.Figure:
    """The published quantile experiment, as :func:`budget_browser`; bin 0 is the nearest."""
    cubes = {metric: published_cube(metric, "quantile") for metric in metrics}
    return _browser(cubes, [str(b) for b in cubes[metrics[0]].budgets])


def _browser(cubes: Mapping[str, Cube], steps: Sequence[str]) -> go.Figure:
    """Curves of all methods over `steps`: a panel per task, and a menu that exchanges the heights."""
    first = next(iter(cubes.values()))
    titles = [label(task).split(" ")[0] for task in first.tasks]
    figure = make_subplots(rows=3, cols=2, subplot_titles=titles, vertical_spacing=0.1)
    for t in range(len(first.tasks)):
        for method in first.methods:
            untuned = method == ZERO_SHOT
            line = {"color": look(method).colour, "width": 1.8, "dash": "dash" if untuned else "solid"}
            ways = {"line": line, "mode": "lines" if untuned else "lines+markers"}
            names = {"name": method_name(method), "legendgroup": method, "showlegend": t == 0}
            figure.add_scatter(x=steps, row=t // 2 + 1, col=t % 2 + 1, **ways, **names)
    buttons: list[dict[str, Any]] = [
        {
            "method": "restyle",
            "label": f"{label(metric)}: {MODELS[model]}, {POOLS[pool]}",
            "args": [{"y": data.mean[m, :, p].reshape(-1, len(steps)).tolist()}],  # (T·K, S)
        }
        for metric, data in cubes.items()
        for m, model in enumerate(data.models)
        for p, pool in enumerate(data.pools)
    ]
    for trace, y in zip(figure.data, buttons[0]["args"][0]["y"], strict=True):
        trace.y = y
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.07, "yanchor": "bottom", "font": {"size": 12}}
    figure.update_xaxes(type="category")
    figure.update_layout(height=780, margin={"t": 100, "l": 40}, updatemenus=[menu], hovermode="x unified")
    return figure


def sharpness_map(maps: Mapping[int, NDArray[np.float64]], moves: ArrayLike, spreads: ArrayLike) -> go.Figure:
    """Ratios of a bound's sides by spread (rows) and translation (columns), with a slider over the dimensions."""
    plot, dims = go.Figure(), list(maps)
    axes = {"x": np.asarray(moves).round(2), "y": np.asarray(spreads).round(3), "zmin": 0, "zmax": 1}
    look = {"colorscale": "Cividis", "colorbar": {"title": "left / right"}}
    for dim, ratios in maps.items():
        plot.add_heatmap(z=np.round(ratios, 3).tolist(), visible=dim == dims[0], **axes, **look)
    choices = [[{"visible": [other == dim for other in dims]}] for dim in dims]
    steps = [{"label": str(dim), "args": args} for dim, args in zip(dims, choices, strict=True)]
    slider = {"steps": steps, "currentvalue": {"prefix": "dimension "}, "pad": {"t": 70}}
    titles = {"xaxis_title": "translation of the cloud", "yaxis_title": "factor on its spread"}
    return plot.update_layout(sliders=[slider], height=480, **titles)
