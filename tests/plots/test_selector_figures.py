"""Figures of the selectors chapter: what is drawn, where, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tis_utils.errors import InputError
from tis_utils.plots.selector_figures import matrix_picture, option_curves, pick_maps, scene_map
from tis_utils.plots.theme import LOOKS

POOL = np.random.default_rng(0).uniform(-1, 1, size=(30, 2))
QUERIES = np.array([[0.0, 0.5], [0.5, -0.2]])


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_matrix_picture_numbers_the_columns_in_the_order_of_the_picks() -> None:
    S = np.random.default_rng(1).random((2, 5))
    picks = {"round_robin": [4, 0], "uot": np.array([2, 3, 1])}
    top, bottom = matrix_picture(S, picks).axes
    np.testing.assert_array_equal(top.get_images()[0].get_array(), S)
    drawn = [(*text.get_position(), text.get_text()) for text in bottom.texts]
    assert drawn == [(4, 0, "1"), (0, 0, "2"), (2, 1, "1"), (3, 1, "2"), (1, 1, "3")]
    assert [t.get_text() for t in bottom.get_yticklabels()] == ["Round-robin", "UOT"]
    box = bottom.texts[-1].get_bbox_patch()
    assert box is not None
    assert to_hex(box.get_facecolor()).upper() == LOOKS["uot"].colour


def test_scene_map_numbers_queries_where_they_are() -> None:
    (ax,) = scene_map(POOL, QUERIES, {"crowd": (0.1, 0.2)}).axes
    assert [(t.get_text(), tuple(t.xy)) for t in ax.texts] == [  # type: ignore[attr-defined]
        ("1", (0.0, 0.5)),
        ("2", (0.5, -0.2)),
        ("crowd", (0.1, 0.2)),
    ]


def test_pick_maps_draw_the_picked_candidates_in_the_methods_colour() -> None:
    rows = {
        "round_robin": {"budget 2": [3, 7], "budget 3": [3, 7, 1]},
        "knn_uniform: alpha 0.4": {"budget 2": np.array([0, 2]), "budget 3": np.array([0, 2, 4])},
        "my_method": {"budget 2": [], "budget 3": [9]},
    }
    axes = pick_maps(POOL, QUERIES, rows, note="a note").axes
    assert len(axes) == 6
    for ax, (name, chosen) in zip(axes, [(n, c) for n, panels in rows.items() for c in panels.values()], strict=True):
        everything, picked, stars = ax.collections[:3]
        np.testing.assert_array_equal(everything.get_offsets(), POOL)
        np.testing.assert_array_equal(picked.get_offsets(), POOL[np.asarray(chosen, dtype=int)])
        np.testing.assert_array_equal(stars.get_offsets(), QUERIES)
        if look := LOOKS.get(name.partition(":")[0]):
            assert to_hex(picked.get_facecolor()[0]).upper() == look.colour  # type: ignore[index]
    assert [ax.get_title("left") for ax in axes] == ["budget 2", "budget 3", "", "", "", ""]
    assert [ax.get_ylabel() for ax in axes[::2]] == ["Round-robin", "KNN-Uniform\nalpha 0.4", "my method"]


def test_pick_maps_repeat_titles_that_differ_from_the_first_row() -> None:
    axes = pick_maps(POOL, QUERIES, {"uot": {"reg 1": [0]}, "knn_kde": {"sigma 2": [1]}}).axes
    assert [ax.get_title("left") for ax in axes] == ["reg 1", "sigma 2"]


def test_all_points_lie_inside_every_map() -> None:
    for ax in pick_maps(POOL, QUERIES * 3, {"uot": {"a": [0], "b": [1]}}).axes:
        points = np.vstack([POOL, QUERIES * 3])
        for values, (low, high) in zip(points.T, (ax.get_xlim(), ax.get_ylim()), strict=True):
            assert low < values.min() < values.max() < high


@pytest.mark.parametrize("rows", [{}, {"uot": {}}, {"uot": {"a": [0]}, "random": {"a": [0], "b": [1]}}])
def test_pick_maps_refuse_ragged_rows(rows: dict[str, dict[str, list[int]]]) -> None:
    with pytest.raises(InputError, match="the same number of panels"):
        pick_maps(POOL, QUERIES, rows)


def effects() -> pd.DataFrame:
    lines = [("alpha", "knn_uniform", x, 0.01, 1 - x) for x in (0.9, 0.01, 0.1)]
    lines += [("reg", "uot", x, 0.1, x) for x in (0.1, 1.0)]
    return pd.DataFrame(lines, columns=["option", "selector", "setting", "default", "W1"])


def test_option_curves_sort_settings_and_mark_the_default() -> None:
    figure = option_curves(effects(), value="W1", reference=0.7)
    alpha, reg = figure.axes
    curve, default, random = alpha.get_lines()
    np.testing.assert_allclose(curve.get_xydata(), [[0.01, 0.99], [0.1, 0.9], [0.9, 0.1]])
    assert list(default.get_xdata()) == [0.01, 0.01]
    assert list(random.get_ydata()) == [0.7, 0.7]
    assert [ax.get_title("left") for ax in (alpha, reg)] == ["KNN-Uniform: alpha", "UOT: reg"]
    assert alpha.get_ylim() == reg.get_ylim()
    assert legend(figure) == ["KNN-Uniform", "UOT", "default", "Random"]


def test_option_curves_without_a_reference_do_not_name_random() -> None:
    assert "Random" not in legend(option_curves(effects(), value="W1"))


@pytest.mark.parametrize("frame", [effects().drop(columns="default"), effects().iloc[:0]])
def test_option_curves_refuse_incomplete_frames(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError):
        option_curves(frame, value="W1")
