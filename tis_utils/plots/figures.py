"""Figures: a tidy frame in (see :mod:`tis_utils.evidence.tables`), a matplotlib figure out, one style and palette."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tis_utils.errors import InputError
from tis_utils.evidence.tables import By, cells_of, need, with_method
from tis_utils.labels import METRICS, label, order
from tis_utils.plots.display import interactive, show
from tis_utils.plots.theme import CATEGORIES, LOOKS, Look, colours, style

__all__ = [
    "LOOKS",
    "METRICS",
    "budget_curves",
    "colours",
    "composition_bars",
    "interactive",
    "label",
    "method_lines",
    "quantile_curves",
    "show",
    "style",
]

PAGE = 7.0  # inches: the width of a page column, so that text is not scaled down


def _panels(titles: Sequence[str], *, columns: int = 3, height: float = 2.2) -> tuple[Figure, list[Axes]]:
    """Small multiples, one per title, at the width of a page column."""
    columns = 2 if len(titles) == 4 else min(columns, len(titles))  # no lonely panel
    rows = math.ceil(len(titles) / columns)
    figure = Figure(figsize=(PAGE if columns > 1 else 0.7 * PAGE, height * rows + 0.5), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(label(title))
    for ax in axes[len(titles) :]:
        ax.remove()
    return figure, axes[: len(titles)]


def _line(ax: Axes, cells: pd.DataFrame, axis: str, method: str) -> None:
    look = LOOKS.get(method, Look(method, "#5C5F66", "*"))
    cells = cells.sort_values(axis)
    x, mean, se = (cells[c].to_numpy(float) for c in (axis, "mean", "se"))  # (X,) each
    ax.plot(x, mean, look.line, marker=look.marker, color=look.colour, label=look.label)
    if np.isfinite(se).any():
        ax.fill_between(x, mean - se, mean + se, color=look.colour, alpha=0.18, linewidth=0)


def _zero_shot(ax: Axes, cells: pd.DataFrame) -> None:
    look = LOOKS["zero_shot"]
    ax.axhline(float(cells["mean"].iloc[0]), color=look.colour, linestyle=look.line, linewidth=1.2, label=look.label)


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, in the palette's order, above them."""
    handles: dict[str, Any] = {}
    for ax in axes:
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(text, handle)
    labels = [look.label for look in LOOKS.values() if look.label in handles]
    labels += [text for text in handles if text not in labels]
    width = max(2, min(len(labels), int(figure.get_figwidth() / 1.25)))
    rows = math.ceil(len(labels) / width)
    columns = math.ceil(len(labels) / rows)  # rows of one length: no lonely entry
    figure.legend([handles[t] for t in labels], labels, loc="outside upper left", ncols=columns)


def write_note(figure: Figure, text: str) -> None:
    """Put small print below a figure, wrapped to its width."""
    lines = textwrap.fill(text, round(18 * figure.get_figwidth()))  # characters of this size in an inch
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=7.5, color="#4A4F5A")


def budget_curves(frame: pd.DataFrame, *, metric: str, by: By = "representation") -> Figure:
    """Draw `metric` against budget, one panel per task, one line per method.

    Lines are means over seeds, bands are one standard error to either side (none where n = 1); the untuned
    model is a dashed horizontal line.

    Parameters
    ----------
    frame : DataFrame
        Tidy rows (see the module's description) with a column ``budget``, in examples.
    metric : str
        Value of the column ``metric`` to draw.
    by : {"representation", "selector"}
        What the lines stand for; the other one must be the same in all rows but Random and zero-shot.

    Raises
    ------
    InputError
        If a column is missing, no row has the metric, or rows that must not be averaged are mixed.
    """
    cells = cells_of(frame, metric, by, "budget")
    tasks = list(dict.fromkeys(cells["task"]))
    trained = cells[cells["method"] != "zero_shot"]
    budgets = sorted(trained["budget"].unique())
    with style():
        figure, axes = _panels(tasks)
        for ax, task in zip(axes, tasks, strict=True):
            here = cells[cells["task"] == task]
            for method in order(here["method"]):
                rows = here[here["method"] == method]
                if method == "zero_shot":
                    _zero_shot(ax, rows)
                else:
                    _line(ax, rows, "budget", method)
            _log_budget_axis(ax, budgets)
        _label_axes(axes, "Budget (examples)", label(metric))
        _legend(figure, axes)
        write_note(figure, _bands(trained))
    return figure


def _bands(cells: pd.DataFrame) -> str:
    counts = sorted({int(n) for n in cells["n"] if n > 1})
    if not counts:
        return "One run per point."
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Line: mean over {runs} seeds; band: ± 1 standard error."


def method_lines(
    panels: Mapping[str, pd.DataFrame],
    *,
    ylabel: str,
    note: str = "",
    reference: float | None = None,
    shared: bool = True,
) -> Figure:
    """Draw numbers that were computed for every method and budget, one panel per title.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Columns ``method``, ``budget``, ``value`` and optionally ``low`` and ``high`` (the band).
    ylabel : str
    note : str
        Printed under the figure.
    reference : float, optional
        Height of a thin horizontal line.
    shared : bool
        Whether all panels have one vertical scale.

    Raises
    ------
    InputError
        If there is no panel, or one lacks a column or has no row.
    """
    if not panels:
        raise InputError("method_lines needs at least one panel.")
    with style():
        figure, axes = _panels(list(panels))
        for ax, table in zip(axes, panels.values(), strict=True):
            need(table, ["method", "budget", "value"])
            for method in order(table["method"]):
                _value_line(ax, table[table["method"] == method].sort_values("budget"), method)
            if reference is not None:
                ax.axhline(reference, color="#1F2430", linewidth=0.9)
            _log_budget_axis(ax, sorted(table["budget"].unique()))
            if shared:
                ax.sharey(axes[0])
        _label_axes(axes, "Budget (examples)", ylabel)
        _legend(figure, axes)
        write_note(figure, note)
    return figure


def _value_line(ax: Axes, rows: pd.DataFrame, method: str) -> None:
    look = LOOKS.get(method, Look(label(method), "#5C5F66", "*"))
    ax.plot(rows["budget"], rows["value"], look.line, marker=look.marker, color=look.colour, label=look.label)
    if {"low", "high"} <= set(rows.columns):
        ax.fill_between(rows["budget"], rows["low"], rows["high"], color=look.colour, alpha=0.14, linewidth=0)


def _log_budget_axis(ax: Axes, budgets: Sequence[float]) -> None:
    """Logarithmic axis with a tick at the budgets that were run, thinned so that labels do not collide."""
    ax.set_xscale("log")
    ticks: list[float] = []
    for budget in budgets:
        if not ticks or budget / ticks[-1] >= 1.8:
            ticks.append(budget)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    ax.xaxis.set_minor_locator(NullLocator())


def _count(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _label_axes(axes: Sequence[Axes], x: str, y: str) -> None:
    """Name the y axis on the left of each row and the x axis under the last panel of each column."""
    for ax in axes:
        spec = ax.get_subplotspec()
        assert spec is not None
        columns = spec.get_gridspec().ncols
        index = spec.num1
        if index % columns == 0:
            ax.set_ylabel(y)
        if x and index + columns >= len(axes):
            ax.set_xlabel(x)


def quantile_curves(frame: pd.DataFrame, *, metric: str) -> Figure:
    """Draw `metric` against distance-quantile bin, one panel per task, one line per representation.

    Under each panel stands Spearman's rank correlation between bin and metric: the nearer to 1 (for a
    loss), the better the representation's distance predicts what training on an example does.

    Parameters
    ----------
    frame : DataFrame
        Tidy rows with a column ``bin`` (0 nearest), see the module's description.
    metric : str
        Value of the column ``metric`` to draw.

    Raises
    ------
    InputError
        As :func:`budget_curves`.
    """
    cells = cells_of(frame, metric, "representation", "bin")
    tasks = list(dict.fromkeys(cells["task"]))
    bins = sorted(cells.loc[cells["method"] != "zero_shot", "bin"].unique())
    with style():
        figure, axes = _panels(tasks, columns=2, height=2.3)
        for ax, task in zip(axes, tasks, strict=True):
            _quantile_panel(ax, cells[cells["task"] == task])
            ax.xaxis.set_major_locator(FixedLocator(bins[:: 1 + len(bins) // 11]))
        _label_axes(axes, "", label(metric))
        _legend(figure, axes)
        write_note(
            figure,
            "Horizontal: distance quantile of the training examples, 0 = nearest. "
            "ρ: Spearman's correlation of quantile and metric.",
        )
    return figure


def _quantile_panel(ax: Axes, cells: pd.DataFrame) -> None:
    correlations = []
    for method in order(cells["method"]):
        rows = cells[cells["method"] == method]
        if method == "zero_shot":
            _zero_shot(ax, rows)
            continue
        _line(ax, rows, "bin", method)
        rho = rows["bin"].astype(float).corr(rows["mean"], method="spearman")
        correlations.append(f"{label(method)} {rho:+.2f}".replace(" -", " −"))
    ax.set_xlabel("ρ:  " + "   ".join(correlations), loc="left", fontsize=8)


def composition_bars(
    frame: pd.DataFrame, *, by: By = "representation", category: str = "source", names: Sequence[str] = ()
) -> Figure:
    """Draw what was selected: for each method, the share of examples from each source.

    Parameters
    ----------
    frame : DataFrame
        One row per selected example, or one per group with a column ``count``; columns ``representation``,
        ``selector`` and `category`; with a column ``task``, one panel per task.
    by : {"representation", "selector"}
        What a bar stands for.
    category : str
        Column with the source.
    names : sequence of str
        Sources in a fixed order, so that colours agree between figures; all others are one segment "other".
        At most 7; by default the most frequent ones.

    Raises
    ------
    InputError
        If a column is missing, the frame is empty, or there are more than 7 `names`.
    """
    if len(names) >= len(CATEGORIES):
        raise InputError(
            f"{len(names)} names, expected at most {len(CATEGORIES) - 1}: more colours cannot be told apart."
        )
    shares = _shares(frame, by, category, names)
    tasks = list(dict.fromkeys(shares.index.get_level_values("task")))
    methods = order(shares.index.get_level_values("method"))
    with style():
        figure, axes = _panels(tasks, columns=2, height=0.5 + 0.36 * len(methods))
        for ax, task in zip(axes, tasks, strict=True):
            rows = shares[shares.index.get_level_values("task") == task].droplevel("task")
            _stack(ax, rows.reindex(methods).dropna(how="all"))
        _label_axes(axes, "Share of the selected examples", "")
        handles, texts = axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside upper left", ncols=min(4, len(texts)))
    return figure


def _shares(frame: pd.DataFrame, by: By, category: str, names: Sequence[str]) -> pd.DataFrame:
    """Rows (task, method), columns the named or most frequent categories and "other"; rows sum to one."""
    need(frame, [category])
    frame = with_method(frame, by)
    frame = frame.assign(
        task=frame["task"] if "task" in frame.columns else "", count=frame["count"] if "count" in frame.columns else 1
    )
    ranking = frame.groupby(category)["count"].sum().sort_values(ascending=False, kind="stable")
    kept = list(names) or list(ranking.index[: len(CATEGORIES) - 1])
    group = frame[category].where(frame[category].isin(kept), "other")
    table = frame.assign(group=group).pivot_table(
        index=["task", "method"], columns="group", values="count", aggfunc="sum", fill_value=0, sort=False
    )
    columns = [*kept, *({"other"} & set(table.columns) - set(kept))]
    table = table.reindex(columns=columns, fill_value=0)
    return table.div(table.sum(axis=1), axis=0)


def _stack(ax: Axes, shares: pd.DataFrame) -> None:
    left = np.zeros(len(shares))  # (methods,)
    rows = [label(method) for method in shares.index]
    for index, name in enumerate(shares.columns):
        colour, hatch = CATEGORIES[-1] if name == "other" else CATEGORIES[index]
        width = shares[name].to_numpy(float)
        ax.barh(rows, width, left=left, color=colour, hatch=hatch, edgecolor="white", label=label(str(name)))
        left += width
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    ax.grid(visible=False, axis="y")
