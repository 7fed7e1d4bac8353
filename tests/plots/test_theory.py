"""Figures of the chapter on bounds show the numbers they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tis_utils.plots import best_lines, heaps_of_sand, ratio_panels, sharpness_map, term_bars


def test_heaps_of_sand_name_the_distance() -> None:
    pool, queries = np.array([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]]), np.array([[0.0, 0.0]])
    ax = heaps_of_sand(pool, queries, {"Far": [1]}).axes[0]
    assert ax.get_title(loc="left") == "Far subset: $W_1$ = 5.00"


def test_term_bars_stack_means_and_mark_the_left_side() -> None:
    rows = pd.DataFrame(
        {"budget": [5, 5, 10], "train_error": [0.2, 0.4, 0.1], "sampling": 0.5, "risk": [0.1, 0.3, 0.2]}
    )
    ax = term_bars({"Random": rows}, ["train_error", "sampling"], left="risk", largest=1.5, xlabel="loss").axes[0]
    dots, limit = ax.get_lines()
    assert dots.get_xdata() == pytest.approx([0.2, 0.2])
    assert set(limit.get_xdata()) == {1.5}
    assert sorted({round(bar.get_width(), 3) for bar in ax.patches}) == [0.1, 0.3, 0.5]


def test_best_lines_dash_the_best_only() -> None:
    table = pd.DataFrame({"random": [2.0, 3.0], "best": [1.0, 1.5]}, [5, 10])
    ax = best_lines({"": table}, ylabel="distance").axes[0]
    assert [line.get_linestyle() for line in ax.get_lines() if list(line.get_ydata()) == [1.0, 1.5]] == ["--"]
    assert best_lines({"": table}, ylabel="distance", yscale="log").axes[0].get_yscale() == "log"


def test_ratio_panels_keep_the_order_and_use_logarithms_for_wide_knobs() -> None:
    part = {"knob": "size", "setting": [1.0, 100.0], "ratio": [0.5, 3.0]}
    broken = pd.concat([pd.DataFrame({"assumption": name} | part) for name in ("2 b", "1 a")])
    axes = ratio_panels(broken).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["2 b", "1 a"]
    assert axes[0].get_xscale() == "log"


def test_the_slider_shows_one_dimension_at_a_time() -> None:
    plot = sharpness_map({1: np.ones((2, 3)), 5: np.zeros((2, 3))}, [0, 1, 2], [0.5, 1])
    assert [trace.visible for trace in plot.data] == [True, False]
    choices = [list(step.args[0]["visible"]) for step in plot.layout.sliders[0].steps]
    assert choices == [[True, False], [False, True]]
