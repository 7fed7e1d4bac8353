"""Figures by plotly: what the page gets, panels, colours."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plots_support import Tags

from tis_utils.errors import InputError
from tis_utils.evidence.published_analysis import published_cube
from tis_utils.plots import LOOKS, budget_browser, interactive, point_map, quantile_browser, sharpness_map
from tis_utils.plots.theme import CATEGORIES, KINDS


def test_interactive_carries_the_figure_without_plotly_js():
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3.5, 4.5], name="</script><b>LESS"))
    before = figure.to_json()
    bundle = interactive(figure, "A line that rises from 3.5 to 4.5.")._repr_mimebundle_()
    assert figure.to_json() == before
    page = bundle["text/html"]
    assert len(page) < 5000
    assert page.count("</script>") == 1
    tags = Tags(page)
    assert tags.tags[0] == (
        "figure",
        {"class": "tis-plotly", "aria-label": "A line that rises from 3.5 to 4.5.", "style": "min-height:440px"},
    )
    assert "src" not in dict(tags.tags[1][1])
    data = json.loads(tags.text["script"])
    assert data["data"][0]["name"] == "</script><b>LESS"
    assert data["layout"]["template"]["layout"]["paper_bgcolor"] == "#FFFFFF"  # the card is light in both modes
    live = bundle["application/vnd.plotly.v1+json"]
    assert live["data"] == data["data"]
    assert bundle["text/plain"] == "Interactive figure: A line that rises from 3.5 to 4.5."


def test_browser_holds_every_setting() -> None:
    figure = budget_browser(["downstream", "query_loss"])
    (menu,) = figure.layout.updatemenus
    assert len(menu.buttons) == 2 * 5 * 2
    data = published_cube("query_loss")
    last = menu.buttons[-1]
    assert last.label == "Query loss: SmolLM3 3B, Dolci"
    np.testing.assert_array_equal(last.args[0]["y"], data.mean[-1, :, -1].reshape(-1, 5))
    np.testing.assert_array_equal(figure.data[9 + 2].y, published_cube("downstream").mean[0, 1, 0, 2])
    assert all(len(button.args[0]["y"]) == len(figure.data) == 45 for button in menu.buttons)


def test_quantile_browser_holds_every_setting_in_little_space() -> None:
    figure = quantile_browser(["query_loss", "downstream"])
    (menu,) = figure.layout.updatemenus
    data = published_cube("downstream", "quantile")
    assert len(menu.buttons) == 2 * 5 * 2
    assert menu.buttons[-1].label == "Downstream metric: SmolLM3 3B, Dolci"
    np.testing.assert_array_equal(menu.buttons[-1].args[0]["y"], data.mean[-1, :, -1].reshape(-1, 10))
    assert [trace.name for trace in figure.data[:4]] == ["EMBED, RR", "RDS+, RR", "LESS, RR", "Zero-shot"]
    assert list(figure.data[0].x) == [str(b) for b in range(10)]
    assert len(interactive(figure, "Curves by distance bin.")._repr_mimebundle_()["text/html"]) < 50_000


def test_browser_draws_each_method_in_its_colour() -> None:
    drawn = {trace.name: trace.line.color for trace in budget_browser(["query_loss"]).data}
    expected = {"EMBED, RR": "embed", "RDS+, RR": "rds", "LESS, RR": "less", "LESS, UOT": "uot", "Random": "random"}
    assert {name: drawn[name] for name in expected} == {name: LOOKS[key].colour for name, key in expected.items()}
    assert len(set(drawn.values())) == len(drawn)


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


def test_point_map_gives_kinds_their_colour() -> None:
    figure = point_map({"EMBED": cloud()}, ["mine", "filler", "clean", "query"])
    drawn = {trace.name: trace.marker.color for trace in figure.data}
    assert (drawn["clean"], drawn["filler"]) == (KINDS["clean"][0], KINDS["filler"][0])


def test_the_slider_shows_one_dimension_at_a_time() -> None:
    plot = sharpness_map({1: np.ones((2, 3)), 5: np.zeros((2, 3))}, [0, 1, 2], [0.5, 1])
    assert [trace.visible for trace in plot.data] == [True, False]
    choices = [list(step.args[0]["visible"]) for step in plot.layout.sliders[0].steps]
    assert choices == [[True, False], [False, True]]
