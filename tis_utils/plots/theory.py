"""Figures of the chapter on bounds: heaps of sand, terms of a bound, curves, where a bound is sharp, where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import ot
import pandas as pd
import plotly.graph_objects as go
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tis_utils.plots.bars import stacked_bars
from tis_utils.plots.lines import method_lines
from tis_utils.plots.panels import label_axes, legend, panels, stacking
from tis_utils.plots.theme import INK, LINE
from tis_utils.selectors.wasserstein import w1

Points = NDArray[np.float64]


@stacking
def heaps_of_sand(pool: Points, queries: Points, subsets: Mapping[str, ArrayLike]) -> Figure:
    """Draw the cheapest transport from each subset to the queries: pool (N, 2), queries (M, 2), picks by title."""
    figure, axes = panels(list(subsets), height=3.1)
    for ax, (name, picks) in zip(axes, subsets.items(), strict=True):
        subset = pool[np.asarray(picks)]
        plan = np.asarray(ot.emd([], [], ot.dist(queries, subset, "euclidean")))  # (M, B)
        for m, b in np.argwhere(plan > 1e-9):
            ax.plot(*np.stack([subset[b], queries[m]]).T, color=LINE)
        ax.scatter(pool[:, 0], pool[:, 1], s=12, color=LINE)
        points = {"subset": ax.scatter(subset[:, 0], subset[:, 1], s=45, color="#D55E00")}
        points["queries"] = ax.scatter(queries[:, 0], queries[:, 1], s=130, marker="*", color=INK)
        ax.set(title=f"{name} subset: $W_1$ = {w1(subset, queries):.2f}", xticks=[], yticks=[])
    legend(figure, points)
    return figure


@stacking
def term_bars(
    parts: Mapping[str, pd.DataFrame], terms: Sequence[str], *, left: str, largest: float, xlabel: str
) -> Figure:
    """Stack the terms of a bound by budget, means over the rows of each part; a line for what it bounds.

    Parameters
    ----------
    parts : mapping of title to DataFrame
        Columns ``budget``, `terms` and `left`.
    terms : sequence of str
        The terms of the right side.
    left : str
        The left side, drawn as dots.
    largest : float
        The largest possible loss, dotted: a bound beyond it says nothing.
    xlabel : str
    """
    means = {title: rows.groupby("budget")[[*terms, left]].mean() for title, rows in parts.items()}
    names = [term.replace("train_", "training ").replace("_", " ") for term in terms]
    stacks = {title: mean[list(terms)].set_axis(names, axis=1) for title, mean in means.items()}
    figure = stacked_bars(stacks, xlabel=xlabel, ylabel="budget $B$")
    for ax, mean in zip(figure.axes, means.values(), strict=True):
        ax.plot(mean[left], range(len(mean)), "o-", color=INK)
        ax.axvline(largest, color=INK, linestyle=":")
    return figure


@stacking
def best_lines(tables: Mapping[str, pd.DataFrame], *, ylabel: str, yscale: str = "linear") -> Figure:
    """Draw tables against the budget (their index), a line per column; the column "best", if any, is dashed."""
    rows = {}
    for title, table in tables.items():
        others = table.drop(columns="best", errors="ignore").rename_axis("budget").reset_index()
        rows[title] = others.melt("budget", var_name="method")
    figure = method_lines(rows, ylabel=ylabel, shared=False)
    for ax, table in zip(figure.axes, tables.values(), strict=True):
        if "best" in table:
            ax.plot(table["best"], "--", color=INK)
        ax.set_yscale(yscale)
        if yscale == "linear":
            ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    return figure


@stacking
def ratio_panels(broken: pd.DataFrame) -> Figure:
    """Draw left over right side against the knob, a panel per ``assumption``; above 1 the inequality is false.

    Columns as of :func:`tis_utils.evidence.broken_assumptions.broken_assumptions`.
    """
    figure, axes = panels(list(broken["assumption"].unique()))
    label_axes(axes, "", "left / right")
    for ax, (name, part) in zip(axes, broken.groupby("assumption", sort=False), strict=True):
        ax.set_title(str(name), fontsize=8.5)
        x, top = part["setting"], max(1.2, part["ratio"].max() * 1.1)
        ax.plot(x, part["ratio"], "o-", color="#332288", markersize=4)
        ax.axhline(1, color=INK, linewidth=1, linestyle="--")
        ax.axhspan(1, top, color="#CC6677", alpha=0.15, linewidth=0)
        wide = x.min() > 0 and x.max() > 20 * x.min()
        ax.set(xlabel=part["knob"].iloc[0], yscale="log", xscale="log" if wide else "linear")
    return figure


def sharpness_map(maps: Mapping[int, Points], moves: ArrayLike, spreads: ArrayLike) -> go.Figure:
    """Ratios of a bound's sides by spread (rows) and translation (columns), with a slider over the dimensions."""
    plot, dims = go.Figure(), list(maps)
    axes = {"x": np.asarray(moves).round(2), "y": np.asarray(spreads).round(3), "zmin": 0, "zmax": 1}
    look = {"colorscale": "Cividis", "colorbar": {"title": "left / right"}}
    for dim, ratios in maps.items():
        plot.add_heatmap(z=np.round(ratios, 3).tolist(), visible=dim == dims[0], **axes, **look)
    choices = [[{"visible": [other == dim for other in dims]}] for dim in dims]
    steps = [{"label": str(dim), "args": args} for dim, args in zip(dims, choices, strict=True)]
    slider = {"steps": steps, "currentvalue": {"prefix": "dimension "}, "pad": {"t": 40}}
    titles = {"xaxis_title": "translation of the cloud", "yaxis_title": "factor on its spread"}
    return plot.update_layout(sliders=[slider], **titles)
