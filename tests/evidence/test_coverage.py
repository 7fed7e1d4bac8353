"""Do 95 % intervals hold the truth in 95 of 100 data sets like ours? Simulated with run-level noise, three seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from tis_utils.evidence import statistics as stats
from tis_utils.evidence.claims import judged

SETS, SEEDS = 1000, 3
Interval = Callable[[np.ndarray], tuple[float, float]]


def leads(rng: np.random.Generator, units: int, between: float, seeds: float) -> np.ndarray:
    """Mean over seeds of a lead whose mean over all units is 1, in each of `units` tasks (or models)."""
    effect = 1 + between * rng.normal(size=(units, 1))
    return (effect + seeds * rng.normal(size=(units, SEEDS))).mean(axis=1)


def coverage(units: int, between: float, seeds: float, interval: Interval) -> float:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(SETS):
        low, high = interval(leads(rng, units, between, seeds))
        hits += low < 1 < high
    return hits / SETS


# the published leads of LESS over Random: loss differs between tasks, the score as much between seeds
WORLDS = [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.3, 1.0)]


@pytest.mark.parametrize(("between", "seeds"), WORLDS)
@pytest.mark.parametrize("units", [3, 4, 5, 10])
def test_the_interval_holds_the_truth_as_often_as_it_says(units: int, between: float, seeds: float) -> None:
    found = coverage(units, between, seeds, lambda values: stats.mean_estimate(values)[1:])
    assert 0.93 <= found <= 0.97


def test_without_the_widening_for_few_units_it_would_not() -> None:
    def bootstrap(values: np.ndarray) -> tuple[float, float]:
        rng = np.random.default_rng(1)
        return stats.percentiles(rng.choice(values, (400, len(values))).mean(axis=1))

    def normal(values: np.ndarray) -> tuple[float, float]:
        half = norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(len(values))
        return values.mean() - half, values.mean() + half

    assert 0.79 < coverage(5, 1, 1, bootstrap) < 0.87
    assert 0.84 < coverage(5, 1, 1, normal) < 0.91


def test_noise_of_seeds_is_counted_once() -> None:
    """Adding it to means that hold it already, as a parametric bootstrap does, covers far too often."""

    def twice(values: np.ndarray) -> tuple[float, float]:
        rng = np.random.default_rng(1)
        noisy = values + rng.normal(size=(400, len(values))) / np.sqrt(SEEDS)
        means = np.take_along_axis(noisy, rng.integers(len(values), size=noisy.shape), axis=1).mean(axis=1)
        low, middle, high = np.quantile(means, [0.025, 0.5, 0.975])
        factor = 1.58  # Student's for five
        return middle - factor * (middle - low), middle + factor * (high - middle)

    assert coverage(5, 0, 1, twice) > 0.98


def test_over_models_on_the_same_tasks() -> None:
    """Source "paper": five models, tasks and pools fixed; tasks differ a lot, and that is no error."""
    rng, hits = np.random.default_rng(0), 0
    task = rng.normal(size=(1, 5, 1, 1))
    truth = 1 + task.mean()
    for _ in range(SETS):
        model = 0.3 * rng.normal(size=(5, 1, 1, 1))
        noise = rng.normal(size=(5, 5, 2, SEEDS)).mean(axis=-1, keepdims=True)
        line = judged(1 + task + model + noise, "points")
        hits += line["low"] < truth < line["high"]
    assert 0.93 <= hits / SETS <= 0.97


def test_a_claim_of_being_best_is_hardly_ever_shown_or_refuted_wrongly() -> None:
    """Seven rivals that are equally good: "best of all" is false, and so is "some rival is better"."""
    rng, shown, refuted = np.random.default_rng(0), 0, 0
    for _ in range(SETS):
        values = rng.normal(size=(1, 5, 1, 7)) + rng.normal(size=(1, 5, 1, 1))
        grade = judged(values, "points")["grade"]
        shown, refuted = shown + (grade == "shown"), refuted + (grade == "refuted")
    assert shown / SETS <= 0.025
    assert refuted / SETS <= 0.05
