"""Stacked bars: what was selected, what a pool holds, where variance comes from; boxes of lengths."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from tis_utils.errors import InputError
from tis_utils.evidence.tables import By, need, with_method
from tis_utils.labels import label, order
from tis_utils.plots.panels import PAGE, label_axes, legend, narrow, panels, stacking, write_note
from tis_utils.plots.theme import CATEGORIES, GREY, INK, KINDS, SMALL, fills

NOISE = ("#E4E6EA", "--")  # of what is only noise


def _stack(ax: Axes, table: pd.DataFrame, style: Mapping[str, tuple[str, str]]) -> None:
    """One bar per row, one segment per column, from left to right."""
    rows = [str(row) for row in table.index]
    cells = table.set_axis(rows).rename_axis("row").reset_index().melt("row", var_name="part", value_name="size")
    cells["row"] = pd.Categorical(cells["row"], rows)
    parts = [part for part in style if part in table.columns][::-1]  # the last one is drawn first
    palette = {part: colour for part, (colour, _) in style.items()}
    ways = {"multiple": "stack", "shrink": 0.82, "alpha": 1, "edgecolor": "white", "legend": False}
    sns.histplot(cells, y="row", hue="part", hue_order=parts, weights="size", palette=palette, ax=ax, **ways)
    for container, part in zip(ax.containers, parts[::-1], strict=True):
        container.set_label(part)
        for bar in container:
            bar.set_hatch(style[part][1])
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0)


def _stacks(
    tables: Mapping[str, pd.DataFrame], style: Mapping[str, tuple[str, str]], xlabel: str, ylabel: str, share: bool
) -> tuple[Figure, list[Axes]]:
    height = 0.45 + 0.3 * max(2, *(len(table) for table in tables.values()))
    figure, axes = panels([label(t) for t in tables], columns=2, height=height, single=0.85 * PAGE)
    for ax, table in zip(axes, tables.values(), strict=True):
        _stack(ax, table, style)
        if share:
            ax.set_xlim(0, 1)
            ax.xaxis.set_major_formatter(PercentFormatter(1))
    label_axes(axes, xlabel, ylabel)
    patches = {label(p): Patch(facecolor=c, hatch=h, edgecolor="white") for p, (c, h) in style.items()}
    legend(figure, patches)
    return figure, axes


@stacking
def stacked_bars(tables: Mapping[str, pd.DataFrame], *, xlabel: str, ylabel: str = "", share: bool = False) -> Figure:
    """Draw tables of counts or shares: one panel per table, one bar per row, one segment per column.

    Parameters
    ----------
    tables : mapping of title to DataFrame
        Columns are kinds of examples (which have their own colours) or other categories.
    xlabel, ylabel : str
        What is counted, and what the rows are.
    share : bool
        Whether rows are shares that sum to one, written in per cent.
    """
    names = dict.fromkeys(str(column) for table in tables.values() for column in table.columns)
    kinds = [kind for kind in KINDS if kind in names]
    tables = {t: table.set_axis(table.columns.map(str), axis=1) for t, table in tables.items()}
    return _stacks(tables, fills([*kinds, *names]), xlabel, ylabel, share)[0]


@stacking
def share_bars(shares: pd.DataFrame, *, ylabel: str) -> Figure:
    """Stacked bars of shares that sum to one, each segment with its per cent.

    Parameters
    ----------
    shares : DataFrame
        One bar per row; columns are the segments, at most 8. The column "noise" is grey.
    ylabel : str
        What the rows are.

    Raises
    ------
    InputError
        If the rows do not sum to one.
    """
    if shares.empty or not np.allclose(shares.sum(axis=1), 1):
        raise InputError("share_bars needs rows that sum to 1.")
    style = {str(c): NOISE if c == "noise" else CATEGORIES[k] for k, c in enumerate(shares.columns)}
    figure, (ax,) = _stacks({"": shares}, style, "", ylabel, True)
    box = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
    for y, row in enumerate(shares.to_numpy(float)):
        for width, end in zip(row, row.cumsum(), strict=True):
            if width >= 0.05 * PAGE / figure.get_figwidth():
                x, text = end - width / 2, f"{100 * width:.0f} %"
                ax.text(x, y, text, ha="center", va="center", fontsize=SMALL, color=INK, bbox=box)
    return figure


@stacking
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
        most = len(CATEGORIES) - 1
        raise InputError(f"{len(names)} names, expected at most {most}: more colours cannot be told apart.")
    shares = _shares(frame, by, category, names)
    methods = order(shares.index.get_level_values("method"))
    tables = {
        str(task): part.droplevel("task").reindex(methods).dropna(how="all").rename(index=label)
        for task, part in shares.groupby(level="task", sort=False)
    }
    return _stacks(tables, fills(shares.columns), "Share of the selected examples", "", True)[0]


def _shares(frame: pd.DataFrame, by: By, category: str, names: Sequence[str]) -> pd.DataFrame:
    """Rows (task, method), columns the named or most frequent categories and "other"; rows sum to one."""
    need(frame, [category])
    frame = with_method(frame, by)
    frame = frame.assign(task=frame.get("task", ""), count=frame.get("count", 1))
    ranking = frame.groupby(category)["count"].sum().sort_values(ascending=False, kind="stable")
    kept = list(names) or list(ranking.index[: len(CATEGORIES) - 1])
    group = frame[category].where(frame[category].isin(kept), "other")
    table = frame.assign(group=group).pivot_table(
        index=["task", "method"], columns="group", values="count", aggfunc="sum", fill_value=0, sort=False
    )
    columns = [*kept, *({"other"} & set(table.columns) - set(kept))]
    table = table.reindex(columns=columns, fill_value=0)
    return table.div(table.sum(axis=1), axis=0)


@stacking
def length_boxes(frame: pd.DataFrame, columns: Mapping[str, str], *, note: str = "") -> Figure:
    """Draw distributions as boxes on a logarithmic axis: one row per group, one panel per column.

    The line spans the middle 90 per cent, the box the middle half, the stroke in it is the median.

    Parameters
    ----------
    frame : DataFrame
        A column ``group`` (rows appear in order of first appearance) and the columns to draw, positive.
    columns : mapping of column to axis label
    note : str
        Printed under the figure.

    Raises
    ------
    InputError
        If the frame is empty or a value is not positive.
    """
    if frame.empty or not (frame[list(columns)] > 0).all().all():
        raise InputError("length_boxes needs at least one row and positive lengths: the axis is logarithmic.")
    groups = frame["group"].nunique()
    figure, axes = panels([""] * len(columns), height=0.23 * groups + 0.6, single=PAGE)
    for ax, (column, text) in zip(axes, columns.items(), strict=True):
        looks: dict[str, Any] = {"color": "#C9CDD4", "linecolor": GREY, "medianprops": {"color": INK, "linewidth": 2.4}}
        looks |= {"whis": (5, 95), "showfliers": False, "showcaps": False, "width": 0.6}
        sns.boxplot(frame, x=column, y="group", ax=ax, **looks)
        ax.set(xscale="log", xlabel=text, ylabel="")
        ax.tick_params(axis="y", length=0, labelleft=ax is axes[0] or figure.get_figwidth() < PAGE)
        ax.xaxis.set_major_locator(LogLocator(base=2, numticks=6 if narrow() else 8))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.grid(visible=False, axis="y")
    write_note(figure, note)
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
