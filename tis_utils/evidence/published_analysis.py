"""What the paper's published budget experiment says: agreement of metrics, what seeds tell apart, estimates."""

from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind_from_stats

from tis_utils.errors import InputError
from tis_utils.evidence import published
from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import Cube
from tis_utils.evidence.published import PAPER_METHODS
from tis_utils.evidence.statistics import Estimate, Floats
from tis_utils.evidence.tables import ZERO_SHOT, with_method
from tis_utils.labels import label

SHORT = {"round_robin": "RR", "doubly_greedy": "DG", "knn_uniform": "KNN-Uniform"}


def method_name(method: str) -> str:
    """Print "representation/selector" as the book does: "LESS, RR", "Random", "Zero-shot"."""
    representation, selector = method.split("/")
    if representation == "none":
        return label("zero_shot" if selector == "none" else selector)
    return f"{label(representation)}, {SHORT.get(selector, label(selector))}"


@cache
def published_cube(metric: str, experiment: Literal["budget", "quantile"] = "budget") -> Cube:
    """A published experiment by one metric, on 5 models, 5 tasks, 2 pools; zero-shot stands at every step.

    The budget experiment has 8 methods at 5 budgets, the quantile experiment 3 at 10 distance bins.
    """
    rows = published.figures()
    if metric not in set(rows["metric"]):
        raise InputError(f"metric = {metric!r}, expected query_loss, test_loss or downstream.")
    rows = with_method(rows[rows["metric"] == metric], "both")
    trained, untuned = (rows[rows["experiment"] == name] for name in (experiment, "zero_shot"))
    step = "bin" if experiment == "quantile" else "budget"
    steps = tuple(sorted(int(s) for s in trained[step].unique()))
    methods = [m for m in PAPER_METHODS if m in set(trained["method"])]
    places = {"model": list(published.MODELS), "task": published.TASKS, "pool": list(published.POOLS)}
    cells = pd.concat([trained, *(untuned.assign(**{step: s}) for s in steps)])
    return Cube.of(metric, cells, {**places, "method": (*methods, ZERO_SHOT), step: steps})


def over_models(values: Floats) -> Estimate:
    """Mean of values (M, ...) of M models; the models are the units of the interval."""
    return stats.mean_estimate(values.reshape(len(values), -1).mean(axis=1))


def below_zero_shot(data: Cube) -> Floats:
    """Whether a fine-tuned cell is worse than the untuned model, (M, T, L, K − 1, S), 0 or 1."""
    return (data.lead(ZERO_SHOT)[..., :-1, :] < 0).astype(float)


def agreement(a: Cube, b: Cube) -> Floats:
    """Spearman over the trained methods between two metrics within each cell, (M, T, L, S)."""
    x, y = (np.moveaxis(c.costs()[..., :-1, :], -2, -1) for c in (a, b))  # (M, T, L, S, K)
    return stats.spearman(x, y)


def pairs_agreeing(a: Cube, b: Cube) -> float:
    """Among the pairs of trained methods that differ in both metrics, the share in which the same one is better."""
    x, y = (np.moveaxis(c.costs()[..., :-1, :], -2, 0) for c in (a, b))  # (K, M, T, L, S)
    i, j = np.triu_indices(len(x), 1)
    sign = np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
    return float((sign > 0).sum() / (sign != 0).sum())


def separable(data: Cube) -> Floats:
    """Share of the pairs of trained methods that Welch's t-test tells apart at 5 %, (M, T, L, S).

    Two methods without any spread count as different if their means differ.
    """
    k = len(data.methods) - 1
    i, j = np.triu_indices(k, 1)
    mean, sd, n = (np.moveaxis(v, -2, 0)[:k] for v in (data.mean, data.sd, data.n))  # (K, M, T, L, S)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = ttest_ind_from_stats(mean[i], sd[i], n[i], mean[j], sd[j], n[j], equal_var=False).pvalue
    p = np.where((sd[i] == 0) & (sd[j] == 0), mean[i] == mean[j], p)
    return (p < 0.05).mean(axis=0)


def reliability(data: Cube, axis: tuple[int, ...]) -> Floats:
    """Share of the variance of method means that is not seed noise, ``1 − E[sd²/n] / E[variance]``, not below 0.

    E is the mean over `axis` of (M, T, L, S).
    """
    mean, noise = data.mean[..., :-1, :], (data.sd**2 / data.n)[..., :-1, :]  # (M, T, L, K, S)
    between, within = mean.var(axis=-2, ddof=1), noise.mean(axis=-2)  # (M, T, L, S)
    if not data.is_score:  # losses of different tasks have different scales
        scale = mean.mean(axis=-2) ** 2
        between, within = between / scale, within / scale
    return np.maximum(0, 1 - within.mean(axis=axis) / between.mean(axis=axis))
