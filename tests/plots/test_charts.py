"""Charts of the evidence chapters: what is drawn, said and refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tis_utils.errors import InputError
from tis_utils.evidence.claims import PAPER_SOURCES, scorecard
from tis_utils.evidence.published import PAPER_METHODS
from tis_utils.evidence.published_analysis import published_cube
from tis_utils.plots import charts, evidence_figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_heat_maps_print_every_number_and_leave_gaps_white() -> None:
    table = pd.DataFrame([[1.0, -2.0], [np.nan, 0.04]], ["a", "b"], ["x", "y"])
    figure = charts.heat_maps({"first": table, "second": table}, form="{:+.1f}", limit=2)
    assert texts(figure) == ["+1.0", "−2.0", "0.0"] * 2
    image = figure.axes[0].get_images()[0].get_array()
    assert image is not None
    assert (image[1, 0] == 1).all()
    assert not (image[0, 0] == image[0, 1]).all()


def test_heat_maps_need_equal_tables() -> None:
    table = pd.DataFrame([[1.0]], ["a"], ["x"])
    for tables in ({}, {"one": table, "two": table.rename(index={"a": "b"})}):
        with pytest.raises(InputError, match="the same rows and columns"):
            charts.heat_maps(tables, limit=1)


def test_intervals_draw_values_and_ends() -> None:
    frame = pd.DataFrame({"label": ["p", "q"], "value": [1.0, 2], "low": [0.5, 1], "high": [1.5, 4]})
    ax = charts.intervals({"title": frame}, xlabel="gain").axes[0]
    np.testing.assert_array_equal(ax.get_lines()[0].get_xydata(), [[1, 0], [2, 1]])
    segments = [path.vertices[:, 0].tolist() for path in ax.collections[0].get_paths()]
    assert segments == [[0.5, 1.5], [1, 4]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["p", "q"]


def test_scatter_fits_draw_the_least_squares_line() -> None:
    x = np.arange(10.0)
    frame = pd.DataFrame({"x": x, "y": 3 + 2 * x, "panel": "p", "series": "s"})
    ax = charts.scatter_fits(frame, panel="panel", series="series", xlabel="x", ylabel="y").axes[0]
    np.testing.assert_allclose(ax.get_lines()[1].get_xydata(), [[0, 3], [9, 21]])


def test_rank_diagram_names_every_method_with_its_rank() -> None:
    ranks = np.array([1.5, 3.0, 2.0, 3.5])
    said = texts(evidence_figures.rank_diagram({"t": (ranks, 1.2)}, list("abcd")))
    assert {"a  1.50", "c  2.00", "3.00  b", "3.50  d", "critical difference 1.20"} <= set(said)


def test_every_method_has_its_own_colour() -> None:
    assert len({evidence_figures.colour(method) for method in PAPER_METHODS}) == len(PAPER_METHODS)


def test_browser_holds_every_setting() -> None:
    figure = evidence_figures.budget_browser(["downstream", "query_loss"])
    (menu,) = figure.layout.updatemenus
    assert len(menu.buttons) == 2 * 5 * 2
    data = published_cube("query_loss")
    last = menu.buttons[-1]
    assert last.label == "Query loss: SmolLM3 3B, Dolci"
    np.testing.assert_array_equal(last.args[0]["y"], data.mean[-1, :, -1].reshape(-1, 5))
    np.testing.assert_array_equal(figure.data[9 + 2].y, published_cube("downstream").mean[0, 1, 0, 2])
    assert all(len(button.args[0]["y"]) == len(figure.data) == 45 for button in menu.buttons)


@pytest.fixture(scope="module")
def card() -> pd.DataFrame:
    return scorecard(draws=40, sources=["paper", *PAPER_SOURCES, "classroom"])


def test_verdict_map_shows_the_symbol_of_every_verdict(card: pd.DataFrame) -> None:
    claims = {c: c for c in card["claim"].unique()}
    sources = {s: s for s in card["source"].unique()}
    said = texts(evidence_figures.verdict_map(card, sources, claims))
    table = card.pivot(index="claim", columns="source", values="verdict").loc[list(claims), list(sources)]
    assert said == [evidence_figures.VERDICTS[v][0] for v in table.to_numpy().ravel()]


def test_claim_table_counts_verdicts(card: pd.DataFrame) -> None:
    page = evidence_figures.ClaimTable(
        card, {"distance predicts loss": "Distance"}, PAPER_SOURCES, {"classroom": "Ours"}
    )
    html = page._repr_html_()
    rows = card[card["claim"] == "distance predicts loss"].set_index("source")["verdict"]
    votes = [int((rows[list(PAPER_SOURCES)] == v).sum()) for v in ("supported", "mixed", "contradicted")]
    assert sum(votes) == 10
    assert " / ".join(map(str, votes)) in html
    assert f"{evidence_figures.VERDICTS[rows['classroom']][0]} {rows['classroom']}" in html
    assert "Spearman" in html
