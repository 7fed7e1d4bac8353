"""What the paper claims, each claim as one statistic of shape (...) that is positive where the claim is right.

A statistic takes a Cube, for the names, and costs (..., T, K, S), lower is better: measured ones or bootstrap draws.
*Low* and *high* budgets are the smallest and the largest 40 %. "Best" is judged by the smallest lead over any rival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import Cube
from tis_utils.evidence.published import EMBED, GREEDY, LESS, RDS, TRANSPORT
from tis_utils.evidence.statistics import Floats
from tis_utils.evidence.tables import RANDOM

PROXY = "less_proxy/round_robin"
LESS_SELECTORS = (*GREEDY, *TRANSPORT)
MAIN_METHODS = (LESS, EMBED, RDS, RANDOM)
LOSS, BOTH_METRICS = ("query_loss",), ("query_loss", "downstream")


def _of(data: Cube, costs: Floats, method: str) -> Floats:
    """Costs of one method, shape (..., T, S)."""
    return costs[..., data.methods.index(method), :]


def _lead(data: Cube, costs: Floats, reference: Floats) -> Floats:
    """How much lower `costs` are: per cent for losses, points for downstream metrics."""
    return reference - costs if data.is_score else 100 * (reference - costs) / reference


def _low(data: Cube) -> slice:
    return slice(max(1, int(0.4 * len(data.budgets))))


def _high(data: Cube) -> slice:
    return slice(-max(1, int(0.4 * len(data.budgets))), None)


def _smallest_lead(data: Cube, costs: Floats, method: str, rivals: Sequence[str], steps: slice) -> Floats:
    leads = [_lead(data, _of(data, costs, method), _of(data, costs, r))[..., steps] for r in rivals if r != method]
    return np.min([lead.mean(axis=(-2, -1)) for lead in leads], axis=0)


def _bins(data: Cube, costs: Floats, method: str) -> Floats:
    """Mean over tasks of Spearman(bin, cost): positive if nearer bins are better."""
    return stats.spearman(data.budgets, _of(data, costs, method)).mean(axis=-1)


def less_bins(data: Cube, costs: Floats) -> Floats:
    """Spearman(bin, cost) of LESS distances."""
    return _bins(data, costs, LESS)


def less_bins_only(data: Cube, costs: Floats) -> Floats:
    """Spearman of LESS minus the larger one of RDS+ and EMBED (each averaged over tasks first)."""
    return _bins(data, costs, LESS) - np.maximum(_bins(data, costs, RDS), _bins(data, costs, EMBED))


def less_lowest_everywhere(data: Cube, costs: Floats) -> Floats:
    """Smallest lead of LESS over EMBED, RDS+ (all with RR) and Random, over all budgets one by one."""
    steps = [slice(s, s + 1) for s in range(len(data.budgets))]
    return np.min([_smallest_lead(data, costs, LESS, (EMBED, RDS, RANDOM), step) for step in steps], axis=0)


def others_below_random(data: Cube, costs: Floats) -> Floats:
    """Lead of Random over RDS+ and EMBED (mean of both) at high budgets."""
    random = _of(data, costs, RANDOM)
    leads = [_lead(data, random, _of(data, costs, method))[..., _high(data)] for method in (RDS, EMBED)]
    return np.mean(leads, axis=(0, -2, -1))


def less_rr_best_low(data: Cube, costs: Floats) -> Floats:
    """Smallest lead of LESS with RR over any other method, mean of low budgets."""
    return _smallest_lead(data, costs, LESS, data.methods, _low(data))


def rr_best_selector_low(data: Cube, costs: Floats) -> Floats:
    """Smallest lead of RR over the other selectors (LESS throughout), mean of low budgets."""
    return _smallest_lead(data, costs, LESS, LESS_SELECTORS, _low(data))


def transport_best_high(data: Cube, costs: Floats) -> Floats:
    """Lead of the mean transport-type selector over the mean greedy one (LESS throughout), high budgets."""
    transport, greedy = (np.mean([_of(data, costs, m) for m in group], axis=0) for group in (TRANSPORT, GREEDY))
    return _lead(data, transport, greedy)[..., _high(data)].mean(axis=(-2, -1))


def random_competitive_high(data: Cube, costs: Floats) -> Floats:
    """Lead of Random over the median of the other methods at high budgets."""
    others = np.median([_of(data, costs, m) for m in data.methods if m != RANDOM], axis=0)  # (..., T, S)
    return _lead(data, _of(data, costs, RANDOM), others)[..., _high(data)].mean(axis=(-2, -1))


def less_lead_shrinks(data: Cube, costs: Floats) -> Floats:
    """Lead of LESS with RR over Random: low budgets minus high budgets."""
    lead = _lead(data, _of(data, costs, LESS), _of(data, costs, RANDOM)).mean(axis=-2)  # (..., S)
    return lead[..., _low(data)].mean(axis=-1) - lead[..., _high(data)].mean(axis=-1)


def nobody_dominates(data: Cube, costs: Floats) -> Floats:
    """One half minus the largest share of (task, budget) cells that one method wins (ties are shared).

    The noise added by the bootstrap spreads wins over methods of equal strength, which favours this claim.
    """
    won = costs == costs.min(axis=-2, keepdims=True)  # (..., T, K, S)
    share = (won / won.sum(axis=-2, keepdims=True)).mean(axis=(-3, -1))  # (..., K)
    return 0.5 - share.max(axis=-1)


def proxy_beats_random(data: Cube, costs: Floats) -> Floats:
    """Lead of LESS features from a smaller proxy model (representation "less_proxy", RR) over Random."""
    return _lead(data, _of(data, costs, PROXY), _of(data, costs, RANDOM)).mean(axis=(-2, -1))


@dataclass(frozen=True)
class Claim:
    """A sentence, its statistic, and the methods, metrics and experiment that can judge it."""

    name: str
    statement: str
    statistic: Callable[[Cube, Floats], Floats]
    methods: tuple[str, ...]
    metrics: tuple[str, ...] = BOTH_METRICS
    experiment: str = "budget"
    unit: str = ""  # empty: per cent of loss, or points
    everyone: bool = False  # also use the paper's other methods, if they are there


CLAIMS = (
    Claim(
        "distance predicts loss",
        "The nearer the examples in LESS distance, the lower the query loss after training on them.",
        less_bins, (LESS,), LOSS, "quantile", "Spearman",
    ),
    Claim(
        "only LESS distance predicts loss",
        "LESS distance predicts query loss better than RDS+ and EMBED distance do.",
        less_bins_only, (LESS, RDS, EMBED), LOSS, "quantile", "Spearman",
    ),
    Claim(
        "distance predicts test loss",
        "The nearer the examples in LESS distance, the lower the loss on the test split.",
        less_bins, (LESS,), ("test_loss",), "quantile", "Spearman",
    ),
    Claim(
        "distance predicts the metric",
        "The nearer the examples in LESS distance, the better the downstream metric.",
        less_bins, (LESS,), ("downstream",), "quantile", "Spearman",
    ),
    Claim(
        "LESS+RR lowest at every budget",
        "With round-robin, LESS has a lower loss than EMBED, RDS+ and Random at every budget.",
        less_lowest_everywhere, MAIN_METHODS, LOSS,
    ),
    Claim(
        "RDS+ and EMBED below Random at high budgets",
        "At high budgets, RDS+ and EMBED with round-robin do worse than Random.",
        others_below_random, (RDS, EMBED, RANDOM),
    ),
    Claim(
        "LESS+RR best at low budgets",
        "At low budgets, LESS with round-robin is the best of all methods on average.",
        less_rr_best_low, MAIN_METHODS, everyone=True,
    ),
    Claim(
        "RR best selector at low budgets",
        "At low budgets, round-robin is the best selector for LESS.",
        rr_best_selector_low, LESS_SELECTORS,
    ),
    Claim(
        "transport best at high budgets",
        "At high budgets, transport-type selectors beat greedy ones for LESS.",
        transport_best_high, LESS_SELECTORS,
    ),
    Claim(
        "Random competitive at high budgets",
        "At high budgets, Random is at least as good as the median of the other methods.",
        random_competitive_high, MAIN_METHODS, everyone=True,
    ),
    Claim(
        "lead over Random shrinks with budget",
        "The lead of LESS with round-robin over Random is smaller at high budgets than at low ones.",
        less_lead_shrinks, (LESS, RANDOM),
    ),
    Claim(
        "no method dominates",
        "No method wins more than half of all combinations of task and budget.",
        nobody_dominates, MAIN_METHODS, unit="share", everyone=True,
    ),
    Claim(
        "proxy works",
        "Examples selected with LESS features of a smaller proxy model beat Random.",
        proxy_beats_random, (PROXY, RANDOM),
    ),
)  # fmt: skip
