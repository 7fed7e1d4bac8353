"""Showing figures: alternative text always, the same bytes every time, a stacked version on a phone."""

import base64
import html
import io
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from tis_utils.errors import InputError
from tis_utils.plots.panels import PHONE, on_phone
from tis_utils.plots.theme import style

DPI = 100  # of the page: a figure of 7 inches is 700 px wide
SHRINK = 0.94  # a figure that does not fit may become this much smaller before its card scrolls: text of 11 px

# Verdana has the widths of DejaVu Sans, and is where that is not.
FAMILY = b"'DejaVu Sans', Verdana, sans-serif"
SHORTER = (  # what no browser needs goes, the font is named once: a page of figures must stay light
    (rb"<!--.*?-->|<\?xml.*?\?>|<!DOCTYPE.*?>", b""),
    (rb'<g id="[\w.]+">', b"<g>"),
    (rb' transform="rotate\(-0 [^"]*"| text-anchor: start;', b""),
    (rb" font-family: 'DejaVu Sans'(, sans-serif)?;", b""),
    (rb"'DejaVu Sans Mono'", b"'DejaVu Sans Mono', Menlo, Consolas, monospace"),
    (rb"<svg ", b'<svg style="font-family: ' + FAMILY + b'" '),
    (rb"\s*\n\s*", b"\n"),
    (rb"<g[^>]*/>\n", b""),
)
ALIKE = re.compile(rb'<use [^>]*?( style="[^"]*")/>\n(?:<use [^>]*?\1/>\n)+')  # marks of one look
FORMULAS = re.compile(r"\$(?:W_1|[A-Za-z])\$|\$\\mathdefault\{[^$]*\}\$")  # the last kind labels logarithmic axes
STYLE = re.compile(rb'(<\w+[^>]*?) style="([^"]*)"')
PLACE = re.compile(rb'(<text [^>]*?)x="(-?\d+\.?\d?\d?)\d*" y="(-?\d+\.?\d?\d?)\d*"')
DRAWN = re.compile(rb"^(?:[MLCQ] |<use |<path d).*$", re.MULTILINE)  # here hundredths of a point do; words stay
ZEROS = re.compile(rb"(?<=\d)\.0+(?!\d)|(\.\d)0(?!\d)")
LINES = re.compile(rb"(?:^L -?[\d.]+ -?[\d.]+\n){3,}", re.MULTILINE)
NAMED = re.compile(rb"\b[mp][0-9a-f]{10}\b")  # marks and clipping paths, called by digests


@dataclass(frozen=True)
class Picture:
    """A rendered figure with its alternative text; Jupyter and the book display it as HTML."""

    svg: bytes
    alt: str
    width: int
    caption: str = ""
    narrow: bytes = b""  # the same figure for screens of at most 600 px
    least: int = 0  # px that the narrow one needs

    def _repr_html_(self) -> str:
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        least = f"--narrow:{self.least}px" if self.narrow else f"min-width:{round(SHRINK * self.width)}px"
        image = (
            f'<img alt="{html.escape(self.alt)}" width="{self.width}" '
            f'style="max-width:100%;{least};height:auto" src="{_address(self.svg)}">'
        )
        if self.narrow:
            image = f'<picture><source media="(max-width: 600px)" srcset="{_address(self.narrow)}">{image}</picture>'
        return f'<figure class="tis-figure">{image}{caption}</figure>'

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"


def _address(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"


def checked_alt(alt: str) -> str:
    """The alternative text on one line; an InputError if it says nothing."""
    text = " ".join(alt.split())
    if len(text) < 10:
        raise InputError(f"alt = {alt!r}: say in a sentence what the figure shows, for readers who cannot see it.")
    return text


def show(figure: Figure, alt: str, *, caption: str = "") -> Picture:
    """Render a figure with alternative text, as the last expression of a cell; the same figure gives the same bytes.

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
    text = checked_alt(alt)
    phone = on_phone(figure)
    width = round(DPI * figure.get_figwidth())
    if phone is None:
        return Picture(_svg(figure), text, width, caption)
    least = round(SHRINK * DPI * phone.get_figwidth()) if phone.get_figwidth() > PHONE else 0
    return Picture(_svg(figure), text, width, caption, _svg(phone), least)


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    _spare_others(figure)
    with style():
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _shorter(buffer.getvalue())


def _spare_others(figure: Figure) -> None:
    """Let only our own formulas be formulas: what stands between $ in texts of the user's is text."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_ticklabels(which="both")  # names of categories become texts when they are asked for
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math("$" not in FORMULAS.sub("", text.get_text()))


def _shorter(svg: bytes) -> bytes:
    for pattern, replacement in SHORTER:
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    svg = LINES.sub(_corners, svg)
    svg = DRAWN.sub(lambda line: ZEROS.sub(rb"\1", re.sub(rb"(\.\d\d)\d+", rb"\1", line[0])), svg)
    svg = PLACE.sub(rb'\1x="\2" y="\3"', svg)
    names = {name: b"i%d" % k for k, name in enumerate(dict.fromkeys(NAMED.findall(svg)))}
    svg = NAMED.sub(lambda name: names[name[0]], svg)
    svg = ALIKE.sub(lambda marks: b"<g" + marks[1] + b">\n" + marks[0].replace(marks[1], b"") + b"</g>\n", svg)
    return _styles_once(_without_bare_groups(svg))


def _corners(run: re.Match[bytes]) -> bytes:
    """A polyline without points that a straight line passes, in order, at less than a hundredth of a point."""
    lines = run[0].splitlines(keepends=True)
    points = np.array([line.split()[1:] for line in lines], dtype=float) @ (1, 1j)  # (n,), complex
    kept = [0]
    for end in range(2, len(points)):
        way = points[end] - points[kept[-1]]
        seen = (points[kept[-1] + 1 : end] - points[kept[-1]]) * way.conjugate() / max(abs(way), 1e-9)
        if (abs(seen.imag) > 0.01).any() or (np.diff([0, *seen.real, abs(way)]) < 0).any():
            kept.append(end - 1)
    return b"".join(lines[k] for k in [*kept, len(lines) - 1])


def _styles_once(svg: bytes) -> bytes:
    """Looks that return become classes: they are half of a figure's bytes."""
    looks = Counter(look for _, look in STYLE.findall(svg))
    names = {look: b"s%d" % k for k, (look, times) in enumerate(looks.most_common()) if times > 1}
    rules = b"".join(b".%s{%s}" % (name, look) for look, name in names.items())
    named = STYLE.sub(lambda m: b'%s class="%s"' % (m[1], names[m[2]]) if m[2] in names else m[0], svg)
    return named.replace(b"</style>", rules + b"</style>", 1)


def _without_bare_groups(svg: bytes) -> bytes:
    """Groups that have no attribute change nothing."""
    parts, kept = [], []
    for part in re.split(rb"(<g\b[^>]*>\n|</g>\n)", svg):
        if part.startswith(b"<g"):
            kept.append(part != b"<g>\n")
        ends = part.startswith(b"</g")
        if kept.pop() if ends else not part.startswith(b"<g") or kept[-1]:
            parts.append(part)
    return b"".join(parts)
