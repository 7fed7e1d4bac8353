"""Maps: what is drawn, where, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tis_utils.errors import InputError
from tis_utils.plots import heaps_of_sand, look, on_sphere, pick_maps, scene_map

POOL = np.random.default_rng(0).uniform(-1, 1, size=(30, 2))
QUERIES = np.array([[0.0, 0.5], [0.5, -0.2]])


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
        everything, *picks, stars = ax.collections
        assert len(picks) == bool(len(chosen))
        np.testing.assert_array_equal(everything.get_offsets(), POOL)
        for picked in picks:
            np.testing.assert_array_equal(picked.get_offsets(), POOL[np.asarray(chosen, dtype=int)])
            assert to_hex(picked.get_facecolor()[0]).upper() == look(name).colour
        np.testing.assert_array_equal(stars.get_offsets(), QUERIES)
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


def test_a_flat_map_lifted_to_the_sphere_keeps_its_centre_and_areas() -> None:
    lifted = on_sphere(POOL)
    np.testing.assert_allclose(np.linalg.norm(lifted, axis=1), 1)
    np.testing.assert_allclose(on_sphere(np.zeros((1, 2))), [[0, 0, 1]])
    # a cap of the sphere at height z has the area 2 π (1 - z), its map the area π r²
    np.testing.assert_allclose(2 * (1 - lifted[:, 2]), (POOL**2).sum(axis=1))


def test_heaps_of_sand_name_the_distance() -> None:
    pool, queries = np.array([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]]), np.array([[0.0, 0.0]])
    ax = heaps_of_sand(pool, queries, {"Far": [1]}).axes[0]
    assert ax.get_title(loc="left") == "Far subset: $W_1$ = 5.00"
