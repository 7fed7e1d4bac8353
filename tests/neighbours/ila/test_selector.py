"""ILA bound to a study: depth from real losses, settings, picks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests_support import example
from tis_utils.errors import InputError
from tis_utils.examples.text import as_query
from tis_utils.experiments.grids import GRIDS, ILA_RULES, ILA_VARIANTS
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.models.evaluation import query_losses
from tis_utils.models.fine_tuning import fine_tune
from tis_utils.neighbours import training
from tis_utils.neighbours.ila import regression as ila_regression
from tis_utils.neighbours.ila import selector as ila
from tis_utils.plots import depth_maps, fits, look, method_lines, plane

N = 30  # candidates of the study


def spec(selector: str, budget: int = 5, seed: int = 0, **other: object) -> RunSpec:
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
    monkeypatch.setattr(training, "fine_tune", lambda *_, **__: pytest.fail("tuned again"))
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
    everything = study.picks(spec("ila", N - round(ila.TUNED_SHARE * N)))
    rounds = by_hand(study, N)
    cells = ila.explore(study, ila.Settings()).cells
    first = len({int(cells[i]) for i in rounds})
    assert set(everything[:first].tolist()) == set(rounds[:first])
    assert sorted(everything.tolist()) == sorted(rounds)


@pytest.mark.parametrize("name", ["ila", *ILA_RULES[1:], "ila@random", *ILA_VARIANTS, "ila@pool15", "ila@grid3+words"])
def test_picks_are_distinct_nested_and_never_what_tuned_the_model(study: Study, name: str) -> None:
    many, few = study.picks(spec(name, 9)), study.picks(spec(name, 4))
    assert many.dtype == np.int64
    assert len(set(many.tolist())) == 9
    assert many[:4].tolist() == few.tolist()
    assert not set(many.tolist()) & set(ila.tuning_subset(N, ila.parse(name).tuned).tolist())


def test_coverage_and_depth_keep_their_promises(study: Study) -> None:
    land = ila.explore(study, ila.Settings())
    both, deep = (land.measure(study.picks(spec(name))) for name in ("ila", "ila@depth"))
    for seed in range(20):
        wide = land.measure(study.picks(spec("ila@coverage", seed=seed)))
        chance = land.measure(study.picks(spec("ila@random", seed=seed)))
        assert both[0] == wide[0] >= chance[0]
        assert wide[1] <= both[1] <= deep[1]
        assert chance[1] <= deep[1]


def test_random_parts_draw_by_the_seed_and_ila_does_not(study: Study) -> None:
    for name, draws in (("ila", False), ("ila@depth", False), ("ila@coverage+grid3", True), ("ila@pool12", True)):
        first, other = (study.picks(spec(name, seed=seed)).tolist() for seed in (0, 1))
        assert (first != other) == draws
    part = ila.explore(study, ila.parse("ila@pool12"), 3)
    assert len(part.index) == len(set(part.index.tolist())) == 12


def test_labels_and_domains_are_those_of_the_part(study: Study) -> None:
    part = ila.explore(study, ila.parse("ila@pool12"), 3)
    assert np.nanmean(part.depths) == pytest.approx(0.5)


def test_all_depths_equal_is_an_error_that_says_what_to_do(study: Study, monkeypatch) -> None:
    monkeypatch.setattr(training, "fine_tune", lambda model, *_, **__: model)
    with pytest.raises(InputError, match="All 27 depths are equal"):
        study.picks(spec("ila"))


def test_one_cell_falls_back_to_depth(study: Study, caplog) -> None:
    study._features["embed"] = (np.ones((N, 6), dtype=np.float32), {})
    assert study.picks(spec("ila")).tolist() == study.picks(spec("ila@depth")).tolist()
    assert "lie in one cell" in caplog.text


def test_a_budget_above_what_is_left(study: Study) -> None:
    with pytest.raises(InputError, match="Budget 28 is larger than the 27 candidates that are left"):
        study.picks(spec("ila", 28))
    with pytest.raises(InputError, match="Budget 28 is larger than the 27"):
        study.picks(spec("ila@pool28", 2))


def test_a_candidate_without_an_answer_is_never_picked(study: Study) -> None:
    left = [i for i in range(N) if i not in set(ila.tuning_subset(N).tolist())]
    study.data.pool[left[0]] = example("x", prompt="w" * 200, name="long")  # the answer is cut off
    assert left[0] not in study.picks(spec("ila", 26)).tolist()
    with pytest.raises(InputError, match="larger than the 26"):
        study.picks(spec("ila", 27))


@pytest.mark.parametrize("name", ["ila@depht", "ila@grid", "ila@5", "ila@pca2", "ila@tsne-1"])
def test_unknown_settings(name: str) -> None:
    with pytest.raises(InputError, match=r"Unknown setting .* Known: depth, coverage"):
        ila.parse(name)


@pytest.mark.parametrize("name", ["ila@pool0", "ila@grid0"])
def test_settings_that_must_be_positive(study: Study, name: str) -> None:
    with pytest.raises(InputError, match="positive number"):
        study.picks(spec(name))


def test_other_experiments_are_refused(study: Study) -> None:
    with pytest.raises(InputError, match="cannot run the tokens experiment"):
        study.picks(spec("ila", experiment="tokens"))


def test_settings_are_read() -> None:
    assert ila.parse("ila") == ila.Settings()
    assert ila.parse("ila@depth+tsne3") == ila.Settings(rule="depth", projection="tsne", map_seed=3)
    assert ila.parse("ila@pool750+tuned2") == ila.Settings(pool=750, tuned=2)


def test_the_key_knows_settings_and_embeddings(study: Study, monkeypatch) -> None:
    keys = [ila.recipe(study, spec(name)) for name in ("ila", "ila@depth", "ila@grid6")]
    assert len({str(key) for key in keys}) == 3
    monkeypatch.setattr(ila, "embed_key", lambda study: {"other": "embeddings"})
    assert ila.recipe(study, spec("ila")) != keys[0]


def test_the_grid_has_each_spec_once(study: Study) -> None:
    specs = GRIDS["ila"](study.profile)
    assert len(specs) == len(set(specs))
    assert {s.selector for s in specs} >= {*ILA_RULES, *ILA_VARIANTS, "ila@pool15", "ila@pool7"}
    assert {s.budget for s in specs if s.selector == "deita"} == set(study.profile.budgets)
    assert "ila@pool3" not in {s.selector for s in specs}  # smaller than the largest budget


# --- figures -----------------------------------------------------------------------------------------


def test_figures_show_what_they_are_given(study: Study, made_up_subsets) -> None:
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
    colours = [look(name).colour for name in ("ila", "ila@depth", "none/ila@coverage", "less/uot", "embed")]
    assert len(set(colours)) == 5
    assert len(fits(ila_regression.design(made_up_subsets(1.0)), {"tasks": "loss"}).axes) == 2
    marks = pd.DataFrame({"method": ["ila"], "coverage": [0.5], "depth": [0.9]})
    assert len(plane({"a": marks, "b": marks}).axes) == 2
