"""What the chapter on open questions draws: white spots, shares of variance, cost against gain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from tis_utils.errors import InputError
from tis_utils.labels import label
from tis_utils.plots.charts import INK, axes_grid, ticks
from tis_utils.plots.figures import PAGE
from tis_utils.plots.theme import CATEGORIES, LOOKS, style

KNOWN, OPEN, EDGE = "#C9CDD4", "#FFFFFF", "#8A8F99"
NOISE = ("#E4E6EA", "--")  # fill and hatch of what is only noise


def white_spots(known: pd.DataFrame) -> Figure:
    """Draw a grid of combinations: grey where results are published, white with a question mark where not.

    Parameters
    ----------
    known : DataFrame of bool
        Rows and columns are method names.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if known.empty:
        raise InputError("white_spots needs at least one row and one column.")
    with style():
        figure = Figure(figsize=(PAGE, 0.5 * len(known) + 0.6), layout="constrained")
        ax = figure.subplots()
        for (i, j), there in np.ndenumerate(known.to_numpy(bool)):
            fill = KNOWN if there else OPEN
            ax.add_patch(Rectangle((j - 0.47, i - 0.44), 0.94, 0.88, facecolor=fill, edgecolor=EDGE))
            ax.text(j, i, "published" if there else "?", ha="center", va="center", color=INK, fontsize=9)
        ticks(ax, [label(c) for c in known.columns], [label(r) for r in known.index])
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.set(xlim=(-0.5, known.shape[1] - 0.5), ylim=(len(known) - 0.5, -0.5))
    return figure


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
    with style():
        figure, (ax,) = axes_grid(1, 1, 0.42 * len(shares) + 0.95)
        left = np.zeros(len(shares))  # (rows,)
        for index, part in enumerate(shares.columns):
            width = shares[part].to_numpy(float)
            colour, hatch = NOISE if part == "noise" else CATEGORIES[index]
            bars = ax.barh(
                [str(r) for r in shares.index],
                width,
                left=left,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                label=label(str(part)),
            )
            texts = [f"{100 * w:.0f} %" if w >= 0.05 else "" for w in width]
            box = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
            ax.bar_label(bars, texts, label_type="center", fontsize=8, color=INK, bbox=box)
            left += width
        _finish_shares(ax, ylabel)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=len(shares.columns))
    return figure


def _finish_shares(ax: Axes, ylabel: str) -> None:
    for text in ax.texts:  # an empty label would be a white dot
        if not text.get_text():
            text.set_visible(False)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), ylabel=ylabel)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    ax.grid(visible=False, axis="y")


def cost_scatter(panels: Mapping[str, pd.DataFrame], *, ylabel: str) -> Figure:
    """Gain against cost, one labelled point per representation, one panel per model.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Columns ``method``, ``seconds`` (above 0), ``value``, ``low``, ``high``.
    ylabel : str

    Raises
    ------
    InputError
        If there is nothing to draw, or a cost is not positive.
    """
    if not panels or any(frame.empty or (frame["seconds"] <= 0).any() for frame in panels.values()):
        raise InputError("cost_scatter needs at least one panel, and points with seconds above 0 in each.")
    with style():
        figure, axes = axes_grid(1, len(panels), 3.0)
        for ax, (title, frame) in zip(axes, panels.items(), strict=True):
            _cost_panel(ax, frame)
            ax.set_title(title)
        axes[0].set_ylabel(ylabel)
    return figure


def _cost_panel(ax: Axes, frame: pd.DataFrame) -> None:
    for name, part in frame.groupby("method", sort=False):
        look, hollow = LOOKS[str(name)], str(name).endswith("_proxy")
        x, y, low, high = part[["seconds", "value", "low", "high"]].to_numpy(float)[0]
        ax.vlines(x, low, high, color=look.colour, linewidth=1.6)
        fill = "white" if hollow else look.colour
        ax.plot(x, y, look.marker, mfc=fill, mec=look.colour, markersize=8)
        ax.annotate(look.label, (x, y), xytext=(7, 5), textcoords="offset points", color=INK, fontsize=9)
    ax.set_xscale("log")
    first, last = frame["seconds"].min(), frame["seconds"].max()
    ax.set_xlim(first / 2, last * 4)  # room for the labels
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3) if last / first < 30 else (1,)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:,.0f} s"))
    ax.axhline(0, color=LOOKS["random"].colour, linestyle=LOOKS["random"].line)
    ax.set_xlabel("Features of pool and queries, wall time")
