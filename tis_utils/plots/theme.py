"""How methods and kinds of examples look: one colour each, in the whole book; the matplotlib style of all figures."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib import colormaps

from tis_utils.labels import METHODS, label

STYLE = Path(__file__).with_name("tis.mplstyle")
INK, MUTED, LINE, GREY = "#1F2430", "#4A4F5A", "#B8BDC6", "#5C5F66"
# Purple is good, orange is bad: apart for red- and green-blind eyes; the numbers and symbols say it again.
DIVERGING = colormaps["PuOr"]
SEQUENTIAL = colormaps["Purples"]
SMALL = 8.5  # points: 11.8 px in a page
DASHES: dict[str, Any] = {"-": "", "--": (4, 2), ":": (1, 1.5), "-.": (5, 1.5, 1, 1.5)}


@dataclass(frozen=True)
class Look:
    """How a method looks and what it is called, everywhere."""

    label: str
    colour: str
    marker: str
    line: Literal["-", "--", ":", "-."] = "-"


# From Okabe-Ito (blue, vermillion, dark bluish green) and a search for colours that stay apart with red- or
# green-blind eyes; each stands at least 3 : 1 against the white card (tests/plots/test_theme.py).
_LOOKS: dict[str, tuple[Any, ...]] = {
    "embed": ("#00754A", "s"),
    "rds": ("#0072B2", "^"),
    "less": ("#D55E00", "o"),
    "less_proxy": ("#8C2D04", "v", "-."),
    "lexical": ("#5300A6", "<"),
    "round_robin": ("#332288", "o"),
    "doubly_greedy": ("#B07D12", "D"),
    "knn_uniform": ("#5B8FF9", "v"),
    "knn_kde": ("#6B3E00", "P"),
    "uot": ("#C0399F", "X"),
    "insta": ("#A6164A", "d"),
    "ila": ("#8E1BFA", "D"),
    "ila@depth": ("#58A630", "v", "--"),
    "ila@coverage": ("#143D5B", "P", "--"),
    "deita": ("#6B1E07", "X", "--"),
    "random": ("#767676", "h", ":"),
    "zero_shot": (INK, "", "--"),
}
LOOKS = {name: Look(METHODS[name], *rest) for name, rest in _LOOKS.items()}
SERIES = (("#1F479E", "o"), ("#E0457B", "s"), ("#1E9E8F", "^"), ("#8A8A00", "D"), ("#7B5CD6", "v"))  # no methods
# Kinds of examples: colour and hatch, so that neither alone has to carry the meaning. No method has these colours.
PLAIN = ("#C9CDD4", "")
KINDS: dict[str, tuple[str, str]] = {
    "clean": ("#56B4E9", ""),
    "other wording": ("#E69F00", "//"),
    "other function": ("#44AA99", "||"),
    "corrupted": ("#AA4466", "\\\\"),
    "other skills": ("#9AA0AA", "xx"),
    "unrelated": PLAIN,
    "filler": PLAIN,
    "natural": PLAIN,
}
# Other categories (data sources).
CATEGORIES = (
    ("#0072B2", ""), ("#E69F00", "//"), ("#009E73", "||"), ("#CC79A7", "\\\\"),
    ("#56B4E9", "xx"), ("#D55E00", ""), ("#F0E442", "++"), ("#5C5F66", "--"),
)  # fmt: skip
# What the grades of claims (`tis_utils.evidence.statistics.GRADES`) look like: symbol, fill, ink.
GRADES = {
    "shown": ("+", "#5E4FA2", "white"),
    "leaning": ("(+)", "#B9B0DC", INK),
    "open": ("~", "#F1F1F4", INK),
    "leaning against": ("(−)", "#F6C894", INK),
    "refuted": ("−", "#D9730D", "black"),
    "not testable": ("·", "#FFFFFF", MUTED),
}
_ALIASES = {"rr": "round_robin", "round-robin": "round_robin", "dg": "doubly_greedy", "none": "zero_shot"}


@contextmanager
def style() -> Iterator[None]:
    """Use the book's matplotlib style inside a ``with`` block."""
    with mpl.rc_context(fname=STYLE):
        yield


def _key(name: str) -> str | None:
    keys = _ALIASES | {entry.label.lower(): key for key, entry in LOOKS.items()} | {key: key for key in LOOKS}
    text = name.partition(":")[0].strip().removeprefix("none/").lower()
    if text.startswith("ila@random"):
        return "random"
    first, _, second = text.replace("/", ", ").partition(", ")
    selector = keys.get(second)
    if keys.get(first) and selector not in (None, "round_robin"):
        return selector
    return keys.get(first, "insta" if first.startswith("insta@") else None)


def look(method: str) -> Look:
    """How a method looks, by key ("less") or printed name ("LESS"); unknown ones are grey stars.

    With a selector other than round-robin ("less/uot", "LESS, UOT") it looks like that one; remarks after a colon are
    left out.
    """
    key = _key(method)
    return LOOKS[key] if key else Look(label(method.partition(":")[0]), GREY, "*")


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Look of each name: methods with their own, in the palette's order, then all else with neutral ones."""
    keys = {name: _key(name) for name in map(str, names)}
    places, neutral = list(LOOKS), iter(SERIES * 3)
    table = {
        name: LOOKS[key] for name, key in sorted(keys.items(), key=lambda k: places.index(k[1] or "random")) if key
    }
    return table | {name: Look(label(name), *next(neutral)) for name, key in keys.items() if key is None}


def hues(entries: Mapping[str, Look]) -> dict[str, Any]:
    """What seaborn needs to colour a series in its own colour: the entries' order, and no legend of each panel."""
    palette = {name: entry.colour for name, entry in entries.items()}
    return {"palette": palette, "hue_order": list(entries), "legend": False}


def fills(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and hatch of each category: a kind's own, wherever the name is one, else the next free one."""
    names = list(dict.fromkeys(map(str, names)))
    known = {name: KINDS[name.replace("_", " ")] for name in names if name.replace("_", " ") in KINDS}
    free = iter([c for c in CATEGORIES[:-1] if c[0] not in {colour for colour, _ in known.values()}])
    return {name: known.get(name) or (CATEGORIES[-1] if name == "other" else next(free)) for name in names}
