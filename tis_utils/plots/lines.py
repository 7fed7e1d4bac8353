"""Lines: a measure against the budget, the distance quantile, the number of tasks, the value of an option."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from tis_utils.errors import InputError
from tis_utils.evidence.tables import By, cells_of, need
from tis_utils.labels import label
from tis_utils.plots.panels import fit, label_axes, legend, line_handles, log_axis, panels, share, stacking, write_note
from tis_utils.plots.theme import DASHES, INK, LOOKS, Look, hues, looks

BUDGET = "Budget (examples)"


def _lines(ax: Axes, rows: pd.DataFrame, x: str, entries: Mapping[str, Look], *, series: str = "method") -> None:
    """One line per series through ``value``."""
    markers = {name: entry.marker or "o" for name, entry in entries.items()}
    dashes = {name: DASHES[entry.line] for name, entry in entries.items()}
    ways = hues(entries) | {"style_order": list(entries), "markers": markers, "dashes": dashes, "markersize": 6.5}
    rows = rows.astype({x: float, "value": float})
    sns.lineplot(rows, x=x, y="value", hue=series, style=series, estimator=None, errorbar=None, ax=ax, **ways)


def _bands(ax: Axes, rows: pd.DataFrame, x: str, entries: Mapping[str, Look], *, series: str = "method") -> None:
    """Fill between the given ``low`` and ``high``, where there are any."""
    for name, part in rows.dropna(subset=["low", "high"]).sort_values(x).groupby(series, sort=False):
        at = part[x].to_numpy(float)
        ax.fill_between(at, part["low"], part["high"], color=entries[str(name)].colour, alpha=0.16, linewidth=0)


def _bars(ax: Axes, rows: pd.DataFrame, x: str, entries: Mapping[str, Look], *, series: str = "method") -> None:
    for name, part in rows.groupby(series, sort=False):
        ax.vlines(part[x], part["low"], part["high"], color=entries[str(name)].colour, linewidth=1.3, alpha=0.7)


def _level(ax: Axes, height: float, method: str) -> None:
    look = LOOKS[method]
    ax.axhline(height, color=look.colour, linestyle=look.line, linewidth=1.2)


def _curves(frame: pd.DataFrame, metric: str, by: By, x: str, columns: int) -> tuple[Figure, dict[Axes, pd.DataFrame]]:
    """Means with bands of one standard error, one panel per task; the untuned model is a horizontal line."""
    cells = cells_of(frame, metric, by, x).rename(columns={"mean": "value"})
    cells = cells.assign(low=cells["value"] - cells["se"], high=cells["value"] + cells["se"])
    entries = looks(cells["method"])
    tasks = list(dict.fromkeys(cells["task"]))
    figure, axes = panels([label(task) for task in tasks], columns=columns, height=2.3)
    trained = cells[cells["method"] != "zero_shot"]
    drawn = {}
    for ax, task in zip(axes, tasks, strict=True):
        drawn[ax] = trained[trained["task"] == task]
        _lines(ax, drawn[ax], x, {name: entry for name, entry in entries.items() if name != "zero_shot"})
        _bands(ax, drawn[ax], x, entries)
        for height in cells.loc[(cells["method"] == "zero_shot") & (cells["task"] == task), "value"]:
            _level(ax, height, "zero_shot")
    legend(figure, line_handles(entries.values()))
    return figure, drawn


@stacking
def budget_curves(frame: pd.DataFrame, *, metric: str, by: By = "representation") -> Figure:
    """Draw `metric` against budget: a panel per task, a line per method, the untuned model dashed.

    Lines are means over seeds, bands are one standard error to either side (none where n = 1).

    Parameters
    ----------
    frame : DataFrame
        Tidy rows (see :mod:`tis_utils.evidence.tables`) with a column ``budget``, in examples.
    metric : str
        One of the frame's.
    by : {"representation", "selector"}
        What lines stand for; the other one must be the same in all rows but Random and zero-shot.

    Raises
    ------
    InputError
        If a column is missing, no row has the metric, or rows that must not be averaged are mixed.
    """
    figure, drawn = _curves(frame, metric, by, "budget", 3)
    trained = pd.concat(drawn.values())
    for ax in drawn:
        log_axis(ax, trained["budget"].unique().tolist())
    label_axes(drawn, BUDGET, label(metric))
    counts = sorted({int(n) for n in trained["n"] if n > 1})
    runs = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}" if counts else ""
    note = f"Line: mean over {runs} seeds; band: ± 1 standard error." if runs else "One run per point."
    write_note(figure, note)
    return figure


@stacking
def quantile_curves(frame: pd.DataFrame, *, metric: str) -> Figure:
    """Draw `metric` against distance-quantile bin: a panel per task, a line per representation.

    Under each panel stands Spearman's correlation of bin and metric: the nearer to 1 (for a loss), the better distance
    predicts what training does.

    Parameters
    ----------
    frame : DataFrame
        Tidy rows with a column ``bin`` (0 nearest).
    metric : str
        One of the frame's.

    Raises
    ------
    InputError
        As :func:`budget_curves`.
    """
    figure, drawn = _curves(frame, metric, "representation", "bin", 2)
    label_axes(drawn, "", label(metric))
    for ax, rows in drawn.items():
        bins = sorted(rows["bin"].unique())
        ax.xaxis.set_major_locator(FixedLocator(bins[:: 1 + len(bins) // 11]))
        parts = {name: rows[rows["method"] == name] for name in looks(rows["method"])}
        rho = {n: p["bin"].astype(float).corr(p["value"], method="spearman") for n, p in parts.items()}
        text = ", ".join(f"{label(name)}\u00a0{value:+.2f}" for name, value in rho.items())
        text = fit(f"ρ:  {text}", 46).replace("\u00a0", " ").replace(" -", " −")
        ax.set_xlabel(text, loc="left", fontsize=8.5)
    note = "Horizontal: distance quantile of the training examples, 0 = nearest. "
    write_note(figure, note + "ρ: Spearman's correlation of quantile and metric.")
    return figure


@stacking
def method_lines(
    tables: Mapping[str, pd.DataFrame],
    *,
    ylabel: str,
    xlabel: str = BUDGET,
    x: str = "budget",
    series: str = "method",
    note: str = "",
    reference: float | None = None,
    meaning: str = "",
    shared: bool = True,
    bars: bool = False,
    runs: Mapping[str, pd.DataFrame] | None = None,
) -> Figure:
    """Draw numbers with given intervals against the budget or another size, one panel per title.

    Parameters
    ----------
    tables : mapping of title to DataFrame
        Columns `x` (positive; the axis is logarithmic), `series`, ``value`` and optionally ``low`` and ``high``.
    ylabel, xlabel : str
    x, series : str
        Columns of the horizontal axis, and of what a line stands for.
    note : str
        Printed under the figure.
    reference : float, optional
        Height of a line that looks like Random's; in the legend it is `meaning`.
    meaning : str
    shared : bool
        One vertical scale for all panels.
    bars : bool
        Intervals as bars beside each other instead of bands.
    runs : mapping of title to DataFrame, optional
        Single runs, drawn as small dots: columns `x`, `series`, ``value``.

    Raises
    ------
    InputError
        If there is no panel, or one lacks a column or has no row.
    """
    if not tables:
        raise InputError("method_lines needs at least one panel.")
    for table in tables.values():
        need(table, [x, series, "value"])
    entries = looks(pd.concat(tables.values())[series])
    figure, axes = panels([label(title) for title in tables], height=2.5 if len(tables) < 3 else 2.2)
    shift = dict(zip(entries, np.exp(0.035 * (np.arange(len(entries)) - (len(entries) - 1) / 2)), strict=True))
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        steps = table[x].unique().tolist()
        if bars:
            table = table.assign(**{x: table[x] * table[series].map(shift)})
        if runs and title in runs:
            single = runs[title]
            at, colours = single[x] * (single[series].map(shift) if bars else 1), single[series].map(entries)
            ax.scatter(at, single["value"], s=7, c=[entry.colour for entry in colours], alpha=0.6, linewidths=0)
        _lines(ax, table, x, entries, series=series)
        if {"low", "high"} <= set(table.columns):
            (_bars if bars else _bands)(ax, table, x, entries, series=series)
        if reference is not None:
            _level(ax, reference, "random")
        log_axis(ax, steps)
    if shared:
        share(axes, "y")
    label_axes(axes, xlabel, ylabel)
    handles = line_handles(entries.values())
    if meaning:
        handles[meaning] = Line2D([], [], color=LOOKS["random"].colour, linestyle=LOOKS["random"].line)
    legend(figure, handles if len(handles) > 1 else {})
    write_note(figure, note)
    return figure


@stacking
def option_curves(frame: pd.DataFrame, *, value: str, reference: float | None = None) -> Figure:
    """Draw a measure against the value of an option, one panel per selector and option, the default dashed.

    Parameters
    ----------
    frame : DataFrame
        Columns ``option``, ``selector``, ``setting`` (positive, log axis), ``default`` and `value`.
    value : str
        Column to draw, and label of the vertical axis.
    reference : float, optional
        What Random gets.

    Raises
    ------
    InputError
        If a column is missing or there is no row.
    """
    need(frame, ["option", "selector", "setting", "default", value])
    frame = frame.rename(columns={value: "value"})
    parts = {f"{label(str(s))}: {o}": part for (s, o), part in frame.groupby(["selector", "option"], sort=False)}
    entries = looks(frame["selector"])
    figure, axes = panels(list(parts), height=1.9)
    for ax, part in zip(axes, parts.values(), strict=True):
        _lines(ax, part, "setting", entries, series="selector")
        ax.axvline(float(part["default"].iloc[0]), color=INK, linewidth=0.9, linestyle="--")
        log_axis(ax, part["setting"].tolist())
        ax.xaxis.get_major_formatter().func = lambda x, _: f"{x:g}"  # type: ignore[attr-defined]
        if reference is not None:
            _level(ax, reference, "random")
    share(axes, "y")
    label_axes(axes, "", value)
    handles = line_handles(entries.values()) | {"default": Line2D([], [], color=INK, linewidth=0.9, linestyle="--")}
    legend(figure, handles | (line_handles([LOOKS["random"]]) if reference is not None else {}))
    return figure


@stacking
def best_lines(tables: Mapping[str, pd.DataFrame], *, ylabel: str, yscale: str = "linear") -> Figure:
    """Draw tables against the budget (their index), a line per column; the column "best", if any, is dashed."""
    rows = {}
    for title, table in tables.items():
        others = table.drop(columns="best", errors="ignore").rename_axis("budget").reset_index()
        rows[title] = others.melt("budget", var_name="method")
    figure = method_lines(rows, ylabel=ylabel, shared=False)
    for ax, table in zip(figure.axes, tables.values(), strict=True):
        if "best" in table:
            ax.plot(table["best"], "--", color=INK)
        ax.set_yscale(yscale)
        if yscale == "linear":
            ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    return figure


@stacking
def ratio_panels(broken: pd.DataFrame) -> Figure:
    """Draw left over right side against the knob, a panel per ``assumption``; above 1 the inequality is false.

    Columns as of :func:`tis_utils.evidence.broken_assumptions.broken_assumptions`.
    """
    figure, axes = panels(list(broken["assumption"].unique()))
    label_axes(axes, "", "left / right")
    for ax, (name, part) in zip(axes, broken.groupby("assumption", sort=False), strict=True):
        ax.set_title(str(name), fontsize=8.5)
        x, top = part["setting"], max(1.2, part["ratio"].max() * 1.1)
        ax.plot(x, part["ratio"], "o-", color="#332288", markersize=4)
        ax.axhline(1, color=INK, linewidth=1, linestyle="--")
        ax.axhspan(1, top, color="#CC6677", alpha=0.15, linewidth=0)
        wide = x.min() > 0 and x.max() > 20 * x.min()
        ax.set(xlabel=part["knob"].iloc[0], yscale="log", xscale="log" if wide else "linear")
    return figure
