"""How much of the loss coverage and depth explain, over the designed subsets (METHODS §8)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tis_utils.evidence import statistics as stats
from tis_utils.evidence.statistics import Floats
from tis_utils.neighbours.ila import coverage_depth as landscape
from tis_utils.neighbours.ila.designed_subsets import TARGETS

CLAIMED = 0.7  # share of the variance of the dev loss that the authors say coverage and depth explain
# Least squares refitted to the rows that the authors published, no run of ours.
REFIT = pd.DataFrame(
    {"rows": [49, 49], "value": [0.71, 0.56]}, index=pd.Index(["in-sample", "leave-one-out"], name="R²")
)


def design(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per designed subset: coverage, depth and both losses."""
    return rows[rows["name"] == "designed"].groupby("draw")[["coverage", "depth", *TARGETS]].mean()


def noise_share(rows: pd.DataFrame, target: str) -> float:
    """Share of the variance between designed subsets that is training noise: nothing could explain it.

    The noise is the variance over training seeds of the two methods whose subset does not depend on the seed, ILA and
    depth alone, at the same budget.
    """
    made = rows[rows["name"] == "designed"]
    same = rows[rows["name"].isin(["ila", "ila@depth"]) & (rows["budget"] == made["budget"].max())]
    return float(same.groupby("name")[target].var(ddof=1).mean() / made[target].var(ddof=1))


def explained(rows: pd.DataFrame, target: str, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """R² of the loss on coverage and depth, in and out of sample, with 95 % intervals.

    Parameters
    ----------
    rows : DataFrame
        From :func:`tis_utils.neighbours.ila.designed_subsets.table`.
    target : {"general", "tasks"}
    draws : int
        Bootstrap draws of the subsets. In-sample the model is fitted again in each draw; out of sample the subsets
        are drawn with the errors of their predictions.
    seed : int

    Returns
    -------
    DataFrame
        Index in-sample, cross-validated, leave-one-out; columns value, low, high.
    """
    table = design(rows)
    y, X = table[target].to_numpy(), table[["coverage", "depth"]].to_numpy()
    fit, n = landscape.regress(y, X), len(y)
    drawn = np.random.default_rng(seed).integers(n, size=(draws, n))  # (R, n)
    clouds = {
        "in-sample": (fit.in_sample, [_in_sample(y[d], X[d]) for d in drawn]),
        "cross-validated": (
            fit.cross_validated,
            [np.mean([landscape.r_squared(y[d], p[d]) for p in fit.folded]) for d in drawn],
        ),
        "leave-one-out": (fit.leave_one_out, [landscape.r_squared(y[d], fit.left_out[d]) for d in drawn]),
    }
    values = {name: (point, *stats.interval(np.array(cloud))) for name, (point, cloud) in clouds.items()}
    return pd.DataFrame(values, index=["value", "low", "high"]).T


def slopes(rows: pd.DataFrame, target: str, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Nats per standard deviation of coverage and of depth, in one model, with 95 % intervals (subsets are drawn).

    Returns
    -------
    DataFrame
        Index coverage, depth; columns value, low, high. Negative: more of it goes with a lower loss.
    """
    table = design(rows)
    y, X = table[target].to_numpy(), table[["coverage", "depth"]].to_numpy()
    point = landscape.regress(y, X).coefficients[1:]  # (2,)
    standard = np.column_stack([np.ones(len(y)), (X - X.mean(axis=0)) / X.std(axis=0)])  # (n, 3)
    drawn = np.random.default_rng(seed).integers(len(y), size=(draws, len(y)))  # (R, n)
    cloud = np.array([np.linalg.lstsq(standard[d], y[d])[0][1:] for d in drawn])  # (R, 2)
    lines = [(point[k], *stats.interval(cloud[:, k])) for k in range(2)]
    return pd.DataFrame(lines, index=["coverage", "depth"], columns=["value", "low", "high"])


def _in_sample(y: Floats, X: Floats) -> float:
    fitted = np.column_stack([np.ones(len(y)), X])
    return landscape.r_squared(y, fitted @ np.linalg.lstsq(fitted, y)[0])
