"""Stacked bars and boxes: widths, colours of kinds, medians."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from plots_support import legend

from tis_utils.errors import InputError
from tis_utils.plots import LOOKS, composition_bars, length_boxes, share_bars, stacked_bars, term_bars
from tis_utils.plots.theme import CATEGORIES, KINDS


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["less", "rds"]), st.sampled_from("abcdefghij")), min_size=1, max_size=40))
def test_composition_bars_show_shares(picks):
    frame = pd.DataFrame(picks, columns=["representation", "source"]).assign(selector="round_robin")
    figure = composition_bars(frame)
    bars = {}
    for container in figure.axes[0].containers:
        for rectangle, row in zip(container, [t.get_text() for t in figure.axes[0].get_yticklabels()], strict=True):
            bars[row, container.get_label()] = rectangle.get_width()
    for method in {m for m, _ in picks}:
        own = [source for m, source in picks if m == method]
        drawn = {source: width for (row, source), width in bars.items() if row == LOOKS[method].label}
        assert sum(drawn.values()) == pytest.approx(1)
        for source, width in drawn.items():
            if source != "other":
                assert width == pytest.approx(own.count(source) / len(own))
    assert len({source for _, source in bars}) <= len(CATEGORIES)


def test_composition_bars_keep_named_colours_and_count_columns():
    frame = pd.DataFrame(
        {"representation": "less", "selector": "uot", "source": ["a", "b", "c"], "count": [6, 3, 1], "task": "pick"}
    )
    figure = composition_bars(frame, by="selector", names=["c", "a"])
    widths = {c.get_label(): c[0].get_width() for c in figure.axes[0].containers}
    assert widths == pytest.approx({"c": 0.1, "a": 0.6, "other": 0.3})
    assert list(widths) == ["c", "a", "other"]
    with pytest.raises(InputError, match="at most 7"):
        composition_bars(frame, names=list("abcdefgh"))


def test_kinds_have_their_colour_and_hatch_in_every_panel():
    tables = {
        "one": pd.DataFrame([[3, 1, 2]], ["words"], ["corrupted", "clean", "other wording"]),
        "two": pd.DataFrame([[5]], ["words"], ["clean"]),
    }
    figure = stacked_bars(tables, xlabel="Candidates")
    for ax, table in zip(figure.axes, tables.values(), strict=True):
        ends = 0.0
        for container in ax.containers:
            (bar,) = container
            kind = container.get_label()
            assert (to_hex(bar.get_facecolor()).upper(), bar.get_hatch() or "") == KINDS[kind]
            assert (bar.get_x(), bar.get_width()) == (ends, table.loc["words", kind])
            ends += bar.get_width()
    assert legend(figure) == ["clean", "other wording", "corrupted"]
    picks = pd.DataFrame({"representation": "less", "selector": "uot", "kind": ["clean", "corrupted"]})
    (first, second) = composition_bars(picks, category="kind").axes[0].containers
    assert [to_hex(c[0].get_facecolor()).upper() for c in (first, second)] == [
        KINDS[c.get_label()][0] for c in (first, second)
    ]


def test_share_bars_stack_to_one_and_label_what_is_legible() -> None:
    shares = pd.DataFrame([[0.5, 0.47, 0.03], [0.0, 0.2, 0.8]], [25, 50], ["selector", "interaction", "noise"])
    ax = share_bars(shares, ylabel="Budget").axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in ax.patches]
    assert max(ends) == pytest.approx(1)
    assert {t.get_text() for t in ax.texts if t.get_visible()} == {"50 %", "47 %", "20 %", "80 %"}
    with pytest.raises(InputError):
        share_bars(shares * 2, ylabel="Budget")


def test_length_boxes_show_medians_in_order_of_appearance() -> None:
    frame = pd.DataFrame({"group": ["b", "b", "b", "a"], "n": [1, 4, 9, 7]})
    ax = length_boxes(frame, {"n": "tokens"}).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "a"]
    medians = [line for line in ax.get_lines() if line.get_linewidth() == 2.4]
    assert [np.unique(line.get_xdata()).tolist() for line in medians] == [[4], [7]]


@pytest.mark.parametrize("values", [[], [0]])
def test_length_boxes_refuse_what_a_logarithm_cannot_show(values: list[int]) -> None:
    with pytest.raises(InputError, match="logarithmic"):
        length_boxes(pd.DataFrame({"group": ["a"] * len(values), "n": values}), {"n": "tokens"})


def test_term_bars_stack_means_and_mark_the_left_side() -> None:
    rows = pd.DataFrame(
        {"budget": [5, 5, 10], "train_error": [0.2, 0.4, 0.1], "sampling": 0.5, "risk": [0.1, 0.3, 0.2]}
    )
    ax = term_bars({"Random": rows}, ["train_error", "sampling"], left="risk", largest=1.5, xlabel="loss").axes[0]
    dots, limit = ax.get_lines()
    assert dots.get_xdata() == pytest.approx([0.2, 0.2])
    assert set(limit.get_xdata()) == {1.5}
    assert sorted({round(bar.get_width(), 3) for bar in ax.patches}) == [0.1, 0.3, 0.5]
