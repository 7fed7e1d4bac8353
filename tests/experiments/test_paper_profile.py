"""A profile of the paper from end to end: a random model of two layers, parquet files in place of the Hub."""

from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import pytest
import torch
import yaml
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests_support import byte_tokenizer
from tis_utils.errors import InputError
from tis_utils.examples import benchmarks
from tis_utils.experiments.grids import specs_of
from tis_utils.experiments.run_spec import NONE, RunSpec, grid
from tis_utils.experiments.study import Study
from tis_utils.profiles import Profile, load_profile
from tis_utils.storage.cache import Store

NAME = "paper/qwen3-4b-dolci"
CHATS = [
    [{"role": "user", "content": f"say {i}"}, {"role": "assistant", "content": str(i) * (1 + i % 3)}] for i in range(24)
]
THEIRS = [5, 3, 20]


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """The profile as a user would shrink it: a file that extends it, with files of this folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("TIS_RUN_CODE", "1")  # noise of a model with random weights
    save_model(tmp_path / "model")
    rows = pd.DataFrame({"id": [f"c{i}" for i in range(24)], "messages": CHATS})
    problems = benchmarks.held_out("codex")[:4]
    tables = {
        "pool/train": rows,
        "warmup/train": rows.iloc[:6].assign(id=[f"w{i}" for i in range(6)]),
        "theirs/less_rr_bbh_10000/train": rows.iloc[THEIRS],
        "queries/bbh/dev": pd.DataFrame({"prompts": ["say 5", "say 6"], "labels": ["5", "6"]}),
        "queries/bbh/test": pd.DataFrame({"prompts": ["say 7"], "labels": ["7"]}),
        "queries/codex/dev": pd.DataFrame({"prompts": [p.prompt for p in problems[:2]], "labels": ["1", "2"]}),
        "queries/codex/test": pd.DataFrame({"prompts": [p.prompt for p in problems[2:]], "labels": ["3", "4"]}),
    }
    for name, table in tables.items():
        file = tmp_path / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(file)
    settings = {
        "extends": NAME, "name": "mine", "model": str(tmp_path / "model"), "embedder": "minilm",
        "pool": str(tmp_path / "pool"), "warmup_set": str(tmp_path / "warmup"), "queries": str(tmp_path / "queries"),
        "pool_size": 24, "n_queries": 2, "n_test": 1, "tasks": ["bbh", "codex"], "budgets": [2], "seeds": [0],
        "metrics": {"bbh": "exact_match", "codex": "pass@2:samples=2,new_tokens=4,top_p=0.95"},
        "published": [f"{tmp_path / 'theirs'}:less_rr_{{task}}_10000"],
        "max_length": 128, "training": {"batch_size": 2, "epochs": 1}, "less": {"rank": 2, "epochs": 2, "dim": 32},
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return load_profile(tmp_path / "mine.yaml")


def save_model(folder: Path) -> None:
    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=4096,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.slow  # trains eleven times, and MiniLM is loaded
def test_a_profile_of_the_paper_runs_from_end_to_end(profile: Profile, tmp_path: Path) -> None:
    study = Study(profile, Store(tmp_path / "store"))
    assert (profile.dtype, profile.training.gradient_checkpointing) == ("bfloat16", True)
    methods = [(name, "round_robin") for name in ("embed", "rds", "less")]
    rows = study.run(grid(profile.tasks, methods, profile.budgets, profile.seeds), jobs=1)
    assert set(rows["status"]) == {"ok"}
    assert set(rows["metric"]) == {"query_loss", "test_loss", "exact_match", "pass@2"}
    less = study.pool_features("less").representation
    less.load(next((tmp_path / "store" / "warmups").glob("*/warmup.json")).parent)
    assert less.warmup_ids == [f"w{i}" for i in range(6)]
    theirs = study.run(specs_of("published", profile, ["bbh"]), jobs=1)
    assert set(theirs["selector"]) == {NONE, "random", f"published@{tmp_path / 'theirs'}:less_rr_bbh_10000"}


def test_fine_tuning_on_the_subset_of_others(profile: Profile, tmp_path: Path) -> None:
    study = Study(profile, Store(tmp_path / "store"))
    (spec,) = [s for s in specs_of("published", profile, ["bbh"]) if s.selector.startswith("published@")]
    assert study.picks(spec).tolist() == THEIRS[:2]
    assert study.recipe(spec)["chooser"] == {"picks": ["c5", "c3"]}
    assert set(study.run([spec], jobs=1)["metric"]) == {"query_loss", "test_loss", "exact_match"}
    with pytest.raises(InputError, match=r"Budget 4 is larger than the published subset .* of 3 rows"):
        study.picks(RunSpec("bbh", NONE, spec.selector, 4, 0))
    with pytest.raises(InputError, match="Say published@NAME"):
        study.picks(RunSpec("bbh", NONE, "published", 2, 0))


def test_a_profile_without_published_subsets_says_how_to_name_them() -> None:
    with pytest.raises(InputError, match="'smoke' names no published subsets"):
        specs_of("published", load_profile("smoke"))


def test_shards_of_a_grid_are_all_of_it() -> None:
    profile = load_profile(NAME)
    parts = [specs_of("budgets", profile, (), (i, 4)) for i in range(4)]
    assert sorted(spec for part in parts for spec in part) == sorted(specs_of("budgets", profile))
