"""The palettes: one colour per method and per kind of example, legible and apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tis_utils import paths
from tis_utils.labels import label, order
from tis_utils.plots import LOOKS, fills, look, looks
from tis_utils.plots.theme import CATEGORIES, KINDS, SERIES

NAMES = {
    "embed": "EMBED", "rds": "RDS+", "less": "LESS", "less_proxy": "LESS by proxy",
    "lexical": "Lexical",
    "round_robin": "Round-robin",
    "doubly_greedy": "Doubly greedy", "knn_uniform": "KNN-Uniform", "knn_kde": "KNN-KDE", "uot": "UOT",
    "insta": "INSTA", "ila": "ILA", "ila@depth": "Depth alone", "ila@coverage": "Coverage alone",
    "deita": "Deita", "random": "Random", "zero_shot": "Zero-shot",
}  # fmt: skip
REPRESENTATIONS = ["embed", "rds", "less", "lexical", "random", "zero_shot"]
WITH_PROXY = [*REPRESENTATIONS, "less_proxy"]
SELECTORS = ["round_robin", "doubly_greedy", "knn_uniform", "knn_kde", "uot", "random", "zero_shot"]
ILA = ["ila", "ila@depth", "ila@coverage", "deita", *REPRESENTATIONS]
# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB
VISION = {
    "typical": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast_to_white(colour: str) -> float:
    return 1.05 / (float(linear(colour) @ [0.2126, 0.7152, 0.0722]) + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_every_method_has_its_name_and_its_own_look():
    assert {name: look.label for name, look in LOOKS.items()} == NAMES
    assert len({look.colour for look in LOOKS.values()}) == len(LOOKS)
    for group in (WITH_PROXY, SELECTORS, ILA):
        assert len({(LOOKS[name].marker, LOOKS[name].line) for name in group}) == len(group)


@pytest.mark.parametrize("name", NAMES)
def test_lines_stand_out_from_the_card(name):
    assert contrast_to_white(LOOKS[name].colour) >= 3  # WCAG 1.4.11


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("group", [WITH_PROXY, SELECTORS, ILA], ids=["representations", "selectors", "ILA"])
def test_colours_stay_apart_for_colour_blind_readers(group, vision):
    seen = {name: lab(VISION[vision] @ linear(LOOKS[name].colour)) for name in group}
    for a, b in itertools.combinations(group, 2):
        assert np.linalg.norm(seen[a] - seen[b]) >= 15, (a, b)


def turned_over(colour: str) -> np.ndarray:
    """The colour in dark mode, linear: what ``invert(0.9) hue-rotate(180deg)`` of book/_static/tis.css makes of it."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    half_turn = np.array([[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]])
    rgb = np.clip(half_turn @ (0.9 - 0.8 * rgb), 0, 1)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def test_the_dark_card_is_made_as_these_tests_assume():
    assert "filter: invert(0.9) hue-rotate(180deg)" in (paths.ROOT / "book" / "_static" / "tis.css").read_text()


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("group", [WITH_PROXY, SELECTORS, ILA], ids=["representations", "selectors", "ILA"])
def test_colours_stand_out_and_stay_apart_in_the_dark(group, vision):
    light = [0.2126, 0.7152, 0.0722]
    card = float(turned_over("#FFFFFF") @ light)
    for name in group:
        assert (float(turned_over(LOOKS[name].colour) @ light) + 0.05) / (card + 0.05) >= 3, name
    seen = {name: lab(VISION[vision] @ turned_over(LOOKS[name].colour)) for name in group}
    for a, b in itertools.combinations(group, 2):
        other_shape = LOOKS[a].marker != LOOKS[b].marker and LOOKS[a].line != LOOKS[b].line
        assert np.linalg.norm(seen[a] - seen[b]) >= 9.5 or other_shape, (a, b)


def test_labels_and_order():
    assert label("distance_to_queries, $W_1$") == "distance to queries, $W_1$"
    assert label("less") == "LESS"
    assert label("query_loss") == "Query loss"
    assert label("mmlu_pro") == "MMLU-Pro"
    assert label("my_task") == "my task"
    assert order(["zzz", "random", "embed", "less", "aaa", "less"]) == ["embed", "less", "random", "aaa", "zzz"]


def test_no_colour_is_both_a_method_and_something_else():
    methods = {entry.colour for entry in LOOKS.values()}
    assert not methods & {colour for colour, _ in (*KINDS.values(), *SERIES)}


def test_the_kinds_of_the_classroom_stay_apart():
    kinds = [KINDS[kind] for kind in ("clean", "other wording", "other function", "corrupted", "unrelated")]
    assert len(set(kinds)) == len({hatch for _, hatch in kinds[:4]}) + 1 == 5
    for a, b in itertools.combinations([lab(linear(colour)) for colour, _ in kinds], 2):
        assert np.linalg.norm(a - b) >= 25


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("less", "less"),
        ("LESS", "less"),
        ("less/round_robin", "less"),
        ("LESS, RR", "less"),
        ("LESS, five selectors", "less"),
        ("less/uot", "uot"),
        ("LESS, UOT", "uot"),
        ("knn_uniform: alpha 0.4", "knn_uniform"),
        ("none/random", "random"),
        ("none/none", "zero_shot"),
        ("none/ila@depth", "ila@depth"),
        ("ila@random", "random"),
        ("none/insta@5:cards", "insta"),
    ],
)
def test_a_method_is_known_by_its_key_and_by_its_printed_name(name, key):
    assert look(name) == LOOKS[key] == looks([name])[name]


def test_what_is_no_method_gets_a_neutral_colour():
    table = looks(["Llama 2 7B", "LESS", "EMBED", "Qwen3 4B"])
    assert list(table) == ["EMBED", "LESS", "Llama 2 7B", "Qwen3 4B"]
    assert [(table[name].colour, table[name].marker) for name in ("Llama 2 7B", "Qwen3 4B")] == list(SERIES[:2])
    assert look("my_method").label == "my method"


def test_kinds_keep_their_fill_wherever_they_stand():
    table = fills(["mine", "corrupted", "other_wording", "other"])
    assert table["corrupted"] == KINDS["corrupted"]
    assert table["other_wording"] == KINDS["other wording"]
    assert table["other"] == CATEGORIES[-1]
    assert len({colour for colour, _ in table.values()}) == 4
