"""The statistics behind the claims: each is positive where its claim is right (see :mod:`tis_utils.evidence.claims`).

A statistic takes :class:`Cells` and keeps leading axes, so that one call serves the measured table and all
its bootstrap draws.

Units. Losses are compared as relative differences in per cent, because their scales differ between tasks;
downstream metrics as differences in points; bins by Spearman's correlation. Then tasks are averaged.

Words. *Low* and *high* budgets are the smallest and the largest 40 % of a source's budgets (at least one): in
the paper 500, 1000 and 5000, 10000. Transport-type selectors are KNN-Uniform, KNN-KDE and UOT; greedy ones
round-robin and doubly greedy. A claim that one method is best is judged by its *smallest* lead over any
rival; the smallest of several noisy leads is biased downwards, so such claims are judged strictly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tis_utils.evidence import statistics as stats
from tis_utils.evidence.statistics import Floats

EMBED, RDS, LESS, RANDOM = "embed/round_robin", "rds/round_robin", "less/round_robin", "none/random"
PROXY = "less_proxy/round_robin"
GREEDY = (LESS, "less/doubly_greedy")
TRANSPORT = ("less/knn_uniform", "less/knn_kde", "less/uot")
SELECTORS = (*GREEDY, *TRANSPORT)
METHODS = (RANDOM, EMBED, RDS, *SELECTORS)  # what "all methods" means: those of the paper


@dataclass(frozen=True)
class Cells:
    """Costs (lower is better; downstream metrics negated) of the methods at each budget or bin.

    `costs` has shape (..., T, K, S): any leading axes (bootstrap draws), T tasks
    (of one setting, or of several one after the other), K methods named
    "representation/selector", S budgets or bins in ascending order.
    """

    costs: Floats
    methods: Sequence[str]
    steps: Sequence[int]
    relative: bool

    def of(self, method: str) -> Floats:
        """Costs of one method, shape (..., T, S)."""
        return self.costs[..., self.methods.index(method), :]

    def lead(self, costs: Floats, over: Floats) -> Floats:
        """How much better `costs` are than `over`: per cent for losses, points for downstream metrics."""
        return 100 * (over - costs) / over if self.relative else over - costs

    def extreme(self, high: bool) -> slice:
        """Steps that are the lowest or the highest 40 % of the budgets."""
        k = max(1, int(0.4 * len(self.steps)))
        return slice(-k, None) if high else slice(k)


Statistic = Callable[[Cells], Floats]  # (..., T, K, S) -> (...)


def _bins(cells: Cells, method: str) -> Floats:
    """Mean over tasks of Spearman(bin, cost): positive if nearer bins are better."""
    return stats.spearman(cells.steps, cells.of(method)).mean(axis=-1)


def less_bins(cells: Cells) -> Floats:
    """Spearman(bin, cost) of LESS distances."""
    return _bins(cells, LESS)


def less_bins_only(cells: Cells) -> Floats:
    """Spearman of LESS minus the larger one of RDS+ and EMBED (each averaged over tasks first)."""
    return _bins(cells, LESS) - np.maximum(_bins(cells, RDS), _bins(cells, EMBED))


def _smallest_lead(cells: Cells, method: str, rivals: Sequence[str], steps: slice) -> Floats:
    leads = [cells.lead(cells.of(method), cells.of(rival))[..., steps] for rival in rivals if rival != method]
    return np.min([lead.mean(axis=(-2, -1)) for lead in leads], axis=0)


def less_lowest_everywhere(cells: Cells) -> Floats:
    """Smallest lead of LESS over EMBED, RDS+ (all with RR) and Random, over all budgets one by one."""
    every = [slice(s, s + 1) for s in range(len(cells.steps))]
    return np.min([_smallest_lead(cells, LESS, (EMBED, RDS, RANDOM), step) for step in every], axis=0)


def others_below_random(cells: Cells) -> Floats:
    """Lead of Random over RDS+ and EMBED (mean of both) at high budgets."""
    high = cells.extreme(high=True)
    leads = [cells.lead(cells.of(RANDOM), cells.of(method))[..., high] for method in (RDS, EMBED)]
    return np.mean(leads, axis=(0, -2, -1))


def less_rr_best_low(cells: Cells) -> Floats:
    """Smallest lead of LESS with RR over any other method, mean of low budgets."""
    return _smallest_lead(cells, LESS, cells.methods, cells.extreme(high=False))


def rr_best_selector_low(cells: Cells) -> Floats:
    """Smallest lead of RR over the other selectors (LESS throughout), mean of low budgets."""
    return _smallest_lead(cells, LESS, SELECTORS, cells.extreme(high=False))


def transport_best_high(cells: Cells) -> Floats:
    """Lead of the mean transport-type selector over the mean greedy one (LESS throughout), high budgets."""
    transport, greedy = (np.mean([cells.of(m) for m in group], axis=0) for group in (TRANSPORT, GREEDY))
    return cells.lead(transport, greedy)[..., cells.extreme(high=True)].mean(axis=(-2, -1))


def random_competitive_high(cells: Cells) -> Floats:
    """Lead of Random over the median of the other methods at high budgets."""
    others = np.median([cells.of(m) for m in cells.methods if m != RANDOM], axis=0)  # (..., T, S)
    return cells.lead(cells.of(RANDOM), others)[..., cells.extreme(high=True)].mean(axis=(-2, -1))


def less_lead_shrinks(cells: Cells) -> Floats:
    """Lead of LESS with RR over Random: low budgets minus high budgets."""
    lead = cells.lead(cells.of(LESS), cells.of(RANDOM)).mean(axis=-2)  # (..., S)
    return lead[..., cells.extreme(high=False)].mean(axis=-1) - lead[..., cells.extreme(high=True)].mean(axis=-1)


def nobody_dominates(cells: Cells) -> Floats:
    """One half minus the largest share of (task, budget) cells that one method wins (ties are shared).

    The noise added by the bootstrap spreads wins over methods of equal strength, which favours this claim.
    """
    won = cells.costs == cells.costs.min(axis=-2, keepdims=True)  # (..., T, K, S)
    share = (won / won.sum(axis=-2, keepdims=True)).mean(axis=(-3, -1))  # (..., K)
    return 0.5 - share.max(axis=-1)


def proxy_beats_random(cells: Cells) -> Floats:
    """Lead of LESS features from a smaller proxy model (representation "less_proxy", RR) over Random."""
    return cells.lead(cells.of(PROXY), cells.of(RANDOM)).mean(axis=(-2, -1))
