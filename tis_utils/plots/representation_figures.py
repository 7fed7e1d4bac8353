"""What the chapters on data and representations draw, and how they group candidates for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Encoded, Example
from tis_utils.labels import order
from tis_utils.plots.charts import INK, axes_grid
from tis_utils.plots.figures import PAGE, write_note
from tis_utils.plots.theme import CATEGORIES, LOOKS, style

# Which target each family of the natural pool was put there for: a person's judgement, not a measurement.
_MEANT_FOR: Mapping[str, str] = {
    "near GSM8K": "gsm_symbolic chain_sum leg_counting simple_equations products fraction_simplification "
    "calendar_arithmetic time_intervals basic_arithmetic gcd",
    "near BBH": "syllogism knights_knaves propositional_logic family_relationships word_sorting coin_flip "
    "letter_counting color_cube_rotation self_reference aiw",
    "near code": "string_manipulation string_splitting bitwise_arithmetic base_conversion",
    "general": "number_sorting spell_backward sentence_reordering word_sequence_reversal",
}
NEAR: Mapping[str, str] = {family: name for name, families in _MEANT_FOR.items() for family in families.split()}
_BENCHMARKS = {"codex": "HumanEval", "mmlu": "MMLU"}
# Group of the natural pool that was put there for a benchmark task.
MEANT_FOR: Mapping[str, str] = {"gsm8k": "near GSM8K", "codex": "HumanEval", "bbh": "near BBH", "mmlu": "MMLU"}
LOSS, QUIET = "#F2B27A", "#E9EBEF"  # fills of tokens with and without loss; INK is legible on both


def group(example: Example) -> str:
    """Part of the pool that figures put an example into.

    Classroom: the skill group, or "general". Natural pool: the benchmark it comes from, or the target its
    family was chosen for ("near GSM8K", …). Any other pool: the source.
    """
    if example.meta.get("kind") == "natural":
        family = str(example.meta.get("family"))
        return _BENCHMARKS.get(example.source) or NEAR.get(family, "other puzzles")
    return str(example.meta.get("group", example.source))


def view(example: Example, task: str) -> str:
    """What an example is *from the point of view of a task*.

    Classroom: its kind within the task's own group, else "other skills" or "filler". Any other pool: its group.
    """
    kind = str(example.meta.get("kind", "unknown")).replace("_", " ")
    if kind in ("natural", "unknown"):
        return group(example)
    if kind == "filler":
        return kind
    return kind if example.meta.get("group") == task else "other skills"


def pool_frame(pool: Sequence[Example], encoded: Sequence[Encoded]) -> pd.DataFrame:
    """One row per candidate: where it is from and how long it is.

    Parameters
    ----------
    pool : sequence of Example, length N
    encoded : sequence of Encoded, length N
        The same candidates as tokens.

    Returns
    -------
    DataFrame of N rows
        Columns id, source, group, kind, prompt_tokens, answer_tokens (tokens that carry loss; the rest of the
        text counts as prompt).
    """
    rows = []
    for example, tokens in zip(pool, encoded, strict=True):
        answer = int((tokens.labels != IGNORE).sum())
        kind = str(example.meta.get("kind", "unknown")).replace("_", " ")
        rows.append((example.id, example.source, group(example), kind, len(tokens.ids) - answer, answer))
    return pd.DataFrame(rows, columns=["id", "source", "group", "kind", "prompt_tokens", "answer_tokens"])


def token_strip(rows: Mapping[str, Sequence[tuple[str, bool]]], *, width: int = 80) -> Figure:
    """Draw texts as strips of tokens; those that carry loss are filled and underlined.

    Parameters
    ----------
    rows : mapping of title to tokens
        Each token as (text, carries loss).
    width : int
        Characters per line.

    Raises
    ------
    InputError
        If there is no token at all.
    """
    if not any(rows.values()):
        raise InputError("token_strip needs at least one token to draw.")
    placed: list[tuple[str, float, float, bool | None]] = []
    y = 0.0
    for title, tokens in rows.items():
        placed.append((title, 0.0, y, None))
        x, y = 0.0, y + 1.1
        for text, learns in tokens:
            size = len(text) + 0.7
            if x + size > width:
                x, y = 0.0, y + 1.1
            placed.append((text, x, y, learns))
            x += size + 0.25
        y += 1.5
    return _strip(placed, width, y)


def _strip(placed: Sequence[tuple[str, float, float, bool | None]], width: int, height: float) -> Figure:
    """Titles (learns is None) and token boxes at their places, in units of a character and a line."""
    with style():
        figure = Figure(figsize=(PAGE, 0.23 * height + 0.1))
        figure.set_layout_engine("none")
        ax = figure.add_axes((0.005, 0, 0.99, 1))
        ax.set(xlim=(0, width), ylim=(height - 0.6, -0.8))
        ax.axis("off")
        for text, x, y, learns in placed:
            if learns is None:
                ax.text(x, y, text, va="center", fontsize=9, weight="bold")
                continue
            size = len(text) + 0.7
            ax.barh(y, size, 0.9, left=x, color=LOSS if learns else QUIET)
            if learns:
                ax.plot([x, x + size], [y + 0.42] * 2, color=INK, linewidth=1.1, solid_capstyle="butt")
            ax.text(x + size / 2, y, text, ha="center", va="center_baseline", fontsize=8.6, family="DejaVu Sans Mono")
    return figure


def length_boxes(frame: pd.DataFrame, columns: Mapping[str, str], *, note: str = "") -> Figure:
    """Draw distributions as boxes on a logarithmic axis: one row per group, one panel per column.

    The line spans the middle 90 per cent, the box the middle half, the dot is the median.

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
    groups = list(dict.fromkeys(frame["group"]))
    with style():
        figure, axes = axes_grid(1, len(columns), 0.23 * len(groups) + 0.95)
        for ax, (column, text) in zip(axes, columns.items(), strict=True):
            for y, name in enumerate(groups):
                _box(ax, y, frame.loc[frame["group"] == name, column].to_numpy(float))
            ax.set(xscale="log", xlabel=text, ylim=(len(groups) - 0.5, -0.5))
            ax.set_yticks(range(len(groups)), groups if ax is axes[0] else [""] * len(groups))
            ax.tick_params(axis="y", length=0)
            ax.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.grid(visible=False, axis="y")
        write_note(figure, note)
    return figure


def _box(ax: Axes, y: float, values: np.ndarray) -> None:
    low, first, middle, third, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    ax.hlines(y, low, high, color="#5C5F66", linewidth=1.3)
    ax.hlines(y, first, third, color="#5C5F66", linewidth=6)
    ax.plot(middle, y, "o", color="white", markeredgecolor=INK, markersize=5.5)


def representation_intervals(
    panels: Mapping[str, pd.DataFrame], *, xlabel: str, reference: float, columns: int = 2, note: str = ""
) -> Figure:
    """Draw estimates with intervals, one row per label, one colour and marker per representation.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Columns ``label``, ``representation``, ``value``, ``low``, ``high``; panels share rows and axis.
    xlabel : str
    reference : float
        Where the vertical line stands.
    columns : int
        Panels side by side.
    note : str
        Printed under the figure.

    Raises
    ------
    InputError
        If there is nothing to draw.
    """
    if not panels or any(frame.empty for frame in panels.values()):
        raise InputError("representation_intervals needs at least one panel, and rows in every panel.")
    labels = list(dict.fromkeys(text for frame in panels.values() for text in frame["label"]))
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    ends = pd.concat([frame[["low", "high"]] for frame in panels.values()])
    first, last = min(ends["low"].min(), reference), max(ends["high"].max(), reference)
    margin = 0.05 * (last - first) or 0.05
    with style():
        figure, axes = axes_grid(rows, columns, rows * (0.46 * len(labels) + 0.65) + 0.5)
        for index, (ax, (title, frame)) in enumerate(zip(axes, panels.items(), strict=False)):
            _dots(ax, frame, labels)
            ax.axvline(reference, color=INK, linewidth=0.9, zorder=1)
            ax.set_xlim(first - margin, last + margin)
            ax.set_title(title)
            ax.set_xlabel(xlabel)
            ax.set_yticks(range(len(labels)), labels if index % columns == 0 else [""] * len(labels))
            ax.set_ylim(len(labels) - 0.5, -0.5)
        for ax in axes[len(panels) :]:
            ax.remove()
        handles, texts = axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside upper left", ncols=len(texts))
        write_note(figure, note)
    return figure


def _dots(ax: Axes, frame: pd.DataFrame, labels: Sequence[str]) -> None:
    names = order(frame["representation"])
    for k, name in enumerate(names):
        part, look = frame[frame["representation"] == name], LOOKS[name]
        at = np.array([labels.index(text) for text in part["label"]]) + 0.2 * (k - (len(names) - 1) / 2)
        ax.hlines(at, part["low"], part["high"], color=look.colour, linewidth=1.6)
        ax.plot(part["value"], at, look.marker, color=look.colour, label=look.label)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def point_map(panels: Mapping[str, pd.DataFrame], kinds: Sequence[str]) -> go.Figure:
    """Scatter points in the plane, coloured by kind, with one button per panel.

    Parameters
    ----------
    panels : mapping of title to DataFrame
        Columns ``x``, ``y``, ``kind``, ``text`` (shown when a point is touched); the first panel is visible.
    kinds : sequence of str
        Order of the legend; at most 8. A kind "query" is drawn last, as large stars.

    Raises
    ------
    InputError
        If there is no panel, or there are more kinds than colours.
    """
    if not panels or len(kinds) > len(CATEGORIES) + ("query" in kinds):
        raise InputError(f"point_map needs a panel and at most {len(CATEGORIES)} kinds, got {len(kinds)}.")
    figure = go.Figure()
    for index, frame in enumerate(panels.values()):
        for kind in kinds:
            part = frame[frame["kind"] == kind]
            figure.add_scatter(
                x=part["x"].round(3).tolist(),
                y=part["y"].round(3).tolist(),
                text=part["text"].tolist(),
                mode="markers",
                name=kind,
                visible=index == 0,
                marker=_marker(kind, kinds),
                hovertemplate="%{text}<extra>" + kind + "</extra>",
            )
    figure.update_layout(
        updatemenus=[_buttons(list(panels), len(kinds))],
        xaxis={"showticklabels": False, "title": "first principal axis"},
        yaxis={"showticklabels": False, "title": "second"},
        margin={"l": 40, "r": 10, "t": 56, "b": 110},
        height=500,
    )
    return figure


def _marker(kind: str, kinds: Sequence[str]) -> dict[str, object]:
    if kind == "query":
        return {"symbol": "star", "size": 13, "color": INK, "line": {"width": 1, "color": "white"}}
    index = [k for k in kinds if k != "query"].index(kind)
    symbols = ("circle", "square", "triangle-up", "diamond", "cross", "x", "triangle-down", "pentagon")
    return {"symbol": symbols[index], "size": 6, "opacity": 0.75, "color": CATEGORIES[index][0]}


def _buttons(titles: Sequence[str], size: int) -> dict[str, object]:
    """Buttons above the plot; each shows the `size` traces of one panel."""
    return {
        "type": "buttons",
        "direction": "right",
        "x": 0,
        "y": 1.14,
        "xanchor": "left",
        "showactive": True,
        "buttons": [
            {
                "label": title,
                "method": "update",
                "args": [{"visible": [i // size == index for i in range(size * len(titles))]}],
            }
            for index, title in enumerate(titles)
        ],
    }
