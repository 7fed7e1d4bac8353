"""How much of the loss coverage and depth explain, over the designed subsets."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tis_utils.errors import InputError
from tis_utils.evidence.statistics import Estimate, Floats, percentiles
from tis_utils.neighbours.ila.coverage_depth import Ints
from tis_utils.neighbours.ila.designed_subsets import TARGETS

FOLDS, REPEATS = 5, 20  # of the cross-validation
LEAST_ROWS = 2 * FOLDS
CLAIMED = 0.7  # share of the variance of the dev loss that the authors say coverage and depth explain
# Least squares refitted to the rows that the authors published, no run of ours.
REFIT = pd.DataFrame(
    {"rows": [49, 49], "value": [0.71, 0.56]}, index=pd.Index(["in-sample", "leave-one-out"], name="R²")
)


# --- one linear model --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regression:
    """A linear model of the loss; predictors are standardised, so a coefficient is nats per standard deviation."""

    coefficients: Floats  # (1 + P,) intercept first
    in_sample: float  # R², as the two below
    cross_validated: float
    leave_one_out: float
    folded: Floats  # (20, n) prediction of each row from the other folds, once per split
    left_out: Floats  # (n,) prediction of each row from all others


def regress(loss: ArrayLike, predictors: ArrayLike, *, seed: int = 0) -> Regression:
    """Least squares of the loss, (n,), on predictors, (n, P), judged in sample, by folds and by leaving one row out.

    R² is 1 − squared error / squared deviation from the mean of all losses; out of sample it can be negative.
    """
    y, X = np.asarray(loss, dtype=float), np.asarray(predictors, dtype=float)
    _check(y, X)
    A = standardised(X)  # (n, 1 + P)
    q, r = np.linalg.qr(A)
    fitted = q @ (q.T @ y)  # (n,)
    left_out = y - (y - fitted) / (1 - (q * q).sum(axis=1))  # what a refit without the row predicts for it
    rng = np.random.default_rng(seed)
    folded = np.array([_folded(y, A, rng.permutation(len(y)) % FOLDS) for _ in range(REPEATS)])  # (20, n)
    return Regression(
        np.linalg.solve(r, q.T @ y),
        float(r_squared(y, fitted)),
        float(r_squared(y, folded).mean()),
        float(r_squared(y, left_out)),
        folded,
        left_out,
    )


def standardised(X: Floats) -> Floats:
    """A column of ones, and the columns of X with mean 0 and standard deviation 1, (n, 1 + P)."""
    return np.column_stack([np.ones(len(X)), (X - X.mean(axis=0)) / X.std(axis=0)])


def r_squared(loss: Floats, predicted: Floats) -> Floats:
    """1 − squared error / squared deviation from the mean, along the last axis: (..., n) -> (...)."""
    spread = ((loss - loss.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    return np.asarray(1 - ((loss - predicted) ** 2).sum(axis=-1) / spread)


def _folded(y: Floats, A: Floats, fold: Ints) -> Floats:
    """Predict every row from the other folds."""
    predicted = np.empty(len(y))  # (n,)
    for k in np.unique(fold):
        out = fold == k
        predicted[out] = A[out] @ np.linalg.lstsq(A[~out], y[~out])[0]
    return predicted


def _check(y: Floats, X: Floats) -> None:
    if X.ndim != 2 or len(X) != len(y) or len(y) < LEAST_ROWS or not (np.isfinite(y).all() and np.isfinite(X).all()):
        raise InputError(
            f"The regression needs at least {LEAST_ROWS} rows without missing values, as many losses as rows; found "
            f"{len(y)} losses and predictors of shape {X.shape}."
        )
    flat = [name for name, v in [("the loss", y), *(("a predictor", c) for c in X.T)] if np.ptp(v) < 1e-12]
    if flat or np.linalg.matrix_rank(X - X.mean(axis=0)) < X.shape[1]:
        raise InputError(
            f"The regression cannot be fitted: {flat[0] + ' is constant' if flat else 'the predictors are collinear'}. "
            "Use subsets that differ in both coverage and depth."
        )


# --- over the designed subsets -----------------------------------------------------------------------


def design(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per designed subset: coverage, depth and both losses."""
    return rows[rows["name"] == "designed"].groupby("draw")[["coverage", "depth", *TARGETS]].mean()


def noise_share(rows: pd.DataFrame, target: str) -> float:
    """Share of the variance between designed subsets that is training noise: nothing could explain it.

    The noise is the variance over training seeds of the two methods whose subset does not depend on the seed, ILA and
    depth alone, at the same budget.
    """
    designed = rows[rows["name"] == "designed"]
    same = rows[rows["name"].isin(["ila", "ila@depth"]) & (rows["budget"] == designed["budget"].max())]
    return float(same.groupby("name")[target].var(ddof=1).mean() / designed[target].var(ddof=1))


def explained(rows: pd.DataFrame, target: str, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """R² of the loss on coverage and depth: rows in-sample, cross-validated, leave-one-out; columns value, low, high.

    Subsets are drawn with their predictions. Fitted again in each draw, a model would follow the draw's noise, and an
    R² near 0 would lie below its own interval.
    """
    y, X = _columns(rows, target)
    fit = regress(y, X)
    drawn = np.random.default_rng(seed).integers(len(y), size=(draws, len(y)))
    fitted = standardised(X) @ fit.coefficients
    clouds = {
        "in-sample": (fit.in_sample, np.maximum(r_squared(y[drawn], fitted[drawn]), 0)),
        "cross-validated": (
            fit.cross_validated,
            np.mean([r_squared(y[drawn], predicted[drawn]) for predicted in fit.folded], axis=0),
        ),
        "leave-one-out": (fit.leave_one_out, r_squared(y[drawn], fit.left_out[drawn])),
    }
    values = {name: (point, *percentiles(cloud)) for name, (point, cloud) in clouds.items()}
    return pd.DataFrame(values, index=["value", "low", "high"]).T


def explained_text(rows: pd.DataFrame, targets: Mapping[str, str]) -> pd.Series:
    """Printed R²: of coverage and depth together, of each alone, the training noise, and the authors' rows refitted.

    Index: printed name of the target (a value of `targets`), kind of R².
    """
    lines: dict[tuple[str, str], str] = {}
    for target, name in targets.items():
        y, X = _columns(rows, target)
        for kind, value, low, high in explained(rows, target).itertuples():
            lines[name, kind] = Estimate(value, low, high).text(2)
        for one, column in zip(("coverage", "depth"), X.T, strict=True):
            alone = Estimate(regress(y, column[:, None]).leave_one_out, np.nan, np.nan)
            lines[name, f"{one} alone, leave-one-out"] = alone.text(2)
        lines[name, "training noise, share of the variance"] = f"{noise_share(rows, target):.2f}"
    for kind, count, value in REFIT.itertuples():
        lines["the authors' rows, refitted", kind] = f"{value:+.2f} ({count} rows)"
    return pd.Series(lines)


def slopes(rows: pd.DataFrame, target: str, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Nats per standard deviation of coverage and of depth, in one model, with 95 % intervals (subsets are drawn).

    Index coverage, depth; columns value, low, high. Negative: more of it goes with a lower loss.
    """
    y, X = _columns(rows, target)
    drawn = np.random.default_rng(seed).integers(len(y), size=(draws, len(y)))
    cloud = (np.linalg.pinv(standardised(X)[drawn]) @ y[drawn][..., None])[..., 0]  # (R, 1 + P)
    point = regress(y, X).coefficients
    lines = [(point[k], *percentiles(cloud[:, k])) for k in (1, 2)]
    return pd.DataFrame(lines, index=["coverage", "depth"], columns=["value", "low", "high"])


def _columns(rows: pd.DataFrame, target: str) -> tuple[Floats, Floats]:
    table = design(rows)
    return table[target].to_numpy(), table[["coverage", "depth"]].to_numpy()
