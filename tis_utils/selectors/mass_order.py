"""What several selectors share: ranking by probability mass, filling up, checking option values."""

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tis_utils.errors import InputError
from tis_utils.selectors.arrays import Floats, Ints
from tis_utils.selectors.similarity import largest
from tis_utils.storage.keys import step

VERSION = step("mass_order", 1)

TIE = 1e-10  # masses that differ by less than this, relatively, are equal up to rounding


def by_mass(name: str, mass: Floats, S: NDArray[Any], budget: int) -> Ints:
    """Order by mass (N,), largest first; candidates without any follow by their largest similarity, with a warning."""
    budget = min(budget, len(mass))
    some = np.flatnonzero(mass > 0)
    order = some[_ranked(mass[some])[:budget]]
    if len(order) == budget:
        return order
    warnings.warn(
        f"{name} gives mass to {len(some)} candidates, the budget asks for {budget}: the other "
        f"{budget - len(some)} are filled in by distance to their nearest query.",
        stacklevel=4,
    )
    none = np.flatnonzero(mass <= 0)
    closest = S.max(axis=0)[none]  # (N - some,)
    return np.concatenate([order, none[largest(closest, budget - len(some))]])


def _ranked(mass: Floats) -> Ints:
    """Order positive masses, largest first; masses equal up to rounding keep their index order."""
    order = largest(mass)
    falling = mass[order]
    group = np.zeros(len(order), dtype=np.int64)
    np.cumsum(falling[1:] < falling[:-1] * (1 - TIE), out=group[1:])  # where the mass really drops
    return order[np.lexsort((order, group))]


def sampling_keys(mass: Floats, seed: int) -> Floats:
    """Keys whose descending order is a draw without replacement in proportion to mass; budgets are nested."""
    wait = np.random.default_rng(seed).exponential(size=len(mass))
    return mass / wait


def check_number(option: str, value: Any, low: float, high: float = math.inf) -> None:
    """Complain unless `value` is a real number strictly between `low` and `high`."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (real and low < value < high):
        bound = f"between {low:g} and {high:g}, both excluded" if high < math.inf else f"greater than {low:g}"
        raise InputError(f"Option {option} must be a finite number {bound}; got {value!r}.")


def check_count(option: str, value: Any) -> None:
    """Complain unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{option} must be a positive whole number; got {value!r}.")
