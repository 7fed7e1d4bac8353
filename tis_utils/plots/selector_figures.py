"""Figures of the selectors chapter: what goes in and comes out, picks on a map, the effect of an option."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from tis_utils.errors import InputError
from tis_utils.evidence.tables import need
from tis_utils.labels import label
from tis_utils.plots.charts import INK, LINE, MUTED, SEQUENTIAL, axes_grid, ticks
from tis_utils.plots.figures import PAGE, write_note
from tis_utils.plots.theme import LOOKS, Look, style

Picks = Sequence[int] | NDArray[np.int64]


def matrix_picture(S: NDArray[Any], picks: Mapping[str, Picks]) -> Figure:
    """Draw a small similarity matrix and, under its columns, the order in which each selector takes them.

    Parameters
    ----------
    S : ndarray, shape (M, N)
        Similarities; darker is more similar.
    picks : mapping of selector to sequence of int
        Column indices, best first.
    """
    m, n = S.shape
    with style():
        figure = Figure(figsize=(PAGE, 0.24 * (m + len(picks)) + 1.05), layout="constrained")
        top, bottom = figure.subplots(2, 1, height_ratios=[m, len(picks)])
        top.imshow(S, aspect="auto", cmap=SEQUENTIAL)
        ticks(top, [], [f"query {i + 1}" for i in range(m)])
        top.set_title(f"In: S, {m} queries × {n} candidates (darker: more similar)")
        bottom.set_title("Out: candidates in order, 1 first")
        for row, (name, chosen) in enumerate(picks.items()):
            for place, column in enumerate(chosen, start=1):
                box = {"facecolor": _look(name).colour, "boxstyle": "round,pad=0.22", "linewidth": 0}
                bottom.text(column, row, str(place), ha="center", va="center", fontsize=8, color="white", bbox=box)
        ticks(bottom, [str(j) for j in range(n)], [label(name) for name in picks])
        bottom.set(xlim=(-0.5, n - 0.5), ylim=(len(picks) - 0.5, -0.5), xlabel="candidate (column of S)")
        bottom.hlines(np.arange(len(picks) - 1) + 0.5, -0.5, n - 0.5, color=LINE, linewidth=0.5)
    return figure


def scene_map(candidates: NDArray[Any], queries: NDArray[Any], notes: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw a pool and its numbered queries on a map, with words at some places.

    Parameters
    ----------
    candidates, queries : ndarray, shape (N, 2) and (M, 2)
        Positions on the map.
    notes : mapping of text to position
    """
    limits = _limits(np.vstack([candidates, queries]))
    with style():
        height = 0.75 * PAGE * np.ptp(limits[1]) / np.ptp(limits[0]) + 0.35
        figure = Figure(figsize=(0.75 * PAGE, height), layout="constrained")
        ax = figure.subplots()
        _map(ax, candidates, queries, np.empty(0, dtype=int), LOOKS["random"], scale=2)
        for number, place in enumerate(queries, start=1):
            ax.annotate(str(number), place, (6, 5), textcoords="offset points", fontweight="bold")
        for text, place in notes.items():
            ax.annotate(text, place, ha="center", color=MUTED, fontsize=9)
        ax.set(xlim=limits[0], ylim=limits[1])
        _legend(figure, ax)
    return figure


def pick_maps(
    candidates: NDArray[Any], queries: NDArray[Any], rows: Mapping[str, Mapping[str, Picks]], *, note: str = ""
) -> Figure:
    """Draw what was picked on a map of the pool: one row per method, one column per budget or option value.

    Parameters
    ----------
    candidates, queries : ndarray, shape (N, 2) and (M, 2)
        Positions on the map.
    rows : mapping of method to mapping of title to indices
        The panels. A method may carry a remark after a colon ("knn_uniform: alpha 0.5"), printed under its
        name. Titles differ from row to row or are those of the first row; the latter stand on top only.
    note : str
        Printed under the figure.

    Raises
    ------
    InputError
        If there is no panel, or rows have different numbers of panels.
    """
    widths = {len(panels) for panels in rows.values()}
    if len(widths) != 1 or 0 in widths:
        raise InputError(f"pick_maps needs the same number of panels, at least 1, per row; got {sorted(widths)}.")
    first = list(next(iter(rows.values())))
    columns = len(first)
    limits = _limits(np.vstack([candidates, queries]))
    height = PAGE / (columns + 0.25) * np.ptp(limits[1]) / np.ptp(limits[0]) + 0.06
    with style():
        titled = sum(list(panels) != first for panels in rows.values())
        figure, axes = axes_grid(len(rows), columns, (height + 0.04) * len(rows) + 0.22 * (titled + 1) + 0.4)
        for r, (name, panels) in enumerate(rows.items()):
            for c, (title, chosen) in enumerate(panels.items()):
                ax = axes[r * columns + c]
                _map(ax, candidates, queries, np.asarray(chosen, dtype=int), _look(name))
                ax.set(xlim=limits[0], ylim=limits[1])
                if r == 0 or list(panels) != first:
                    ax.set_title(title)
            axes[r * columns].set_ylabel("\n".join(_title(name)), fontsize=8)
        _legend(figure, axes[0])
        write_note(figure, note)
    return figure


def _map(
    ax: Axes,
    candidates: NDArray[Any],
    queries: NDArray[Any],
    chosen: NDArray[np.int64],
    look: Look,
    *,
    scale: float = 1,
) -> None:
    ax.scatter(candidates[:, 0], candidates[:, 1], s=5 * scale, color=LINE, linewidth=0)
    at = candidates[chosen]  # (B, 2)
    ax.scatter(at[:, 0], at[:, 1], s=17, color=look.colour, edgecolor="white", linewidth=0.4)
    ax.scatter(queries[:, 0], queries[:, 1], s=52 * scale, marker="*", color=INK, edgecolor="white", linewidth=0.5)
    ax.set(xticks=[], yticks=[], aspect="equal")


def _legend(figure: Figure, ax: Axes) -> None:
    handles = [ax.scatter([], [], s=9, color=LINE), ax.scatter([], [], s=45, color=INK, marker="*")]
    figure.legend(handles, ["candidate", "query"], loc="outside upper left", ncols=2)


def _limits(points: NDArray[Any]) -> NDArray[np.float64]:
    """Lower and upper end of both axes, with a margin, shape (2, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)  # (2,) each
    margin = 0.04 * (high - low).max()
    return np.stack([low - margin, high + margin], axis=1)


def option_curves(frame: pd.DataFrame, *, value: str, reference: float | None = None) -> Figure:
    """Draw a measure against the value of an option, one panel per selector and option, the default dashed.

    Parameters
    ----------
    frame : DataFrame
        Columns ``option``, ``selector``, ``setting`` (positive, log axis), ``default`` and `value`.
    value : str
        Column to draw; also the label of the vertical axis.
    reference : float, optional
        What Random gets, a grey dotted line.

    Raises
    ------
    InputError
        If a column is missing or there is no row.
    """
    need(frame, ["option", "selector", "setting", "default", value])
    panels = list(frame.groupby(["selector", "option"], sort=False))
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    with style():
        figure, axes = axes_grid(rows, columns, 1.9 * rows + 0.5)
        for index, (ax, ((selector, option), part)) in enumerate(zip(axes, panels, strict=False)):
            _option(ax, part.sort_values("setting"), value, _look(str(selector)))
            ax.set_title(f"{label(str(selector))}: {option}")
            if reference is not None:
                look = LOOKS["random"]
                ax.axhline(reference, color=look.colour, linestyle=look.line, label=look.label)
            ax.sharey(axes[0])
            if index % columns == 0:
                ax.set_ylabel(value)
        for ax in axes[len(panels) :]:
            ax.remove()
        found = {t: h for ax in axes for h, t in zip(*ax.get_legend_handles_labels(), strict=True)}
        texts = sorted(found, key=lambda text: text in ("default", "Random"))  # the selectors first
        figure.legend([found[t] for t in texts], texts, loc="outside upper left", ncols=min(5, len(texts)))
    return figure


def _option(ax: Axes, part: pd.DataFrame, value: str, look: Look) -> None:
    ax.set_xscale("log")
    ax.plot(part["setting"], part[value], look.line, marker=look.marker, color=look.colour, label=look.label)
    ax.axvline(float(part["default"].iloc[0]), color=INK, linewidth=0.9, linestyle="--", label="default")
    ax.xaxis.set_major_locator(FixedLocator(part["setting"].to_list()))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _title(name: str) -> list[str]:
    """Printed name of a method, and its remark if there is one."""
    method, _, remark = name.partition(":")
    return [label(method), *([remark.strip()] if remark else [])]


def _look(name: str) -> Look:
    method = name.partition(":")[0]
    return LOOKS.get(method, Look(label(method), "#5C5F66", "*"))
