"""Generalization bounds for selected subsets: the constants and both sides of every inequality.

Ridge regression on a bounded domain, ``|x| <= x_max``, ``|y| <= y_max``: every constant is computed, none guessed.
Lemmas and proofs: page ``05_bounds``; the shapes are those of Theorems 6.1 and 6.2 of Nayak et al. (2026).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tis_utils.errors import InputError
from tis_utils.evidence.concentration import mcdiarmid, rademacher_linear
from tis_utils.evidence.statistics import Floats
from tis_utils.selectors.wasserstein import w1

Points = tuple[ArrayLike, ArrayLike]  # inputs (n, p) and answers (n,)
SYMMETRISATION = 2.0  # Lemma "uniform deviation", step symmetrisation: a ghost sample costs two signed sums


@dataclass(frozen=True)
class RidgeSetting:
    """Objective ``mean((<theta, x> - y)^2) / 2 + mu |theta|^2 / 2`` on the domain, and the constants that follow.

    InputError unless all three numbers are positive and finite.
    """

    x_max: float
    y_max: float
    mu: float

    def __post_init__(self) -> None:
        for name in ("x_max", "y_max", "mu"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{name} is {getattr(self, name)!r}; the bounds need a positive finite number.")

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, mu: float) -> RidgeSetting:
        """Read the two radii off inputs (N, p) and answers (N,)."""
        if not (np.size(x) and np.size(y)):
            raise InputError("There are no examples, so no radii can be read off them. Pass at least one.")
        x_max = np.linalg.norm(np.asarray(x, dtype=np.float64), axis=-1).max()
        return cls(float(x_max), float(np.abs(np.asarray(y)).max()), mu)

    @property
    def rho(self) -> float:
        """Every minimiser has norm at most rho (Lemma "radius")."""
        return self.y_max / (2.0 * np.sqrt(self.mu))

    @property
    def max_residual(self) -> float:
        """Largest absolute error of a parameter in the ball of radius rho."""
        return self.rho * self.x_max + self.y_max

    @property
    def risk_lipschitz(self) -> float:
        """K: the squared loss is K-Lipschitz in theta on the ball (Lemma "constants")."""
        return self.x_max * self.max_residual

    @property
    def gradient_lipschitz(self) -> float:
        """G: the loss gradient in theta is G-Lipschitz in z on the domain (Lemma "constants")."""
        return float(np.hypot(self.rho * self.x_max + self.max_residual, self.x_max))

    @property
    def gap_factor(self) -> float:
        """K G / mu: what one unit of W1 can cost in risk."""
        return self.risk_lipschitz * self.gradient_lipschitz / self.mu

    def check(self, x: ArrayLike, y: ArrayLike) -> None:
        """Raise InputError for data outside the domain, NaN included: there the bounds say nothing."""
        slack = 1 + 1e-9  # rounding of norms
        norm, size = np.linalg.norm(np.asarray(x), axis=-1), np.abs(np.asarray(y))
        outside = ~(norm <= self.x_max * slack) | ~(size <= self.y_max * slack)  # NaN is outside
        if outside.any():
            raise InputError(
                f"{int(outside.sum())} examples lie outside |x| <= {self.x_max:g}, |y| <= {self.y_max:g}. "
                "Use RidgeSetting.of on all data, or clip them."
            )


def ridge_fit(x: ArrayLike, y: ArrayLike, mu: float) -> Floats:
    """Exact minimiser (..., p) of the objective for x (..., n, p), y (..., n); leading axes are separate problems."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    n, p = x.shape[-2:]
    xt = np.swapaxes(x, -1, -2)  # (..., p, n)
    return np.linalg.solve(xt @ x / n + mu * np.eye(p), xt @ y[..., None] / n)[..., 0]


def residuals(theta: ArrayLike, x: ArrayLike, y: ArrayLike) -> Floats:
    """<theta, x> - y: theta (..., p), x (n, p), y (n,) -> (..., n)."""
    return np.asarray(theta) @ np.asarray(x).T - np.asarray(y)


def squared_risk(theta: ArrayLike, x: ArrayLike, y: ArrayLike) -> Floats:
    """Mean of (<theta, x> - y)^2 / 2 over the examples, shape (...)."""
    return (residuals(theta, x, y) ** 2).mean(-1) / 2


def absolute_risk(theta: ArrayLike, x: ArrayLike, y: ArrayLike) -> Floats:
    """Mean of |<theta, x> - y| over the examples, shape (...)."""
    return np.abs(residuals(theta, x, y)).mean(-1)


def stack(x: ArrayLike, y: ArrayLike) -> Floats:
    """Points z = (x, y): (n, p) and (n,) -> (n, p + 1)."""
    return np.column_stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])


def stability_bound(w1: ArrayLike, gradient_lipschitz: float, mu: float) -> Floats:
    """Bound |theta_P - theta_Q| for minimisers of mu-strongly convex objectives (Lemma "stability")."""
    return gradient_lipschitz / mu * np.asarray(w1, dtype=np.float64)


def sampling_term(setting: RidgeSetting, n: ArrayLike, delta: float) -> Floats:
    """Uniform deviation of the absolute risk over the ball, zeta(n, delta), of order 1 / sqrt(n)."""
    mean = SYMMETRISATION * rademacher_linear(setting.rho, setting.x_max, n)
    return mean + mcdiarmid(setting.max_residual, n, delta)


def reference_parameter(x: ArrayLike, y: ArrayLike, weights: ArrayLike, rho: float, steps: int = 300) -> Floats:
    """A parameter (p,) in the ball with a small weighted absolute error; inputs (n, p), answers and weights (n,).

    Projected subgradient descent; the bounds hold for every parameter in the ball, so it need not be the minimum.
    """
    x, y, weights = (np.asarray(v, dtype=np.float64) for v in (x, y, weights))
    theta = np.zeros(x.shape[1])
    best, lowest = theta, weights @ np.abs(y)
    for step in range(1, steps + 1):
        slope = (weights * np.sign(x @ theta - y)) @ x  # (p,)
        theta = theta - rho / np.sqrt(step) * slope / max(float(np.linalg.norm(slope)), 1e-12)
        theta *= min(1.0, rho / max(float(np.linalg.norm(theta)), 1e-12))
        value = weights @ np.abs(x @ theta - y)
        if value < lowest:
            best, lowest = theta, value
    return best


def joint_error(x_s: ArrayLike, y_s: ArrayLike, x_q: ArrayLike, y_q: ArrayLike, rho: float) -> float:
    """Upper bound of min_{|theta| <= rho} absolute_risk(theta; S) + absolute_risk(theta; Q)."""
    y_s, y_q = np.asarray(y_s), np.asarray(y_q)
    weights = np.concatenate([np.full(len(y_s), 1 / len(y_s)), np.full(len(y_q), 1 / len(y_q))])
    theta = reference_parameter(np.concatenate([x_s, x_q]), np.concatenate([y_s, y_q]), weights, rho)
    return float(absolute_risk(theta, x_s, y_s) + absolute_risk(theta, x_q, y_q))


def query_risk_bound(
    setting: RidgeSetting, theta: ArrayLike, subset: Points, queries: Points, w1_x: float, delta: float
) -> dict[str, float]:
    """Terms and sum ("bound") of the query-risk bound for any theta (p,) in the ball; units of the absolute loss.

    The shape of Theorem 6.1; `w1_x` is W1 between the *inputs*. InputError if theta or data lie outside the setting.
    """
    transport = {"transport": float(2 * setting.rho * w1_x)}  # Lemma "duality"
    terms = _risk_terms(setting, theta, subset, queries, transport)
    terms["sampling"] = float(sampling_term(setting, len(np.asarray(queries[1])), delta))
    return terms | {"bound": sum(terms.values())}


def two_distance_bound(
    setting: RidgeSetting, theta: ArrayLike, subset: Points, target: Points, w1_subset: float, w1_target: float
) -> dict[str, float]:
    """Terms and sum ("bound") of the chain subset, queries, target, without chance; otherwise :func:`query_risk_bound`.

    `w1_subset` is W1 between the inputs of subset and queries, `w1_target` between those of queries and target.
    """
    distances = {"subset_to_queries": w1_subset, "queries_to_target": w1_target}
    transport = {name: float(2 * setting.rho * w1) for name, w1 in distances.items()}
    terms = _risk_terms(setting, theta, subset, target, transport)
    return terms | {"bound": sum(terms.values())}


def _risk_terms(
    setting: RidgeSetting, theta: ArrayLike, subset: Points, other: Points, transport: dict[str, float]
) -> dict[str, float]:
    """Training error, `transport` and joint error, after a check that all lies in the setting."""
    norm = float(np.linalg.norm(theta))
    if norm > setting.rho * (1 + 1e-9):
        raise InputError(f"theta has norm {norm:g}, the setting allows {setting.rho:g}.")
    for part in (subset, other):
        setting.check(*part)
    joint = joint_error(*subset, *other, setting.rho)
    return {"train_error": float(absolute_risk(theta, *subset)), **transport, "joint_error": joint}


def random_gap_bound(
    factor: float,
    expected_w1: ArrayLike,
    diameter: float,
    budget: ArrayLike,
    delta: float,
    w1_pool: ArrayLike,
    w1_best: ArrayLike,
) -> dict[str, Floats]:
    """Terms and sum ("bound") of random against best subset, the shape of Theorem 6.2; units of the squared loss.

    `factor` is K G / mu, `expected_w1` a bound of E W1(random subset, pool), the other two are W1 to the queries.
    """
    terms = {"expectation": expected_w1, "deviation": mcdiarmid(diameter, budget, delta)}
    terms |= {"pool_mismatch": w1_pool, "residual": w1_best}
    scaled = {name: factor * np.asarray(term, dtype=np.float64) for name, term in terms.items()}
    return scaled | {"bound": sum(scaled.values(), np.zeros(()))}


def mean_sharpness(moves: ArrayLike, spreads: ArrayLike, dim: int, *, points: int = 24, seed: int = 0) -> Floats:
    """Left over right side of Lemma "stability" for a mean: a cloud in `dim` dimensions, moved and spread.

    The loss is half the squared distance, so the model is the mean of the data and G = mu = 1. Shape (spreads, moves).
    """
    cloud = np.random.default_rng([seed, dim]).normal(size=(points, dim))
    cloud -= cloud.mean(0)
    shifts = [move * np.eye(dim)[0] for move in np.asarray(moves, dtype=float)]
    clouds = [[shift + spread * cloud for shift in shifts] for spread in np.asarray(spreads, dtype=float)]
    return np.array([[np.linalg.norm(z.mean(0)) / max(w1(cloud, z), 1e-12) for z in row] for row in clouds])
