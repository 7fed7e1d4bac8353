"""Figures and groups of the chapters on data and representations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from tis_utils.errors import InputError
from tis_utils.examples import classroom, natural
from tis_utils.examples.text import IGNORE, Encoded, Example
from tis_utils.plots.representation_figures import (
    LOSS,
    MEANT_FOR,
    NEAR,
    group,
    length_boxes,
    point_map,
    pool_frame,
    representation_intervals,
    token_strip,
    view,
)
from tis_utils.plots.theme import CATEGORIES, LOOKS


def example(source: str = "mine", **meta: str) -> Example:
    return Example("e", [{"role": "assistant", "content": "yes"}], source, meta)


# --- groups -----------------------------------------------------------------------------------------


def test_every_family_of_the_natural_pool_has_a_group() -> None:
    assert set(NEAR) == set(natural.FAMILIES)


def test_groups_of_the_natural_pool_are_those_meant_for_the_tasks() -> None:
    pool = natural.load_pool(520, tasks=["gsm8k"])
    found = {group(e) for e in pool}
    assert found == {*NEAR.values(), "HumanEval", "MMLU"}
    assert set(MEANT_FOR.values()) <= found
    assert {e.source for e in pool if group(e) == "HumanEval"} == {"codex"}
    assert {view(e, "gsm8k") for e in pool} == found


def test_classroom_candidates_are_seen_from_a_task() -> None:
    pool = classroom.build(pool_size=200, n_queries=1, n_test=1, tasks=["pick"]).pool
    for e in pool:
        if e.meta["group"] == "pick":
            assert view(e, "pick") == str(e.meta["kind"]).replace("_", " ")
        else:
            assert view(e, "pick") == ("filler" if e.meta["kind"] == "filler" else "other skills")
    assert {group(e) for e in pool} == {*classroom.TASKS, "general"}


def test_unknown_pools_fall_back_to_the_source() -> None:
    assert group(example()) == view(example(), "anything") == "mine"
    assert group(example("reasoning-gym/new", kind="natural", family="new")) == "other puzzles"


def test_pool_frame_counts_tokens_with_and_without_loss() -> None:
    tokens = Encoded(np.arange(5), np.array([IGNORE, IGNORE, 2, 3, IGNORE]))
    frame = pool_frame([example(kind="other_function", group="words")], [tokens])
    assert frame.iloc[0].to_dict() == {
        "id": "e",
        "source": "mine",
        "group": "words",
        "kind": "other function",
        "prompt_tokens": 3,
        "answer_tokens": 2,
    }


def test_pool_frame_wants_one_encoding_per_candidate() -> None:
    with pytest.raises(ValueError, match="shorter"):
        pool_frame([example()], [])


# --- token strips -----------------------------------------------------------------------------------


def test_token_strip_fills_exactly_the_tokens_with_loss() -> None:
    tokens = [("Hi", False), ("there", True), ("end", True)]
    ax = token_strip({"a text": tokens}).axes[0]
    assert [t.get_text() for t in ax.texts] == ["a text", "Hi", "there", "end"]
    filled = [to_hex(p.get_facecolor()).upper() == LOSS for p in ax.patches]
    assert filled == [False, True, True]
    assert len(ax.get_lines()) == 2  # colour does not carry the meaning alone


def test_token_strip_wraps_within_its_width() -> None:
    ax = token_strip({"long": [("word", False)] * 40}, width=30).axes[0]
    boxes = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    assert max(box.x1 for box in boxes) <= 30 + 1e-6
    assert len({round(box.y0, 3) for box in boxes}) > 1


def test_token_strip_needs_tokens() -> None:
    with pytest.raises(InputError, match="at least one token"):
        token_strip({"empty": []})


# --- lengths ----------------------------------------------------------------------------------------


def test_length_boxes_show_medians_in_order_of_appearance() -> None:
    frame = pd.DataFrame({"group": ["b", "b", "b", "a"], "n": [1, 4, 9, 7]})
    ax = length_boxes(frame, {"n": "tokens"}).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "a"]
    assert [np.asarray(line.get_xdata()).item() for line in ax.get_lines()] == [4, 7]


@pytest.mark.parametrize("values", [[], [0]])
def test_length_boxes_refuse_what_a_logarithm_cannot_show(values: list[int]) -> None:
    with pytest.raises(InputError, match="logarithmic"):
        length_boxes(pd.DataFrame({"group": ["a"] * len(values), "n": values}), {"n": "tokens"})


# --- intervals by representation --------------------------------------------------------------------


def estimates(**values: float) -> pd.DataFrame:
    rows = [("task", name, v, v - 0.1, v + 0.2) for name, v in values.items()]
    return pd.DataFrame(rows, columns=["label", "representation", "value", "low", "high"])


def test_representations_keep_their_colour_and_marker() -> None:
    panels = {"one": estimates(less=0.9, embed=0.5), "two": estimates(less=0.2, embed=0.4)}
    axes = representation_intervals(panels, xlabel="AUC", reference=0.5).axes
    drawn = {line.get_label(): line for line in axes[0].get_lines()}
    for name in ("embed", "less"):
        line = drawn[LOOKS[name].label]
        assert line.get_color() == LOOKS[name].colour
        assert line.get_marker() == LOOKS[name].marker
    assert np.asarray(drawn["LESS"].get_xdata()).tolist() == [0.9]
    assert axes[0].get_xlim() == axes[1].get_xlim()  # panels can be compared
    assert axes[0].get_xlim()[0] < 0.1 < 1.1 < axes[0].get_xlim()[1]


@pytest.mark.parametrize("panels", [{}, {"empty": estimates()}])
def test_intervals_need_rows(panels: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(InputError, match="at least one panel"):
        representation_intervals(panels, xlabel="AUC", reference=0.5)


# --- maps -------------------------------------------------------------------------------------------


def cloud() -> pd.DataFrame:
    return pd.DataFrame({"x": [0.0, 1, 2], "y": [2.0, 1, 0], "kind": ["clean", "query", "filler"], "text": list("abc")})


def test_point_map_switches_whole_panels() -> None:
    kinds = ["clean", "filler", "query"]
    figure = point_map({"EMBED": cloud(), "LESS": cloud()}, kinds)
    assert [trace.name for trace in figure.data] == kinds * 2
    assert [trace.visible for trace in figure.data] == [True] * 3 + [False] * 3
    buttons = figure.layout.updatemenus[0].buttons
    assert [b.label for b in buttons] == ["EMBED", "LESS"]
    assert list(buttons[1].args[0]["visible"]) == [False] * 3 + [True] * 3


def test_point_map_draws_each_point_once_and_queries_as_stars() -> None:
    figure = point_map({"EMBED": cloud()}, ["clean", "filler", "query"])
    assert [t for trace in figure.data for t in trace.text] == ["a", "c", "b"]
    assert [trace.marker.symbol == "star" for trace in figure.data] == [False, False, True]


def test_point_map_has_as_many_kinds_as_colours() -> None:
    kinds = [str(i) for i in range(len(CATEGORIES) + 1)]
    with pytest.raises(InputError, match="at most 8 kinds"):
        point_map({"EMBED": cloud()}, kinds)
    with pytest.raises(InputError, match="needs a panel"):
        point_map({}, ["clean"])
