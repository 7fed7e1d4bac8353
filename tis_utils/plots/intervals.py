"""Estimates with intervals: dots and bars, one row per label, one colour per method or series."""

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tis_utils.errors import InputError
from tis_utils.evidence.tables import need
from tis_utils.plots.panels import PAGE, fit, legend, line_handles, narrow, panels, place, share, stacking, write_note
from tis_utils.plots.theme import INK, Look, hues, looks


@stacking
def intervals(
    tables: Mapping[str, pd.DataFrame],
    *,
    xlabel: str,
    series: str = "series",
    columns: int = 2,
    reference: float = 0.0,
    meaning: str = "",
    shared: bool = False,
    note: str = "",
) -> Figure:
    """Draw estimates with given intervals as horizontal bars around dots, one row per label.

    Parameters
    ----------
    tables : mapping of title to DataFrame
        Columns ``label``, ``value``, ``low``, ``high`` and optionally `series` (methods or others).
    xlabel, series : str
    columns : int
        Panels side by side; they share their rows.
    reference, meaning : float and str
        Where a vertical line stands, and for what.
    shared : bool
        One horizontal scale for all panels.
    note : str
        Printed under the figure.

    Raises
    ------
    InputError
        If there is nothing to draw.
    """
    if not tables:
        raise InputError("intervals needs at least one panel.")
    for table in tables.values():
        need(table, ["label", "value", "low", "high"])
    frames = {title: table.assign(**{series: table.get(series, "")}) for title, table in tables.items()}
    everything = pd.concat(frames.values())
    rows, entries = list(everything["label"].unique()), looks(everything[series])
    names = [fit(row, 20) for row in rows] if narrow() else rows
    figure, axes = panels(
        list(frames), columns=columns, height=len(rows) * (0.14 + 0.12 * len(entries)) + 0.65, single=PAGE
    )
    letters = 30 if len(axes) > 1 or figure.get_figwidth() < PAGE else 70
    for ax, frame in zip(axes, frames.values(), strict=True):
        _panel(ax, frame, rows, series, entries)
        ax.axvline(reference, color=INK, linewidth=0.9, zorder=1)
        text = xlabel + (f"\n(line at {reference:g}: {meaning})" if meaning else "")
        ax.set_xlabel(fit(text, letters))
        ax.set_yticks(range(len(rows)), names if place(ax)[0] else [""] * len(rows))
    if shared:
        share(axes, "x")
    if len(entries) > 1:
        legend(figure, line_handles(entries.values(), lines=False))
    write_note(figure, note)
    return figure


def _panel(ax: Axes, frame: pd.DataFrame, rows: list[str], series: str, entries: Mapping[str, Look]) -> None:
    spread = 0.24 * (len(entries) - 1) if len(entries) < 4 else 0.62
    markers = [entry.marker or "o" for entry in entries.values()]
    ways = hues(entries) | {"markers": markers, "markersize": 5, "markeredgewidth": 0, "linestyle": "none"}
    ways |= {"dodge": spread if len(entries) > 1 else False, "order": rows, "errorbar": None}
    sns.pointplot(frame.astype({"value": float}), x="value", y="label", hue=series, ax=ax, **ways)
    step = spread / max(len(entries) - 1, 1)
    for k, (name, entry) in enumerate(entries.items()):
        part = frame[frame[series].astype(str) == name]
        at = [rows.index(text) + step * k - spread * (len(entries) > 1) / 2 for text in part["label"]]
        ax.hlines(at, part["low"], part["high"], color=entry.colour, linewidth=1.6)
    ax.set(ylabel="", ylim=(len(rows) - 0.5, -0.5))
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
