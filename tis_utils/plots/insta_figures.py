"""What the chapter on INSTA draws: the sweep over the number of tasks, and a transfer matrix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from tis_utils.errors import InputError
from tis_utils.plots.charts import DIVERGING, INK, SERIES, axes_grid, ticks
from tis_utils.plots.figures import PAGE, write_note
from tis_utils.plots.theme import LOOKS, style


def task_sweep(panels: Mapping[str, pd.DataFrame], *, ylabel: str, reference: str, note: str = "") -> Figure:
    """Lines with intervals against the number of chosen tasks, one panel per title.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Columns ``series``, ``k``, ``value``, ``low``, ``high``.
    ylabel : str
    reference : str
        What the dotted line at 0 stands for.
    note : str
        Printed under the figure.

    Raises
    ------
    InputError
        If there is nothing to draw.
    """
    if not panels or any(frame.empty for frame in panels.values()):
        raise InputError("task_sweep needs at least one panel, and rows in each.")
    with style():
        figure, axes = axes_grid(1, len(panels), 3.1)
        for ax, (title, frame) in zip(axes, panels.items(), strict=True):
            for (colour, marker), (name, part) in zip(SERIES, frame.groupby("series", sort=False), strict=False):
                part = part.sort_values("k")
                ax.plot(part["k"], part["value"], marker=marker, color=colour, label=str(name))
                ax.fill_between(part["k"], part["low"], part["high"], color=colour, alpha=0.14, linewidth=0)
            chance = LOOKS["random"]
            ax.axhline(0, color=chance.colour, linestyle=chance.line, label=reference)
            ax.set_xscale("log")
            steps = sorted(frame["k"].unique())
            ax.xaxis.set_major_locator(FixedLocator(steps))
            ax.xaxis.set_major_formatter(FixedFormatter([str(step) for step in steps]))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_title(title)
            ax.set_xlabel("Chosen tasks k")
            ax.sharey(axes[0])
        axes[0].set_ylabel(ylabel)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
        write_note(figure, note)
    return figure


def transfer_map(gains: pd.DataFrame, *, marks: Mapping[str, str], limit: float, note: str = "") -> Figure:
    """A transfer matrix as colours: sources in rows, targets in columns; a dot marks INSTA's choice.

    Parameters
    ----------
    gains : DataFrame
        Sources × targets, positive (purple): training on the source helps the target.
    marks : mapping of target to source
    limit : float
        Gain at which the colour is fullest.

    Raises
    ------
    InputError
        If the matrix is empty.
    """
    if gains.empty:
        raise InputError("transfer_map needs at least one source and one target.")
    with style():
        figure = Figure(figsize=(PAGE, 0.135 * len(gains) + 1.9), layout="constrained")
        ax = figure.subplots()
        image = ax.imshow(gains.to_numpy(float), cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        columns = [str(c).replace("_", " ") for c in gains.columns]
        ticks(ax, columns, [str(r).replace("_", " ") for r in gains.index])
        ax.tick_params(labelsize=7)
        ax.tick_params(axis="x", rotation=90)
        known = [(t, s) for t, s in marks.items() if s in gains.index and t in gains.columns]
        x = [gains.columns.get_loc(t) for t, _ in known]
        y = [gains.index.get_loc(s) for _, s in known]
        ax.plot(np.array(x), np.array(y), "o", color="white", markeredgecolor=INK, markersize=4.2)
        bar = figure.colorbar(image, ax=ax, shrink=0.5, aspect=30, pad=0.01)
        bar.set_label("loss saved (nats)", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        write_note(figure, note)
    return figure
