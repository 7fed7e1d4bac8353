"""Until which budget a method pays: where its lead over another one ends."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tis_utils.evidence.cube import Cube
from tis_utils.evidence.statistics import Floats


def break_even(budgets: Sequence[int], lead: Floats) -> float:
    """Budget after which a method is no longer ahead, from increasing budgets and its lead at each, (S,).

    Interpolated on the logarithmic budget axis between the last budget with a lead and the next one; 0 if the method
    is never ahead, infinity if it is ahead at the largest budget.
    """
    ahead = np.flatnonzero(np.asarray(lead) > 0)
    if not len(ahead):
        return 0.0
    last = int(ahead[-1])
    if last == len(budgets) - 1:
        return float("inf")
    share = lead[last] / (lead[last] - lead[last + 1])  # of the way to the next budget
    return float(budgets[last] * (budgets[last + 1] / budgets[last]) ** share)


def break_even_table(data: Cube, over: str) -> pd.DataFrame:
    """:func:`break_even` of every other method with one method, methods × tasks."""
    lead = data.lead(over)  # (T, K, S)
    table = [[break_even(data.budgets, lead[t, k]) for t in range(len(data.tasks))] for k in range(lead.shape[1])]
    return pd.DataFrame(table, data.methods, data.tasks).drop(index=over)


def break_even_text(value: float) -> str:
    """One word or number for :func:`break_even`, for tables."""
    if value == 0:
        return "never ahead"
    return "still ahead" if np.isinf(value) else f"{value:.0f}"
