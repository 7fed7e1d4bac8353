from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests_support import example, query
from tis_utils.models.load import LanguageModel
from tis_utils.own_data import cost
from tis_utils.representations import LESS
from tis_utils.representations.pool_features import PoolFeatures
from tis_utils.storage.cache import Store

POOL = [example("word " * (1 + i % 7), name=f"e{i}") for i in range(120)]


class Slow:
    """A hundredth of a second for every hundred letters."""

    show_progress = True
    settings = {"representation": "slow"}  # noqa: RUF012

    def __init__(self, speed: float = 1e-4) -> None:
        self.speed = speed

    def candidates(self, examples) -> np.ndarray:
        time.sleep(self.speed * sum(len(cost.chat_text(e)) for e in examples))
        return np.zeros((len(examples), 3), dtype=np.float32)


def test_the_estimate_follows_the_letters_of_the_whole_pool() -> None:
    seconds, width = cost.measured(Slow(), POOL, [query("x" * 1000)])
    letters = sum(len(cost.chat_text(e)) for e in POOL) + 1000
    assert width == 3
    assert seconds == pytest.approx(1e-4 * letters, rel=0.3)


def test_less_is_measured_without_touching_it(random_model: LanguageModel) -> None:
    less = LESS(random_model, rank=2, epochs=3, dim=16, warmup_fraction=0.5)
    seconds, width = cost.measured(less, POOL, [query("x")])
    assert width == 48
    assert seconds > 0
    assert (less.history, less.recipe.epochs, less.show_progress) == ([], 3, True)


def job(tmp_path: Path, speed: float, pool: list) -> PoolFeatures:
    return PoolFeatures("rds", Slow(speed), pool, [query("x")], Store(tmp_path))  # type: ignore[arg-type]


def test_only_what_takes_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "WORTH_TELLING", 0.5)
    text = cost.in_words(job(tmp_path, 1e-4, POOL))
    assert text
    assert "rds: about 1 s for 120 candidates, measured on 8 of them" in text
    assert cost.in_words(job(tmp_path, 1e-6, POOL)) is None
    assert cost.in_words(job(tmp_path, 1e-4, POOL[:50])) is None


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert cost._duration(seconds) == text
