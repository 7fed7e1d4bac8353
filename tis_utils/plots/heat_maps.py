"""Tables as colours: numbers, grades, transfer, what is known, a similarity matrix with its picks."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tis_utils.errors import InputError
from tis_utils.labels import label
from tis_utils.plots.panels import PAGE, PHONE, fit, grid, legend, narrow, place, stacking, styled, write_note
from tis_utils.plots.theme import DIVERGING, GRADES, INK, LINE, SEQUENTIAL, SMALL, look

Picks = Sequence[int] | NDArray[np.int64]


LETTER = 0.08  # inches that a letter of a title needs


def _cells(ax: Axes, table: Any, **options: Any) -> None:
    sns.heatmap(table, ax=ax, fmt="", xticklabels=False, yticklabels=False, **({"cbar": False} | options))


def _names(ax: Axes, rows: Collection[Any], columns: Collection[Any], turn: float = 0) -> None:
    """Name rows and columns, without tick marks and frame."""
    ax.set_xticks(np.arange(len(columns)) + 0.5, [str(c) for c in columns], rotation=turn)
    ax.set_yticks(np.arange(len(rows)) + 0.5, [str(r) for r in rows], rotation=0, va="center")
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.set(xlabel="", ylabel="")


@stacking
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
        The same rows and columns in each; missing values stay white. Long titles are wrapped.
    form : str
        Format of the numbers.
    centre : float or None
        Value drawn white between orange (below) and purple (above); None for a one-sided scale from 0.
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
    columns = 1 if narrow() else min(columns, len(frames))
    rows = math.ceil(len(frames) / columns)
    names, letters = (max(len(part) for n in axis for part in str(n).split("\n")) for axis in frames[0].axes)
    needed = 0.075 * names + 0.4 + columns * frames[0].shape[1] * max(0.5, 0.085 * letters)  # inches
    turn = 90 if needed > 1.25 * (PHONE if narrow() else PAGE) and letters > 3 else 0  # no room for names side by side
    if narrow():
        needed = max(PHONE, 0.075 * names + 0.3 + 0.36 * frames[0].shape[1])  # with numbers that are still legible
    height = max(cell, 0.2) * len(frames[0]) + (0.5 if not turn else 0.3 + 0.08 * letters)
    width = min(PAGE, max(needed, 3.5))
    titles = [fit(title, int((width - 0.075 * names - 0.1) / columns / LETTER)) for title in tables]
    height += 0.16 * max(title.count("\n") for title in titles)
    figure, axes = grid(rows, columns, rows * height + 0.3, width=width, least=needed)
    for ax, title, table, fullest in zip(axes, titles, frames, limits, strict=False):
        _heat_map(ax, table.astype(float), form, centre, fullest)
        ax.set_title(title)
        _names(ax, table.index if place(ax)[0] else [""] * len(table), table.columns, turn)
    for ax in axes[len(frames) :]:
        ax.remove()
    write_note(figure, note)
    return figure


def _heat_map(ax: Axes, table: pd.DataFrame, form: str, centre: float | None, limit: float) -> None:
    low, high, colours = (0, limit, SEQUENTIAL) if centre is None else (centre - limit, centre + limit, DIVERGING)
    numbers = table.map(lambda value: _number(form.format(value)))
    _cells(ax, table, vmin=low, vmax=high, cmap=colours, annot=numbers, annot_kws={"size": SMALL}, linewidths=0.6)
    shades = np.asarray(ax.collections[0].get_facecolor())[table.notna().to_numpy().ravel()]  # (numbers, 4)
    for text, shade in zip(ax.texts, shades, strict=True):
        text.set_color("white" if _luminance(shade[:3]) < 0.217 else INK)  # there both have the same contrast


def _luminance(rgb: Any) -> float:
    """Of WCAG 2: 0 black, 1 white."""
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def _number(text: str) -> str:
    """With a true minus sign, and none before a zero."""
    return text.lstrip("+-") if text.strip("+-0.%") == "" else text.replace("-", "−")


@styled
def grade_map(card: pd.DataFrame, sources: Mapping[str, str], claims: Mapping[str, str]) -> Figure:
    """Draw the scorecard: claims × sources, the grade by colour and by symbol.

    Parameters
    ----------
    card : DataFrame
        From :func:`tis_utils.evidence.claims.scorecard`.
    sources, claims : mapping of name to printed label
        Columns and rows, in order.
    """
    table = card.pivot(index="claim", columns="source", values="grade").loc[list(claims), list(sources)]
    kinds = list(GRADES)
    figure, (ax,) = grid(1, 1, 0.24 * len(claims) + 1.75)
    colours = ListedColormap([colour for _, colour, _ in GRADES.values()])
    ways = {"annot": table.map(lambda kind: GRADES[kind][0]), "annot_kws": {"size": SMALL, "weight": "bold"}}
    _cells(ax, table.map(kinds.index), cmap=colours, vmin=-0.5, vmax=len(kinds) - 0.5, linewidths=1.5, **ways)
    for text, kind in zip(ax.texts, table.to_numpy().ravel(), strict=True):
        text.set_color(GRADES[kind][2])
    _names(ax, list(claims.values()), list(sources.values()))
    ax.xaxis.tick_top()
    for text in ax.get_xticklabels():
        text.set(rotation=60, ha="left", rotation_mode="anchor")
    ax.axvline(1, color=INK, linewidth=1.2)
    squares = {
        f"{symbol}  {kind}": Line2D([], [], marker="s", markersize=9, color=colour, linestyle="none", mec=LINE)
        for kind, (symbol, colour, _) in GRADES.items()
    }
    legend(figure, squares)
    return figure


@styled
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
    figure, (ax,) = grid(1, 1, 0.15 * len(gains) + 1.9)
    bar = {"label": "loss saved (nats)", "shrink": 0.5, "aspect": 30, "pad": 0.01}
    _cells(ax, gains.astype(float), cmap=DIVERGING, vmin=-limit, vmax=limit, cbar=True, cbar_kws=bar)
    _names(ax, gains.index.str.replace("_", " "), gains.columns.str.replace("_", " "))
    ax.tick_params(axis="x", rotation=90)
    known = [(t, s) for t, s in marks.items() if s in gains.index and t in gains.columns]
    x = np.array([gains.columns.get_loc(t) for t, _ in known]) + 0.5
    y = np.array([gains.index.get_loc(s) for _, s in known]) + 0.5
    sns.scatterplot(x=x, y=y, color="white", edgecolor=INK, s=18, ax=ax)
    write_note(figure, note)
    return figure


@styled
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
    figure, (ax,) = grid(1, 1, 0.5 * len(known) + 0.6)
    ways = {"annot": known.map(lambda there: "published" if there else "?"), "annot_kws": {"color": INK, "size": 9}}
    ways |= {"cmap": ListedColormap(["#FFFFFF", "#C9CDD4"]), "linewidths": 1, "linecolor": "#8A8F99"}
    _cells(ax, known.astype(float), vmin=0, vmax=1, **ways)
    _names(ax, [label(r) for r in known.index], [label(c) for c in known.columns])
    ax.xaxis.tick_top()
    return figure


@styled
def matrix_picture(S: NDArray[Any], picks: Mapping[str, Picks]) -> Figure:
    """Draw a small similarity matrix and, under its columns, the order in which each selector takes them.

    Parameters
    ----------
    S : ndarray, shape (M, N)
        Similarities; a stronger colour is more similar.
    picks : mapping of selector to sequence of int
        Column indices, best first.
    """
    m, n = S.shape
    figure, axes = grid(2, 1, 0.26 * (m + len(picks)) + 1.05)
    top, bottom = axes
    top.get_gridspec().set_height_ratios([m, len(picks)])  # type: ignore[union-attr]
    _cells(top, S, cmap=SEQUENTIAL)
    _names(top, [f"query {i + 1}" for i in range(m)], [])
    top.set_title(f"In: S, {m} queries × {n} candidates (stronger: more similar)")
    bottom.set_title("Out: candidates in order, 1 first")
    for row, (name, chosen) in enumerate(picks.items()):
        box = {"facecolor": look(name).colour, "boxstyle": "round,pad=0.22", "linewidth": 0}
        for order, column in enumerate(chosen, start=1):
            at = (column + 0.5, row + 0.5)
            bottom.text(*at, str(order), ha="center", va="center", fontsize=SMALL, color="white", bbox=box)
    _names(bottom, [label(name) for name in picks], range(n))
    bottom.set(xlim=(0, n), ylim=(len(picks), 0), xlabel="candidate (column of S)")
    bottom.hlines(np.arange(1, len(picks)), 0, n, color=LINE, linewidth=0.5)
    bottom.spines[:].set_visible(False)
    return figure
