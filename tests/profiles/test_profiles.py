from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tis_utils.errors import InputError
from tis_utils.evidence.published import MODELS, POOLS
from tis_utils.examples import hub
from tis_utils.profiles import Training, load_profile, names
from tis_utils.profiles.metrics import options_of


@pytest.mark.parametrize("name", names())
def test_the_shipped_profiles_are_valid_and_carry_their_name(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert list(profile.budgets) == sorted(set(profile.budgets))
    assert max(profile.budgets) <= profile.pool_size


def test_the_paper_profile_has_the_papers_values() -> None:
    paper = load_profile("paper")
    assert paper.budgets == (500, 1000, 2500, 5000, 10000)
    assert (paper.training.epochs, paper.training.learning_rate, paper.training.batch_size) == (2, 2e-5, 128)
    assert (paper.less.rank, paper.less.alpha, paper.less.dim) == (128, 512, 8192)
    assert paper.less.sketch == "rademacher"
    assert paper.representations == ("embed", "rds", "less")
    assert paper.embed_prompt == "Instruct: Given a sample, find the passages closest to that sample.\nQuery: "


def test_overrides_replace_values_and_none_keeps_them() -> None:
    profile = load_profile("classroom", budgets=[5, 7], pool_size=None, tasks="words")
    assert profile.budgets == (5, 7)
    assert profile.tasks == ("words",)
    assert profile.pool_size == load_profile("classroom").pool_size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bugdets": [1]}, r"unknown key 'bugdets'; did you mean 'budgets'\?"),
        ({"less": {"rnk": 3}}, r"unknown key 'less\.rnk'"),
        ({"budgets": [-5]}, r"budgets\.0 = -5 is not possible"),
        ({"budgets": 0}, r"with other budgets: budgets\.0 = 0 is not possible: [^.]*\.$"),
        ({"budgets": []}, "budgets"),
        ({"pool_size": "many"}, "pool_size = 'many' is not possible"),
        ({"seeds": [-1]}, r"seeds\.0 = -1"),
        ({"dtype": "float8"}, "dtype = 'float8'"),
        ({"representations": "bert"}, r"representations\.0 = 'bert' is not possible"),
        ({"representations": ["rds", "rds"]}, "'rds' is repeated"),
        ({"representations": []}, "representations"),
    ],
)
def test_impossible_values_are_one_clear_sentence(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_profile("classroom", **change)


def test_unknown_profiles_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="no profile 'clasroom'.*" + ", ".join(names())):
        load_profile("clasroom")
    with pytest.raises(InputError, match="does not exist"):
        load_profile("nowhere/mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("name: [", "not valid YAML"), ("- a\n- b\n", "must be a mapping"), ("name: mine\n", "key 'model' is missing")],
)
def test_broken_profile_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_profile(path)


def test_micro_batches_must_fill_the_batch() -> None:
    with pytest.raises(ValidationError, match="micro_batch_size 4 must divide batch_size 10"):
        Training(batch_size=10, micro_batch_size=4)
    assert Training(batch_size=4, micro_batch_size=100).batch_size == 4


def test_the_paper_has_five_models_on_two_pools() -> None:
    settings = {f"paper/{model.removesuffix('-base')}-{pool}" for model in MODELS for pool in POOLS}
    assert {name for name in names() if name.startswith("paper/")} == settings


def differences(a: str, b: str) -> dict[str, Any]:
    one, other = load_profile(a).model_dump(), load_profile(b).model_dump()
    return {key: value for key, value in other.items() if value != one[key]}


def test_the_pool_of_a_setting_decides_the_same_whatever_the_model() -> None:
    changes = []
    for name in names():
        if name.endswith("-tulu"):
            change = differences(name, name.replace("-tulu", "-dolci"))
            changes.append({key: value for key, value in change.items() if key not in ("name", "description")})
    assert changes == [changes[0]] * 5
    assert changes[0] | {"pool": hub.POOLS["dolci"], "pool_size": 200_000, "max_length": 4096} == changes[0]
    assert set(changes[0]) == {"pool", "pool_size", "max_length", "warmup_set", "published"}
    assert set(differences("paper", "paper/llama2-7b-tulu")) == {"name", "description", "published"}


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{next(iter(texts))}.yaml"


def test_a_profile_builds_on_another_one_and_says_only_what_differs(tmp_path: Path) -> None:
    mine = write(
        tmp_path,
        mine="extends: theirs.yaml\nname: mine\nbudgets: [7]\nless: {rank: 3}\nmetrics: {words: none}\n",
        theirs="extends: smoke\nname: theirs\ntraining: {epochs: 5}\nmetrics: {pick: none}\n",
    )
    profile, smoke = load_profile(mine, seeds=4), load_profile("smoke")
    assert (profile.name, profile.budgets, profile.seeds, profile.pool_size) == ("mine", (7,), (4,), smoke.pool_size)
    assert profile.less == smoke.less.model_copy(update={"rank": 3})
    assert profile.training == smoke.training.model_copy(update={"epochs": 5})
    assert profile.metrics == {"words": "none", "pick": "none"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"a": "extends: a.yaml\n"}, r"a\.yaml extends itself \(.*a\.yaml → a\.yaml\)"),
        ({"a": "extends: b.yaml\n", "b": "extends: a.yaml\n"}, r"extends itself \(.*a\.yaml → b\.yaml → a\.yaml\)"),
        ({"a": "extends: b.yaml\n", "b": "extends: gone\n"}, r"is missing \(.*a\.yaml → b\.yaml → gone\).*classroom"),
        ({"a": "extends: ./gone.yaml\n"}, r"is missing \(.*gone\.yaml\).*does not exist"),
        ({"a": "extends: [smoke]\n"}, r"extends = \['smoke'\] is not possible"),
        ({"a": "extends: smoke\nmetrics: {chess: none}\n"}, "metrics names 'chess'"),
        ({"a": "extends: smoke\ntraining: {epoch: 2}\n"}, r"'training\.epoch'; did you mean 'epochs'"),
    ],
)
def test_what_cannot_be_extended_is_said_with_the_way_there(texts: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_profile(write(tmp_path, **texts))


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("exact_match", {}),
        ("pass@10", {}),
        ("pass@10:samples=10,top_p=0.95", {"samples": 10, "top_p": 0.95}),
        ("lm_eval:mmlu_pro:exact_match:shots=0,chat=1", {"shots": 0, "chat": 1}),
    ],
)
def test_metrics_may_carry_options(metric: str, options: dict) -> None:
    assert load_profile("smoke", metrics={"words": metric}).metrics == {"words": metric}
    assert options_of(metric) == options


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("pass@10:shots=3", "no option 'shots'; known: samples"),
        ("pass@2:samples=2.5", "2.5"),
        ("none:a=1", "there is no"),
    ],
)
def test_options_that_a_metric_does_not_have(metric: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_profile("smoke", metrics={"words": metric})


def test_gradient_checkpointing_is_in_no_key() -> None:
    assert "gradient_checkpointing" not in Training(gradient_checkpointing=True).model_dump()


def test_files_and_folders_are_named_relative_to_the_profile(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "base" / "tiny").mkdir(parents=True)
    (tmp_path / "base" / "own model").mkdir()
    (tmp_path / "base" / "pool #1.jsonl").touch()
    lines = ["extends: smoke", "model: own model", "proxy: tiny", "pool: 'pool #1.jsonl'", "queries: ./none"]
    (tmp_path / "base" / "low.yaml").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "top.yaml").write_text("extends: base/low.yaml\nembedder: org/name\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    settings = load_profile("top.yaml")
    assert settings.model == str(tmp_path / "base" / "own model")
    assert settings.pool == str(tmp_path / "base" / "pool #1.jsonl")
    assert settings.queries == str(tmp_path / "base" / "none")  # a later message names the place that was meant
    assert (settings.proxy, settings.embedder) == ("tiny", "org/name")
