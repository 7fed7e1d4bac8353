"""ILA bound to a study: depth from real losses, settings, picks, the table of subsets, verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests_support import example, query
from tis_utils.errors import InputError
from tis_utils.examples.load import Data
from tis_utils.examples.text import as_query
from tis_utils.experiments.grids import GRIDS, ILA_RULES, ILA_VARIANTS
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.models.evaluation import query_losses
from tis_utils.models.fine_tuning import fine_tune
from tis_utils.neighbours.ila import claims as ila_claims
from tis_utils.neighbours.ila import designed_subsets as ila_subsets
from tis_utils.neighbours.ila import regression as ila_regression
from tis_utils.neighbours.ila import selector as ila
from tis_utils.plots import depth_maps, fits, look, method_lines, plane
from tis_utils.profiles import Profile
from tis_utils.storage import stored_results as shipped
from tis_utils.storage.cache import Store

N = 30


@pytest.fixture
def study(tmp_path: Path, random_model, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A tiny study whose embeddings are given; two sources are its two domains."""
    folder = tmp_path / "model"
    random_model.model.save_pretrained(folder)
    random_model.tokenizer.save_pretrained(folder)
    profile = Profile(
        name="test", description="", model=str(folder), pool="x.jsonl", pool_size=N, n_queries=1, n_test=2,
        tasks=("letters", "digits"), budgets=(2, 5), seeds=(0, 1), max_length=64,
        training={"epochs": 1, "learning_rate": 1e-2, "batch_size": 2},
    )  # fmt: skip
    made = Study(profile, Store(tmp_path / "cache"))
    pool = [example(chr(97 + i % 26) * (1 + i % 4), prompt=f"count {i}", name=f"e{i}") for i in range(N)]
    test = {"digits": [query("888"), query("999")], "letters": [query("zzz")]}
    made.__dict__["data"] = Data(pool, test, test)
    made._features["embed"] = (np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32), {})
    monkeypatch.setattr(ila, "embed_key", lambda study: {"given": "embeddings"})
    monkeypatch.setattr(ila_subsets, "DESIGNED", 12)
    monkeypatch.setattr(shipped, "RESULTS", tmp_path / "results")
    return made


def cell(selector: str, budget: int = 5, seed: int = 0, **other: object) -> RunSpec:
    return RunSpec("letters", NONE, selector, budget, seed, **other)  # type: ignore[arg-type]


# --- depth -------------------------------------------------------------------------------------------


def test_depth_is_the_fall_of_the_mean_token_loss(study: Study) -> None:
    """A candidate's loss is that of a query with the same prompt and label."""
    depths, tuning = ila.absolute_depths(study)
    chosen = [study.data.pool[i] for i in tuning]
    tuned = fine_tune(study.model, chosen, study.profile.training, seed=0, max_length=64)
    queries = [as_query(e, "x") for e in study.data.pool]
    before, after = (query_losses(model, queries, max_length=64) for model in (study.model, tuned))
    np.testing.assert_allclose(depths, before - after, atol=1e-5)
    assert np.ptp(depths) > 1e-3


def test_losses_are_computed_once_and_the_tuning_subset_is_random(study: Study, monkeypatch) -> None:
    first, tuning = ila.absolute_depths(study)
    assert len(tuning) == round(ila.TUNED_SHARE * N)
    assert tuning.tolist() == sorted(set(tuning.tolist()))
    monkeypatch.setattr(ila, "fine_tune", lambda *_, **__: pytest.fail("tuned again"))
    np.testing.assert_array_equal(ila.absolute_depths(study)[0], first)
    assert ila.tuning_subset(N, 1).tolist() != tuning.tolist()


def test_labels_multiply(study: Study) -> None:
    texts = ["Sort the words: b a", "Sort, then sort again", "xyz"]
    counts = ila.label_counts([example("a", prompt=t) for t in texts], "words")
    assert counts.tolist() == [2, 1, 1]
    assert ila.label_counts(study.data.pool, "one").tolist() == [1] * N
    plain, counted = (ila.absolute_depths(study, labels=kind)[0] for kind in ("one", "words"))
    np.testing.assert_allclose(counted, plain * ila.label_counts(study.data.pool, "words"))


# --- picks -------------------------------------------------------------------------------------------


def by_hand(study: Study, budget: int) -> list[int]:
    """Rounds over the cells of the PCA grid, from depths and embeddings, with plain loops."""
    depths, tuning = ila.absolute_depths(study)
    rows = study.features("embed")[0].astype(float)
    _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    points = (rows - rows.mean(axis=0)) @ axes[:2].T
    low, high = points.min(axis=0), points.max(axis=0)
    cells = [
        tuple(min(ila.BINS - 1, int((p[a] - low[a]) * ila.BINS / (high[a] - low[a]))) for a in (0, 1)) for p in points
    ]
    left = [i for i in range(N) if i not in set(tuning.tolist())]
    inside: dict[tuple[int, int], list[int]] = {}
    for i in sorted(left, key=lambda i: (-depths[i], i)):  # one domain: relative depth has the same order
        inside.setdefault(cells[i], []).append(i)
    turns = sorted(len(members) for members in inside.values())
    chosen = [members[r] for r in range(max(turns)) for members in inside.values() if len(members) > r]
    first_round = {members[0] for members in inside.values()}
    return chosen if budget >= len(first_round) else sorted(first_round)


def test_picks_are_the_first_rounds(study: Study) -> None:
    """The order of the cells is the package's own, so whole rounds are compared as sets."""
    everything = study.picks(cell("ila", N - round(ila.TUNED_SHARE * N)))
    rounds = by_hand(study, N)
    cells_ = ila.explore(study, ila.Settings()).cells
    first = len({int(cells_[i]) for i in rounds})
    assert set(everything[:first].tolist()) == set(rounds[:first])
    assert sorted(everything.tolist()) == sorted(rounds)


@pytest.mark.parametrize("name", ["ila", *ILA_RULES[1:], "ila@random", *ILA_VARIANTS, "ila@pool15", "ila@grid3+words"])
def test_picks_are_distinct_nested_and_never_what_tuned_the_model(study: Study, name: str) -> None:
    many, few = study.picks(cell(name, 9)), study.picks(cell(name, 4))
    assert many.dtype == np.int64
    assert len(set(many.tolist())) == 9
    assert many[:4].tolist() == few.tolist()
    assert not set(many.tolist()) & set(ila.tuning_subset(N, ila.parse(name).tuned).tolist())


def test_coverage_and_depth_keep_their_promises(study: Study) -> None:
    land = ila.explore(study, ila.Settings())
    both, deep = (land.measure(study.picks(cell(name))) for name in ("ila", "ila@depth"))
    for seed in range(20):
        wide = land.measure(study.picks(cell("ila@coverage", seed=seed)))
        chance = land.measure(study.picks(cell("ila@random", seed=seed)))
        assert both[0] == wide[0] >= chance[0]
        assert wide[1] <= both[1] <= deep[1]
        assert chance[1] <= deep[1]


def test_random_parts_draw_by_the_seed_and_ila_does_not(study: Study) -> None:
    for name, draws in (("ila", False), ("ila@depth", False), ("ila@coverage+grid3", True), ("ila@pool12", True)):
        first, other = (study.picks(cell(name, seed=seed)).tolist() for seed in (0, 1))
        assert (first != other) == draws
    part = ila.explore(study, ila.parse("ila@pool12"), 3)
    assert len(part.index) == len(set(part.index.tolist())) == 12


def test_labels_and_domains_are_those_of_the_part(study: Study) -> None:
    part = ila.explore(study, ila.parse("ila@pool12"), 3)
    assert np.nanmean(part.depths) == pytest.approx(0.5)


def test_all_depths_equal_is_an_error_that_says_what_to_do(study: Study, monkeypatch) -> None:
    monkeypatch.setattr(ila, "fine_tune", lambda model, *_, **__: model)
    with pytest.raises(InputError, match="All 27 depths are equal"):
        study.picks(cell("ila"))


def test_one_cell_falls_back_to_depth(study: Study, caplog) -> None:
    study._features["embed"] = (np.ones((N, 6), dtype=np.float32), {})
    assert study.picks(cell("ila")).tolist() == study.picks(cell("ila@depth")).tolist()
    assert "lie in one cell" in caplog.text


def test_a_budget_above_what_is_left(study: Study) -> None:
    with pytest.raises(InputError, match="Budget 28 is larger than the 27 candidates that are left"):
        study.picks(cell("ila", 28))
    with pytest.raises(InputError, match="Budget 28 is larger than the 27"):
        study.picks(cell("ila@pool28", 2))


def test_a_candidate_without_an_answer_is_never_picked(study: Study) -> None:
    left = [i for i in range(N) if i not in set(ila.tuning_subset(N).tolist())]
    study.data.pool[left[0]] = example("x", prompt="w" * 200, name="long")  # the answer is cut off
    assert left[0] not in study.picks(cell("ila", 26)).tolist()
    with pytest.raises(InputError, match="larger than the 26"):
        study.picks(cell("ila", 27))


@pytest.mark.parametrize("name", ["ila@depht", "ila@grid", "ila@5", "ila@pca2", "ila@tsne-1"])
def test_unknown_settings(name: str) -> None:
    with pytest.raises(InputError, match=r"Unknown setting .* Known: depth, coverage"):
        ila.parse(name)


@pytest.mark.parametrize("name", ["ila@pool0", "ila@grid0"])
def test_settings_that_must_be_positive(study: Study, name: str) -> None:
    with pytest.raises(InputError, match="positive number"):
        study.picks(cell(name))


def test_other_experiments_are_refused(study: Study) -> None:
    with pytest.raises(InputError, match="cannot run the tokens experiment"):
        study.picks(cell("ila", experiment="tokens"))


def test_settings_are_read() -> None:
    assert ila.parse("ila") == ila.Settings()
    assert ila.parse("ila@depth+tsne3") == ila.Settings(rule="depth", projection="tsne", map_seed=3)
    assert ila.parse("ila@pool750+tuned2") == ila.Settings(pool=750, tuned=2)


def test_the_key_knows_settings_and_embeddings(study: Study, monkeypatch) -> None:
    keys = [ila.recipe(study, cell(name)) for name in ("ila", "ila@depth", "ila@grid6")]
    assert len({str(key) for key in keys}) == 3
    monkeypatch.setattr(ila, "embed_key", lambda study: {"other": "embeddings"})
    assert ila.recipe(study, cell("ila")) != keys[0]


def test_the_grid_has_each_cell_once(study: Study) -> None:
    cells = GRIDS["ila"](study.profile)
    assert len(cells) == len(set(cells))
    assert {c.selector for c in cells} >= {*ILA_RULES, *ILA_VARIANTS, "ila@pool15", "ila@pool7"}
    assert "ila@pool3" not in {c.selector for c in cells}  # smaller than the largest budget


# --- subsets and verdicts ----------------------------------------------------------------------------


def test_designed_subsets_differ_in_coverage_and_depth(study: Study) -> None:
    land = ila.explore(study, ila.parse("ila@grid3"))
    found = [ila_subsets.designed(land, 5, draw) for draw in range(40)]
    assert all(len(set(picks.tolist())) == 5 for picks in found)
    wide, deep = np.array([land.measure(picks) for picks in found]).T
    assert np.ptp(wide) > 0.25
    assert np.ptp(deep) > 0.4
    assert abs(np.corrcoef(wide, deep)[0, 1]) < 0.6


def test_the_table_of_subsets_is_stored_and_read_back(study: Study, monkeypatch) -> None:
    assert ila_subsets.stored(study).empty
    few = [row for row in ila_subsets.plan(study) if row[0] != "designed"][:3]
    rows = ila_subsets.compute(study, few)
    assert list(rows) == [*ila_subsets.COLUMNS[:6], "tasks", "general", "letters", "digits"]
    assert rows["general"].isna().all()  # only the classroom has general held-out examples
    np.testing.assert_allclose(rows["tasks"], rows[["letters", "digits"]].mean(axis=1))
    monkeypatch.setattr(ila_subsets, "plan", lambda study: few)
    ila_subsets.keep(study)
    monkeypatch.setattr(ila_subsets, "fine_tune", lambda *_, **__: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(ila_subsets.stored(study), rows)
    pd.testing.assert_frame_equal(ila_subsets.table(study), rows)


def made_up_subsets(effect: float, seed: int = 0, n: int = 120) -> pd.DataFrame:
    """A design, and three runs each of ILA and depth alone whose losses differ by the same noise."""
    rng = np.random.default_rng(seed)
    wide, deep = rng.random((2, n + 60))
    names = np.array(["designed"] * n + ["ila", "ila@depth"] * 30)
    mean = np.where(names == "designed", 3 - effect * wide - effect * deep, 2.0)
    loss = mean + 0.1 * rng.normal(size=n + 60)
    return pd.DataFrame(
        {
            "name": names, "draw": np.where(names == "designed", np.arange(n + 60), -1), "budget": 5, "seed": 0,
            "coverage": wide, "depth": deep, "tasks": loss, "general": loss,
        }
    )  # fmt: skip


def test_r_squared_is_found_where_it_is_and_not_where_it_is_not() -> None:
    strong, none = (ila_regression.explained(made_up_subsets(effect), "tasks", draws=300) for effect in (1.0, 0.0))
    assert (strong["value"] > 0.9).all()
    assert none.loc["in-sample", "value"] > 0 > none.loc["leave-one-out", "value"]
    for found in (strong, none):
        assert (found["low"] < found["high"]).all()


def made_up_rows(gains: dict[str, float], budgets: tuple[int, ...] = (25, 50)) -> pd.DataFrame:
    """Loss 2 for Random, `gain` per cent less for the others (times the budget's place)."""
    rng = np.random.default_rng(0)
    lines = [
        (
            "budget", task, "less" if name == "round_robin" else "none", name, budget, seed, "test_loss",
            2 * (1 - gain / 100 * (1 + k)) + 0.001 * rng.normal(),
        )
        for name, gain in gains.items() for task in "abcd" for k, budget in enumerate(budgets) for seed in (0, 1, 2)
    ]  # fmt: skip
    names = ["experiment", "task", "representation", "selector", "budget", "seed", "metric", "value"]
    return pd.DataFrame(lines, columns=names)


def test_verdicts_follow_the_runs() -> None:
    gains = {
        "random": 0,
        "ila": 5,
        "ila@depth": 8,
        "ila@coverage": 1,
        "round_robin": 20,
        "ila@pool10": 1,
        "ila@pool20": 3,
    }
    table = ila_claims.judge(made_up_rows(gains), made_up_subsets(1.0), "test", 40, draws=300)
    found = table.set_index("claim")["verdict"]
    assert found["ILA beats Random, test_loss"] == "supported"
    assert found["ILA beats depth alone, test_loss"] == "contradicted"
    assert found["ILA beats coverage alone, test_loss"] == "supported"
    assert found["ILA's gain grows with the budget, test_loss"] == "supported"
    assert found["ILA's gain grows with the pool, test_loss"] == "supported"
    assert found["targeted beats ILA, test_loss"] == "supported"
    assert found["coverage and depth explain, leave-one-out, test_loss"] == "supported"
    assert found["ILA beats Random, general_loss"] == "not testable"  # the table of subsets has no runs of Random
    pool = table.set_index("claim").loc["ILA's gain grows with the pool, test_loss"]
    assert pool["statistic"] == pytest.approx(3, abs=0.2)  # 1.5, 4.5, 7.5 per cent at 10, 20 and 40


def test_without_runs_nothing_is_testable(study: Study) -> None:
    table = ila_claims.claims(study, draws=50)
    assert set(table["verdict"]) == {"not testable"}
    assert (table["reason"].str.len() > 0).all()


def test_leads_of_a_cube() -> None:
    rows = made_up_rows({"random": 0, "ila": 10})
    data = ila_claims.cube(rows, "test_loss", [ila_claims.ILA, ila_claims.RANDOM])
    table = ila_claims.leads(data, draws=100).set_index("budget")
    np.testing.assert_allclose(table["value"], [10, 20, 15], atol=0.2)
    assert ((table["low"] < table["value"]) & (table["value"] < table["high"])).all()


def test_slopes_and_noise() -> None:
    rows = made_up_subsets(1.0)
    found = ila_regression.slopes(rows, "tasks", draws=200)
    spread = rows.loc[rows["name"] == "designed", ["coverage", "depth"]].std(ddof=0)
    np.testing.assert_allclose(found["value"], -spread, atol=0.05)  # the loss falls by 1 from 0 to 1
    assert (found["high"] < 0).all()
    assert ila_regression.noise_share(made_up_subsets(0.0), "tasks") == pytest.approx(1, abs=0.4)
    assert ila_regression.noise_share(rows, "tasks") < 0.2


def test_a_gap_is_a_difference_of_leads_over_random() -> None:
    rows = made_up_rows({"random": 0, "ila": 10, "ila@depth": 4})
    data = ila_claims.cube(rows, "test_loss", [ila_claims.ILA, ila_claims.DEPTH, ila_claims.RANDOM])
    value, low, high = ila_claims.gap(data, ila_claims.ILA, ila_claims.DEPTH, draws=100)
    assert low < value < high
    assert value == pytest.approx(9, abs=0.2)  # 15 − 6, mean over two budgets
    assert ila_claims.gap(data, ila_claims.ILA, ila_claims.RANDOM, draws=100)[0] == pytest.approx(15, abs=0.2)
    grown = ila_claims.gap(data, ila_claims.ILA, ila_claims.DEPTH, draws=100, growth=True)
    assert grown[0] == pytest.approx(6, abs=0.2)  # 20 − 8 at the second budget, 10 − 4 at the first


def test_figures_show_what_they_are_given(study: Study) -> None:
    land = ila.explore(study, ila.Settings())
    figure = depth_maps(land, ila.BINS, {"a": land.picks("both", 4), "b": land.picks("depth", 5)})
    rings = [len(ax.collections[-1].get_offsets()) for ax in figure.axes[:2]]
    assert rings == [4, 5]
    with pytest.raises(InputError, match="with a map"):
        depth_maps(ila.explore(study, ila.parse("ila@kmeans")), ila.BINS, {"a": land.picks("both", 4)})
    frame = pd.DataFrame(
        {"method": ["ila", "random"], "x": [25, 25], "value": [3.0, 0.0], "low": [1.0, -1.0], "high": [5.0, 1.0]}
    )
    (ax,) = method_lines({"t": frame}, x="x", ylabel="y", reference=0, bars=True).axes
    assert [line.get_color() for line in ax.lines[:2]] == [look("ila").colour, look("random").colour]
    colours = [
        look(name).colour for name in ("ila", "ila@depth", "none/ila@coverage", "less/uot", "embed")
    ]
    assert len(set(colours)) == 5
    assert len(fits(ila_regression.design(made_up_subsets(1.0)), {"tasks": "loss"}).axes) == 2
    marks = pd.DataFrame({"method": ["ila"], "coverage": [0.5], "depth": [0.9]})
    assert len(plane({"a": marks, "b": marks}).axes) == 2
