"""One setting of the playground as a still picture."""

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tis_utils.book.playground.scenes import Scene
from tis_utils.labels import label
from tis_utils.plots.panels import PAGE, PHONE, narrow, stacking
from tis_utils.plots.theme import INK, LINE, LOOKS


@stacking
def still_scene(scene: Scene, cell: str, pool: np.ndarray, stars: np.ndarray, method: str, budget: int) -> Figure:
    """Left the map with the first `budget` picks, each joined to its nearest query; right W1 by budget.

    Parameters
    ----------
    scene : dict
    cell : str
        ``space/task``.
    pool, stars : ndarray, shape (N, 2) and (M, 2)
        Where candidates and queries lie on the map.
    method : str
    budget : int
    """
    shown, chance = scene["cells"][cell]["methods"][method], scene["cells"][cell]["random"]
    order, nearest = shown["order"][:budget], shown["nearest"][:budget]
    colour, random = LOOKS[method].colour, LOOKS["random"]
    figure = Figure(figsize=(PHONE, 5.6) if narrow() else (PAGE, 3.4), layout="constrained")
    split: dict[str, Any] = (
        {"nrows": 2, "height_ratios": [1.4, 1]} if narrow() else {"ncols": 2, "width_ratios": [1.15, 1]}
    )
    left, right = figure.subplots(**split)
    ways = np.stack([pool[order], stars[nearest]], axis=1)  # (B, 2, 2)
    left.add_collection(LineCollection(list(ways), colors=LINE, linewidths=0.8))
    dots = ((pool, 6, LINE, "o"), (pool[order], 24, colour, "o"), (stars, 95, INK, "*"))
    for points, size, shade, marker in dots:
        sns.scatterplot(x=points[:, 0], y=points[:, 1], s=size, color=shade, marker=marker, ax=left, zorder=3)
    left.set(xticks=[], yticks=[], aspect="equal", title=f"{label(method)}, budget {budget}")
    left.spines[:].set_visible(False)
    right.fill_between(scene["budgets"], chance["low"], chance["high"], color=random.colour, alpha=0.2)
    budgets, means = scene["budgets"], chance["mean"]
    sns.lineplot(
        x=budgets, y=means, color=random.colour, linestyle=":", label=f"Random, {len(scene['seeds'])} seeds", ax=right
    )
    sns.lineplot(x=budgets, y=shown["w1"], color=colour, linewidth=2, label=label(method), ax=right)
    right.axvline(budget, color=INK, linewidth=0.8)
    right.set(xscale="log", xlabel="budget", ylabel="", title="W1 to the queries")
    return figure
