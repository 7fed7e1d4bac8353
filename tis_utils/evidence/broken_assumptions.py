"""What becomes of the bounds when one assumption is given up: left side over right side, above 1 they are false."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tis_utils.evidence.bounds import RidgeSetting, absolute_risk, ridge_fit, sampling_term, stability_bound, stack
from tis_utils.evidence.ridge_problems import Examples, RidgeProblem
from tis_utils.evidence.statistics import Floats
from tis_utils.selectors.wasserstein import w1


def _stability(setting: RidgeSetting, moved: ArrayLike, one: Examples, other: Examples) -> float:
    """Left over right side of Lemma "stability"."""
    distance = w1(stack(*one), stack(*other))
    return float(np.linalg.norm(moved) / stability_bound(distance, setting.gradient_lipschitz, setting.mu))


def no_regulariser(eps: float, setting: RidgeSetting) -> float:
    """All inputs are eps, labels +eps or -eps; least squares gives theta = +1 or -1."""
    x = np.array([[eps]])
    a, b = (ridge_fit(x, sign * x[0], 1e-12) for sign in (1, -1))
    return _stability(setting, a - b, (x, x[0]), (x, -x[0]))


def outside_the_domain(size: float, setting: RidgeSetting) -> float:
    """One label in ten is `size`, and its input changes sides."""
    x, y = np.full((10, 1), 0.1), np.zeros(10)
    x[0], y[0] = 1.0, size
    other = np.vstack([-x[:1], x[1:]])
    return _stability(setting, ridge_fit(x, y, setting.mu) - ridge_fit(other, y, setting.mu), (x, y), (other, y))


def early_stopping(steps: float, problem: RidgeProblem) -> float:
    """Two data sets that differ in one label by 0.1; gradient descent starts at opposite ends of the ball."""
    setting, (x, y) = problem.setting, problem.take(np.arange(20))
    other = y.copy()
    other[0] -= 0.1 * np.sign(y[0])
    thetas = []
    for start, labels in ((setting.rho, y), (-setting.rho, other)):
        theta = start * np.eye(x.shape[1])[0]
        for _ in range(int(steps)):
            theta = theta - 0.5 * ((x @ theta - labels) @ x / len(x) + setting.mu * theta)
        thetas.append(theta)
    return _stability(setting, thetas[0] - thetas[1], (x, y), (x, other))


def blind_to_answers(weight: float, setting: RidgeSetting) -> float:
    """Half of the labels flipped, seen through z = (x, weight y)."""
    x, y = np.ones((10, 1)), np.ones(10)
    flipped = np.where(np.arange(10) < 5, -y, y)
    moved = ridge_fit(x, y, setting.mu) - ridge_fit(x, flipped, setting.mu)
    return _stability(setting, moved, (x, weight * y), (x, weight * flipped))


def selected_is_not_sampled(budget: float, problem: RidgeProblem, order: ArrayLike, delta: float) -> float:
    """The corollary's step for the first `budget` picks, at the pool's own model and at the subset's."""
    subset = problem.take(np.asarray(order)[: int(budget)])
    thetas = [ridge_fit(*data, problem.setting.mu) for data in (problem.pool, subset)]
    gaps = [float(absolute_risk(t, *subset) - absolute_risk(t, *problem.pool)) for t in thetas]
    return max(gaps) / float(sampling_term(problem.setting, int(budget), delta))


def power_loss(q: float) -> float:
    """Same input, labels 0 and -t, theta = t: the distance is 0, the joint error at -t/2; t**q cancels."""
    grid = np.linspace(-1, 1, 401)
    return float(2**q / (1 + (np.abs(grid) ** q + np.abs(grid + 1) ** q).min()))


def broken_assumptions(problem: RidgeProblem, order: ArrayLike, delta: float) -> pd.DataFrame:
    """Turn one knob per assumption; problem and order hold at least 1000 candidates.

    Columns ``assumption`` (numbered), ``knob``, ``setting`` (its values) and ``ratio``, left side over right side.
    """
    ridge, small = problem.setting, np.geomspace(1, 1e-3, 15)
    sampled = partial(selected_is_not_sampled, problem=problem, order=order, delta=delta)
    knobs: dict[str, tuple[Callable[[float], float], Floats, str]] = {
        "1 no strong convexity": (partial(no_regulariser, setting=ridge), small, "size of the inputs"),
        "2 outside the domain": (
            partial(outside_the_domain, setting=ridge),
            np.geomspace(0.5, 50, 15),
            "outlying label",
        ),
        "3 training stopped early": (partial(early_stopping, problem=problem), np.arange(0.0, 41, 2), "gradient steps"),
        "4 blind to the answer": (partial(blind_to_answers, setting=ridge), small, "weight $c$ of the answer"),
        "5 selected, not sampled": (sampled, np.array([10.0, 20, 50, 100, 200, 500, 1000]), "budget $B$"),
        "6 no triangle inequality": (power_loss, np.linspace(1, 2, 11), "exponent $q$"),
    }
    return pd.concat(
        pd.DataFrame({"assumption": name, "knob": knob, "setting": values, "ratio": [ratio(v) for v in values]})
        for name, (ratio, values, knob) in knobs.items()
    )
