"""Which choice moves the result: a two-way decomposition of variance, its noise, and what draws and seeds add."""

import numpy as np
import pandas as pd
from scipy.stats import f

from tis_utils.evidence.statistics import Floats

PARTS = ("representation", "selector", "interaction", "noise")


def two_way(table: Floats) -> Floats:
    """Sums of squares of rows, columns and interaction of a table, (..., R, S) -> (..., 3); together the whole."""
    centred = table - table.mean(axis=(-2, -1), keepdims=True)
    rows = centred.mean(axis=-1, keepdims=True)  # (..., R, 1)
    columns = centred.mean(axis=-2, keepdims=True)  # (..., 1, S)
    parts = (rows, columns, centred - rows - columns)
    return np.stack([(np.zeros_like(table) + part**2).sum(axis=(-2, -1)) for part in parts], axis=-1)


def noise_of_two_way(se: Floats) -> Floats:
    """What noise with these standard errors adds to each sum of squares, (..., R, S) -> (..., 3).

    Each part is a projection of the table, whose diagonal entries are all its rank / RS.
    """
    r, s = se.shape[-2:]
    ranks = np.array([r - 1, s - 1, (r - 1) * (s - 1)])
    return (se**2).mean(axis=(-2, -1))[..., None] * ranks


def variance_shares(table: Floats, se: Floats) -> Floats:
    """Shares of the variance within tasks as in :data:`PARTS`, (T, ..., R, S) -> (..., 4); they sum to 1.

    Expected noise is taken out of the first three (not below 0) and given to the fourth.
    """
    squares = two_way(table).sum(axis=0)  # (..., 3)
    clean = np.maximum(squares - noise_of_two_way(se).sum(axis=0), 0)
    total = squares.sum(axis=-1, keepdims=True)
    shares = np.divide(clean, total, out=np.zeros_like(clean), where=total > 0)
    return np.concatenate([shares, 1 - shares.sum(axis=-1, keepdims=True)], axis=-1)


def interaction_test(table: Floats, se: Floats, n: Floats) -> tuple[float, float]:
    """F test of "no interaction" within tasks against the noise of the seeds, from tables (T, R, S): statistic and p.

    NaN without a second seed or seed noise. Takes runs to be independent and equally noisy.
    """
    t, r, s = table.shape
    freedom = t * (r - 1) * (s - 1), (n - 1).sum()
    noise = (se**2).mean()
    if freedom[1] < 1 or noise <= 1e-9 * table.var():
        return np.nan, np.nan
    statistic = two_way(table)[:, 2].sum() / freedom[0] / noise
    return float(statistic), float(f.sf(statistic, *freedom))


def draw_and_seed_sd(values: Floats) -> tuple[float, float]:
    """Standard deviations that draws and seeds cause, from values (D, S): at least 2 draws, S seeds of each.

    The seeds' share is taken off the draws' (not below 0); with one seed it is NaN.
    """
    seeds = values.shape[1]
    within = values.var(axis=1, ddof=1).mean() if seeds > 1 else np.nan
    between = values.mean(axis=1).var(ddof=1)
    return float(np.sqrt(max(0.0, between - np.nan_to_num(within) / seeds))), float(np.sqrt(within))


def draw_and_seed_spreads(rows: pd.DataFrame) -> pd.DataFrame:
    """:func:`draw_and_seed_sd` and the mean for every task and representation, from one row per run.

    Draws without every seed are left out, and so is what has fewer than two draws then.
    """
    spreads = {}
    for key, part in rows.groupby(["task", "representation"]):
        values = part.pivot(index="draw", columns="seed", values="value").dropna().to_numpy()
        if len(values) > 1:
            spreads[key] = (*draw_and_seed_sd(values), values.mean())
    return pd.DataFrame(spreads, ["sd over draws", "sd over seeds", "mean"]).T.rename_axis(["task", "representation"])
