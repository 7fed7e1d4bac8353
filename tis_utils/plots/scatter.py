"""Points against each other: fits and diagonals, gain against cost, coverage against depth."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from tis_utils.errors import InputError
from tis_utils.plots.panels import grid, label_axes, legend, line_handles, narrow, panels, place, stacking
from tis_utils.plots.theme import INK, LINE, LOOKS, MUTED, SERIES, SMALL, Look, hues, looks

MANY = 100  # points of a series, beyond which they are drawn as one image


def _points(ax: Axes, rows: pd.DataFrame, x: str, y: str, entries: Mapping[str, Look], **marks: Any) -> None:
    """One colour and marker per ``method``."""
    markers = {name: entry.marker or "o" for name, entry in entries.items()}
    ways = hues(entries) | {"style_order": list(entries), "markers": markers} | marks
    sns.scatterplot(rows, x=x, y=y, hue="method", style="method", ax=ax, **ways)


@stacking
def scatter_fits(
    frame: pd.DataFrame, *, panel: str, series: str, xlabel: str, ylabel: str, columns: int = 3, diagonal: bool = False
) -> Figure:
    """Scatter ``y`` against ``x``, one panel per value of `panel`, one colour and fitted line per `series`.

    Parameters
    ----------
    frame : DataFrame
        Columns ``x``, ``y``, `panel`, `series`. Lines are least squares over all points; a panel says how many lie
        outside of it.
    diagonal : bool
        Draw y = x instead of the fits.
    """
    titles = list(dict.fromkeys(frame[panel]))
    entries = looks(frame[series])
    figure, axes = panels([str(title) for title in titles], columns=columns, height=2.15)
    for ax, title in zip(axes, titles, strict=True):
        rows = frame[frame[panel] == title]
        for name, entry in entries.items():
            _regression(ax, rows[rows[series].astype(str) == name], entry, fit=not diagonal)
        if diagonal:
            ends = [rows[["x", "y"]].min().max(), rows[["x", "y"]].max().min()]
            ax.plot(ends, ends, color=INK, linewidth=1, linestyle="--")
        _trim(ax, rows["y"])
    label_axes(axes, "", "")
    figure.supxlabel(xlabel, fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    named = (Look(name, entry.colour, entry.marker or "o", entry.line) for name, entry in entries.items())
    legend(figure, line_handles(named, lines=False))
    return figure


@stacking
def picked_strip(x: pd.Series, rows: pd.Series, picked: np.ndarray, *, colour: str, xlabel: str) -> Figure:
    """A strip of dots per value of `rows` (the last one below), at `x` from left to right; those `picked` stand out."""
    order = list(rows.cat.categories)
    figure, (ax,) = grid(1, 1, 3.6)
    for part, look in (
        (~picked, {"size": 2.6, "color": MUTED, "alpha": 0.4}),
        (picked, {"size": 4.2, "color": colour}),
    ):
        sns.stripplot(x=x[part], y=rows[part], order=order, jitter=0.3, ax=ax, **look)
    ax.set(xlabel=xlabel, ylabel="")
    return figure


def _regression(ax: Axes, rows: pd.DataFrame, entry: Look, *, fit: bool) -> None:
    if rows.empty:
        return
    dots = {"s": 8, "alpha": 0.55, "linewidths": 0, "rasterized": len(rows) > MANY}
    ways = {"color": entry.colour, "marker": entry.marker or "o", "scatter_kws": dots, "line_kws": {"linewidth": 1.8}}
    fit = fit and np.ptp(rows["x"]) > 0
    sns.regplot(rows.astype({"x": float, "y": float}), x="x", y="y", ci=None, fit_reg=fit, ax=ax, **ways)


def _trim(ax: Axes, y: pd.Series) -> None:
    low, high = y.quantile([0.004, 0.996])
    ax.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    if outside := int((~y.between(*ax.get_ylim())).sum()):
        ax.text(0.98, 0.02, f"{outside} outside", transform=ax.transAxes, ha="right", fontsize=SMALL, color=MUTED)
    for draw in (ax.axhline, ax.axvline):
        draw(0, color=LINE, linewidth=0.9, zorder=0)


@stacking
def fits(table: pd.DataFrame, targets: Mapping[str, str]) -> Figure:
    """Loss of each designed subset against its coverage and its depth, with least-squares lines.

    Parameters
    ----------
    table : DataFrame
        One row per subset: coverage, depth and a column per target.
    targets : mapping of column to title
    """
    columns = 1 if narrow() else 2
    rows = 2 * len(targets) // columns
    figure, axes = grid(rows, columns, 2.1 * rows + 0.3)
    for ax, (target, x) in zip(axes, product(targets, ("coverage", "depth")), strict=True):
        ways = {"scatter_kws": {"s": 22, "alpha": 0.65}, "line_kws": {"color": INK, "linewidth": 1.4}}
        fit = np.ptp(table[x]) > 0
        sns.regplot(table, x=x, y=target, ci=None, fit_reg=fit, color=SERIES[0][0], ax=ax, **ways)
        first, last = place(ax)
        ax.set(xlabel=x if last or narrow() else "", ylabel=targets[target] if first else "")
    return figure


@stacking
def plane(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Subsets in the plane of coverage and depth, one panel per budget.

    Parameters
    ----------
    tables : mapping of title to DataFrame
        Columns ``method``, ``coverage``, ``depth``; one row per subset.
    """
    entries = looks(name for table in tables.values() for name in table["method"])
    figure, axes = panels(list(tables), height=2.4)
    for ax, table in zip(axes, tables.values(), strict=True):
        _points(ax, table, "coverage", "depth", entries, s=32, alpha=0.8)
        ax.axhline(0.5, color=LINE, linewidth=0.9, zorder=0)
        ax.set(xlim=(0, 1.04), ylim=(0.3, 1.02))
    label_axes(axes, "coverage", "mean relative depth")
    legend(figure, line_handles(entries.values(), lines=False))
    return figure


@stacking
def cost_scatter(tables: Mapping[str, pd.DataFrame], *, ylabel: str) -> Figure:
    """Gain against cost, one labelled point per representation, one panel per model.

    Parameters
    ----------
    tables : mapping of title to DataFrame
        Columns ``method``, ``seconds`` (above 0), ``value``, ``low``, ``high``.
    ylabel : str

    Raises
    ------
    InputError
        If there is nothing to draw, or a cost is not positive.
    """
    if not tables or any(table.empty or (table["seconds"] <= 0).any() for table in tables.values()):
        raise InputError("cost_scatter needs at least one panel, and points with seconds above 0 in each.")
    entries = looks(name for table in tables.values() for name in table["method"])
    figure, axes = panels(list(tables), columns=2, height=2.6)
    for ax, table in zip(axes, tables.values(), strict=True):
        _costs(ax, table, entries)
    label_axes(axes, "Features of pool and queries, wall time", ylabel)
    return figure


def _costs(ax: Axes, table: pd.DataFrame, entries: Mapping[str, Look]) -> None:
    _points(ax, table, "seconds", "value", entries, s=70)
    numbers = table[["seconds", "value", "low", "high"]].to_numpy(float)
    for method, (x, y, low, high) in zip(table["method"], numbers, strict=True):
        entry = entries[method]
        ax.vlines(x, low, high, color=entry.colour, linewidth=1.6)
        ax.annotate(entry.label, (x, y), xytext=(7, 5), textcoords="offset points", color=INK, fontsize=9)
    first, last = table["seconds"].min(), table["seconds"].max()
    ax.set(xscale="log", xlim=(first / 2, last * 4))  # room for the labels
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3) if last / first < 30 else (1,)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:,.0f} s"))
    ax.axhline(0, color=LOOKS["random"].colour, linestyle=LOOKS["random"].line)
