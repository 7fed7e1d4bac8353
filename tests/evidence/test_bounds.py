"""Every inequality holds on random instances, and each constant is needed: one instance almost attains it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from tis_utils.errors import InputError
from tis_utils.evidence import bounds
from tis_utils.evidence.bounds import RidgeSetting, absolute_risk, ridge_fit, squared_risk, stack
from tis_utils.evidence.concentration import expected_w1_tree, mcdiarmid, rademacher_linear
from tis_utils.selectors.wasserstein import w1

INSTANCES = 2000
DELTA = 0.05
ROUND = 1 + 1e-9


class Instance:
    """A random problem with every assumption true: pool, queries, population, two subsets."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.p = int(rng.integers(2, 5))
        self.mu = float(10 ** rng.uniform(-1.5, 1))
        self.truth = rng.normal(size=self.p)
        self.pool = self.draw(int(rng.integers(8, 30)), shift=0.0)
        self.population = self.draw(40, shift=float(rng.uniform(0, 2)))
        self.m, self.budget = int(rng.integers(1, 9)), int(rng.integers(1, 13))
        everything = [np.concatenate(parts) for parts in zip(self.pool, self.population, strict=True)]
        self.setting = RidgeSetting.of(*everything, self.mu)
        self.setting.check(*everything)
        self.queries = self.sample(self.population, self.m)
        self.random = self.sample(self.pool, self.budget)  # with replacement
        near = np.argsort(np.linalg.norm(self.pool[0] - self.queries[0].mean(0), axis=1))[: self.budget]
        self.selected = self.pool[0][near], self.pool[1][near]  # looked at the queries
        self.subset = self.random if self.budget % 2 else self.selected

    @functools.cached_property
    def distance(self) -> float:
        return w1(self.subset[0], self.queries[0])

    def draw(self, n: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
        x = self.rng.normal(size=(n, self.p)) + shift
        x /= np.maximum(1, np.linalg.norm(x, axis=1, keepdims=True))
        y = np.clip(x @ self.truth + self.rng.normal(size=n), -1.5, 1.5)
        return x, y

    def sample(self, source: tuple[np.ndarray, np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
        picks = self.rng.integers(len(source[1]), size=n)
        return source[0][picks], source[1][picks]

    def parameter(self) -> np.ndarray:
        """Any point of the ball, its boundary included."""
        v = self.rng.normal(size=self.p)
        return v / np.linalg.norm(v) * self.setting.rho * min(1.0, self.rng.uniform(0, 1.5))

    def point(self) -> tuple[np.ndarray, np.ndarray]:
        """Any point of the domain, its boundary included."""
        v = self.rng.normal(size=self.p)
        scale = self.setting.x_max * min(1.0, self.rng.uniform(0, 1.5))
        return v / np.linalg.norm(v) * scale, np.float64(self.rng.choice([-1, 1]) * self.setting.y_max)


@pytest.fixture(scope="module")
def instances() -> list[Instance]:
    return [Instance(seed) for seed in range(INSTANCES)]


def gradient(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of (<theta, x> - y)^2 / 2 in theta."""
    return (theta @ x - y) * x


# --- the inequalities on random instances ----------------------------------------------------------


def test_constants_hold_on_random_instances(instances: list[Instance]) -> None:
    for one in instances:
        s, theta, other = one.setting, one.parameter(), one.parameter()
        (x, y), (u, v) = one.point(), one.point()
        for data in (one.random, one.selected, one.queries):
            assert np.linalg.norm(ridge_fit(*data, s.mu)) <= s.rho * ROUND
        gap = abs((theta @ x - y) ** 2 - (other @ x - y) ** 2) / 2
        assert gap <= s.risk_lipschitz * np.linalg.norm(theta - other) * ROUND
        change = np.linalg.norm(gradient(theta, x, y) - gradient(theta, u, v))
        assert change <= s.gradient_lipschitz * np.hypot(np.linalg.norm(x - u), y - v) * ROUND


def test_stability_and_gap_hold_on_random_instances(instances: list[Instance]) -> None:
    for one in instances:
        s = one.setting
        distance = w1(stack(*one.random), stack(*one.selected))
        a, b = ridge_fit(*one.random, s.mu), ridge_fit(*one.selected, s.mu)
        assert np.linalg.norm(a - b) <= bounds.stability_bound(distance, s.gradient_lipschitz, s.mu) * ROUND
        for target in (one.queries, one.population):
            gap = squared_risk(a, *target) - squared_risk(b, *target)
            assert abs(gap) <= s.gap_factor * distance * ROUND


def test_duality_holds_for_random_lipschitz_functions(instances: list[Instance]) -> None:
    for one in instances:
        a, b = stack(*one.random), stack(*one.queries)
        anchors, heights = one.rng.normal(size=(3, one.p + 1)), one.rng.normal(size=3)

        def f(z: np.ndarray, anchors: np.ndarray = anchors, heights: np.ndarray = heights) -> np.ndarray:
            return (np.linalg.norm(z[:, None] - anchors, axis=2) + heights).min(1)  # 1-Lipschitz

        assert abs(f(a).mean() - f(b).mean()) <= w1(a, b) * ROUND


def test_query_risk_bound_holds_on_random_instances(instances: list[Instance]) -> None:
    failures = 0
    for one in instances:
        theta = ridge_fit(*one.subset, one.mu) if one.m % 2 else one.parameter()
        bound = bounds.query_risk_bound(one.setting, theta, one.subset, one.queries, one.distance, DELTA)
        assert absolute_risk(theta, *one.queries) <= (bound["bound"] - bound["sampling"]) * ROUND
        failures += absolute_risk(theta, *one.population) > bound["bound"]
    assert failures <= DELTA * INSTANCES


def test_the_chain_of_two_distances_never_fails(instances: list[Instance]) -> None:
    for one in instances:
        distances = one.distance, w1(one.queries[0], one.population[0])
        bound = bounds.two_distance_bound(one.setting, one.parameter(), one.subset, one.population, *distances)
        assert bound["bound"] == pytest.approx(sum(bound.values()) - bound["bound"])
        assert bound["subset_to_queries"] + bound["queries_to_target"] == pytest.approx(
            2 * one.setting.rho * sum(distances)
        )
        theta = ridge_fit(*one.subset, one.mu)
        bound = bounds.two_distance_bound(one.setting, theta, one.subset, one.population, *distances)
        assert absolute_risk(theta, *one.population) <= bound["bound"] * ROUND


def test_uniform_deviation_holds_for_the_worst_parameter(instances: list[Instance]) -> None:
    """The sampling term covers every parameter at once, so also the worst of many."""
    failures = 0
    for one in instances:
        thetas = np.stack([one.parameter() for _ in range(20)])
        gaps = absolute_risk(thetas, *one.population) - absolute_risk(thetas, *one.queries)
        failures += gaps.max() > bounds.sampling_term(one.setting, one.m, DELTA)
    assert failures <= DELTA * INSTANCES


def test_random_gap_bound_holds_on_random_instances(instances: list[Instance]) -> None:
    failures = 0
    for one in instances:
        s, pool, queries = one.setting, stack(*one.pool), stack(*one.queries)
        diameter = np.linalg.norm(pool[:, None] - pool, axis=2).max()
        gap = squared_risk(ridge_fit(*one.random, s.mu), *one.population)
        gap = gap - squared_risk(ridge_fit(*one.selected, s.mu), *one.population)
        bound = bounds.random_gap_bound(
            s.gap_factor,
            expected_w1_tree(pool, one.budget),
            diameter,
            one.budget,
            DELTA,
            w1(pool, queries),
            w1(stack(*one.selected), queries),
        )
        failures += gap > bound["bound"]
        failures += w1(stack(*one.random), pool) * s.gap_factor > bound["expectation"] + bound["deviation"]
    assert failures <= DELTA * INSTANCES


# --- every constant is needed: an instance within 10 % of equality ---------------------------------

TIGHT: dict[str, Callable[[], tuple[float, float]]] = {}


def tight(case: Callable[[], tuple[float, float]]) -> Callable[[], tuple[float, float]]:
    TIGHT[case.__name__] = case
    return case


@tight
def radius() -> tuple[float, float]:
    """One example with |x| = sqrt(mu)."""
    s = RidgeSetting(x_max=1.0, y_max=2.0, mu=0.49)
    return float(np.linalg.norm(ridge_fit([[0.7, 0.0]], [2.0], s.mu))), s.rho


@tight
def risk_lipschitz() -> tuple[float, float]:
    """Near theta = rho x / |x| with the label of the opposite sign."""
    s = RidgeSetting(x_max=1.5, y_max=2.0, mu=0.3)
    x, step = np.array([s.x_max, 0.0]), 1e-6
    theta, inside = np.array([s.rho, 0.0]), np.array([s.rho - step, 0.0])
    gap = squared_risk(theta, x[None], [-s.y_max]) - squared_risk(inside, x[None], [-s.y_max])
    return float(gap) / step, s.risk_lipschitz


@tight
def gradient_lipschitz() -> tuple[float, float]:
    """Move z along the direction that changes residual and input together."""
    s = RidgeSetting(x_max=1.5, y_max=2.0, mu=0.3)
    direction = np.array([s.rho * s.x_max + s.max_residual, -s.x_max])
    dx, dy = -1e-6 * direction / np.linalg.norm(direction)  # into the domain
    theta, x, y = np.array([s.rho]), np.array([s.x_max]), -s.y_max
    change = gradient(theta, x + dx, y + dy) - gradient(theta, x, y)
    return float(np.linalg.norm(change)) / 1e-6, s.gradient_lipschitz


def _translated(shift: float) -> tuple[np.ndarray, np.ndarray]:
    cloud = np.random.default_rng(3).normal(size=(12, 4))
    return cloud, cloud + shift * np.array([0.6, 0.0, 0.8, 0.0])


@tight
def duality() -> tuple[float, float]:
    """A linear function under a translation along its slope."""
    a, b = _translated(0.7)
    slope = 2.5 * np.array([0.6, 0.0, 0.8, 0.0])
    return float((b @ slope).mean() - (a @ slope).mean()), 2.5 * w1(a, b)


@tight
def stability() -> tuple[float, float]:
    """Loss c |theta - z|^2 / 2: gradient c (theta - z), so G = mu = c; the minimiser is the mean."""
    a, b = _translated(0.7)
    return float(np.linalg.norm(a.mean(0) - b.mean(0))), float(bounds.stability_bound(w1(a, b), 3.0, 3.0))


@tight
def strong_convexity() -> tuple[float, float]:
    """Ridge on one direction: theta = E[xy] / mu when inputs are tiny, labels move across."""
    mu, x, y = 2.0, 1e-3, 1.0
    a, b = ridge_fit([[x]], [y], mu), ridge_fit([[x]], [-y], mu)
    return float(np.abs(a - b)[0]), float(bounds.stability_bound(w1([[x, y]], [[x, -y]]), x, mu))


@tight
def query_risk_chain() -> tuple[float, float]:
    """All steps at once: the subset says nothing, the query sits where theta is most wrong."""
    s = RidgeSetting(x_max=1.0, y_max=1.0, mu=0.25)
    subset, query = (np.zeros((1, 1)), np.zeros(1)), (np.ones((1, 1)), -np.ones(1))
    theta = np.array([s.rho])
    bound = bounds.query_risk_bound(s, theta, subset, query, w1(subset[0], query[0]), 0.1)
    return float(absolute_risk(theta, *query)), bound["bound"] - bound["sampling"]


@tight
def two_distance_chain() -> tuple[float, float]:
    """Subset, query and target in one line; the target sits where theta is most wrong."""
    s = RidgeSetting(x_max=1.0, y_max=1.0, mu=0.25)
    subset, target = (np.zeros((1, 1)), np.zeros(1)), (np.ones((1, 1)), -np.ones(1))
    theta = np.array([s.rho])
    bound = bounds.two_distance_bound(s, theta, subset, target, 0.4, 0.6)
    return float(absolute_risk(theta, *target)), bound["bound"]


@tight
def train_error_and_joint_error() -> tuple[float, float]:
    """The same input with opposite labels: nothing to transport, training and joint error do the work."""
    s = RidgeSetting(x_max=1.0, y_max=1.0, mu=0.25)
    subset, query = (np.ones((1, 1)), np.zeros(1)), (np.ones((1, 1)), -np.ones(1))
    bound = bounds.query_risk_bound(s, np.array([1.0]), subset, query, 0.0, 0.1)
    return float(absolute_risk([1.0], *query)), bound["bound"] - bound["sampling"]


@tight
def symmetrisation() -> tuple[float, float]:
    """Functions that are 0 on one atom and 1 elsewhere, one draw."""
    n = 20
    f = 1 - np.eye(n)  # (function, atom)
    deviation = np.mean([(f.mean(1) - f[:, z]).max() for z in range(n)])
    signed = np.mean([(sign * f[:, z]).max() for z in range(n) for sign in (-1, 1)])
    return float(deviation), bounds.SYMMETRISATION * float(signed)


@tight
def complexity() -> tuple[float, float]:
    """Orthogonal inputs: the signed sum has the same length for all signs."""
    n, rho, x_max = 6, 1.3, 0.8
    x = x_max * np.eye(n)
    lengths = [np.linalg.norm(np.array(signs) @ x) for signs in product((-1, 1), repeat=n)]
    return float(rho * np.mean(lengths) / n), float(rademacher_linear(rho, x_max, n))


@tight
def sampling_term() -> tuple[float, float]:
    """Both parts with their constants, from the statement of the lemma."""
    s = RidgeSetting(x_max=2.0, y_max=3.0, mu=0.25)  # rho = 3, range 2 * 3 + 3 = 9
    by_hand = 2 * 3 * 2 / np.sqrt(16) + 9 * np.sqrt(np.log(10) / 32)
    return by_hand, float(bounds.sampling_term(s, 16, 0.1))


@tight
def random_gap_chain() -> tuple[float, float]:
    """Subset, pool, queries and best subset in one line; the loss is the distance to a far target."""
    best, queries, pool, random = (_translated(shift)[1] for shift in (0.0, 0.3, 0.7, 1.2))
    target = _translated(-50.0)[1].mean(0)
    gap = np.linalg.norm(random.mean(0) - target) - np.linalg.norm(best.mean(0) - target)
    bound = bounds.random_gap_bound(1.0, w1(random, pool), 1.0, 5, 0.1, w1(pool, queries), w1(best, queries))
    return float(gap), float(bound["bound"] - bound["deviation"])


@pytest.mark.parametrize("name", sorted(TIGHT))
def test_each_constant_is_needed(name: str) -> None:
    left, right = TIGHT[name]()
    assert 0.9 * right <= left <= right * (1 + 1e-6)


def test_random_gap_deviation_is_scaled_and_mcdiarmid() -> None:
    bound = bounds.random_gap_bound(2.0, 0.5, 3.0, np.array([4, 16]), 0.1, 0.25, 0.125)
    np.testing.assert_allclose(bound["deviation"], 2 * mcdiarmid(3.0, np.array([4, 16]), 0.1))
    np.testing.assert_allclose(bound["bound"], 2 * (0.5 + 0.25 + 0.125) + bound["deviation"])
    assert RidgeSetting(1.0, 1.0, 0.25).gap_factor == pytest.approx(2 * np.sqrt(10) / 0.25)


def test_contraction_holds_and_is_attained_by_nonnegative_residuals() -> None:
    signs = np.array(list(product((-1, 1), repeat=5)))  # (32, 5)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        r = rng.normal(size=(7, 5)) + rng.uniform(-2, 2)  # 7 parameters, 5 residuals
        left, right = (signs @ np.abs(r).T).max(1).mean(), (signs @ r.T).max(1).mean()
        assert left <= right + 1e-12
        assert (r < 0).any() or left == pytest.approx(right)


# --- dropping an assumption breaks the bound -------------------------------------------------------


def test_outside_the_domain_is_refused_and_would_break_the_bound() -> None:
    s = RidgeSetting(x_max=1.0, y_max=1.0, mu=0.5)
    wild = np.array([[1.0, 0.0]]), np.array([40.0])
    with pytest.raises(InputError, match="1 examples lie outside"):
        s.check(*wild)
    assert np.linalg.norm(ridge_fit(*wild, s.mu)) > s.rho


@pytest.mark.parametrize(("x", "y"), [(np.nan, 0.0), (0.0, np.nan), (np.inf, 0.0), (0.0, -np.inf)])
def test_numbers_that_are_none_lie_outside_the_domain(x: float, y: float) -> None:
    s = RidgeSetting(x_max=1.0, y_max=1.0, mu=0.5)
    with pytest.raises(InputError, match="1 examples lie outside"):
        s.check(np.array([[0.5, 0.0], [x, 0.0]]), np.array([0.5, y]))


def test_without_strong_convexity_nearby_data_give_far_parameters() -> None:
    """The median minimises a convex loss that is not strongly convex."""
    left, right = np.zeros((101, 1)), np.zeros((101, 1))
    left[:50], right[:51] = 1.0, 1.0
    moved = abs(np.median(left) - np.median(right))
    assert moved > 50 * w1(left, right)


def test_replacement_of_w1_by_inputs_only_breaks_stability() -> None:
    x = np.array([[1.0], [1.0]])
    moved = ridge_fit(x, [1.0, 1.0], 0.5) - ridge_fit(x, [-1.0, -1.0], 0.5)
    assert w1(x, x) == pytest.approx(0)
    assert abs(moved[0]) > 1


# --- joint error, input checks ---------------------------------------------------------------------


def test_reference_parameter_is_close_to_the_best_of_a_grid() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(15, 2)), rng.normal(size=15)
        weights, rho = np.full(15, 1 / 15), float(rng.uniform(0.2, 2))
        theta = bounds.reference_parameter(x, y, weights, rho)
        assert np.linalg.norm(theta) <= rho * ROUND
        angle, radii = np.linspace(0, 2 * np.pi, 120), np.linspace(0, rho, 40)
        grid = np.stack([np.outer(radii, np.cos(angle)), np.outer(radii, np.sin(angle))], -1).reshape(-1, 2)
        assert absolute_risk(theta, x, y) <= absolute_risk(grid, x, y).min() * 1.03


def test_ridge_fit_solves_many_problems_and_is_a_minimum() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 20, 3)), rng.normal(size=(6, 20))
    thetas = ridge_fit(x, y, 0.4)
    assert thetas.shape == (6, 3)
    for theta, xs, ys in zip(thetas, x, y, strict=True):
        slope = ((xs @ theta - ys)[:, None] * xs).mean(0) + 0.4 * theta
        np.testing.assert_allclose(slope, 0, atol=1e-12)


def test_bad_input_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="mu is 0"):
        RidgeSetting(1.0, 1.0, 0.0)
    s = RidgeSetting(1.0, 1.0, 1.0)
    data = np.ones((1, 1)), np.ones(1)
    with pytest.raises(InputError, match="theta has norm 2"):
        bounds.query_risk_bound(s, [2.0], data, data, 0.0, 0.1)
    with pytest.raises(InputError, match="theta has norm 2"):
        bounds.two_distance_bound(s, [2.0], data, data, 0.0, 0.0)
    with pytest.raises(InputError, match="delta is 1"):
        bounds.sampling_term(s, 5, 1.0)


def test_stability_of_a_mean_is_sharp_for_a_translation_only() -> None:
    ratios = bounds.mean_sharpness([0.5, 2.0], [0.5, 1.0], dim=5)
    assert ratios[1] == pytest.approx([1, 1])
    assert ((ratios[0] > 0) & (ratios[0] < 1)).all()
