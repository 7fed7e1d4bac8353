"""The subset nearest to the queries in optimal transport (integer programme), and a lower bound for whole pools."""

from dataclasses import dataclass

import numpy as np
import ot
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from tis_utils.errors import InputError, RunError
from tis_utils.selectors.arrays import Floats, Ints


@dataclass(frozen=True)
class BestSubset:
    """Outcome of the integer programme."""

    picks: Ints  # (B,) candidates, increasing
    w1: float  # between the picks and the queries, uniform weights
    proved: bool  # no subset of this size has a smaller one


def _checked(cost: ArrayLike, budget: int) -> Floats:
    cost = np.asarray(cost, dtype=np.float64)
    if cost.ndim != 2 or not np.isfinite(cost).all():
        raise InputError(f"cost must be a finite matrix (queries, candidates), got shape {cost.shape}.")
    if not 1 <= budget <= cost.shape[1]:
        raise InputError(f"budget is {budget}; choose between 1 and the {cost.shape[1]} candidates.")
    return cost


def best_subset(cost: ArrayLike, budget: int, *, time_limit: float = 20.0) -> BestSubset:
    """The B of N candidates with the smallest W1 to the queries, by mixed-integer programming; N of some dozens.

    A plan (M, N) and s in {0, 1}^N with row sums 1/M, column sums s_j/B. Out of time: the best so far, not `proved`.
    """
    cost = _checked(cost, budget)
    m, n = cost.shape
    rows = sparse.hstack([sparse.kron(sparse.eye(m), np.ones((1, n))), sparse.csr_array((m, n))])  # (M, MN + N)
    columns = sparse.hstack([sparse.kron(np.ones((1, m)), sparse.eye(n)), -sparse.eye(n) / budget])  # (N, MN + N)
    equal = np.concatenate([np.full(m, 1 / m), np.zeros(n)])
    result = milp(
        np.concatenate([cost.ravel(), np.zeros(n)]),
        constraints=LinearConstraint(sparse.vstack([rows, columns]), equal, equal),
        integrality=np.concatenate([np.zeros(m * n), np.ones(n)]),
        bounds=Bounds(0, np.concatenate([np.full(m * n, np.inf), np.ones(n)])),
        options={"time_limit": time_limit, "mip_rel_gap": 1e-9},
    )
    if result.x is None:
        raise RunError(f"No subset was found in {time_limit:g} seconds: {result.message} Use fewer candidates.")
    picks = np.flatnonzero(result.x[m * n :] > 0.5)
    return BestSubset(picks.astype(np.int64), float(result.fun), bool(result.status == 0))


def best_subset_bound(cost: ArrayLike, budget: int) -> tuple[float, Floats]:
    """Lower bound of W1(subset, queries) over all subsets of size B, and how much of each candidate it uses (N,).

    A transport problem with a free dummy query for unused candidates; exact when M divides B (page ``05_bounds``).
    """
    cost = _checked(cost, budget)
    m, n = cost.shape
    supply, padded = np.full(m, budget / m), cost
    if budget < n:
        supply = np.append(supply, n - budget)
        padded = np.vstack([cost, np.zeros(n)])  # (M + 1, N)
    plan, log = ot.emd(supply, np.ones(n), padded, numItermax=10_000_000, log=True)
    if log["warning"]:
        raise RunError(f"The exact transport plan was not reached: {log['warning']} Use fewer candidates.")
    plan = plan[:m]  # (M, N), units of 1 / B
    return float((plan * cost).sum() / budget), plan.sum(0)
