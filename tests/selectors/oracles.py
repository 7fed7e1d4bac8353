"""Every selector written plainly from its definition: slow loops, exact fractions where they are possible."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

Number = Any  # Fraction or float


def exact(matrix: Any) -> list[list[Fraction]]:
    """Every float is a fraction."""
    return [[Fraction(float(x)) for x in row] for row in matrix]


def closest_first(row: Sequence[Number]) -> list[int]:
    """All candidates of one query, most similar first, ties by index."""
    return sorted(range(len(row)), key=lambda j: (-row[j], j))


def round_robin(S: list[list[Fraction]], budget: int) -> list[int]:
    free, picks = set(range(len(S[0]))), []
    while free and len(picks) < budget:
        row = S[len(picks) % len(S)]
        best = min(free, key=lambda j: (-row[j], j))
        free.remove(best)
        picks.append(best)
    return picks


def doubly_greedy(S: list[list[Fraction]], budget: int) -> list[int]:
    best = [max(row[j] for row in S) for j in range(len(S[0]))]
    return closest_first(best)[:budget]


def best_group(S: list[list[Fraction]], groups: Sequence[Any], budget: int) -> list[int]:
    """By the largest mean similarity to the queries of one group."""
    means = []
    for j in range(len(S[0])):
        values = {group: [row[j] for row, g in zip(S, groups, strict=True) if g == group] for group in groups}
        means.append(max(sum(v, Fraction(0)) / len(v) for v in values.values()))
    return closest_first(means)[:budget]


def ranked(mass: list[Number], S: list[list[Fraction]], budget: int, equal: Callable[..., bool]) -> list[int]:
    """By mass, descending; candidates without mass follow, closest to any query first."""
    having = sorted((j for j in range(len(mass)) if mass[j] > 0), key=lambda j: -mass[j])
    groups: list[list[int]] = []
    for j in having:
        if groups and equal(mass[groups[-1][-1]], mass[j]):
            groups[-1].append(j)
        else:
            groups.append([j])
    order = [j for group in groups for j in sorted(group)]
    rest = [j for j in doubly_greedy(S, len(mass)) if not mass[j] > 0]
    return (order + rest)[:budget]


def knn_uniform_mass(S: list[list[Fraction]], alpha: float, C: float, max_k: int) -> list[Fraction]:
    m, n = len(S), len(S[0])
    limit = min(max_k, n)
    near = [closest_first(row)[:limit] for row in S]
    d = [[1 - row[j] for j in order] for row, order in zip(S, near, strict=True)]
    a, c = Fraction(alpha), Fraction(C)
    k = 1
    while k < limit and (a / c) * sum(d[i][k] - d[i][t] for i in range(m) for t in range(k)) < (1 - a) * m:
        k += 1
    return [Fraction(sum(j in order[:k] for order in near), k * m) for j in range(n)]


def density(rows: list[list[Fraction]], union: list[int], j: int, sigma: float, kde_k: int) -> Fraction:
    """Kernel density at candidate j; j itself is at distance 0 whatever its row."""
    gaps = []
    for other in union:
        cosine = sum(x * y for x, y in zip(rows[j], rows[other], strict=True))
        gaps.append(Fraction(0) if other == j else 2 * (1 - cosine))
    return sum((max(Fraction(0), 1 - gap / Fraction(sigma) ** 2) for gap in sorted(gaps)[:kde_k]), Fraction(0))


def knn_kde_mass(
    S: list[list[Fraction]], rows: list[list[Fraction]], alpha: float, C: float, sigma: float, max_k: int, kde_k: int
) -> list[Fraction]:
    m, n = len(S), len(S[0])
    width = min(max_k, n)
    near = [closest_first(row)[:width] for row in S]
    union = sorted({j for order in near for j in order})
    kde = {j: density(rows, union, j, sigma, kde_k) for j in union}
    d = [[1 - row[j] for j in order] for row, order in zip(S, near, strict=True)]

    popped = [0] * m  # neighbours of each query that were popped before the stop
    cost = [Fraction(0)] * m
    a, c, s = Fraction(alpha), Fraction(C), Fraction(0)
    heap = [(1 / kde[near[q][0]], 0, q) for q in range(m)] if width > 1 else []
    heapq.heapify(heap)
    while heap:
        s, k, q = heapq.heappop(heap)
        cost[q] = d[q][k + 1] * s - sum(d[q][t] / kde[near[q][t]] for t in range(k + 1))
        if (a / c) * sum(cost) >= (1 - a) * m:
            break
        popped[q] = k + 1
        if k + 2 < width:
            heapq.heappush(heap, (s + 1 / kde[near[q][k + 1]], k + 1, q))

    mass = [Fraction(0)] * n
    for q in range(m):
        left = Fraction(1, m)
        for t in range(popped[q]):
            share = 1 / (m * s * kde[near[q][t]])
            mass[near[q][t]] += share
            left -= share
        mass[near[q][popped[q]]] += left
    return mass


def uot_mass(S: list[list[float]], reg: float, reg_m: float) -> list[float]:
    """Fixed point of the two scaling equations, query marginal exact."""
    m, n = len(S), len(S[0])
    kernel = [[math.exp(-(1 - float(x)) / 2 / reg) / (m * n) for x in row] for row in S]
    power = reg_m / (reg_m + reg)
    v = [1.0] * n
    for _ in range(60):
        u = [1 / m / math.fsum(row[j] * v[j] for j in range(n)) for row in kernel]
        ktu = [math.fsum(u[i] * kernel[i][j] for i in range(m)) for j in range(n)]
        v = [(1 / n / t) ** power for t in ktu]
    return [v[j] * ktu[j] for j in range(n)]
