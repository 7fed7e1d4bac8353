"""The experiments of the book by name: from a profile to the cells of a grid."""

from __future__ import annotations

from collections.abc import Callable

from tis_utils.cells import BINS, Cell, grid, quantile_grid
from tis_utils.profiles import Profile

REPRESENTATIONS = ("embed", "rds", "less")
SELECTORS = ("round_robin", "doubly_greedy", "knn_uniform", "knn_kde", "uot")


def quantiles(profile: Profile) -> list[Cell]:
    """Ten distance bins, three representations (METHODS §5)."""
    return quantile_grid(profile.tasks, REPRESENTATIONS, profile.bin_budget, profile.seeds)


def focus(profile: Profile) -> list[Cell]:
    """The nearest bin cut into ten again."""
    room = min(profile.bin_budget, profile.pool_size // BINS**2)
    return quantile_grid(profile.tasks, REPRESENTATIONS, room, profile.seeds, focus=True)


def budgets(profile: Profile) -> list[Cell]:
    """Budget sweep of the representations (round-robin) and of the selectors (LESS), with the proxy if there is one."""
    methods = [(name, "round_robin") for name in REPRESENTATIONS] + [("less", name) for name in SELECTORS[1:]]
    methods += [("less_proxy", "round_robin")] if profile.proxy else []
    return grid(profile.tasks, methods, sweep(profile), profile.seeds)


def cross(profile: Profile) -> list[Cell]:
    """Every representation with every selector."""
    methods = [(name, selector) for name in REPRESENTATIONS for selector in SELECTORS]
    return grid(profile.tasks, methods, profile.budgets, profile.seeds)


def tokens(profile: Profile) -> list[Cell]:
    """Budgets in answer tokens instead of examples, round-robin."""
    methods = [(name, "round_robin") for name in REPRESENTATIONS]
    return grid(profile.tasks, methods, profile.budgets, profile.seeds, experiment="tokens")


def resample(profile: Profile, draws: int = 6) -> list[Cell]:
    """Selections of random halves of the queries."""
    methods = [(name, "round_robin") for name in REPRESENTATIONS]
    middle = [profile.budgets[len(profile.budgets) // 2]]
    return grid(
        profile.tasks,
        methods,
        middle,
        profile.seeds,
        experiment="resample",
        draws=range(draws),
        baselines=False,
    )


def insta(profile: Profile) -> list[Cell]:
    """Whole tasks by their instructions, see :mod:`tis_utils.insta`."""
    from tis_utils.insta import cells  # loads PyTorch, which a dry run of the others does without

    return cells(profile)


def ila(profile: Profile) -> list[Cell]:
    """Coverage and depth, see :mod:`tis_utils.ila`."""
    from tis_utils.ila import cells

    return cells(profile)


def sweep(profile: Profile) -> tuple[int, ...]:
    """Budgets of the budget sweeps."""
    return profile.sweep_budgets or profile.budgets


GRIDS: dict[str, Callable[[Profile], list[Cell]]] = {
    "quantiles": quantiles,
    "focus": focus,
    "budgets": budgets,
    "cross": cross,
    "tokens": tokens,
    "resample": resample,
    "insta": insta,
    "ila": ila,
}
