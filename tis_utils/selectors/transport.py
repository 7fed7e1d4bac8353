"""Unbalanced optimal transport from the queries to the pool."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.errors import InputError, RunError
from tis_utils.selectors.arrays import Floats, Ints
from tis_utils.selectors.mass_order import by_mass, check_number
from tis_utils.storage.keys import step

VERSION = step("transport", 1)

BLOCK = 1 << 19  # entries of the kernel made at a time (4 MiB in double precision: they stay in the cache)
TOLERANCE = 1e-9  # change of log(u) in one iteration at which the scaling has converged
ITERATIONS = 1000


def uot(
    S: NDArray[Any], budget: int | None, *, reg: float = 0.01, reg_m: tuple[float, float] = (math.inf, 1e-4)
) -> Ints:
    """Order candidates by the mass an unbalanced transport plan gives them.

    Cost (1 - S)/2, uniform marginals (Chizat et al. 2018; Frogner et al. 2015).

    Parameters
    ----------
    reg : float
        Weight of the entropic regularisation.
    reg_m : pair of float
        Weight of the Kullback–Leibler penalty on the marginals of queries and candidates. Infinite: every query must
        hand out all its mass. Small: candidates may receive anything.

    Raises
    ------
    RunError
        If the scaling has not converged after 1,000 iterations.
    """
    return by_mass("uot", plan_mass(S, reg=reg, reg_m=reg_m), S, budget or S.shape[1])


def plan_mass(S: NDArray[Any], *, reg: float = 0.01, reg_m: tuple[float, float] = (math.inf, 1e-4)) -> Floats:
    """Column sums of the plan of ``ot.unbalanced.sinkhorn_unbalanced(…, reg_type="kl")``, float64 (N,), made in blocks.

    ``u = (a / Kv)^f1``, ``v = (b / K'u)^f2``, ``f = m / (m + reg)``; each cost row is shifted to 0 against underflow.
    """
    factor_1, factor_2 = _factors(reg, reg_m)
    m, n = S.shape
    top = S.max(axis=1).astype(np.float64)  # (M,)
    shift = (factor_1 - 1) * (1 - top) / (2 * reg)  # what the shift of the cost adds to log(u)
    mass = np.empty(n)
    row_sum = sum(kernel.sum(axis=1) for _, kernel in _kernel(S, top, reg))  # (M,) K v for v = 1
    previous = np.full(m, np.inf)
    for _ in range(ITERATIONS):
        log_u = shift - factor_1 * np.log(row_sum / n)  # (M,)
        if np.abs(log_u - previous).max() < TOLERANCE:
            return mass
        previous, row_sum = log_u, np.zeros(m)
        for columns, kernel in _kernel(S, top, reg):
            column_sum = np.exp(log_u) @ kernel / (m * n)  # (columns,) K' u
            with np.errstate(divide="ignore"):
                v = np.where(column_sum > 0, (n * column_sum) ** -factor_2, 0.0)
            mass[columns] = v * column_sum
            row_sum += kernel @ v
    raise RunError(
        f"UOT did not converge in {ITERATIONS} iterations with reg={reg:g} and reg_m={reg_m}. Use a larger "
        "reg or a smaller second entry of reg_m."
    )


def _factors(reg: float, reg_m: tuple[float, float]) -> tuple[float, float]:
    """Exponents of the two scaling steps."""
    check_number("reg", reg, 0)
    if not isinstance(reg_m, tuple | list) or len(reg_m) != 2:
        raise InputError(f"Option reg_m must be a pair (query side, candidate side); got {reg_m!r}.")
    for weight in reg_m:
        if weight != math.inf:
            check_number("reg_m", weight, 0)
    first, second = (1.0 if math.isinf(weight) else weight / (weight + reg) for weight in reg_m)
    return first, second


def _kernel(S: NDArray[Any], top: Floats, reg: float) -> Iterator[tuple[slice, Floats]]:
    """Blocks of columns of the kernel without a·b, each row divided by its largest entry."""
    m, n = S.shape
    width = max(1, BLOCK // m)
    for start in range(0, n, width):
        columns = slice(start, start + width)
        kernel = S[:, columns] - top[:, None]  # (M, width) float64
        kernel *= 1 / (2 * reg)
        yield columns, np.exp(kernel, out=kernel)
