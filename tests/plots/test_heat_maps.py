"""Tables as colours: every number, gaps, verdicts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from plots_support import texts

from tis_utils.errors import InputError
from tis_utils.evidence import statistics
from tis_utils.plots import GRADES, LOOKS, grade_map, heat_maps, matrix_picture, transfer_map, white_spots


def test_heat_maps_print_every_number_and_leave_gaps_white() -> None:
    table = pd.DataFrame([[1.0, -2.0], [np.nan, 0.04]], ["a", "b"], ["x", "y"])
    figure = heat_maps({"first": table, "second": table}, form="{:+.1f}", limit=2)
    assert texts(figure) == ["+1.0", "−2.0", "0.0"] * 2
    cells = figure.axes[0].collections[0]
    assert np.ma.getmaskarray(cells.get_array()).tolist() == [[False, False], [True, False]]
    shades = cells.get_facecolor()
    assert not (shades[0] == shades[1]).all()


def test_numbers_are_legible_on_their_colour() -> None:
    (ax,) = heat_maps({"t": pd.DataFrame([[0.0, 50, 100]], ["a"], list("xyz"))}, centre=None, limit=100).axes
    assert [text.get_color() for text in ax.texts] == ["#1F2430", "#1F2430", "white"]


def test_heat_maps_need_equal_tables() -> None:
    table = pd.DataFrame([[1.0]], ["a"], ["x"])
    for tables in ({}, {"one": table, "two": table.rename(index={"a": "b"})}):
        with pytest.raises(InputError, match="the same rows and columns"):
            heat_maps(tables, limit=1)


def test_long_titles_are_wrapped_and_end_within_their_panel() -> None:
    table = pd.DataFrame([[1.0, 2.0, 3.0]], ["a"], ["10", "20", "50"])
    title = "one of the two kinds of words, budget 50: picks by nearest query"
    for count in (1, 2):
        tables = {title + " " * k: table for k in range(count)}
        figure = heat_maps(tables, limit=3)
        FigureCanvasAgg(figure).draw()
        ends = [ax.get_tightbbox().x1 for ax in figure.axes]  # pixels
        starts = [ax.get_tightbbox().x0 for ax in figure.axes[1:]] + [figure.bbox.x1]
        assert all(end <= start for end, start in zip(ends, starts, strict=True))
        assert all(ax.get_title(loc="left").replace("\n", " ") == title for ax in figure.axes)


def test_grade_map_shows_the_symbol_of_every_grade() -> None:
    grades = pd.DataFrame({"claim": list("aabbcc"), "source": list("xyxyxy"), "grade": list(GRADES)})
    figure = grade_map(grades, {"y": "Y", "x": "X"}, {"a": "A", "b": "B", "c": "C"})
    assert texts(figure) == ["(+)", "+", "(−)", "~", "·", "−"]
    assert set(GRADES) == set(statistics.GRADES)


def test_transfer_map_marks_the_choice() -> None:
    gains = pd.DataFrame([[0.1, -0.2], [0.3, 0.0]], ["one", "two"], ["a_b", "c"])
    ax = transfer_map(gains, marks={"c": "one", "unknown": "two"}, limit=0.3).axes[0]
    assert ax.collections[1].get_offsets().tolist() == [[1.5, 0.5]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a b", "c"]
    with pytest.raises(InputError):
        transfer_map(gains.iloc[:0], marks={}, limit=1)


def test_white_spots_say_what_is_known() -> None:
    known = pd.DataFrame([[True, False], [True, True]], ["less", "rds"], ["round_robin", "uot"])
    ax = white_spots(known).axes[0]
    assert [text.get_text() for text in ax.texts] == ["published", "?", "published", "published"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["Round-robin", "UOT"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["LESS", "RDS+"]
    with pytest.raises(InputError):
        white_spots(known.iloc[:0])


def test_matrix_picture_numbers_the_columns_in_the_order_of_the_picks() -> None:
    S = np.random.default_rng(1).random((2, 5))
    picks = {"round_robin": [4, 0], "uot": np.array([2, 3, 1])}
    top, bottom = matrix_picture(S, picks).axes
    np.testing.assert_array_equal(top.collections[0].get_array(), S)
    drawn = [(*text.get_position(), text.get_text()) for text in bottom.texts]
    assert drawn == [(4.5, 0.5, "1"), (0.5, 0.5, "2"), (2.5, 1.5, "1"), (3.5, 1.5, "2"), (1.5, 1.5, "3")]
    assert [t.get_text() for t in bottom.get_yticklabels()] == ["Round-robin", "UOT"]
    box = bottom.texts[-1].get_bbox_patch()
    assert box is not None
    assert to_hex(box.get_facecolor()).upper() == LOOKS["uot"].colour
