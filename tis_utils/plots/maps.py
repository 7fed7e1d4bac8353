"""Maps: a pool and its queries in the plane, and what was picked there."""

from collections.abc import Mapping

import numpy as np
import ot
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from tis_utils.errors import InputError
from tis_utils.labels import label
from tis_utils.neighbours.ila.coverage_depth import Landscape
from tis_utils.plots.heat_maps import Picks
from tis_utils.plots.panels import PAGE, PHONE, grid, legend, narrow, panels, stacking, write_note
from tis_utils.plots.theme import INK, LINE, MUTED, SEQUENTIAL, look
from tis_utils.selectors.wasserstein import w1

Points = NDArray[np.float64]
SHADES = ListedColormap(SEQUENTIAL(np.linspace(0.25, 1, 256)))  # the lightest must still be seen on white


def on_sphere(flat: Points) -> Points:
    """Unit rows (n, 3) for points of a flat map (n, 2) within a radius of 2: Lambert's equal-area map, backwards."""
    square = (flat**2).sum(axis=1, keepdims=True)
    return np.hstack([flat * np.sqrt(1 - square / 4), 1 - square / 2])


def _points(ax: Axes, points: Points, size: float, **marks: object) -> None:
    """As one image if there are many."""
    sns.scatterplot(x=points[:, 0], y=points[:, 1], s=size, ax=ax, rasterized=len(points) > 100, **marks)


def _map(ax: Axes, candidates: Points, queries: Points, chosen: Picks, colour: str, *, scale: float = 1) -> None:
    _points(ax, candidates, 5 * scale, color=LINE, linewidth=0)
    _points(ax, candidates[np.asarray(chosen, dtype=int)], 17 * scale, color=colour, edgecolor="white", linewidth=0.4)
    _points(ax, queries, 52 * scale, color=INK, marker="*", edgecolor="white", linewidth=0.5)
    ax.set(xticks=[], yticks=[], aspect="equal")


def _legend(figure: Figure) -> None:
    stars = Line2D([], [], color=INK, marker="*", markersize=9, linestyle="none")
    legend(figure, {"candidate": Line2D([], [], color=LINE, marker="o", linestyle="none"), "query": stars})


def _limits(points: Points) -> Points:
    """Lower and upper end of both axes, with a margin, shape (2, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)  # (2,) each
    margin = 0.04 * (high - low).max()
    return np.stack([low - margin, high + margin], axis=1)


@stacking
def scene_map(candidates: Points, queries: Points, notes: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw a pool and its numbered queries on a map, with words at some places.

    Parameters
    ----------
    candidates, queries : ndarray, shape (N, 2) and (M, 2)
        Positions on the map.
    notes : mapping of text to position
    """
    limits = _limits(np.vstack([candidates, queries]))
    width = PHONE if narrow() else 0.7 * PAGE
    figure, (ax,) = grid(1, 1, width * np.ptp(limits[1]) / np.ptp(limits[0]) + 0.35, width=width)
    _map(ax, candidates, queries, [], INK, scale=1 if narrow() else 2)
    for number, place in enumerate(queries, start=1):
        ax.annotate(str(number), tuple(place), (6, 5), textcoords="offset points", fontweight="bold")
    for text, place in notes.items():
        ax.annotate(text, place, ha="center", color=MUTED, fontsize=9)
    ax.set(xlim=limits[0], ylim=limits[1])
    _legend(figure)
    return figure


@stacking
def pick_maps(
    candidates: Points, queries: Points, rows: Mapping[str, Mapping[str, Picks]], *, note: str = ""
) -> Figure:
    """Draw what was picked on a map of the pool: one row per method, one column per budget or option value.

    Parameters
    ----------
    candidates, queries : ndarray, shape (N, 2) and (M, 2)
        Positions on the map.
    rows : mapping of method to mapping of title to indices
        The panels. A remark after a colon ("knn_uniform: alpha 0.5") is printed under the method's name; titles that
        are those of the first row stand on top only.
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
    below = narrow() and len(rows) == 1  # a single row becomes a column, several scroll
    height = (PHONE / 1.15 if below else PAGE / (columns + 0.25)) * np.ptp(limits[1]) / np.ptp(limits[0]) + 0.06
    titled = sum(list(parts) != first for parts in rows.values())
    if below:
        figure, axes = grid(columns, 1, (height + 0.26) * columns + 0.4)
    else:
        figure, axes = grid(len(rows), columns, (height + 0.04) * len(rows) + 0.22 * (titled + 1) + 0.4, least=PAGE)
    for r, (name, parts) in enumerate(rows.items()):
        for c, (title, chosen) in enumerate(parts.items()):
            ax = axes[r * columns + c]
            _map(ax, candidates, queries, chosen, look(name).colour)
            ax.set(xlim=limits[0], ylim=limits[1])
            if r == 0 or list(parts) != first:
                ax.set_title(title)
        method, _, remark = name.partition(":")
        axes[r * columns].set_ylabel("\n".join(filter(None, [label(method), remark.strip()])), fontsize=8.5)
    _legend(figure)
    write_note(figure, note)
    return figure


@stacking
def depth_maps(land: Landscape, bins: int, chosen: Mapping[str, Picks]) -> Figure:
    """The map of ILA's pool once per subset: candidates shaded by relative depth, the grid, picks as rings.

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
        raise InputError("depth_maps needs a landscape with a map, and at least one subset.")
    figure, axes = grid(len(chosen), 1, 2.9 * len(chosen)) if narrow() else grid(1, len(chosen), 3.0)
    low, high = land.points.min(axis=0), land.points.max(axis=0)  # (2,) each
    for ax, (title, picks) in zip(axes, chosen.items(), strict=True):
        for axis, draw in enumerate((ax.axvline, ax.axhline)):
            for line in np.linspace(low[axis], high[axis], bins + 1):
                draw(line, color=LINE, linewidth=0.5, zorder=0)
        shades = {"c": land.depths, "cmap": SHADES, "vmin": 0, "vmax": 1}
        _points(ax, land.points, 4, linewidth=0, **shades)
        at = land.points[np.searchsorted(land.index, picks)]  # (B, 2)
        _points(ax, at, 26, facecolor="none", edgecolor="#B3261E", linewidth=1.1)
        ax.set(xticks=[], yticks=[], title=title)
    bar = figure.colorbar(ScalarMappable(cmap=SHADES), ax=axes, shrink=0.8 / len(chosen) if narrow() else 0.8, pad=0.01)
    bar.set_label("relative depth")
    write_note(figure, "Each dot is a candidate, rings are selected; lines are the grid.")
    return figure


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
