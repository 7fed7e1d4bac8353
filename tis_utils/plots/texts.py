"""Texts as figures: strips of tokens, boxes with arrows, the table of claims."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tis_utils.errors import InputError
from tis_utils.evidence.claims import graded
from tis_utils.plots.panels import PAGE, PHONE, narrow, stacking
from tis_utils.plots.theme import GRADES, INK, SMALL, look

LETTERS = 80  # in a line of a strip of tokens
LOSS, QUIET = "#F2B27A", "#E9EBEF"  # fills of tokens with and without loss; INK is legible on both
TABLE_CSS = """
.tis-claims{color:#1F2430;overflow-x:auto}
.tis-claims table{border-collapse:collapse;font-size:.8rem;margin:0;color:#1F2430}
.tis-claims :is(td,th):first-child{min-width:11rem!important}
.tis-claims :is(td,th):nth-child(2){min-width:6rem!important}
.tis-claims :is(td,th){padding:.3rem .35rem;text-align:left;vertical-align:top;border-bottom:1px solid #E4E6EA;
background:#fff;color:#1F2430;min-width:0!important;overflow-wrap:normal!important}
"""


@stacking
def stages(rows: Mapping[str, Sequence[str]]) -> Figure:
    """Draw what happens to a text under each method as a row of boxes with arrows between them.

    Parameters
    ----------
    rows : mapping of method to texts
        A headline and the boxes, as many for each method.
    """
    longest = max(len(texts) - 1 for texts in rows.values())
    height = 0.35 + (0.72 * longest if narrow() else 0.6)  # inches of a method
    figure = Figure(figsize=(PHONE if narrow() else PAGE, height * len(rows)))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 1), ylim=(height * len(rows), 0))
    ax.axis("off")
    for row, (method, (headline, *boxes)) in enumerate(rows.items()):
        name, top = look(method), height * row
        ax.text(0.01, top + 0.15, f"{name.label}: {headline}", color=name.colour, weight="bold", va="center")
        for k, text in enumerate(boxes):
            x, y = (0.5, top + 0.59 + 0.72 * k) if narrow() else ((k + 0.5) / len(boxes), top + 0.59)
            box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": name.colour, "linewidth": 1.4}
            ax.text(x, y, text, ha="center", va="center", fontsize=SMALL, bbox=box)
            if k:
                x, y, arrow = (0.5, y - 0.36, "↓") if narrow() else (k / len(boxes), y, "→")
                ax.text(x, y, arrow, ha="center", va="center", color=INK)
    return figure


@stacking
def token_strip(rows: Mapping[str, Sequence[tuple[str, bool]]]) -> Figure:
    """Draw texts as strips of tokens; those that carry loss are filled and underlined.

    Parameters
    ----------
    rows : mapping of title to tokens
        Each token as (text, carries loss).

    Raises
    ------
    InputError
        If there is no token at all.
    """
    if not any(rows.values()):
        raise InputError("token_strip needs at least one token to draw.")
    figure = Figure()
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.005, 0, 0.99, 1))
    y, letters = 0.0, LETTERS // 2 if narrow() else LETTERS
    for title, tokens in rows.items():
        ax.text(0, y, title, va="center", fontsize=9, weight="bold")
        x, y = 0.0, y + 1.1
        for text, learns in tokens:
            size = len(text) + 0.7
            if x + size > letters:
                x, y = 0.0, y + 1.1
            _token(ax, text, learns, x, y, size)
            x += size + 0.25
        y += 1.5
    figure.set_size_inches(PHONE if narrow() else PAGE, 0.23 * y + 0.1)
    ax.set(xlim=(0, letters), ylim=(y - 0.6, -0.8))
    ax.axis("off")
    return figure


def _token(ax: Axes, text: str, learns: bool, x: float, y: float, size: float) -> None:
    ax.barh(y, size, 0.9, left=x, color=LOSS if learns else QUIET)
    if learns:
        ax.plot([x, x + size], [y + 0.42] * 2, color=INK, linewidth=1.1, solid_capstyle="butt")
    ax.text(x + size / 2, y, text, ha="center", va="center_baseline", fontsize=8.6, family="DejaVu Sans Mono")


@dataclass(frozen=True, eq=False)
class ClaimTable:
    """One row per claim with its evidence, as HTML that wraps on small screens.

    Parameters
    ----------
    card : DataFrame
        From :func:`tis_utils.evidence.claims.scorecard`.
    claims : mapping of name to printed label
        Rows, in order.
    settings : sequence of str
        Sources to count grades over.
    own : mapping of name to printed label
        Further sources with a column each.
    """

    card: pd.DataFrame
    claims: Mapping[str, str]
    settings: Sequence[str]
    own: Mapping[str, str]

    def _cells(self, claim: str, text: str) -> list[str]:
        part = self.card[self.card["claim"] == claim].set_index("source")
        total = part.loc["paper"].to_dict()
        votes = Counter(part.loc[list(self.settings), "grade"])
        tally = ", ".join(f"{votes[grade]} {grade}" for grade in GRADES if votes[grade])
        words = f"<b>{html.escape(text)}</b><br>{html.escape(total['statement'])}"
        own = (_evidence(part.loc[source].to_dict()) for source in self.own)
        grade = f"{GRADES[total['grade']][0]} {total['grade']}"
        return [words, grade, _evidence(total, mark=False), tally, *own]

    def _repr_html_(self) -> str:
        titles = ["Claim", "Grade", "All ten settings", "Each setting", *map(html.escape, self.own.values())]
        table = pd.DataFrame([self._cells(*pair) for pair in self.claims.items()], columns=titles)
        with pd.option_context("display.max_colwidth", None):
            body = table.to_html(index=False, escape=False, border=0, classes=[])
        return f'<figure class="tis-figure tis-claims"><style>{TABLE_CSS}</style>{body}</figure>'

    def __repr__(self) -> str:
        return f"Table of {len(self.claims)} claims"


def _evidence(row: Mapping[Any, Any], *, mark: bool = True) -> str:
    """Grade, number with interval, and counts; or why there is none."""
    text = graded(SimpleNamespace(**row))
    return html.escape(f"{GRADES[row['grade']][0]} {text}" if mark else text.partition(": ")[2])
