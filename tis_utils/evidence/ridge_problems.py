"""Random selection problems in the setting of the bounds, and both sides of every bound on them.

Groups of candidates have linear rules of their own; the target task is a mixture of the first two groups.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import ot
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tis_utils.errors import InputError
from tis_utils.evidence import bounds
from tis_utils.evidence.bounds import RidgeSetting, absolute_risk, ridge_fit, squared_risk, stack
from tis_utils.evidence.concentration import expected_w1_dyadic, expected_w1_tree
from tis_utils.evidence.statistics import Floats
from tis_utils.selectors import SELECTORS, select
from tis_utils.selectors.optimal_subset import best_subset_bound
from tis_utils.selectors.similarity import similarity
from tis_utils.selectors.wasserstein import w1

Examples = tuple[Floats, Floats]  # inputs (n, p) with unit rows, answers (n,) in [-1, 1]
GROUPS, TARGET_GROUPS, POPULATION = 6, 2, 1000
SPREAD, NOISE = 0.35, 0.1  # of inputs around their group's centre, of answers around its rule


@dataclass(frozen=True)
class RidgeProblem:
    """Candidates, a target population, and queries drawn from it; the assumptions of `setting` are met."""

    setting: RidgeSetting
    pool: Examples
    population: Examples
    queries: Examples
    seeds: tuple[int, int]

    @cached_property
    def points(self) -> tuple[Floats, Floats]:
        """Points z = (x, y) of pool and queries, (N, p + 1) and (M, p + 1)."""
        return stack(*self.pool), stack(*self.queries)

    @cached_property
    def cost(self) -> Floats:
        """Distance of every query to every candidate, (M, N)."""
        z_pool, z_queries = self.points
        return np.asarray(ot.dist(z_queries, z_pool, "euclidean"))

    @cached_property
    def directions(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The points as unit vectors: what selectors see."""
        z_pool, z_queries = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in self.points)
        return z_pool.astype(np.float32), z_queries.astype(np.float32)

    @cached_property
    def query_distance(self) -> float:
        """W1 between the inputs of the queries and of the population they were drawn from."""
        return w1(self.queries[0], self.population[0])

    @cached_property
    def diameter(self) -> float:
        """Largest distance between two candidates."""
        return float(ot.dist(self.points[0], self.points[0], "euclidean").max())

    def take(self, picks: ArrayLike) -> Examples:
        """The picked candidates: picks (..., B) give inputs (..., B, p) and answers (..., B)."""
        return self.pool[0][picks], self.pool[1][picks]  # type: ignore[index]


def _draw(rng: np.random.Generator, centres: Floats, rules: Floats, groups: ArrayLike) -> Examples:
    groups = np.asarray(groups)
    x = centres[groups] + SPREAD * rng.normal(size=(len(groups), centres.shape[1]))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, np.clip((x * rules[groups]).sum(1) + NOISE * rng.normal(size=len(groups)), -1, 1)


def ridge_problem(
    setting: RidgeSetting, seed: int, *, candidates: int, queries: int, base_seed: int = 0, dim: int = 3
) -> RidgeProblem:
    """Draw a problem: a pool with all groups equally often, queries drawn independently from the population."""
    rng = np.random.default_rng([base_seed, seed])
    centres, rules = rng.normal(size=(2, GROUPS, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    pool = _draw(rng, centres, rules, np.arange(candidates) % GROUPS)
    population = _draw(rng, centres, rules, np.arange(POPULATION) % TARGET_GROUPS)
    drawn = rng.integers(POPULATION, size=queries)
    for data in (pool, population):
        setting.check(*data)
    return RidgeProblem(setting, pool, population, (population[0][drawn], population[1][drawn]), (base_seed, seed))


def whole_budgets(budgets: ArrayLike, queries: int, candidates: int) -> list[int]:
    """The budgets as a list. InputError unless each is a multiple of the queries that the pool can fill."""
    sizes = np.atleast_1d(budgets).tolist()
    if wrong := [size for size in sizes if size < 1 or size % queries or size > candidates]:
        raise InputError(
            f"The budget {wrong[0]} does not work here: only at multiples of the {queries} queries, up to the "
            f"{candidates} candidates, is the best subset a transport problem. Change the budgets or the queries."
        )
    return [int(size) for size in sizes]


def both_sides(problem: RidgeProblem, picks: ArrayLike, delta: float) -> dict[str, float]:
    """Left and right sides of the bounds that hold for any subset; "moved" belongs to Lemma "stability".

    "gap" (Theorem "two subsets, one target") is against training on the queries, "target_risk" stands before "bound";
    terms of Corollary "two distances" begin with "chain_".
    """
    setting, subset, queries = problem.setting, problem.take(picks), problem.queries
    theta, theta_q = ridge_fit(*subset, setting.mu), ridge_fit(*queries, setting.mu)
    apart = w1(subset[0], queries[0])
    chain = bounds.two_distance_bound(setting, theta, subset, problem.population, apart, problem.query_distance)
    distance, risk = w1(stack(*subset), problem.points[1]), float(squared_risk(theta, *problem.population))
    return {
        "w1": distance,
        "moved": float(np.linalg.norm(theta - theta_q)),
        "moved_bound": float(bounds.stability_bound(distance, setting.gradient_lipschitz, setting.mu)),
        "gap": risk - float(squared_risk(theta_q, *problem.population)),
        "gap_bound": setting.gap_factor * distance,
        "risk": risk,
        "target_risk": float(absolute_risk(theta, *problem.population)),
        **bounds.query_risk_bound(setting, theta, subset, queries, apart, delta),
        **{f"chain_{name}": value for name, value in chain.items()},
    }


def random_against_best(
    problem: RidgeProblem, best: Mapping[int, ArrayLike], delta: float, draws: int = 20
) -> pd.DataFrame:
    """Both sides of Theorem "random against best": a row per random subset, budget of `best` and kind of bound.

    Columns ``budget``, ``kind`` ("tree", "closed form"), ``gap`` in squared risk, the terms and their sum ``bound``.
    """
    setting, (z_pool, z_queries) = problem.setting, problem.points
    rng, budgets = np.random.default_rng([*problem.seeds, 2]), list(best)
    kinds = {
        "tree": expected_w1_tree(z_pool, budgets),
        "closed form": expected_w1_dyadic(problem.diameter, z_pool.shape[1], budgets),
    }
    mismatch, rows = w1(z_pool, z_queries), []
    for i, (budget, picks) in enumerate(best.items()):
        theta, subset = ridge_fit(*problem.take(picks), setting.mu), stack(*problem.take(picks))
        drawn = problem.take(rng.integers(len(z_pool), size=(draws, budget)))
        gaps = squared_risk(ridge_fit(*drawn, setting.mu), *problem.population)
        gaps = gaps - squared_risk(theta, *problem.population)
        for kind, expected in kinds.items():
            terms = bounds.random_gap_bound(
                setting.gap_factor, expected[i], problem.diameter, budget, delta, mismatch, w1(subset, z_queries)
            )
            rows.append(pd.DataFrame({"budget": budget, "kind": kind, "gap": gaps} | terms))
    return pd.concat(rows, ignore_index=True)


def selections(problem: RidgeProblem, budgets: Iterable[int]) -> Iterator[tuple[str, int, NDArray[np.int64]]]:
    """Every selector's subset at every budget, from the points as unit vectors: name, budget, picks."""
    candidates, queries = problem.directions
    S = similarity(queries, candidates)
    for budget in budgets:
        for name in SELECTORS:
            yield name, budget, select(name, S, budget, candidates=candidates, seed=problem.seeds[1])


def best_picks(problem: RidgeProblem, budget: int) -> NDArray[np.int64]:
    """The subset with the smallest W1 to the queries; the budget is a multiple of their number."""
    return np.argsort(-best_subset_bound(problem.cost, budget)[1], kind="stable")[:budget]


def experiment(
    problems: Iterable[RidgeProblem], budgets: Sequence[int], delta: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All selectors and the best subset at all budgets, on all problems; and Random against the best subset.

    Returns rows of :func:`both_sides` with ``problem`` (its seed), ``selector`` and ``budget``, then the rows of
    :func:`random_against_best`.
    """
    rows, contests = [], []
    for problem in problems:
        best = {budget: best_picks(problem, budget) for budget in budgets}
        contests.append(random_against_best(problem, best, delta))
        for name, budget, picks in [*selections(problem, budgets), *(("best", b, picks) for b, picks in best.items())]:
            run = {"problem": problem.seeds[1], "selector": name, "budget": budget}
            rows.append(run | both_sides(problem, picks, delta))
    return pd.DataFrame(rows), pd.concat(contests, ignore_index=True)
