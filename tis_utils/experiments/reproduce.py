"""What a page says about the stored runs that were repeated on the machine that built it."""

from __future__ import annotations

import pandas as pd

from tis_utils.cells import CELL_COLUMNS

# Nats. LESS features move in the last digits with threads and processor, and now and then a pick with them.
TOLERANCE = 0.02


def recheck_text(checked: pd.DataFrame, cells: int, seed: int, *, tolerance: float = TOLERANCE) -> str:
    """One Markdown paragraph on the outcome of :meth:`tis_utils.experiments.Study.recheck`.

    Parameters
    ----------
    checked : DataFrame
        What ``recheck`` returned; empty when nothing was stored.
    cells : int
        Number of cells of the grid.
    seed : int
        That drew the sample.
    tolerance : float
        Largest difference of two losses, in nats, that counts as agreement.
    """
    if checked.empty:
        return f"None of the {cells} runs was stored under this key: **all of them ran here**."
    losses = checked[checked["metric"].isin(["query_loss", "test_loss"])]
    losses = losses[
        losses["stored"].notna() | losses["live"].notna()
    ]  # no held-out examples: nothing to compare
    parts = [_part(rows, bool(same), tolerance) for same, rows in losses.groupby("same_subset", sort=False)]
    return (
        f"{_runs(checked)} of the {cells} runs, drawn with seed {seed} from those that are stored, were **repeated "
        "here**, from the features on. " + " ".join(parts)
    )


def _runs(rows: pd.DataFrame) -> int:
    return len(rows.drop_duplicates(CELL_COLUMNS))


def _part(rows: pd.DataFrame, same: bool, tolerance: float) -> str:
    gaps = rows["difference"].abs()
    subset = "exactly the same examples" if same else "a subset that is not quite the stored one"
    return (
        f"{_runs(rows)} of them trained on {subset}: {100 * (gaps <= tolerance).mean():.0f} % of the losses agree "
        f"within {tolerance} nats, the mean difference is {gaps.mean():.3f}, the largest {gaps.max():.3f}."
    )
