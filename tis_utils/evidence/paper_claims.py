"""What the paper claims, each claim as comparisons that are positive where it is right.

A claim's function takes a :class:`tis_utils.evidence.cube.Cube` of shape (M, T, L, K, S) and returns (M, T, L, R): R
comparisons in every model, task and pool, all of which must be positive. "Best of all" has one comparison per rival.

Units. Losses are compared by log(rival's loss / loss) and shown as per cent below the rival; downstream metrics in
points; distance bins by Spearman's correlation with the cost.

Words. *Low* and *high* budgets are the smallest and the largest 40 % of a source's budgets (at least one): in the paper
500, 1,000 and 5,000, 10,000. Transport-type selectors are KNN-Uniform, KNN-KDE and UOT; greedy ones round-robin and
doubly greedy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import Cube
from tis_utils.evidence.published import EMBED, GREEDY, LESS, RDS, TRANSPORT
from tis_utils.evidence.statistics import Floats
from tis_utils.evidence.tables import RANDOM
from tis_utils.labels import label

PROXY = "less_proxy/round_robin"
UOT = "less/uot"
LESS_SELECTORS = (*GREEDY, *TRANSPORT)
MAIN_METHODS = (LESS, EMBED, RDS, RANDOM)
LOSS, SCORE, BOTH_METRICS = ("query_loss",), ("downstream",), ("query_loss", "downstream")


@dataclass(frozen=True)
class Claim:
    """A sentence, its comparisons, and the methods, metrics and experiment that can judge it."""

    name: str
    statement: str
    comparisons: Callable[[Cube], Floats]
    methods: tuple[str, ...]
    metrics: tuple[str, ...] = BOTH_METRICS
    experiment: str = "budget"
    unit: str = ""  # empty: per cent of loss, or points
    everyone: bool = False  # also use the paper's other methods, if they are there
    task: str = ""  # only this one
    across: str = ""  # "in every …": what is counted, and must be several


def _low(data: Cube) -> slice:
    return slice(max(1, int(0.4 * len(data.budgets))))


def _high(data: Cube) -> slice:
    return slice(-max(1, int(0.4 * len(data.budgets))), None)


def _all(data: Cube) -> slice:
    return slice(None)


def _nearest(data: Cube) -> slice:
    return slice(1)


def _ahead(
    data: Cube, method: str, rivals: Sequence[str] = (), at: Callable[[Cube], slice] = _all, every: bool = False
) -> Floats:
    """Lead of a method over each rival (default: all others), mean of the budgets `at`, or at `every` one of them."""
    rivals = [name for name in rivals or data.methods if name != method]
    k = data.methods.index(method)
    leads = np.stack([data.gain(rival)[..., k, at(data)] for rival in rivals], axis=-1)  # (M, T, L, S', R)
    return leads.reshape(*leads.shape[:3], -1) if every else leads.mean(axis=-2)


def _mean_ahead(data: Cube, group: Sequence[str], others: Sequence[str], at: Callable[[Cube], slice]) -> Floats:
    """Lead of the mean of one group of methods over the mean of another."""
    gain = data.gain(RANDOM if RANDOM in data.methods else others[0])[..., at(data)].mean(axis=-1)  # (M, T, L, K)
    means = [gain[..., [data.methods.index(m) for m in part]].mean(axis=-1) for part in (group, others)]
    return (means[0] - means[1])[..., None]


def _random_over_median(data: Cube) -> Floats:
    """Lead of Random over the median of the other methods at high budgets."""
    others = [k for k, m in enumerate(data.methods) if m != RANDOM]
    return -np.median(data.gain(RANDOM)[..., others, _high(data)], axis=-2).mean(axis=-1)[..., None]


def _shrinks(data: Cube, method: str) -> Floats:
    """Lead of a method over Random, in per cent or points: low budgets minus high budgets."""
    lead = data.lead(RANDOM)[..., data.methods.index(method), :]  # (M, T, L, S)
    return (lead[..., _low(data)].mean(axis=-1) - lead[..., _high(data)].mean(axis=-1))[..., None]


def _wins(data: Cube) -> Floats:
    """One half minus the share of budgets that each method wins; ties are shared."""
    costs = data.costs()
    won = costs == costs.min(axis=-2, keepdims=True)
    return 0.5 - (won / won.sum(axis=-2, keepdims=True)).mean(axis=-1)  # (M, T, L, K)


def _bins(data: Cube, method: str) -> Floats:
    """Spearman(bin, cost): positive where nearer bins are better, (M, T, L)."""
    return stats.spearman(data.budgets, data.costs()[..., data.methods.index(method), :])


def _predicts(data: Cube, over: Sequence[str] = ()) -> Floats:
    """Correlation with LESS distance, or how much it exceeds that with other distances."""
    less = _bins(data, LESS)
    return np.stack([less - _bins(data, other) for other in over] or [less], axis=-1)


def _predicts_in_every(data: Cube, axis: int) -> Floats:
    """Correlation with LESS distance in every model, task or pool (axis 0, 1, 2), each one a comparison."""
    return _bins(data, LESS)[..., None].swapaxes(axis, 3)


def _quantile(name: str, statement: str, comparisons: Callable[[Cube], Floats], metric: str, **more: object) -> Claim:
    options = {"methods": (LESS,), "metrics": (metric,), "experiment": "quantile", "unit": "Spearman"}
    return Claim(name, statement, comparisons, **(options | more))  # type: ignore[arg-type]


def _consistent(metric: str, word: str) -> list[Claim]:
    statement = "In every {}, nearer examples by LESS distance give {} (mean over everything else)."
    return [
        _quantile(
            f"LESS distance predicts the {word} in every {what}",
            statement.format(what, "a better score" if word == "metric" else "a lower query loss"),
            partial(_predicts_in_every, axis=axis),
            metric,
            across=f"{what}s",
        )
        for axis, what in enumerate(("model", "task", "pool"))
    ]


def _shrinking(method: str) -> Claim:
    name = label(method.split("/")[0])
    return Claim(
        f"lead of {name} over Random shrinks with budget",
        f"The lead of {name} with round-robin over Random is smaller at high budgets than at low ones.",
        partial(_shrinks, method=method), (method, RANDOM), unit="points of lead",
    )  # fmt: skip


def _best_on(method: str, task: str) -> Claim:
    name = label(method.split("/")[0])
    return Claim(
        f"{name} with RR best on {label(task)}",
        f"By score, {name} with round-robin is the best of all methods on {label(task)}, mean over budgets.",
        partial(_ahead, method=method), MAIN_METHODS, SCORE, everyone=True, task=task,
    )  # fmt: skip


CLAIMS = (
    _quantile(
        "distance predicts loss",
        "The nearer the examples in LESS distance, the lower the query loss after training on them.",
        _predicts, "query_loss",
    ),
    _quantile(
        "only LESS distance predicts loss",
        "LESS distance predicts query loss better than RDS+ and EMBED distance do.",
        partial(_predicts, over=(RDS, EMBED)), "query_loss", methods=(LESS, RDS, EMBED),
    ),
    _quantile(
        "distance predicts test loss",
        "The nearer the examples in LESS distance, the lower the loss on the test split.",
        _predicts, "test_loss",
    ),
    _quantile(
        "distance predicts the metric",
        "The nearer the examples in LESS distance, the better the downstream metric.",
        _predicts, "downstream",
    ),
    *_consistent("query_loss", "loss"),
    *_consistent("downstream", "metric"),
    _quantile(
        "EMBED's nearest bin scores higher than LESS's",
        "Trained on the nearest tenth of the pool, EMBED's examples give a better score than LESS's.",
        partial(_ahead, method=EMBED, rivals=(LESS,), at=_nearest), "downstream", methods=(EMBED, LESS), unit="",
    ),
    _quantile(
        "LESS's nearest bin has the lower query loss",
        "Trained on the nearest tenth of the pool, LESS's examples give a lower query loss than EMBED's.",
        partial(_ahead, method=LESS, rivals=(EMBED,), at=_nearest), "query_loss", methods=(EMBED, LESS), unit="",
    ),
    Claim(
        "LESS+RR lowest at every budget",
        "With round-robin, LESS has a lower loss than EMBED, RDS+ and Random at every budget.",
        partial(_ahead, method=LESS, rivals=MAIN_METHODS, every=True), MAIN_METHODS, LOSS,
    ),
    Claim(
        "LESS+RR beats Random",
        "LESS with round-robin beats Random, mean over budgets.",
        partial(_ahead, method=LESS, rivals=(RANDOM,)), (LESS, RANDOM),
    ),
    Claim(
        "RDS+ and EMBED below Random at high budgets",
        "At high budgets, RDS+ and EMBED with round-robin do worse than Random (mean of both).",
        partial(_mean_ahead, group=(RANDOM,), others=(RDS, EMBED), at=_high), (RDS, EMBED, RANDOM),
    ),
    Claim(
        "LESS+RR best at low budgets",
        "At low budgets, LESS with round-robin is the best of all methods on average.",
        partial(_ahead, method=LESS, at=_low), MAIN_METHODS, everyone=True,
    ),
    Claim(
        "RR best selector at low budgets",
        "At low budgets, round-robin is the best selector for LESS.",
        partial(_ahead, method=LESS, rivals=LESS_SELECTORS, at=_low), LESS_SELECTORS,
    ),
    Claim(
        "transport best at high budgets",
        "At high budgets, transport-type selectors beat greedy ones for LESS.",
        partial(_mean_ahead, group=TRANSPORT, others=GREEDY, at=_high), LESS_SELECTORS,
    ),
    Claim(
        "UOT lowest at the largest budget",
        "At the largest budget, LESS with UOT has the lowest query loss of all methods.",
        partial(_ahead, method=UOT, at=lambda data: slice(-1, None)), (*MAIN_METHODS, UOT), LOSS, everyone=True,
    ),
    Claim(
        "Random competitive at high budgets",
        "At high budgets, Random is at least as good as the median of the other methods.",
        _random_over_median, MAIN_METHODS, everyone=True,
    ),
    *(_shrinking(method) for method in (LESS, RDS, EMBED)),
    Claim(
        "no method dominates",
        "No method wins more than half of all combinations of task and budget.",
        _wins, MAIN_METHODS, unit="share under ½", everyone=True,
    ),
    *(_best_on(LESS, task) for task in ("bbh", "tydiqa", "mmlu_pro")),
    _best_on(RDS, "gsm8k"),
    Claim(
        "proxy works",
        "Examples selected with LESS features of a smaller proxy model beat Random.",
        partial(_ahead, method=PROXY, rivals=(RANDOM,)), (PROXY, RANDOM),
    ),
)  # fmt: skip
