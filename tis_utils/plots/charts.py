"""General charts in the book's style: annotated heat maps, estimates with intervals, scatter with fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, TwoSlopeNorm
from matplotlib.figure import Figure

from tis_utils.errors import InputError
from tis_utils.evidence.statistics import Floats
from tis_utils.plots.figures import PAGE, write_note
from tis_utils.plots.theme import style

INK, MUTED, LINE = "#1F2430", "#4A4F5A", "#B8BDC6"
# Blue is good, orange is bad: apart for red- and green-blind eyes; the numbers and symbols say it again.
DIVERGING = colormaps["PuOr"]
SEQUENTIAL = colormaps["Purples"]
SERIES = (("#332288", "o"), ("#D55E00", "s"), ("#00754A", "^"), ("#C0399F", "D"), ("#767676", "v"))


def axes_grid(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """An empty figure as wide as a page column, and its panels row by row."""
    figure = Figure(figsize=(PAGE, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def heat_maps(
    tables: Mapping[str, pd.DataFrame],
    *,
    form: str = "{:+.0f}",
    centre: float | None = 0.0,
    limit: float | Sequence[float],
    columns: int = 2,
    note: str = "",
    cell: float = 0.21,
) -> Figure:
    """Draw one annotated heat map per table, on one colour scale or (other units) each on its own.

    Parameters
    ----------
    tables : mapping of title to DataFrame
        The same rows and columns in each; missing values stay white.
    form : str
        Format of the numbers.
    centre : float or None
        Value drawn white on a two-sided scale (below: orange, above: purple); None for a one-sided scale
        from 0.
    limit : float or one per table
        Distance from the centre (or from 0) at which the colour is fullest.
    columns : int
        Panels side by side.
    note : str
        Printed under the figure.
    cell : float
        Height of a row, in inches.

    Raises
    ------
    InputError
        If there is no table, or their rows and columns differ.
    """
    frames = list(tables.values())
    if not frames or any(not (f.index.equals(frames[0].index) and f.columns.equals(frames[0].columns)) for f in frames):
        raise InputError("heat_maps needs at least one table, and the same rows and columns in all of them.")
    limits = [limit] * len(frames) if isinstance(limit, int | float) else list(limit)
    columns = min(columns, len(frames))
    rows = math.ceil(len(frames) / columns)
    with style():
        figure, axes = axes_grid(rows, columns, rows * (cell * len(frames[0]) + 0.5) + 0.3)
        for index, (title, table) in enumerate(tables.items()):
            _heat_map(axes[index], table, form, centre, limits[index])
            axes[index].set_title(title)
            if index % columns:
                axes[index].set_yticklabels([])
            if columns > 2:
                axes[index].tick_params(axis="x", labelsize=7)
        for ax in axes[len(frames) :]:
            ax.remove()
        write_note(figure, note)
    return figure


def _heat_map(ax: Axes, table: pd.DataFrame, form: str, centre: float | None, limit: float) -> None:
    values = table.to_numpy(float)  # (rows, columns)
    colours: Colormap = SEQUENTIAL if centre is None else DIVERGING
    norm = TwoSlopeNorm(limit / 2, 0, limit) if centre is None else TwoSlopeNorm(centre, centre - limit, centre + limit)
    shades = colours(norm(np.clip(np.nan_to_num(values), norm.vmin, norm.vmax)))  # (rows, columns, 4)
    shades[np.isnan(values)] = 1
    ax.imshow(shades, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            _number(ax, j, i, form.format(value), shades[i, j])
    ticks(ax, [str(c) for c in table.columns], [str(r) for r in table.index])


def _number(ax: Axes, x: float, y: float, text: str, shade: Floats) -> None:
    rgb = np.asarray(shade[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    dark = float(linear @ [0.2126, 0.7152, 0.0722]) < 0.217  # here white and INK have the same contrast
    zero = text.strip("+-0.%") == ""
    text = text.lstrip("+-") if zero else text.replace("-", "−")
    ax.text(x, y, text, ha="center", va="center", fontsize=7.5, color="white" if dark else INK)


def ticks(ax: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Label the cells of an image, without tick marks, grid and frame."""
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def intervals(
    panels: Mapping[str, pd.DataFrame], *, xlabel: str, columns: int = 2, reference: str = "", note: str = ""
) -> Figure:
    """Draw estimates with intervals as horizontal bars around dots, one row per label.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Columns ``label``, ``value``, ``low``, ``high`` and optionally ``series`` (colour, marker, legend).
    xlabel : str
    columns : int
        Panels side by side; they share their rows.
    reference : str
        What the vertical line at 0 stands for.
    note : str
        Printed under the figure.
    """
    labels = list(dict.fromkeys(label for frame in panels.values() for label in frame["label"]))
    count = max(frame["series"].nunique() if "series" in frame else 1 for frame in panels.values())
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    with style():
        height = rows * (len(labels) * (0.13 + 0.12 * count) + 0.65) + 0.45
        figure, axes = axes_grid(rows, columns, height)
        for index, (ax, (title, frame)) in enumerate(zip(axes, panels.items(), strict=False)):
            _interval_panel(ax, frame, labels)
            ax.set_title(title)
            ax.set_xlabel(xlabel + (f"\n(line at 0: {reference})" if reference else ""))
            if index % columns:
                ax.set_yticklabels([])
        for ax in axes[len(panels) :]:
            ax.remove()
        handles, texts = axes[0].get_legend_handles_labels()
        if count > 1:
            figure.legend(handles, texts, loc="outside upper left", ncols=count)
        write_note(figure, note)
    return figure


def _interval_panel(ax: Axes, frame: pd.DataFrame, labels: Sequence[str]) -> None:
    frame = frame.assign(series=frame.get("series", ""))
    names = list(dict.fromkeys(frame["series"]))
    for k, name in enumerate(names):
        part = frame[frame["series"] == name]
        colour, marker = SERIES[k % len(SERIES)]
        at = np.array([labels.index(x) for x in part["label"]]) + 0.24 * (k - (len(names) - 1) / 2)
        ax.hlines(at, part["low"], part["high"], color=colour, linewidth=1.6)
        ax.plot(part["value"], at, marker, color=colour, label=name)
    ax.axvline(0, color=INK, linewidth=0.9)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")


def scatter_fits(
    frame: pd.DataFrame, *, panel: str, series: str, xlabel: str, ylabel: str, columns: int = 3, diagonal: bool = False
) -> Figure:
    """Scatter ``y`` against ``x``, one panel per value of `panel`, one colour and fitted line per `series`.

    Parameters
    ----------
    frame : DataFrame
        Columns ``x``, ``y``, `panel`, `series`. Lines are least squares over all points; at most five series.
        A few extreme values of y may lie outside a panel, which then says how many.
    diagonal : bool
        Draw y = x instead of the fits.
    """
    titles = list(dict.fromkeys(frame[panel]))
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    with style():
        figure, axes = axes_grid(rows, columns, 2.15 * rows + 0.5)
        for ax, title in zip(axes, titles, strict=False):
            _scatter(ax, frame[frame[panel] == title], series, diagonal)
            ax.set_title(title)
        for ax in axes[len(titles) :]:
            ax.remove()
        figure.supxlabel(xlabel, fontsize=9)
        figure.supylabel(ylabel, fontsize=9)
        handles, texts = axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside upper left", ncols=min(5, len(texts)), markerscale=1.6)
    return figure


def _scatter(ax: Axes, frame: pd.DataFrame, series: str, diagonal: bool) -> None:
    for k, (name, part) in enumerate(frame.groupby(series, sort=False)):
        colour, marker = SERIES[k % len(SERIES)]
        x, y = part["x"].to_numpy(float), part["y"].to_numpy(float)  # (points,) each
        ax.plot(x, y, marker, color=colour, markersize=2.6, alpha=0.55, markeredgewidth=0, label=str(name))
        if not diagonal and np.ptp(x) > 0:
            slope, start = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            ax.plot(ends, start + slope * ends, color=colour, linewidth=1.8)
    if diagonal:
        both = frame[["x", "y"]]
        line = [both.min().max(), both.max().min()]
        ax.plot(line, line, color=INK, linewidth=1, linestyle="--")
    low, high = frame["y"].quantile([0.004, 0.996])
    ax.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    if outside := int((~frame["y"].between(*ax.get_ylim())).sum()):
        ax.text(0.98, 0.02, f"{outside} outside", transform=ax.transAxes, ha="right", fontsize=7, color=MUTED)
    for draw in (ax.axhline, ax.axvline):
        draw(0, color=LINE, linewidth=0.9, zorder=0)
