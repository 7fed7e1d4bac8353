"""Showing figures: alternative text, the same bytes, phones."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure
from plots_support import Tags, results

from tis_utils.errors import InputError
from tis_utils.plots import budget_curves, heat_maps, interactive, show, style, white_spots
from tis_utils.plots.display import _shorter
from tis_utils.plots.panels import on_phone


def test_show_gives_alt_text_and_the_same_bytes_every_time():
    alt = 'Loss "falls" with budget <for> LESS & Random.'
    one, two = (show(budget_curves(results(), metric="query_loss"), alt) for _ in range(2))
    assert (one.svg, one.narrow) == (two.svg, two.narrow)
    assert not re.search(rb"<!--|<dc:date|matplotlib.org", one.svg)
    tags = Tags(one._repr_html_())
    image = next(attributes for tag, attributes in tags.tags if tag == "img")
    assert image["alt"] == alt
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert repr(one) == f"Figure: {alt}"
    captioned = show(budget_curves(results(), metric="query_loss"), alt, caption="A < B")
    assert "<figcaption>A &lt; B</figcaption>" in captioned._repr_html_()


@pytest.mark.parametrize("alt", ["", "   ", "figure"])
def test_a_figure_without_alt_text_is_refused(alt):
    with pytest.raises(InputError, match="say in a sentence"):
        show(budget_curves(results(), metric="query_loss"), alt)
    with pytest.raises(InputError, match="say in a sentence"):
        interactive(go.Figure(), alt)


def test_the_card_is_opaque_so_that_it_reads_in_dark_mode():
    with style():
        figure = budget_curves(results(), metric="query_loss")
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert all(ax.get_facecolor() == (1, 1, 1, 1) for ax in figure.axes)


def test_panels_stand_below_each_other_on_a_phone():
    figure = budget_curves(results(), metric="query_loss")
    phone = on_phone(figure)
    assert figure.axes[0].get_subplotspec().get_gridspec().ncols == 2
    assert phone.axes[0].get_subplotspec().get_gridspec().ncols == 1
    assert phone.get_figwidth() == 3.5
    page = show(figure, "Query loss by budget.")._repr_html_()
    assert '<source media="(max-width: 600px)" srcset="data:image/svg+xml;base64,' in page
    assert on_phone(budget_curves(results(), metric="query_loss")) is not phone


def test_what_cannot_be_stacked_scrolls_before_it_becomes_illegible():
    figure = white_spots(pd.DataFrame([[True] * 9], ["less"], ["round_robin"] * 9))
    assert on_phone(figure) is None
    picture = show(figure, "One row of nine combinations.")
    assert picture.width == 700
    assert "min-width:658px" in picture._repr_html_()


def test_a_heat_map_becomes_no_narrower_than_its_numbers():
    for columns, width, least in ((5, 350, 0), (16, 644, 605)):
        table = pd.DataFrame([[1.0] * columns], ["a row"], range(columns))
        figure = heat_maps({"one": table, "two": table}, limit=1)
        assert round(100 * on_phone(figure).get_figwidth()) == width
        picture = show(figure, "Two rows of numbers.")
        assert picture.least == least
        assert f"--narrow:{least}px" in picture._repr_html_()


def test_words_and_numbers_are_printed_as_they_are():
    table = pd.DataFrame([[1.23456]], ["row <!-- 0.98765 -->"], ["M 0.12345"])
    svg = show(heat_maps({"t": table}, form="{:.5f}", limit=2), "One number.").svg.decode()
    assert all(text in svg for text in ("1.23456", "row &lt;!-- 0.98765 --&gt;", "M 0.12345"))


def test_marks_of_one_look_name_it_once_and_no_group_is_bare():
    group = b'<g clip-path="url(#a)">\n'
    marks = b"".join(b'<use xlink:href="#m" x="%d" y="1" style="fill: red"/>\n' % x for x in range(3))
    other = b'<use xlink:href="#m" x="9" y="1" style="fill: blue"/>\n'
    bare = marks.replace(b' style="fill: red"', b"")
    expected = b'<g style="fill: red">\n' + bare + b"</g>\n"
    assert _shorter(b"<g>\n<g/>\n" + group + marks + other + b"</g>\n</g>\n") == group + expected + other + b"</g>\n"


def test_pictures_are_well_formed():
    table = pd.DataFrame([[1.0, -1.0]], ["<g>"], ["a", "</g>"])
    for figure in (heat_maps({"t": table}, limit=1), budget_curves(results(), metric="query_loss")):
        assert ElementTree.fromstring(show(figure, "A picture to parse.").svg).tag.endswith("svg")


def test_no_text_is_smaller_than_eleven_pixels():
    figure = budget_curves(results(), metric="query_loss")
    sizes = [text.get_fontsize() for text in figure.findobj(lambda item: hasattr(item, "get_fontsize"))]
    assert min(sizes) * 100 / 72 >= 11


@pytest.mark.parametrize("text", [r"a $\frac{x$ b", "$5 or $6_", r"\$x$ and $", "$\\alpha$"])
def test_texts_of_the_user_are_no_formulas_and_ours_are(text: str):
    with style():
        figure = Figure(layout="constrained")
        ax, other = figure.subplots(1, 2)
        ax.scatter([1, 2], [1, 100], label=text)
        ax.set(title=text, xlabel="$W_1$", yscale="log")
        ax.set_xticks([1, 2], [text, "b"])
        other.bar(["p", text], [1, 2])
        ax.legend()
    svg = show(figure, "A figure with texts of the user.").svg.decode()
    assert html.unescape(svg).count(f">{text}<") == 4
    assert "$W_1$" not in svg
    assert "mathdefault" not in svg


def test_points_on_a_straight_line_go_and_corners_stay():
    straight = b"".join(b"L %d.000001 %d.5\n" % (k, 2 * k) for k in range(40))
    corner, back = b"L 40 10\n", b"L 20 35\n"
    path = b'<path d="M 1 1\n' + straight + corner + back + b'L 10 40\n" class="a"/>\n'
    assert _shorter(path) == b'<path d="M 1 1\nL 0 0.5\nL 39 78.5\nL 40 10\nL 20 35\nL 10 40\n" class="a"/>\n'


def test_a_curve_keeps_its_shape_and_a_line_that_turns_back_its_end():
    angle = np.linspace(0, np.pi, 400)
    points = np.c_[100 * np.cos(angle), 100 * np.sin(angle)]
    arc = b"".join(b"L %.6f %.6f\n" % tuple(point) for point in points)
    kept = np.array([line.split()[1:] for line in _shorter(arc).splitlines()], dtype=float)
    middles = (kept[1:] + kept[:-1]) / 2
    assert 20 < len(kept) < 300
    assert (np.abs(np.linalg.norm(middles, axis=1) - 100) < 0.02).all()
    there_and_back = b"L 0 0\nL 5 0\nL 9 0\nL 3 0\n"
    assert _shorter(there_and_back) == b"L 0 0\nL 9 0\nL 3 0\n"


def test_marks_and_clips_have_short_names():
    svg = (
        b'<path id="m0123456789"/>\n<use xlink:href="#m0123456789" x="1.50" y="2.00" clip-path="url(#pabcdef0123)"/>\n'
    )
    assert _shorter(svg) == (b'<path id="i0"/>\n<use xlink:href="#i0" x="1.5" y="2" clip-path="url(#i1)"/>\n')
