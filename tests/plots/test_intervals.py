"""Estimates with intervals: places, ends, colours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plots_support import legend, line

from tis_utils.errors import InputError
from tis_utils.plots import LOOKS, intervals


def test_intervals_draw_values_and_ends() -> None:
    frame = pd.DataFrame({"label": ["p", "q"], "value": [1.0, 2], "low": [0.5, 1], "high": [1.5, 4]})
    ax = intervals({"title": frame}, xlabel="gain").axes[0]
    np.testing.assert_array_equal(ax.get_lines()[0].get_xydata(), [[1, 0], [2, 1]])
    segments = [path.vertices[:, 0].tolist() for path in ax.collections[0].get_paths()]
    assert segments == [[0.5, 1.5], [1, 4]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["p", "q"]


def estimates(**values: float) -> pd.DataFrame:
    rows = [("task", name, v, v - 0.1, v + 0.2) for name, v in values.items()]
    return pd.DataFrame(rows, columns=["label", "representation", "value", "low", "high"])


def test_representations_keep_their_colour_and_marker() -> None:
    panels = {"one": estimates(less=0.9, embed=0.5), "two": estimates(less=0.2, embed=0.4)}
    figure = intervals(panels, series="representation", xlabel="AUC", reference=0.5, shared=True)
    axes = figure.axes
    for name in ("embed", "less"):
        assert line(axes[0], name).get_marker() == LOOKS[name].marker
    assert np.asarray(line(axes[0], "less").get_xdata()).tolist() == [0.9]
    assert legend(figure) == ["EMBED", "LESS"]
    for name, bars in zip(("embed", "less"), axes[0].collections, strict=True):
        height = float(np.asarray(line(axes[0], name).get_ydata())[0])
        (ends,) = bars.get_segments()
        np.testing.assert_allclose(ends[:, 1], height)  # the bar runs through its dot
    assert axes[0].get_xlim() == axes[1].get_xlim()  # panels can be compared
    assert axes[0].get_xlim()[0] < 0.1 < 1.1 < axes[0].get_xlim()[1]


@pytest.mark.parametrize("panels", [{}, {"empty": estimates()}])
def test_intervals_need_rows(panels: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(InputError, match=r"at least one panel|no rows"):
        intervals(panels, series="representation", xlabel="AUC", reference=0.5, shared=True)
