"""Does a selection beat random subsets: the runs, and what is said of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tis_utils.cli import app
from tis_utils.errors import InputError, RunError
from tis_utils.examples.load import load_data
from tis_utils.experiments.run_spec import NONE, RunSpec, zero_shot
from tis_utils.experiments.study import Study
from tis_utils.own_data import compare as module
from tis_utils.own_data.compare import compare
from tis_utils.own_data.verdict import RANDOM, UNTUNED, judge
from tis_utils.profiles import load_profile
from tis_utils.storage.cache import Store

BASE = np.linspace(1.0, 2.0, 40)  # losses of the held-out examples: some are harder than others


def losses(lead: float, *, draws: float = 0.01, examples: float = 0.0) -> dict[str, np.ndarray]:
    """A method that is `lead` below Random on average, more so on some examples."""
    tilt = examples * np.where(np.arange(len(BASE)) % 2, 1.0, -1.0)
    spread = draws * np.array([-1.0, 0.0, 1.0])
    return {"A": BASE[None] - lead + tilt, RANDOM: BASE + spread[:, None], UNTUNED: BASE[None] + 0.2}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (losses(0.3), "A: 0.3000 nats per token below Random.*Better than Random on these held-out examples"),
        (losses(-0.3), "A: 0.3000 nats per token above Random.*Worse than Random: do not use"),
        (losses(0.04), "inside seed noise, draws of Random alone would make up to 0.0497"),
        (losses(0.06, examples=0.5), "Open: beyond seed noise, but other held-out examples"),
    ],
)
def test_the_verdict_weighs_both_kinds_of_chance(given: dict[str, np.ndarray], words: str) -> None:
    result = judge(given)
    assert re.search(words, result.sentences[0]), result.sentences
    row = result.table.set_index("method").loc["A"]
    assert row["below_random"] == pytest.approx(result.table["held_out_loss"][1] - row["held_out_loss"])
    assert row["low"] < row["held_out_loss"] < row["high"]
    assert "Fine-tuning helps" in result.sentences[1]


def test_another_draw_of_random_is_told_from_random_in_one_of_twenty_cases() -> None:
    rng, false = np.random.default_rng(0), 0
    for _ in range(400):
        runs = rng.normal(size=4)
        rows = BASE + 0.1 * runs[:, None]
        false += "inside seed noise" not in judge({"A": rows[:1], RANDOM: rows[1:], UNTUNED: BASE[None]}).sentences[0]
    assert 8 <= false <= 32


def test_examples_without_an_answer_are_counted_and_a_diverged_run_is_an_error() -> None:
    given = losses(0.3)
    for rows in given.values():
        rows[:, 3] = np.nan
    result = judge(given)
    assert result.warnings == ["Left out: 1 of the held-out examples have no answer within the longest text."]
    assert np.isfinite(result.table["held_out_loss"]).all()
    given["A"][0, 5] = np.nan
    with pytest.raises(RunError, match="A: a fine-tuning run diverged"):
        judge(given)
    given[UNTUNED][:] = np.nan
    with pytest.raises(InputError, match="Only 0 of 40 held-out examples have an answer"):
        judge(given)


def test_training_that_does_not_help_is_said() -> None:
    given = losses(0.0)
    given[UNTUNED] -= 0.5
    assert "does not visibly help" in judge(given).sentences[-1]


@pytest.fixture(scope="module")
def data():
    return load_data(load_profile("smoke", tasks=["words"]))


def arguments(data, **changes):
    test = [replace(q, id=f"t{i}") for i, q in enumerate(data.test["words"][:6])]
    given = {"methods": ["lexical/uot"], "budget": 10, "settings": load_profile("smoke"), "draws": 2, "jobs": 1}
    return (data.pool[:60], data.queries["words"], test), given | changes


@pytest.mark.slow
def test_a_comparison_is_the_runs_of_a_study_and_a_second_one_trains_nothing(data, tmp_path: Path, monkeypatch) -> None:
    (pool, queries, test), given = arguments(data)
    table = compare(pool, queries, test, store=Store(tmp_path), **given).table
    assert table["method"].tolist() == ["UOT on Lexical", RANDOM, UNTUNED]
    assert table["runs"].tolist() == [1, 2, 1]
    changes = {"tasks": ("target",), "metrics": {"target": "none"}}
    own = replace(data, pool=pool, queries={"target": queries}, test={"target": test})
    study = Study(load_profile("smoke").model_copy(update=changes), Store(tmp_path), data=own, live=True)
    specs = [RunSpec("target", "lexical", "uot", 10, 0), zero_shot("target")]
    specs += [RunSpec("target", NONE, "random", 10, seed) for seed in range(2)]
    rows = study.run(specs, jobs=1).query("metric == 'test_loss'").set_index(["selector"])["value"]
    want = [rows["uot"], rows["random"].mean(), rows["none"]]
    assert table["held_out_loss"].tolist() == pytest.approx(want, rel=1e-6)
    monkeypatch.setattr(module, "_train_and_measure", lambda *_: pytest.fail("trained again"))
    again = compare(pool, queries, test, store=Store(tmp_path), **given).table
    assert again.equals(table)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A pool, queries and held-out examples as files."""
    folder = tmp_path_factory.mktemp("files")
    for name, key, count in (("pool", "response", 12), ("queries", "label", 3), ("held", "label", 4)):
        rows = [{"prompt": f"{name} {i}: what is {i} plus {i}?", key: str(2 * i)} for i in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def run(files: Path, *words: str, test: str = "held") -> tuple[int, str]:
    names = {"pool": "pool", "queries": "queries", "test": test}
    places = [word for option, name in names.items() for word in (f"--{option}", str(files / f"{name}.jsonl"))]
    done = CliRunner().invoke(app, ["compare", *places, "-P", "smoke", "-j", "1", *words])
    return done.exit_code, done.output + str(done.exception or "")


@pytest.mark.slow
def test_the_command_prints_the_table_and_the_report_has_it(files: Path, monkeypatch) -> None:
    monkeypatch.setenv("TIS_CACHE", str(files / "cache"))
    words = ("--methods", "lexical/uot,lexical/round_robin", "-B", "25%", "--draws", "2", "-o", str(files / "s.jsonl"))
    code, output = run(files, *words)
    assert code == 0, output
    for word in ("UOT on Lexical", "Round-robin on Lexical", RANDOM, UNTUNED, "nats per token", "held_out_loss"):
        assert word in output
    assert len((files / "s.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    page = (files / "s.html").read_text(encoding="utf-8")
    assert "What a model learns from it" in page
    assert page.count("<td>UOT on Lexical</td>") == 1
    assert "is not known before" not in page


def test_a_file_that_was_seen_is_no_held_out_one(files: Path) -> None:
    code, output = run(files, test="queries")
    assert code != 0
    assert "what a method has seen says nothing" in output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 60}, "every method would take the same. Choose a --budget from 1 to 59"),
        ({"budget": 0}, "Budget 0"),
        ({"draws": 1}, "1 draws of Random"),
        ({"methods": ["random"]}, "leave it out of --methods"),
        ({"methods": ["less/nope"]}, "Unknown selector 'nope'"),
        ({"methods": ["bert/uot"]}, "Unknown representation 'bert'"),
        ({"methods": []}, "at least one method"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(data, changes, message, monkeypatch) -> None:
    (pool, queries, test), given = arguments(data, **changes)
    monkeypatch.setattr(module, "_losses", lambda *_: pytest.fail("trained"))
    with pytest.raises(InputError, match=message):
        compare(pool, queries, test, **given)


def test_held_out_examples_that_are_in_the_pool_are_named(data, monkeypatch) -> None:
    (pool, queries, test), given = arguments(data)
    monkeypatch.setattr(module, "_losses", lambda *_: losses(0.3))
    monkeypatch.setattr(module, "contaminated", lambda *_: {2: 1})
    result = compare(pool, queries, test, **given)
    assert any("1 candidates" in warning and pool[2].id in warning for warning in result.warnings)
    assert not any("Among the queries" in warning for warning in result.warnings)
    result = compare(pool, queries, [*test, queries[0]], **given)
    assert any(f"1 examples (for instance {queries[0].id})" in warning for warning in result.warnings)
    assert "Better than Random" in result.text
