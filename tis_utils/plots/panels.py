"""What all figures share: panels at the width of a page, stacked on a phone, one legend, small print."""

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, Literal, ParamSpec
from weakref import WeakKeyDictionary

from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tis_utils.plots.theme import MUTED, SMALL, Look, style

PAGE, PHONE = 7.0, 3.5  # inches: the width of a page column and of a phone, so that text is not scaled down
LABEL = 0.36  # inches that a number on an axis needs
P = ParamSpec("P")
_width = ContextVar("_width", default=PAGE)
_redraw: WeakKeyDictionary[Figure, Callable[[], Figure]] = WeakKeyDictionary()


class _Canvas(FigureCanvasBase):
    """Draws nothing: seaborn's heat maps draw the whole figure once per panel to look for colliding labels."""

    def draw(self, *args: object, **kwargs: object) -> None:
        self.figure.stale = False


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the book's style."""
    return wraps(draw)(style()(draw))


def stacking(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the book's style, and remember how to draw it once more for a phone: panels below each other."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        figure = styled(draw)(*args, **kwargs)
        _redraw[figure] = partial(wrapper, *args, **kwargs)
        return figure

    return wrapper


def on_phone(figure: Figure) -> Figure | None:
    """The same figure for a narrow screen, if it is of a kind that can be stacked."""
    if figure not in _redraw:
        return None
    token = _width.set(PHONE)
    try:
        return _redraw[figure]()
    finally:
        _width.reset(token)


def narrow() -> bool:
    """Whether the figure is for a phone: panels below each other."""
    return _width.get() < PAGE


def grid(rows: int, columns: int, height: float, *, width: float = PAGE, least: float = 0) -> tuple[Figure, list[Axes]]:
    """An empty figure and its panels, row by row; one column is as wide as the screen, or as `least`."""
    width = min(width, max(least, _width.get())) if columns == 1 else width
    figure = Figure(figsize=(width, height), layout="constrained")
    _Canvas(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def panels(
    titles: Sequence[str], *, columns: int = 3, height: float = 2.2, single: float = 0.7 * PAGE
) -> tuple[Figure, list[Axes]]:
    """Small multiples, one per title; a single one is `single` inches wide."""
    phone = narrow()
    columns = 2 if len(titles) == 4 and columns > 2 else min(columns, len(titles))  # no lonely panel
    columns = 1 if phone else columns
    rows = math.ceil(len(titles) / columns)
    width = _width.get() if columns > 1 or phone else single
    figure, axes = grid(rows, columns, height * rows + 0.5 + 0.3 * phone, width=width)
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(fit(title, 20) if phone else title)
    for ax in axes[len(titles) :]:
        ax.remove()
    return figure, axes[: len(titles)]


def place(ax: Axes) -> tuple[bool, bool]:
    """Whether a panel is the first of its row, and the last of its column."""
    spec = ax.get_subplotspec()
    figure = ax.get_figure()
    assert spec is not None
    assert figure is not None
    columns = spec.get_gridspec().ncols
    return spec.num1 % columns == 0, spec.num1 + columns >= len(figure.axes)


def share(axes: Sequence[Axes], axis: Literal["x", "y"]) -> None:
    """One scale for all panels, wide enough for each."""
    for ax in axes[1:]:
        (ax.sharex if axis == "x" else ax.sharey)(axes[0])
    axes[0].autoscale(axis=axis)


def label_axes(axes: Iterable[Axes], x: str, y: str) -> None:
    """Name the y axis on the left of each row and the x axis under the last panel of each column."""
    for ax in axes:
        first, last = place(ax)
        ax.set(xlabel=x if last else "", ylabel=fit(y, 30) if first else "")


def legend(figure: Figure, handles: Mapping[str, Any]) -> None:
    """One legend for all panels, above them, without a lonely entry in its last row."""
    longest = max((len(text) for text in handles), default=0)
    fit = max(1, int(figure.get_figwidth() / (0.45 + 0.075 * longest)))
    if handles:
        columns = math.ceil(len(handles) / math.ceil(len(handles) / min(9, fit, len(handles))))
        figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=columns)


def line_handles(entries: Iterable[Look], *, lines: bool = True) -> dict[str, Line2D]:
    """Legend entries of methods or series, by printed name."""
    return {
        e.label: Line2D([], [], color=e.colour, marker=e.marker, linestyle=e.line if lines else "none") for e in entries
    }


def fit(text: str, letters: int) -> str:
    """Break lines that are longer, and keep those that are there."""
    return "\n".join(textwrap.fill(line, letters) for line in text.split("\n"))


def write_note(figure: Figure, text: str) -> None:
    """Put small print below a figure, wrapped to its width."""
    wrapped = fit(text, round(15.5 * figure.get_figwidth()))  # characters of this size in an inch
    figure.supxlabel(wrapped, x=0.01, ha="left", fontsize=SMALL, color=MUTED)


def log_axis(ax: Axes, steps: Sequence[float]) -> None:
    """Logarithmic horizontal axis with a tick at what was run, thinned so that labels do not collide."""
    ax.set_xscale("log")
    ticks: list[float] = []
    spec, figure = ax.get_subplotspec(), ax.get_figure(root=True)
    assert spec is not None
    assert figure is not None
    width = figure.get_figwidth() / spec.get_gridspec().ncols - 0.6  # inches
    apart = max(1.8, (max(steps) / min(steps)) ** (LABEL / width))
    for step in sorted(steps):
        if not ticks or step / ticks[-1] >= apart:
            ticks.append(step)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
