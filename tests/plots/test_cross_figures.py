"""Figures of the chapter on open questions."""

from __future__ import annotations

import pandas as pd
import pytest

from tis_utils.errors import InputError
from tis_utils.plots.cross_figures import cost_scatter, share_bars, white_spots
from tis_utils.plots.theme import LOOKS


def costs(**changes: float) -> pd.DataFrame:
    row = {"method": "less_proxy", "seconds": 3.0, "value": 1.0, "low": 0.5, "high": 1.5}
    return pd.DataFrame([row | {"method": "embed"}, row | changes])


def test_white_spots_say_what_is_known() -> None:
    known = pd.DataFrame([[True, False], [True, True]], ["less", "rds"], ["round_robin", "uot"])
    ax = white_spots(known).axes[0]
    assert [text.get_text() for text in ax.texts] == ["published", "?", "published", "published"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["Round-robin", "UOT"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["LESS", "RDS+"]
    with pytest.raises(InputError):
        white_spots(known.iloc[:0])


def test_share_bars_stack_to_one_and_label_what_is_legible() -> None:
    shares = pd.DataFrame([[0.5, 0.47, 0.03], [0.0, 0.2, 0.8]], [25, 50], ["selector", "interaction", "noise"])
    ax = share_bars(shares, ylabel="Budget").axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in ax.patches]
    assert ends[-2:] == pytest.approx([1, 1])
    assert {t.get_text() for t in ax.texts if t.get_visible()} == {"50 %", "47 %", "20 %", "80 %"}
    with pytest.raises(InputError):
        share_bars(shares * 2, ylabel="Budget")


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
