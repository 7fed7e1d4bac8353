"""Points, their fits and their colours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from plots_support import legend

from tis_utils.errors import InputError
from tis_utils.plots import LOOKS, cost_scatter, picked_strip, plane, scatter_fits


def test_scatter_fits_draw_the_least_squares_line() -> None:
    x = np.arange(10.0)
    frame = pd.DataFrame({"x": x, "y": 3 + 2 * x, "panel": "p", "series": "s"})
    ax = scatter_fits(frame, panel="panel", series="series", xlabel="x", ylabel="y").axes[0]
    np.testing.assert_allclose(ax.get_lines()[0].get_xydata()[[0, -1]], [[0, 3], [9, 21]])


def test_series_that_are_methods_have_their_colours() -> None:
    frame = pd.DataFrame(
        {"x": [0.0, 1, 2] * 2, "y": [1.0, 2, 4] * 2, "panel": "p", "series": 3 * ["LESS, all"] + 3 * ["EMBED"]}
    )
    figure = scatter_fits(frame, panel="panel", series="series", xlabel="x", ylabel="y", diagonal=True)
    drawn = [to_hex(points.get_facecolor()[0]).upper() for points in figure.axes[0].collections]
    assert drawn == [LOOKS["embed"].colour, LOOKS["less"].colour]
    assert legend(figure) == ["EMBED", "LESS, all"]
    marks = pd.DataFrame({"method": ["ila", "random"], "coverage": [0.5, 0.6], "depth": [0.9, 0.5]})
    (points,) = plane({"a": marks}).axes[0].collections
    assert [to_hex(c).upper() for c in points.get_facecolor()] == [LOOKS["ila"].colour, LOOKS["random"].colour]


def costs(**changes: float) -> pd.DataFrame:
    row = {"method": "less_proxy", "seconds": 3.0, "value": 1.0, "low": 0.5, "high": 1.5}
    return pd.DataFrame([row | {"method": "embed"}, row | changes])


def test_cost_scatter_has_a_labelled_point_per_method() -> None:
    figure = cost_scatter({"one": costs(), "two": costs(seconds=400.0)}, ylabel="gain")
    assert len(figure.axes) == 2
    for ax in figure.axes:
        assert [text.get_text() for text in ax.texts] == ["EMBED", LOOKS["less_proxy"].label]
        assert ax.get_xscale() == "log"
    with pytest.raises(InputError):
        cost_scatter({"one": costs(seconds=0.0)}, ylabel="gain")
    with pytest.raises(InputError):
        cost_scatter({}, ylabel="gain")


def test_the_picked_dots_of_a_strip_stand_at_their_values_in_their_rows() -> None:
    x = pd.Series([0.1, 0.2, 0.3, 0.4])
    rows = pd.Series(pd.Categorical(["a", "b", "b", "rest"], ["a", "b", "rest"]))
    (ax,) = picked_strip(x, rows, np.array([False, True, False, True]), colour="#aa0000", xlabel="cosine").axes
    dots = [
        (round(left, 3), round(height), to_hex(part.get_facecolor()[0]))
        for part in ax.collections
        for left, height in part.get_offsets()
    ]
    assert {dot[:2] for dot in dots} == {(0.1, 0), (0.2, 1), (0.3, 1), (0.4, 2)}
    assert {left for left, _, shade in dots if shade == "#aa0000"} == {0.2, 0.4}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "rest"]
