"""Showing figures: alternative text always, the same bytes every time, plotly without a network."""

from __future__ import annotations

import base64
import html
import io
import json
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from tis_utils.errors import InputError
from tis_utils.plots.theme import LOOKS, style


@dataclass(frozen=True)
class Picture:
    """A rendered figure with its alternative text; Jupyter and the book display it as HTML."""

    png: bytes
    alt: str
    width: int
    caption: str = ""

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode("ascii")
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return (
            f'<figure class="tis-figure"><img alt="{html.escape(self.alt)}" width="{self.width}" '
            f'style="max-width:100%;height:auto" src="data:image/png;base64,{data}">{caption}</figure>'
        )

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"


def _checked_alt(alt: str) -> str:
    text = " ".join(alt.split())
    if len(text) < 10:
        raise InputError(f"alt = {alt!r}: say in a sentence what the figure shows, for readers who cannot see it.")
    return text


def show(figure: Figure, alt: str, *, caption: str = "") -> Picture:
    """Render a figure with alternative text; use it as the last expression of a cell.

    The same figure gives the same bytes: no time stamp and no library version is written into the file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What the figure shows, in a sentence or two.
    caption : str
        Printed under the figure.

    Raises
    ------
    InputError
        If `alt` says nothing.
    """
    text = _checked_alt(alt)
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return Picture(_fewer_colours(buffer), text, round(100 * figure.get_figwidth()), caption)


def _fewer_colours(png: io.BytesIO) -> bytes:
    """At most 256 colours: a third of the bytes, and no visible change in a plot."""
    buffer = io.BytesIO()
    image = Image.open(png).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()


@dataclass(frozen=True)
class Interactive:
    """A plotly figure: live in Jupyter, and in the book through the one bundled plotly.js."""

    data: dict[str, Any]
    alt: str
    height: int

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        # "</script" would end the element and "<!--<script" hide its end; "\u003c" is the same JSON
        payload = json.dumps(self.data, separators=(",", ":")).replace("<", "\\u003c")
        alt = html.escape(self.alt)
        return {
            "application/vnd.plotly.v1+json": self.data | {"config": {"responsive": True}},
            "text/html": (
                f'<figure class="tis-plotly" aria-label="{alt}" style="min-height:{self.height}px">'
                f'<script type="application/json">{payload}</script><noscript>{alt}</noscript></figure>'
            ),
            "text/plain": f"Interactive figure: {self.alt}",
        }


def interactive(figure: Any, alt: str) -> Interactive:
    """Prepare a plotly figure for the book and for Jupyter; use it as the last expression of a cell.

    plotly.js itself is not embedded: in the book the page loads the site's one copy (``_static/tis.js``), in
    Jupyter and VS Code the front end draws it.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Left unchanged.
    alt : str
        What the figure shows, in a sentence or two.

    Raises
    ------
    InputError
        If `alt` says nothing.
    """
    text = _checked_alt(alt)
    data = json.loads(figure.to_json())
    layout: dict[str, Any] = data.setdefault("layout", {})
    layout["template"] = _plotly_template()
    layout.setdefault("height", 440)
    layout.setdefault("autosize", True)
    return Interactive({"data": data["data"], "layout": layout}, text, int(layout["height"]))


def _plotly_template() -> dict[str, Any]:
    axis = {"gridcolor": "#E4E6EA", "linecolor": "#8A8F99", "zeroline": False, "automargin": True}
    return {
        "layout": {
            "colorway": [look.colour for look in LOOKS.values()],
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1F2430"},
            "paper_bgcolor": "#FFFFFF",
            "plot_bgcolor": "#FFFFFF",
            "margin": {"l": 56, "r": 16, "t": 48, "b": 100},
            "title": {"x": 0, "xref": "paper", "font": {"size": 16}},
            "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0.01, "x": 0},
            "xaxis": axis,
            "yaxis": axis,
        }
    }
