"""How methods look: one colour, one marker each, in the whole book; the matplotlib style of all figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

STYLE = Path(__file__).with_name("tis.mplstyle")


@dataclass(frozen=True)
class Look:
    """How a method looks and what it is called, everywhere."""

    label: str
    colour: str
    marker: str
    line: str = "-"


# From Okabe-Ito (blue, vermillion, dark bluish green) and a search for colours that stay apart with red- or
# green-blind eyes; each stands at least 3 : 1 against the white card (tests/test_figures.py).
LOOKS: dict[str, Look] = {
    "embed": Look("EMBED", "#00754A", "s"),
    "rds": Look("RDS+", "#0072B2", "^"),
    "less": Look("LESS", "#D55E00", "o"),
    "less_proxy": Look("LESS by proxy", "#8C2D04", "v", "-."),
    "round_robin": Look("Round-robin", "#332288", "o"),
    "doubly_greedy": Look("Doubly greedy", "#B07D12", "D"),
    "knn_uniform": Look("KNN-Uniform", "#5B8FF9", "v"),
    "knn_kde": Look("KNN-KDE", "#6B3E00", "P"),
    "uot": Look("UOT", "#C0399F", "X"),
    "random": Look("Random", "#767676", "h", ":"),
    "zero_shot": Look("Zero-shot", "#1F2430", "", "--"),
}
# Neutral categories (data sources): colour and hatch, so that neither alone has to carry the meaning.
CATEGORIES = (
    ("#0072B2", ""), ("#E69F00", "//"), ("#009E73", ".."), ("#CC79A7", "\\\\"),
    ("#56B4E9", "xx"), ("#D55E00", ""), ("#F0E442", "++"), ("#5C5F66", "--"),
)  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """Use the book's matplotlib style inside a ``with`` block."""
    with mpl.rc_context(fname=STYLE):
        yield


def colours() -> dict[str, str]:
    """Colour by printed name, for ``color_discrete_map`` of plotly express."""
    return {look.label: look.colour for look in LOOKS.values()}
