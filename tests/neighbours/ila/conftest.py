"""A study with given embeddings, and tables of designed subsets with a known effect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests_support import example, query
from tis_utils.examples.load import Data
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import designed_subsets as ila_subsets
from tis_utils.neighbours.ila import selector as ila
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
    study = Study(profile, Store(tmp_path / "cache"))
    pool = [example(chr(97 + i % 26) * (1 + i % 4), prompt=f"count {i}", name=f"e{i}") for i in range(N)]
    test = {"digits": [query("888"), query("999")], "letters": [query("zzz")]}
    study.__dict__["data"] = Data(pool, test, test)
    study._features["embed"] = (np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32), {})
    monkeypatch.setattr(ila, "embed_key", lambda study: {"given": "embeddings"})
    monkeypatch.setattr(ila_subsets, "DESIGNED", 12)
    monkeypatch.setattr(shipped, "RESULTS", tmp_path / "results")
    return study


def subsets_with(effect: float, seed: int = 0, n: int = 120) -> pd.DataFrame:
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


@pytest.fixture
def made_up_subsets() -> Callable[..., pd.DataFrame]:
    """Make a design and runs of which coverage and depth explain as much as is asked for."""
    return subsets_with
