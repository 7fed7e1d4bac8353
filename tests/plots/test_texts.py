"""Strips of tokens, the table of claims."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from tis_utils.errors import InputError
from tis_utils.evidence.claims import PAPER_SOURCES, scorecard
from tis_utils.plots import GRADES, LOOKS, ClaimTable, stages, token_strip
from tis_utils.plots.texts import LOSS


def test_stages_draw_a_row_per_method_in_its_colour_with_arrows_between_the_boxes() -> None:
    ax = stages({"embed": ["about", "text", "mean"], "less": ["learnt", "loss", "gradient"]}).axes[0]
    texts = [t.get_text() for t in ax.texts]
    assert texts == ["EMBED: about", "text", "mean", "→", "LESS: learnt", "loss", "gradient", "→"]
    frames = [to_hex(t.get_bbox_patch().get_edgecolor()) for t in ax.texts if t.get_bbox_patch()]
    assert frames == [LOOKS[m].colour.lower() for m in ("embed", "embed", "less", "less")]


def test_token_strip_fills_exactly_the_tokens_with_loss() -> None:
    tokens = [("Hi", False), ("there", True), ("end", True)]
    ax = token_strip({"a text": tokens}).axes[0]
    assert [t.get_text() for t in ax.texts] == ["a text", "Hi", "there", "end"]
    filled = [to_hex(p.get_facecolor()).upper() == LOSS for p in ax.patches]
    assert filled == [False, True, True]
    assert len(ax.get_lines()) == 2  # colour does not carry the meaning alone


def test_token_strip_wraps_within_its_width() -> None:
    ax = token_strip({"long": [("word", False)] * 40}).axes[0]
    boxes = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    assert max(box.x1 for box in boxes) <= 80 + 1e-6
    assert len({round(box.y0, 3) for box in boxes}) > 1


def test_token_strip_needs_tokens() -> None:
    with pytest.raises(InputError, match="at least one token"):
        token_strip({"empty": []})


@pytest.fixture(scope="module")
def card() -> pd.DataFrame:
    return scorecard(sources=["paper", *PAPER_SOURCES, "classroom"])


def test_claim_table_counts_grades(card: pd.DataFrame) -> None:
    page = ClaimTable(card, {"distance predicts loss": "Distance"}, PAPER_SOURCES, {"classroom": "Ours"})
    html = page._repr_html_()
    rows = card[card["claim"] == "distance predicts loss"].set_index("source")["grade"]
    votes = [f"{n} {grade}" for grade in GRADES if (n := int((rows[list(PAPER_SOURCES)] == grade).sum()))]
    assert ", ".join(votes) in html
    assert f"{GRADES[rows['classroom']][0]} {rows['classroom']}: " in html
    assert " of 10 settings" in html
    assert "Spearman" in html
