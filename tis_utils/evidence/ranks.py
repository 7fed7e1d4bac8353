"""Methods over many cells: ranks, Friedman's test, Nemenyi's critical difference (Demšar, JMLR 7, 2006), regret.

The tests take cells to be independent, which tasks of one model are not: their p-values are too small.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from tis_utils.errors import InputError
from tis_utils.evidence.cube import cube
from tis_utils.evidence.statistics import Floats
from tis_utils.evidence.tables import LOSSES, By, with_method


class RankTest(NamedTuple):
    """Mean rank of each method (1 is best), Friedman's test, Nemenyi's critical difference."""

    ranks: Floats  # (K,)
    statistic: float
    p: float
    difference: float
    blocks: int


def mean_ranks(costs: Floats) -> Floats:
    """Mean rank over blocks, 1 is best, ties share theirs: costs (..., B, K) -> (..., K)."""
    return rankdata(costs, axis=-1).mean(axis=-2)


def critical_difference(methods: int, blocks: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks, ``q · sqrt(K (K + 1) / (6 B))`` (Demšar 2006, section 3.2.2)."""
    q = studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def rank_test(costs: Floats, alpha: float = 0.05) -> RankTest:
    """Friedman's test with Nemenyi's critical difference (Demšar 2006, section 3.2.2).

    Parameters
    ----------
    costs : array, shape (B, K)
        Lower is better.
    alpha : float
        Level of the critical difference.

    Returns
    -------
    RankTest

    Raises
    ------
    InputError
        For fewer than 2 blocks or 3 methods, or a gap.
    """
    costs = np.asarray(costs, dtype=float)
    if costs.ndim != 2 or len(costs) < 2 or costs.shape[1] < 3 or np.isnan(costs).any():
        raise InputError(
            f"costs has shape {costs.shape} and {int(np.isnan(costs).sum())} missing values: expected at least "
            "2 blocks × 3 methods without gaps. Leave out incomplete blocks first."
        )
    test = friedmanchisquare(*costs.T)
    b, k = costs.shape
    return RankTest(mean_ranks(costs), float(test.statistic), float(test.pvalue), critical_difference(k, b, alpha), b)


def cliques(ranks: Floats, difference: float) -> list[list[int]]:
    """Largest groups of methods with mean ranks less than `difference` apart: indices into `ranks`, best first.

    Groups inside larger ones and single methods are left out.
    """
    order = np.argsort(ranks, kind="stable")
    groups: list[list[int]] = []
    for start in range(len(order)):
        group = [int(i) for i in order[start:] if ranks[i] - ranks[order[start]] < difference]
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return groups


def rank_table(sources: Mapping[str, pd.DataFrame], metric: str, by: By, methods: Sequence[str]) -> pd.DataFrame:
    """Mean ranks over task × budget in several sources.

    Parameters
    ----------
    sources : mapping of name to tidy rows
    metric : str
        ``downstream``: the score of each task, whatever it is called in raw rows.
    by : {"representation", "selector", "both"}
    methods : sequence of str

    Returns
    -------
    DataFrame
        Sources × methods, 1 is best; NaN where a source lacks the metric or the method.
    """
    table = pd.DataFrame(np.nan, list(sources), list(methods))
    for name, rows in sources.items():
        score = metric == "downstream"
        rows = rows[~rows["metric"].isin(LOSSES) if score else rows["metric"] == metric].assign(metric=metric)
        if not rows.empty:
            known = [method for method in methods if method in set(with_method(rows, by)["method"])]
            table.loc[name, known] = mean_ranks(cube(rows, metric, by, known).blocks())
    return table


def regret(costs: Floats) -> Floats:
    """Distance to the lowest cost of the last axis: same shape, zero or more."""
    return costs - costs.min(axis=-1, keepdims=True)


def noise_regret(se: Floats, draws: int, rng: np.random.Generator) -> float:
    """Mean regret that K *equal* methods would show because of seed noise; standard errors `se` are (B, K)."""
    noise = se * rng.standard_normal((draws, *se.shape))  # (R, B, K)
    return float(regret(noise).mean())


def leave_one_out(costs: Floats) -> tuple[Floats, np.ndarray]:
    """Cost (U, C) of the method (U,) that the other units' mean costs favour; costs are (U units, C cells, K methods).

    Costs must be comparable between cells (regrets). InputError for a single unit.
    """
    if len(costs) < 2:
        raise InputError("Leaving one unit out needs at least 2 units; there is only one model or group.")
    total = costs.mean(axis=1)  # (U, K)
    others = (total.sum(axis=0) - total) / (len(costs) - 1)  # (U, K)
    chosen = others.argmin(axis=1)  # (U,)
    return np.take_along_axis(costs, chosen[:, None, None], axis=2)[..., 0], chosen
