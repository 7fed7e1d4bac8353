"""R² in and out of sample against refits, and over designed subsets."""

from __future__ import annotations

import numpy as np
import pytest

from tis_utils.errors import InputError
from tis_utils.neighbours.ila.regression import (
    FOLDS,
    REPEATS,
    design,
    explained,
    explained_text,
    noise_share,
    regress,
    slopes,
)


def made_up(seed: int, noise: float, n: int = 25) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.random((n, 2))
    return 3 - X @ [2.0, 1.0] + noise * rng.normal(size=n), X


def refit(y: np.ndarray, X: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Normal equations without the rows that are `out`, predicted for them."""
    design = np.column_stack([np.ones(len(y)), X])
    A, b = design[~out], y[~out]
    return design[out] @ np.linalg.solve(A.T @ A, A.T @ b)


@pytest.mark.parametrize("noise", [0.01, 0.3, 3.0])
def test_leave_one_out_is_n_refits(noise: float) -> None:
    y, X = made_up(1, noise)
    found = regress(y, X)
    predicted = np.array([refit(y, X, np.arange(len(y)) == i)[0] for i in range(len(y))])
    np.testing.assert_allclose(found.left_out, predicted)
    total = ((y - y.mean()) ** 2).sum()
    assert found.leave_one_out == pytest.approx(1 - ((y - predicted) ** 2).sum() / total)
    assert found.in_sample == pytest.approx(np.corrcoef(refit_all(y, X), y)[0, 1] ** 2)
    assert found.leave_one_out < found.in_sample


def refit_all(y: np.ndarray, X: np.ndarray) -> np.ndarray:
    design = np.column_stack([np.ones(len(y)), X])
    return design @ np.linalg.lstsq(design, y)[0]


def test_cross_validation_is_the_mean_over_refits_of_random_folds() -> None:
    y, X = made_up(2, 0.3)
    rng, values = np.random.default_rng(5), []
    for _ in range(REPEATS):
        fold = rng.permutation(len(y)) % FOLDS
        predicted = np.empty(len(y))
        for k in range(FOLDS):
            predicted[fold == k] = refit(y, X, fold == k)
        values.append(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert regress(y, X, seed=5).cross_validated == pytest.approx(np.mean(values))


def test_coefficients_are_per_standard_deviation_and_noise_explains_nothing() -> None:
    y, X = made_up(3, 0.0)
    found = regress(y, X)
    np.testing.assert_allclose(found.coefficients, [y.mean(), *(-np.array([2, 1]) * X.std(axis=0))])
    assert found.in_sample == found.leave_one_out == pytest.approx(1)
    rng = np.random.default_rng(0)
    by_chance = [regress(rng.normal(size=25), X).leave_one_out for _ in range(50)]
    assert np.mean(by_chance) < 0  # in-sample R² would be positive every time


@pytest.mark.parametrize(
    ("y", "X", "message"),
    [
        (np.arange(9.0), np.random.default_rng(0).random((9, 2)), "at least 10 rows"),
        (np.full(12, np.nan), np.random.default_rng(0).random((12, 2)), "without missing values"),
        (np.ones(12), np.random.default_rng(0).random((12, 2)), "the loss is constant"),
        (np.arange(12.0), np.column_stack([np.arange(12.0), np.ones(12)]), "a predictor is constant"),
        (np.arange(12.0) ** 2, np.column_stack([np.arange(12.0), -np.arange(12.0)]), "collinear"),
    ],
)
def test_what_cannot_be_regressed(y: np.ndarray, X: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        regress(y, X)


def test_r_squared_is_found_where_it_is_and_not_where_it_is_not(made_up_subsets) -> None:
    strong, none = (explained(made_up_subsets(effect), "tasks", draws=300) for effect in (1.0, 0.0))
    assert (strong["value"] > 0.9).all()
    assert none.loc["in-sample", "value"] > 0 > none.loc["leave-one-out", "value"]
    for found in (strong, none):
        assert (found["low"] < found["high"]).all()


def test_slopes_and_noise(made_up_subsets) -> None:
    rows = made_up_subsets(1.0)
    found = slopes(rows, "tasks", draws=200)
    spread = rows.loc[rows["name"] == "designed", ["coverage", "depth"]].std(ddof=0)
    np.testing.assert_allclose(found["value"], -spread, atol=0.05)  # the loss falls by 1 from 0 to 1
    assert (found["high"] < 0).all()
    assert noise_share(made_up_subsets(0.0), "tasks") == pytest.approx(1, abs=0.4)
    assert noise_share(rows, "tasks") < 0.2


def test_the_printed_table_holds_the_numbers_of_the_parts(made_up_subsets) -> None:
    rows = made_up_subsets(1.0)
    text = explained_text(rows, {"tasks": "all tasks"})
    whole, alone = explained(rows, "tasks"), regress(design(rows)["tasks"], design(rows)[["depth"]])
    assert text["all tasks", "leave-one-out"].startswith(
        f"{whole.loc['leave-one-out', 'value']:+.2f}".replace("-", "−")
    )
    assert text["all tasks", "depth alone, leave-one-out"] == f"{alone.leave_one_out:+.2f}".replace("-", "−")
    assert text["all tasks", "training noise, share of the variance"] == f"{noise_share(rows, 'tasks'):.2f}"
    assert text["the authors' rows, refitted", "leave-one-out"] == "+0.56 (49 rows)"
