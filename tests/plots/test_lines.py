"""Lines: what is drawn, in whose colour, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from plots_support import legend, line, results

from tis_utils.errors import InputError
from tis_utils.plots import LOOKS, best_lines, budget_curves, method_lines, option_curves, quantile_curves, ratio_panels

REPRESENTATIONS = ["embed", "rds", "less", "random", "zero_shot"]


def band(ax, name):
    return next(c for c in ax.collections if tuple(c.get_facecolor()[0][:3]) == to_rgb(LOOKS[name].colour))


def test_budget_curves_draw_means_and_standard_errors():
    frame = results()
    figure = budget_curves(frame, metric="query_loss")
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
    figure = budget_curves(results(seeds=(0,)), metric="query_loss")
    assert not figure.axes[0].collections
    assert figure.get_supxlabel() == "One run per point."


def test_aggregated_rows_draw_the_same_as_raw_rows():
    raw = results()
    keys = ["representation", "selector", "task", "budget", "metric"]
    table = raw.groupby(keys, dropna=False, sort=False)["value"].agg(mean="mean", sd="std", n="count").reset_index()
    one, two = (budget_curves(f, metric="query_loss") for f in (raw, table))
    for a, b in zip(one.axes, two.axes, strict=True):
        for name in REPRESENTATIONS:
            np.testing.assert_allclose(line(a, name).get_ydata(), line(b, name).get_ydata())


def test_zero_shot_rows_go_with_any_experiment():
    """Published zero-shot rows carry their own experiment name; trained rows of two experiments do not mix."""
    frame = results().assign(experiment="budget")
    frame.loc[frame["representation"].eq("none") & frame["selector"].eq("none"), "experiment"] = "zero_shot"
    figure = budget_curves(frame, metric="query_loss")
    assert set(line(figure.axes[0], "zero_shot").get_ydata()) == {10.0}
    frame.loc[0, "experiment"] = "focus"
    with pytest.raises(InputError, match="several values of experiment"):
        budget_curves(frame, metric="query_loss")


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
        budget_curves(change(results()), metric=metric)


def test_quantile_curves_state_the_rank_correlation():
    values = {"less": [1.0, 2.0, 3.0, 4.0, 5.0], "embed": [2.0, 1.0, 4.0, 3.0, 5.0], "rds": [5.0, 4.0, 3.0, 2.0, 1.0]}
    rows = [
        (name, "round_robin", "gsm8k", index, "query_loss", value, 0)
        for name, series in values.items()
        for index, value in enumerate(series)
    ]
    columns = ["representation", "selector", "task", "bin", "metric", "value", "seed"]
    figure = quantile_curves(pd.DataFrame(rows, columns=columns), metric="query_loss")
    # Spearman without ties: 1 - 6 Σd² / (n (n² - 1)); embed: Σd² = 4
    embed = 1 - 6 * 4 / (5 * 24)
    assert figure.axes[0].get_xlabel() == f"ρ:  EMBED +{embed:.2f}, RDS+ −1.00, LESS +1.00"
    np.testing.assert_allclose(line(figure.axes[0], "embed").get_ydata(), values["embed"])


def lines_table(shift: float = 0.0) -> pd.DataFrame:
    rows = [(m, b, k + b / 100 + shift) for k, m in enumerate(["random", "less"]) for b in (50, 25, 100)]
    table = pd.DataFrame(rows, columns=["method", "budget", "value"])
    return table.assign(low=table["value"] - 1, high=table["value"] + 2)


def test_method_lines_draw_each_method_in_order_of_budget_with_its_band():
    figure = method_lines({"a": lines_table(), "b": lines_table(3)}, ylabel="lead", reference=0.0)
    ax, other = figure.axes
    np.testing.assert_allclose(line(ax, "less").get_xydata(), [[25, 1.25], [50, 1.5], [100, 2]])
    np.testing.assert_allclose(line(ax, "random").get_ydata(), [0.25, 0.5, 1])
    assert legend(figure) == ["LESS", "Random"]
    vertices = band(ax, "less").get_paths()[0].vertices
    assert vertices[:, 1].min() == pytest.approx(0.25)
    assert vertices[:, 1].max() == pytest.approx(4)
    assert ax.get_ylim() == other.get_ylim()
    assert ax.get_ylim()[1] > 3 + 4  # wide enough for the other panel
    apart = method_lines({"a": lines_table(), "b": lines_table(3)}, ylabel="", shared=False)
    assert len({panel.get_ylim() for panel in apart.axes}) == 2
    assert any(np.allclose(item.get_ydata(), 0) for item in ax.get_lines())


def test_method_lines_without_bands_or_panels():
    figure = method_lines({"a": lines_table()[["method", "budget", "value"]]}, ylabel="W1")
    assert not figure.axes[0].collections
    with pytest.raises(InputError, match="at least one panel"):
        method_lines({}, ylabel="W1")
    with pytest.raises(InputError, match="lacks the column value"):
        method_lines({"a": lines_table().drop(columns="value")}, ylabel="W1")


def test_intervals_as_bars_stand_beside_each_other_and_series_have_neutral_colours():
    table = lines_table().rename(columns={"method": "mode", "budget": "k"}).replace({"less": "by cards"})
    ax = method_lines({"a": table}, x="k", series="mode", ylabel="", reference=0, meaning="all", bars=True).axes[0]
    heights = [[path.vertices[:, 1].tolist() for path in c.get_paths()] for c in ax.collections]
    assert sorted(heights[0]) == [[-0.75, 2.25], [-0.5, 2.5], [0.0, 3.0]]
    assert {item.get_color() for item in ax.get_lines()[:2]} == {LOOKS["random"].colour, "#1F479E"}
    assert legend(ax.figure) == ["Random", "by cards", "all"]


def test_single_runs_are_dots_in_the_colour_of_their_line() -> None:
    runs = {"a": pd.DataFrame({"method": ["less", "random"], "budget": [25, 50], "value": [1.5, 0.4]})}
    tables = {"a": lines_table()[["method", "budget", "value"]], "b": lines_table()[["method", "budget", "value"]]}
    for bars in (False, True):
        figure = method_lines(tables, ylabel="", runs=runs, bars=bars)
        dots = figure.axes[0].collections[0]
        at = dots.get_offsets()
        np.testing.assert_allclose(at[:, 1], [1.5, 0.4])
        less = line(figure.axes[0], "less").get_xydata()
        assert at[0, 0] == pytest.approx(less[0, 0])  # beside each other as the lines are
        assert tuple(dots.get_facecolors()[0][:3]) == to_rgb(LOOKS["less"].colour)
        assert not figure.axes[1].collections


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
