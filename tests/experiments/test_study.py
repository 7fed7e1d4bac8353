from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests_support import example, query
from tis_utils.errors import InputError, RunError
from tis_utils.examples.load import Data
from tis_utils.experiments import run as runs
from tis_utils.experiments import subset as picks
from tis_utils.experiments.grids import GRIDS
from tis_utils.experiments.reproduce import keep, recheck
from tis_utils.experiments.run_spec import NONE, ROW_COLUMNS, RunSpec, grid
from tis_utils.experiments.study import Study
from tis_utils.profiles import Profile, load_profile
from tis_utils.representations import pool_features
from tis_utils.selectors import select
from tis_utils.selectors.similarity import similarity
from tis_utils.storage import stored_results as shipped
from tis_utils.storage.cache import Store
from tis_utils.storage.keys import digest


@pytest.fixture
def profile(tmp_path: Path, random_model) -> Profile:
    folder = tmp_path / "model"
    random_model.model.save_pretrained(folder)
    random_model.tokenizer.save_pretrained(folder)
    return Profile(
        name="test", description="", model=str(folder), pool="x.jsonl", pool_size=12, n_queries=2, n_test=3,
        tasks=("letters", "digits"), budgets=(2, 4), seeds=(0, 1), max_length=64,
        training={"epochs": 1, "learning_rate": 1e-3, "batch_size": 2},
        less={"rank": 2, "alpha": 4, "epochs": 2, "lr": 1e-3, "batch_size": 2,
              "warmup_fraction": 0.5, "dim": 64, "sketch": "count"},
    )  # fmt: skip


@pytest.fixture
def study(tmp_path: Path, profile: Profile) -> Study:
    made = Study(profile, Store(tmp_path / "cache"))
    pool = [example(str(i) * 3, prompt=f"digit {i}", name=f"d{i}") for i in range(6)]
    pool += [example(c * 3, prompt=f"letter {c}", name=f"l{c}") for c in "abcdef"]
    queries = {"digits": [query("777", prompt="digit 7")], "letters": [query("ggg"), query("hhh")]}
    test = {"digits": [query("888"), query("999")], "letters": []}
    made.__dict__["data"] = Data(pool, queries, test)  # what the cached property would have loaded
    return made


def test_a_grid_has_every_cell_once_and_never_forgets_the_baselines() -> None:
    specs = grid(["a", "b"], [("less", "round_robin"), ("rds", "uot")], [5, 9], [0, 1, 2])
    assert len(specs) == len(set(specs)) == 2 + 2 * 3 * 2 * 3
    assert {(c.representation, c.selector) for c in specs if c.budget == 0} == {(NONE, NONE)}
    assert sum(c.selector == "random" for c in specs) == 2 * 2 * 3
    assert all(c.selector == "uot" for c in grid(["a"], [("rds", "uot")], [5], [0], baselines=False))


@pytest.mark.parametrize("name", ["rds", "less"])
def test_features_are_unit_rows_split_by_task_and_computed_once(study: Study, name: str, monkeypatch) -> None:
    candidates, queries = study.features(name)
    assert {task: len(rows) for task, rows in queries.items()} == {"digits": 1, "letters": 2}
    assert candidates.shape[0] == 12
    for rows in (candidates, *queries.values()):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    alone = study.representation(name)
    np.testing.assert_allclose(alone.candidates(study.data.pool), candidates, atol=1e-5)
    np.testing.assert_allclose(alone.queries(study.data.queries["letters"]), queries["letters"], atol=1e-5)
    monkeypatch.setattr(type(alone), "candidates", lambda self, pool: pytest.fail("computed again"))
    later = Study(study.profile, study.store)
    later.__dict__["data"] = study.data
    np.testing.assert_array_equal(later.features(name)[0], candidates)


def test_picks_come_from_the_similarity_of_the_cells_own_task(study: Study) -> None:
    letters = study.picks(RunSpec("letters", "rds", "doubly_greedy", 4, 0))
    similarity = study.similarity("rds", "letters")
    assert list(letters) == list(np.argsort(-similarity.max(0), kind="stable")[:4])


def test_picks_are_computed_once_for_all_seeds(study: Study, monkeypatch) -> None:
    first = study.picks(RunSpec("letters", "rds", "uot", 4, 0))
    monkeypatch.setattr(picks, "picks", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(study.picks(RunSpec("letters", "rds", "uot", 4, 1)), first)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_random_is_seeded_and_nested(study: Study) -> None:
    few, many = (study.picks(RunSpec("digits", NONE, "random", b, 1)) for b in (3, 8))
    assert list(many[:3]) == list(few)
    assert list(few) != list(study.picks(RunSpec("digits", NONE, "random", 3, 2)))


def test_rows_are_tidy_and_the_zero_shot_row_is_the_untuned_model(study: Study) -> None:
    specs = grid(["digits", "letters"], [("rds", "round_robin")], [2], [0])
    rows = study.run(specs, jobs=1)
    assert list(rows.columns) == ROW_COLUMNS
    assert not rows.duplicated(["task", "representation", "selector", "budget", "seed", "metric"]).any()
    zero = rows.query("task == 'digits' and budget == 0 and metric == 'query_loss'")["value"].item()
    assert zero == pytest.approx(runs.mean_loss(study.model, study.data.queries["digits"]))
    missing = rows.query("task == 'letters' and metric == 'test_loss'")
    assert missing["value"].isna().all()
    assert set(missing["status"]) == {"no held-out examples"}
    assert set(rows.query("metric == 'query_loss'")["status"]) == {"ok"}


@pytest.mark.slow  # two worker processes import everything
def test_finished_cells_are_not_run_again_and_jobs_do_not_change_numbers(study: Study, tmp_path, monkeypatch) -> None:
    specs = grid(["digits"], [("rds", "round_robin")], [2, 4], [0, 1])
    alone = study.run(specs, jobs=1)
    other = Study(study.profile, Store(tmp_path / "other"))
    other.__dict__["data"] = study.data
    pd.testing.assert_frame_equal(other.run(specs, jobs=2), alone)
    monkeypatch.setattr(runs, "_train_and_evaluate", lambda task: pytest.fail("run again"))
    pd.testing.assert_frame_equal(study.run(specs, jobs=1), alone)


def test_a_changed_setting_is_another_cell(study: Study) -> None:
    spec = RunSpec("digits", NONE, "random", 3, 0)
    first = study.run([spec], jobs=1)
    slower = study.profile.training.model_copy(update={"learning_rate": 3e-3})
    changed = Study(study.profile.model_copy(update={"training": slower}), study.store)
    changed.__dict__["data"] = study.data
    assert not changed.run([spec], jobs=1)["value"].equals(first["value"])


def test_a_diverging_run_is_kept_with_its_status(study: Study) -> None:
    wild = study.profile.training.model_copy(update={"learning_rate": 1e30, "epochs": 3})
    study.profile = study.profile.model_copy(update={"training": wild})
    rows = study.run([RunSpec("digits", NONE, "random", 4, 0)], jobs=1).set_index("metric")
    assert rows.loc["query_loss", "status"] == "diverged"
    assert not np.isfinite(rows.loc["query_loss", "value"])


def test_a_budget_above_the_pool_is_refused_before_training(study: Study) -> None:
    with pytest.raises(InputError, match="Budget 13 is larger than the pool of 12"):
        study.run([RunSpec("digits", NONE, "random", 13, 0)])


def own_features(study: Study, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=(n, 5)) for n in (len(study.data.pool), *map(len, study.data.queries.values()))]
    candidates, *queries = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in rows]
    return candidates, dict(zip(study.data.queries, queries, strict=True))


def test_features_of_your_own_are_compared_like_the_others(study: Study) -> None:
    task = study.profile.tasks[0]
    spec = RunSpec(task, "mine", "round_robin", 3, 0)
    keys = set()
    for seed in (0, 1):  # the second set replaces the first
        candidates, queries = own_features(study, seed)
        study.add_features("mine", candidates, queries)
        S = similarity(queries[task], candidates)
        assert study.picks(spec).tolist() == select("round_robin", S, 3).tolist()
        assert study.order("mine", task).tolist() == select("round_robin", S, None).tolist()
        keys.add(digest(study.recipe(spec)))
    assert len(keys) == 2
    assert set(study.run([spec])["representation"]) == {"mine"}


def test_features_that_do_not_fit_are_refused(study: Study) -> None:
    candidates, queries = own_features(study, 0)
    task = study.profile.tasks[0]
    with pytest.raises(InputError, match="'less' is taken"):
        study.add_features("less", candidates, queries)
    with pytest.raises(InputError, match=r"candidate rows, the pool has"):
        study.add_features("mine", candidates[1:], queries)
    with pytest.raises(InputError, match=f"no query rows for the task '{task}'"):
        study.add_features("mine", candidates, {k: v for k, v in queries.items() if k != task})
    with pytest.raises(InputError, match="length"):
        study.add_features("mine", 2 * candidates, queries)


def test_the_profile_sets_the_prompt_of_embed(study: Study) -> None:
    assert study.representation("embed").prompt == ""
    study.profile = study.profile.model_copy(update={"embed_prompt": "Find: "})
    assert study.representation("embed").prompt == "Find: "
    study.profile = study.profile.model_copy(update={"embed_prompt": "find"})
    with pytest.raises(InputError, match="no prompt named 'find'"):
        study.features("embed")


def test_lexical_features_of_a_pool_do_not_depend_on_its_shards(study: Study, monkeypatch) -> None:
    whole = study.features("lexical")
    monkeypatch.setattr(pool_features, "SHARD", 1)
    again = Study(study.profile, Store(study.store.root / "again"), data=study.data)
    assert again.pool_features("lexical").shards == 2
    assert again.pool_features("lexical").key == study.pool_features("lexical").key
    np.testing.assert_array_equal(again.features("lexical")[0], whole[0])
    for task, rows in whole[1].items():
        np.testing.assert_array_equal(again.features("lexical")[1][task], rows)


def test_unknown_representation(study: Study) -> None:
    with pytest.raises(InputError, match="Unknown representation 'bert'; known: embed, rds, less"):
        study.representation("bert")


def test_manifests_hold_the_whole_key(study: Study) -> None:
    study.run([RunSpec("digits", NONE, "random", 3, 0)], jobs=1)
    manifest = json.loads(next((study.store.root / "runs").glob("*.json")).read_text())
    assert manifest["key"]["seed"] == 0
    assert {"subset", "queries", "test", "model", "training", "versions"} <= set(manifest["key"])


class TestExperiments:
    """What the other experiments train on, against their definitions."""

    def order(self, study: Study) -> list[int]:
        similarity, taken = study.similarity("rds", "letters").copy(), []
        for turn in range(similarity.shape[1]):
            taken.append(int(similarity[turn % len(similarity)].argmax()))
            similarity[:, taken[-1]] = -np.inf
        return taken

    def test_bins_cut_the_round_robin_order_and_the_last_takes_the_rest(self, study: Study, monkeypatch) -> None:
        monkeypatch.setattr(picks, "BINS", 5)  # 12 candidates: 2 2 2 2 4
        order = self.order(study)
        specs = [RunSpec("letters", "rds", "round_robin", 9, 0, "quantile", b) for b in range(5)]
        assert [study.picks(spec).tolist() for spec in specs] == [*(order[i : i + 2] for i in (0, 2, 4, 6)), order[8:]]

    def test_focus_cuts_the_nearest_bin_again(self) -> None:
        order = np.random.default_rng(0).permutation(237)
        parts = [picks.distance_bin(order, b, focus=True) for b in range(10)]
        assert [len(part) for part in parts] == [2] * 9 + [5]
        assert np.concatenate(parts).tolist() == order[:23].tolist()
        assert sum(len(picks.distance_bin(order, b)) for b in range(10)) == 237

    def test_a_token_budget_stops_at_the_example_that_reaches_it(self, study: Study) -> None:
        tokens = study.answer_tokens
        assert tokens.tolist() == [4] * 12  # three bytes and the end
        assert len(study.picks(RunSpec("letters", "rds", "round_robin", 5, 0, "tokens"))) == 5
        study.__dict__["answer_tokens"] = np.array([1, 9] * 6)
        study._picks.clear()
        chosen = study.picks(RunSpec("letters", "rds", "round_robin", 5, 0, "tokens"))
        assert study.answer_tokens[chosen].sum() >= 25 > study.answer_tokens[chosen[:-1]].sum()
        by_chance = study.picks(RunSpec("letters", NONE, "random", 5, 1, "tokens"))
        assert by_chance.tolist() == study.picks(RunSpec("letters", NONE, "random", len(by_chance), 1)).tolist()

    def test_resampling_uses_half_of_the_queries(self, study: Study) -> None:
        for draw in range(4):
            half = picks.half_of(2, draw)
            chosen = study.picks(RunSpec("letters", "rds", "doubly_greedy", 3, 0, "resample", draw=draw))
            similarity = study.similarity("rds", "letters")[half]
            assert chosen.tolist() == np.argsort(-similarity.max(0), kind="stable")[:3].tolist()
        assert {tuple(picks.half_of(9, draw)) for draw in range(20)} > {tuple(picks.half_of(9, 0))}
        assert len(picks.half_of(1, 0)) == 1

    def test_a_bin_too_small_for_the_budget_is_refused(self, study: Study) -> None:
        with pytest.raises(InputError, match="Budget 2 is larger than a quantile bin of 1 candidates"):
            study.run([RunSpec("letters", "rds", "round_robin", 2, 0, "quantile", 3)])

    def test_cells_with_the_same_subset_share_one_run(self, study: Study, monkeypatch) -> None:
        calls = []
        train = runs._train_and_evaluate
        monkeypatch.setattr(runs, "_train_and_evaluate", lambda task: calls.append(1) or train(task))
        specs = [
            RunSpec("letters", "rds", "round_robin", 1, 0),
            RunSpec("letters", "rds", "round_robin", 1, 0, "quantile", 0),
        ]
        rows = study.run(specs, jobs=1)
        assert len(calls) == 1
        assert rows["experiment"].unique().tolist() == ["budget", "quantile"]

    def test_a_proxy_selects_and_must_be_named(self, study: Study) -> None:
        with pytest.raises(InputError, match="names no proxy model"):
            study.features("less_proxy")
        study.profile = study.profile.model_copy(update={"proxy": study.profile.model})
        np.testing.assert_allclose(study.features("less_proxy")[0], study.features("less")[0], atol=1e-5)

    def test_grids_by_name(self, profile: Profile) -> None:
        small = profile.model_copy(update={"bin_budget": 1, "proxy": "mini", "sweep_budgets": (1, 3)})
        specs = {name: make(small) for name, make in GRIDS.items()}
        assert all(len(set(found)) == len(found) for found in specs.values())
        assert len(specs["quantiles"]) == 2 * (1 + 4 * 10 * 2 + 2)  # tasks x (zero-shot, bins, Random)
        assert {c.budget for c in specs["budgets"]} == {0, 1, 3}
        assert {c.representation for c in specs["budgets"]} == {NONE, "embed", "rds", "less", "lexical", "less_proxy"}
        assert len({(c.representation, c.selector) for c in specs["cross"]}) == 20 + 2
        assert {c.experiment for c in specs["tokens"]} == {"tokens", "zero_shot"}
        assert set(specs["ila_rivals"]) <= {*specs["ila"], *specs["budgets"]} | set(specs["cross"])
        assert {c.draw for c in specs["resample"]} == set(range(6))
        fewer = small.model_copy(update={"representations": ("rds",)})
        assert {c.representation for c in GRIDS["cross"](fewer)} == {NONE, "rds"}
        with pytest.raises(InputError, match="Unknown experiment 'bins'"):
            grid(["a"], [], [1], [0], experiment="bins")


class TestStoredCells:
    @pytest.fixture
    def specs(self, study: Study, tmp_path, monkeypatch) -> list[RunSpec]:
        monkeypatch.setattr(shipped, "RESULTS", tmp_path / "results")
        specs = grid(["digits", "letters"], [("rds", "round_robin")], [2, 3], [0])
        keep(study, "budgets", specs)
        return specs

    def again(self, study: Study, tmp_path: Path, **options) -> Study:
        other = Study(study.profile, Store(tmp_path / "empty"), **options)
        other.__dict__["data"] = study.data
        return other

    def test_stored_cells_are_shown_without_training(self, study, specs, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(runs, "_train_and_evaluate", lambda task: pytest.fail("trained"))
        expected = study.run(specs)
        found = self.again(study, tmp_path).run(specs, jobs=1)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-7)

    def test_a_changed_setting_or_a_damaged_file_means_training(self, study, specs, tmp_path, caplog) -> None:
        faster = study.profile.training.model_copy(update={"learning_rate": 2e-3})
        changed = self.again(study, tmp_path)
        assert len(changed.stored_runs(specs)) == len(specs)
        changed.profile = study.profile.model_copy(update={"training": faster})
        assert self.again(changed, tmp_path).stored_runs(specs) == {}
        file = tmp_path / "results/test/budgets.csv"
        file.write_text(file.read_text().replace("ok", "OK"))
        assert self.again(study, tmp_path).stored_runs(specs) == {}
        assert "does not match its checksum" in caplog.text

    def test_fresh_and_live_ignore_them(self, study, specs, tmp_path, monkeypatch) -> None:
        assert self.again(study, tmp_path, live=True).stored_runs(specs) == {}
        monkeypatch.setenv("TIS_FRESH", "1")
        assert self.again(study, tmp_path).stored_runs(specs) == {}
        assert self.again(study, tmp_path, compute=False).stored_runs(specs) != {}

    def test_recheck_runs_a_sample_and_finds_what_differs(self, study, specs, tmp_path) -> None:
        checked = recheck(self.again(study, tmp_path), specs, share=0.3, seed=4)
        drawn = checked[["task", "selector", "budget"]].drop_duplicates()
        assert len(drawn) == int(np.ceil(0.3 * len(specs)))
        assert checked["difference"].abs().max() < 1e-6
        assert checked["same_subset"].all()
        file = tmp_path / "results/test/budgets.csv"
        table = pd.read_csv(file)
        table.loc[table["budget"] == 2, "subset"] = "other examples"
        payload = table.assign(value=table["value"] + 0.25).to_csv(index=False).encode()  # numbers that are not true
        file.write_bytes(payload)
        manifest = file.with_suffix(".json")
        facts = json.loads(manifest.read_text()) | {"sha256": hashlib.sha256(payload).hexdigest()}
        manifest.write_text(json.dumps(facts))
        checked = recheck(self.again(study, tmp_path), specs, share=1.0, seed=4)
        np.testing.assert_allclose(checked["difference"].dropna(), -0.25, atol=1e-6)
        assert (checked["same_subset"] == (checked["budget"] != 2)).all()

    def test_without_stored_features_a_study_that_may_not_compute_says_so(self, study, tmp_path) -> None:
        with pytest.raises(RunError, match=r"The rds features of profile 'test' are not stored.*tis represent -R rds"):
            self.again(study, tmp_path, compute=False).features("rds")


def test_a_distance_after_the_selector_is_the_option_of_that_name():
    study = Study(load_profile("smoke", tasks=["words"], pool_size=200))
    S, candidates = study.similarity("embed", "words"), study.features("embed")[0]
    for name in ("knn_uniform", "knn_kde"):
        spec = RunSpec("words", "embed", f"{name}@euclidean", 8, seed=0)
        expected = select(name, S, 8, candidates=candidates, distance="euclidean")
        np.testing.assert_array_equal(study.picks(spec), expected)
        plain = RunSpec("words", "embed", name, 8, seed=0)
        assert study.recipe(spec)["versions"] == study.recipe(plain)["versions"]
        assert study.recipe(spec) != study.recipe(plain)
    with pytest.raises(InputError, match="manhattan"):
        study.picks(RunSpec("words", "embed", "knn_kde@manhattan", 8, seed=0))
    with pytest.raises(InputError, match="distance"):
        study.picks(RunSpec("words", "embed", "uot@euclidean", 8, seed=0))
