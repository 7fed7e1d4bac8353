"""Figures: palette, aggregation, what is drawn, alternative text."""

from __future__ import annotations

import io
import itertools
import json
import math
import struct
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from tis_utils.errors import InputError
from tis_utils.evidence.tables import aggregate, with_method
from tis_utils.labels import label, order
from tis_utils.plots import figures
from tis_utils.plots.theme import CATEGORIES, LOOKS, colours, style

NAMES = {
    "embed": "EMBED", "rds": "RDS+", "less": "LESS", "less_proxy": "LESS by proxy",
    "round_robin": "Round-robin",
    "doubly_greedy": "Doubly greedy", "knn_uniform": "KNN-Uniform", "knn_kde": "KNN-KDE", "uot": "UOT",
    "random": "Random", "zero_shot": "Zero-shot",
}  # fmt: skip
REPRESENTATIONS = ["embed", "rds", "less", "random", "zero_shot"]
WITH_PROXY = [*REPRESENTATIONS, "less_proxy"]
SELECTORS = ["round_robin", "doubly_greedy", "knn_uniform", "knn_kde", "uot", "random", "zero_shot"]
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
    for group in (WITH_PROXY, SELECTORS):
        assert len({(LOOKS[name].marker, LOOKS[name].line) for name in group}) == len(group)
    assert colours()["LESS"] == LOOKS["less"].colour


@pytest.mark.parametrize("name", NAMES)
def test_lines_stand_out_from_the_card(name):
    assert contrast_to_white(LOOKS[name].colour) >= 3  # WCAG 1.4.11


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("group", [WITH_PROXY, SELECTORS], ids=["representations", "selectors"])
def test_colours_stay_apart_for_colour_blind_readers(group, vision):
    seen = {name: lab(VISION[vision] @ linear(LOOKS[name].colour)) for name in group}
    for a, b in itertools.combinations(group, 2):
        assert np.linalg.norm(seen[a] - seen[b]) >= 15, (a, b)


def test_labels_and_order():
    assert label("less") == "LESS"
    assert label("query_loss") == "Query loss"
    assert label("mmlu_pro") == "MMLU-Pro"
    assert label("my_task") == "my task"
    assert order(["zzz", "random", "embed", "less", "aaa", "less"]) == ["embed", "less", "random", "aaa", "zzz"]


# --- frames --------------------------------------------------------------------------------------------


def results(tasks=("words", "pick"), seeds=(0, 1, 2), metric="query_loss") -> pd.DataFrame:
    """Raw rows: three representations with round-robin, Random, zero-shot."""
    rng = np.random.default_rng(7)
    rows = []
    for task, budget, seed in itertools.product(tasks, (50, 100, 200), seeds):
        for representation, selector in [
            ("less", "round_robin"), ("rds", "round_robin"), ("embed", "round_robin"), ("none", "random"),
        ]:  # fmt: skip
            rows.append([representation, selector, task, budget, seed, metric, rng.normal()])
    for task in tasks:
        rows.append(["none", "none", task, np.nan, 0, metric, 5.0 + len(task)])
    return pd.DataFrame(rows, columns=["representation", "selector", "task", "budget", "seed", "metric", "value"])


finite = st.floats(-1e3, 1e3)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.lists(finite, min_size=1, max_size=5), min_size=1))
def test_aggregate_equals_plain_python(groups):
    frame = pd.DataFrame([(key, value) for key, values in groups.items() for value in values], columns=["k", "value"])
    table = aggregate(frame, ["k"]).set_index("k")
    for key, values in groups.items():
        mean = sum(values) / len(values)
        assert table.loc[key, "n"] == len(values)
        assert table.loc[key, "mean"] == pytest.approx(mean, abs=1e-9)
        if len(values) > 1:
            variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
            assert table.loc[key, "sd"] == pytest.approx(math.sqrt(variance), abs=1e-6)
            assert table.loc[key, "se"] == pytest.approx(math.sqrt(variance / len(values)), abs=1e-6)
        else:
            assert math.isnan(table.loc[key, "se"])


def test_aggregated_rows_pass_through_and_may_not_repeat():
    frame = pd.DataFrame({"k": ["a", "b"], "mean": [1.0, 2.0], "sd": [0.5, 1.0], "n": [4, 1]})
    assert list(aggregate(frame, ["k"])["se"]) == [0.25, 1.0]
    with pytest.raises(InputError, match="several aggregated rows"):
        aggregate(pd.concat([frame, frame]), ["k"])


def test_methods_of_rows():
    assert set(with_method(results(), "representation")["method"]) == set(REPRESENTATIONS)
    frame = results().assign(selector=lambda f: f["selector"].replace("round_robin", "uot"))
    with pytest.raises(InputError, match=r"several values of representation \(embed, less, rds\)"):
        with_method(frame, "selector")
    kept = frame[(frame["representation"] == "less") | (frame["representation"] == "none")]
    assert set(with_method(kept, "selector")["method"]) == {"uot", "random", "zero_shot"}
    with pytest.raises(InputError, match="by = 'colour'"):
        with_method(frame, "colour")


# --- drawing -------------------------------------------------------------------------------------------


def line(ax, name):
    return next(item for item in ax.get_lines() if item.get_label() == NAMES[name])


def band(ax, name):
    return next(c for c in ax.collections if tuple(c.get_facecolor()[0][:3]) == to_rgb(LOOKS[name].colour))


def test_budget_curves_draw_means_and_standard_errors():
    frame = results()
    figure = figures.budget_curves(frame, metric="query_loss")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["words", "pick"]
    for ax, task in zip(figure.axes, ("words", "pick"), strict=True):
        for name, selector in (("less", "round_robin"), ("random", "random")):
            representation = name if name != "random" else "none"
            cell = frame[(frame.task == task) & (frame.representation == representation) & (frame.selector == selector)]
            values = np.array([cell.loc[cell.budget == b, "value"].tolist() for b in (50, 100, 200)])  # (3, 3)
            mean, se = values.mean(1), values.std(1, ddof=1) / math.sqrt(3)
            np.testing.assert_allclose(line(ax, name).get_xydata(), np.c_[(50, 100, 200), mean])
            vertices = band(ax, name).get_paths()[0].vertices
            for expected in (*np.c_[(50, 100, 200), mean - se], *np.c_[(50, 100, 200), mean + se]):
                assert np.isclose(vertices, expected).all(1).any()
        assert set(line(ax, "zero_shot").get_ydata()) == {5.0 + len(task)}
        assert ax.get_xscale() == "log"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["EMBED", "RDS+", "LESS", "Random", "Zero-shot"]
    assert "3 seeds" in figure.get_supxlabel()


def test_one_seed_draws_no_band_and_says_so():
    figure = figures.budget_curves(results(seeds=(0,)), metric="query_loss")
    assert not figure.axes[0].collections
    assert figure.get_supxlabel() == "One run per point."


def test_aggregated_rows_draw_the_same_as_raw_rows():
    raw = results()
    keys = ["representation", "selector", "task", "budget", "metric"]
    table = raw.groupby(keys, dropna=False, sort=False)["value"].agg(mean="mean", sd="std", n="count").reset_index()
    one, two = (figures.budget_curves(f, metric="query_loss") for f in (raw, table))
    for a, b in zip(one.axes, two.axes, strict=True):
        for name in REPRESENTATIONS:
            np.testing.assert_allclose(line(a, name).get_ydata(), line(b, name).get_ydata())


def test_zero_shot_rows_go_with_any_experiment():
    """Published zero-shot rows carry their own experiment name; trained rows of two experiments do not mix."""
    frame = results().assign(experiment="budget")
    frame.loc[frame["representation"].eq("none") & frame["selector"].eq("none"), "experiment"] = "zero_shot"
    figure = figures.budget_curves(frame, metric="query_loss")
    assert set(line(figure.axes[0], "zero_shot").get_ydata()) == {10.0}
    frame.loc[0, "experiment"] = "focus"
    with pytest.raises(InputError, match="several values of experiment"):
        figures.budget_curves(frame, metric="query_loss")


@pytest.mark.parametrize(
    ("change", "metric", "message"),
    [
        (lambda f: f.drop(columns="budget"), "query_loss", "lacks the column budget"),
        (lambda f: f.drop(columns=["task"]), "query_loss", "lacks the column task"),
        (lambda f: f, "accuracy", "No rows have metric 'accuracy'; the frame has query_loss"),
        (lambda f: f.iloc[:0], "query_loss", "no rows"),
        (lambda f: f.assign(pool=["tulu", "dolci"] * (len(f) // 2)), "query_loss", "several values of pool"),
    ],
)
def test_unusable_frames_are_refused(change, metric, message):
    with pytest.raises(InputError, match=message):
        figures.budget_curves(change(results()), metric=metric)


def test_quantile_curves_state_the_rank_correlation():
    values = {"less": [1.0, 2.0, 3.0, 4.0, 5.0], "embed": [2.0, 1.0, 4.0, 3.0, 5.0], "rds": [5.0, 4.0, 3.0, 2.0, 1.0]}
    rows = [
        (name, "round_robin", "gsm8k", index, "query_loss", value, 0)
        for name, series in values.items()
        for index, value in enumerate(series)
    ]
    columns = ["representation", "selector", "task", "bin", "metric", "value", "seed"]
    figure = figures.quantile_curves(pd.DataFrame(rows, columns=columns), metric="query_loss")
    # Spearman without ties: 1 - 6 Σd² / (n (n² - 1)); embed: Σd² = 4
    embed = 1 - 6 * 4 / (5 * 24)
    assert figure.axes[0].get_xlabel() == f"ρ:  EMBED +{embed:.2f}   RDS+ −1.00   LESS +1.00"
    np.testing.assert_allclose(line(figure.axes[0], "embed").get_ydata(), values["embed"])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["less", "rds"]), st.sampled_from("abcdefghij")), min_size=1, max_size=40))
def test_composition_bars_show_shares(picks):
    frame = pd.DataFrame(picks, columns=["representation", "source"]).assign(selector="round_robin")
    figure = figures.composition_bars(frame)
    bars = {}
    for container in figure.axes[0].containers:
        for rectangle, row in zip(container, [t.get_text() for t in figure.axes[0].get_yticklabels()], strict=True):
            bars[row, container.get_label()] = rectangle.get_width()
    for method in {m for m, _ in picks}:
        own = [source for m, source in picks if m == method]
        drawn = {source: width for (row, source), width in bars.items() if row == NAMES[method]}
        assert sum(drawn.values()) == pytest.approx(1)
        for source, width in drawn.items():
            if source != "other":
                assert width == pytest.approx(own.count(source) / len(own))
    assert len({source for _, source in bars}) <= len(CATEGORIES)


def test_composition_bars_keep_named_colours_and_count_columns():
    frame = pd.DataFrame(
        {"representation": "less", "selector": "uot", "source": ["a", "b", "c"], "count": [6, 3, 1], "task": "pick"}
    )
    figure = figures.composition_bars(frame, by="selector", names=["c", "a"])
    widths = {c.get_label(): c[0].get_width() for c in figure.axes[0].containers}
    assert widths == pytest.approx({"c": 0.1, "a": 0.6, "other": 0.3})
    assert list(widths) == ["c", "a", "other"]
    with pytest.raises(InputError, match="at most 7"):
        figures.composition_bars(frame, names=list("abcdefgh"))


# --- showing -------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text[self.tags[-1][0]] = self.text.get(self.tags[-1][0], "") + data


def chunks(png: bytes) -> list[bytes]:
    names, position = [], 8
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        names.append(png[position + 4 : position + 8])
        position += 12 + length
    return names


def test_show_gives_alt_text_and_the_same_bytes_every_time():
    alt = 'Loss "falls" with budget <for> LESS & Random.'
    one, two = (figures.show(figures.budget_curves(results(), metric="query_loss"), alt) for _ in range(2))
    assert one.png == two.png
    assert not {b"tIME", b"tEXt", b"iTXt", b"zTXt"} & set(chunks(one.png))
    tags = Tags(one._repr_html_())
    image = next(attributes for tag, attributes in tags.tags if tag == "img")
    assert image["alt"] == alt
    assert image["src"].startswith("data:image/png;base64,")
    assert repr(one) == f"Figure: {alt}"
    captioned = figures.show(figures.budget_curves(results(), metric="query_loss"), alt, caption="A < B")
    assert "<figcaption>A &lt; B</figcaption>" in captioned._repr_html_()


@pytest.mark.parametrize("alt", ["", "   ", "figure"])
def test_a_figure_without_alt_text_is_refused(alt):
    with pytest.raises(InputError, match="say in a sentence"):
        figures.show(figures.budget_curves(results(), metric="query_loss"), alt)
    with pytest.raises(InputError, match="say in a sentence"):
        figures.interactive(go.Figure(), alt)


def test_the_card_is_opaque_so_that_it_reads_in_dark_mode():
    with style():
        figure = figures.budget_curves(results(), metric="query_loss")
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert all(ax.get_facecolor() == (1, 1, 1, 1) for ax in figure.axes)


def test_interactive_carries_the_figure_without_plotly_js():
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3.5, 4.5], name="</script><b>LESS"))
    before = figure.to_json()
    bundle = figures.interactive(figure, "A line that rises from 3.5 to 4.5.")._repr_mimebundle_()
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


def test_pictures_have_few_colours_and_stay_small():
    """A page of figures must stay light; a plot does not need millions of colours."""
    figure = figures.budget_curves(results(), metric="query_loss")
    full = io.BytesIO()
    with figures.style():
        figure.savefig(full, format="png")
    small = figures.show(figure, "Query loss by budget for four methods.").png
    assert len(small) < len(full.getvalue())
    assert len(Image.open(io.BytesIO(small)).getcolors(256)) <= 256


# --- numbers by method and budget ----------------------------------------------------------------------


def lines_table(shift: float = 0.0) -> pd.DataFrame:
    rows = [(m, b, k + b / 100 + shift) for k, m in enumerate(["random", "less"]) for b in (50, 25, 100)]
    table = pd.DataFrame(rows, columns=["method", "budget", "value"])
    return table.assign(low=table["value"] - 1, high=table["value"] + 2)


def test_method_lines_draw_each_method_in_order_of_budget_with_its_band():
    figure = figures.method_lines({"a": lines_table(), "b": lines_table(3)}, ylabel="lead", reference=0.0)
    ax, other = figure.axes
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(lines["LESS"].get_xydata(), [[25, 1.25], [50, 1.5], [100, 2]])
    np.testing.assert_allclose(lines["Random"].get_ydata(), [0.25, 0.5, 1])
    assert lines["LESS"].get_color() == LOOKS["less"].colour
    assert [line.get_label() for line in ax.get_lines()][:2] == ["LESS", "Random"]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.25)
    assert band[:, 1].max() == pytest.approx(4)
    assert ax.get_ylim() == other.get_ylim()
    apart = figures.method_lines({"a": lines_table(), "b": lines_table(3)}, ylabel="", shared=False)
    assert len({panel.get_ylim() for panel in apart.axes}) == 2
    assert any(np.allclose(line.get_ydata(), 0) for line in ax.get_lines())


def test_method_lines_without_bands_or_panels():
    figure = figures.method_lines({"a": lines_table()[["method", "budget", "value"]]}, ylabel="W1")
    assert not figure.axes[0].collections
    with pytest.raises(InputError, match="at least one panel"):
        figures.method_lines({}, ylabel="W1")
    with pytest.raises(InputError, match="lacks the column value"):
        figures.method_lines({"a": lines_table().drop(columns="value")}, ylabel="W1")
