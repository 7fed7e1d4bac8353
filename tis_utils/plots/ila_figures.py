"""What the chapter on ILA draws: the map with its cells, subsets in the plane of coverage and depth, fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from tis_utils.errors import InputError
from tis_utils.labels import label
from tis_utils.neighbours.ila.coverage_depth import Ints
from tis_utils.neighbours.ila.selector import Landscape
from tis_utils.plots.charts import INK, LINE, MUTED, SEQUENTIAL, axes_grid
from tis_utils.plots.figures import write_note
from tis_utils.plots.theme import LOOKS, Look, style

SHADES = ListedColormap(SEQUENTIAL(np.linspace(0.25, 1, 256)))  # the lightest must still be seen on white
RULES: dict[str, Look] = {
    "ila": Look("ILA", "#332288", "D"),
    "ila@depth": Look("Depth alone", "#B07D12", "v", "--"),
    "ila@coverage": Look("Coverage alone", "#C0399F", "P", "--"),
}


def look_of(name: str) -> Look:
    """How a method of the chapter looks, also by its full name ``none/ila``."""
    short = name.removeprefix("none/")
    if short in RULES:
        return RULES[short]
    part = "random" if short in ("random", "ila@random") else short.split("/")[0]
    known = LOOKS.get(part)
    return known or Look(label(short), MUTED, "*")


def maps(land: Landscape, bins: int, chosen: Mapping[str, Ints]) -> Figure:
    """The map of the pool once per subset: candidates shaded by relative depth, grid lines, picks as rings.

    Parameters
    ----------
    land : Landscape
        With a map, so not of k-means.
    bins : int
        Cells per axis.
    chosen : mapping of title to ndarray of int
        Indices into the pool.

    Raises
    ------
    InputError
        If the landscape has no map or there is no subset.
    """
    if not len(land.points) or not chosen:
        raise InputError("maps needs a landscape with a map, and at least one subset.")
    with style():
        figure, axes = axes_grid(1, len(chosen), 3.0)
        for ax, (title, picks) in zip(axes, chosen.items(), strict=True):
            shades = _map(ax, land, bins, np.searchsorted(land.index, picks))
            ax.set_title(title)
        bar = figure.colorbar(shades, ax=axes, shrink=0.8, pad=0.01)
        bar.set_label("relative depth")
        write_note(figure, "Each dot is a candidate, rings are selected; lines are the grid.")
    return figure


def _map(ax: Axes, land: Landscape, bins: int, place: Ints) -> PathCollection:
    low, high = land.points.min(axis=0), land.points.max(axis=0)  # (2,) each
    for axis, draw in enumerate((ax.axvline, ax.axhline)):
        for line in np.linspace(low[axis], high[axis], bins + 1):
            draw(line, color=LINE, linewidth=0.5, zorder=0)
    x, y = land.points.T
    shades = ax.scatter(x, y, s=2.5, c=land.depths, cmap=SHADES, vmin=0, vmax=1, linewidths=0)
    ax.plot(x[place], y[place], "o", mfc="none", mec="#B3261E", mew=1.1, markersize=5.5)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    return shades


def plane(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Subsets in the plane of coverage and depth, one panel per budget.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Columns ``method``, ``coverage``, ``depth``; one row per subset.
    """
    with style():
        figure, axes = axes_grid(1, len(panels), 2.7)
        for ax, (title, frame) in zip(axes, panels.items(), strict=True):
            for name, part in frame.groupby("method", sort=False):
                look = look_of(str(name))
                ax.plot(part["coverage"], part["depth"], look.marker, color=look.colour, label=look.label, alpha=0.8)
            ax.axhline(0.5, color=LINE, linewidth=0.9, zorder=0)
            ax.set(title=title, xlabel="coverage", xlim=(0, 1.04), ylim=(0.3, 1.02))
        axes[0].set_ylabel("mean relative depth")
        handles, texts = axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside upper left", ncols=len(texts))
    return figure


def lead_lines(panels: Mapping[str, pd.DataFrame], *, ylabel: str, xlabel: str = "Budget (examples)") -> Figure:
    """Leads with their intervals against budget or pool size, one panel per title.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Columns ``method``, ``x``, ``value``, ``low``, ``high``.
    """
    with style():
        figure, axes = axes_grid(1, len(panels), 2.8)
        for ax, (title, frame) in zip(axes, panels.items(), strict=True):
            names = list(dict.fromkeys(frame["method"]))
            for k, name in enumerate(names):
                _leads(ax, frame[frame["method"] == name], look_of(name), 1 + 0.035 * (k - (len(names) - 1) / 2))
            ticks = sorted(frame["x"].unique())
            ax.set_xscale("log")
            ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
            ax.minorticks_off()
            ax.axhline(0, color=LOOKS["random"].colour, linestyle=":")
            ax.set(title=title, xlabel=xlabel)
        axes[0].set_ylabel(ylabel)
        handles = {t: h for ax in axes for h, t in zip(*ax.get_legend_handles_labels(), strict=True)}
        if len(handles) > 1:
            figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=min(6, len(handles)))
    return figure


def _leads(ax: Axes, rows: pd.DataFrame, look: Look, shift: float) -> None:
    x = rows["x"] * shift  # side by side on the logarithmic axis
    ax.vlines(x, rows["low"], rows["high"], color=look.colour, linewidth=1.3, alpha=0.7)
    ax.plot(x, rows["value"], look.line, marker=look.marker, color=look.colour, label=look.label)


def fits(table: pd.DataFrame, targets: Mapping[str, str], predictors: Sequence[str] = ("coverage", "depth")) -> Figure:
    """Loss of each designed subset against its coverage and its depth.

    Parameters
    ----------
    table : DataFrame
        One row per subset: the predictors and a column per target.
    targets : mapping of column to title
    predictors : sequence of str
    """
    with style():
        figure, axes = axes_grid(len(targets), len(predictors), 2.1 * len(targets) + 0.3)
        for k, (target, title) in enumerate(targets.items()):
            for m, predictor in enumerate(predictors):
                ax = axes[k * len(predictors) + m]
                x, y = table[predictor].to_numpy(), table[target].to_numpy()  # (n,) each
                ax.plot(x, y, "o", color="#332288", markersize=4, alpha=0.65)
                if np.ptp(x) > 0:
                    slope, start = np.polyfit(x, y, 1)
                    ends = np.array([x.min(), x.max()])
                    ax.plot(ends, start + slope * ends, color=INK, linewidth=1.4)
                ax.set_xlabel(predictor if k == len(targets) - 1 else "")
                ax.set_ylabel(title if m == 0 else "")
    return figure
