"""Critical-difference diagrams (Demšar 2006): mean ranks on a line, bars join what is not told apart."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tis_utils.evidence.ranks import cliques
from tis_utils.evidence.statistics import Floats
from tis_utils.plots.panels import grid, styled
from tis_utils.plots.theme import INK, MUTED, SMALL, look


@styled
def rank_diagram(tables: Mapping[str, tuple[Floats, float]], names: Sequence[str]) -> Figure:
    """Draw one critical-difference diagram per title.

    Parameters
    ----------
    tables : mapping of title to (ranks, critical difference)
        Ranks have shape (K,), 1 is best.
    names : sequence of str
        Printed names of the K methods, each in its own colour.
    """
    each = 0.62 + 0.17 * math.ceil(len(names) / 2) + 0.18
    figure, axes = grid(len(tables), 1, each * len(tables))
    for ax, (title, (ranks, difference)) in zip(axes, tables.items(), strict=True):
        groups = cliques(np.asarray(ranks, dtype=float), difference)
        _scale(ax, len(names), difference)
        for level, group in enumerate(groups):
            ends = np.asarray(ranks)[group].min() - 0.04, np.asarray(ranks)[group].max() + 0.04
            ax.hlines(-0.2 - 0.2 * level, *ends, color=MUTED, linewidth=2.6)
        _labels(ax, np.asarray(ranks, dtype=float), names, -0.45 - 0.2 * len(groups))
        ax.set_title(title)
    return figure


def _scale(ax: Axes, k: int, difference: float) -> None:
    """Ranks 1 to K from left to right, and above them the critical difference."""
    ax.axis("off")
    ax.hlines(0, 1, k, color=INK, linewidth=1)
    for rank in range(1, k + 1):
        ax.vlines(rank, 0, 0.14, color=INK, linewidth=1)
        ax.text(rank, 0.22, str(rank), ha="center", va="bottom", fontsize=SMALL, color=MUTED)
    ax.hlines(1.15, 1, 1 + difference, color=INK, linewidth=2)
    ax.text(1 + difference + 0.1, 1.15, f"critical difference {difference:.2f}", va="center", fontsize=SMALL)


def _labels(ax: Axes, ranks: Floats, names: Sequence[str], top: float) -> None:
    """The better half to the left, the other to the right, joined to their ranks."""
    k = len(ranks)
    half = math.ceil(k / 2)
    for place, index in enumerate(np.argsort(ranks, kind="stable")):
        left = place < half
        y = top - 0.5 * (place if left else k - 1 - place)
        end = 0.8 if left else k + 0.2
        colour = look(names[index]).colour
        ax.plot([ranks[index], ranks[index], end], [0, y, y], color=colour, linewidth=1.1)
        text = f"{names[index]}  {ranks[index]:.2f}" if left else f"{ranks[index]:.2f}  {names[index]}"
        x, side = (end - 0.06, "right") if left else (end + 0.06, "left")
        ax.text(x, y, text, ha=side, va="center", fontsize=SMALL, color=INK)
    ax.set(xlim=(1 - 0.45 * k, k + 0.45 * k), ylim=(top - 0.5 * half + 0.1, 1.45))
