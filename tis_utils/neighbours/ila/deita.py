"""Deita's rule, ILA's rival: score first, then diversity (Liu et al., ICLR 2024, arXiv 2312.15685).

Candidates are asked in the order of their score; one is kept if it is less than tau similar (cosine) to everything
already kept. The paper's tau is 0.9. Its score is a product of two models' grades, for complexity and for quality; here
it is ILA's relative depth, and the embeddings are ILA's, so that the two methods differ in one thing: similarity to
what is kept instead of cells of a map. The selector of a run spec is ``deita``, or ``deita@0.7`` for another tau.
"""

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tis_utils.errors import InputError
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import selector as ila
from tis_utils.neighbours.ila.coverage_depth import Ints, checked_budget, deepest
from tis_utils.storage.keys import step, versions

VERSION = step("deita", 1)
TAU = 0.9
DECIMALS = 6  # a cosine that agrees with tau so far is not below it, however a machine rounds

log = logging.getLogger(__name__)


def score_first(scores: ArrayLike, rows: ArrayLike, budget: int | None = None, *, tau: float = TAU) -> Ints:
    """Highest scores first, keeping what is less than `tau` similar to all that is kept: indices, int64 (B,).

    Parameters
    ----------
    scores : array_like, (N,)
        NaN cannot be selected; ties go to the lower index.
    rows : array_like, (N, D)
        Embeddings, of any length.
    budget : int, optional
        Default: all that have a score. Where fewer are kept, the best of those turned down fill up, with a warning.
    tau : float
        Above 0, at most 1.

    Raises
    ------
    InputError
        If tau or the budget is out of range, the arrays do not fit, or all scores are equal.
    """
    scores, rows = np.asarray(scores, dtype=float), np.asarray(rows, dtype=float)
    if isinstance(tau, bool) or not isinstance(tau, int | float) or not 0 < tau <= 1:
        raise InputError(
            f"tau = {tau!r} is no similarity below which two examples count as different. Give a number above 0 and at "
            f"most 1, where 1 turns down exact repetitions only; Deita's authors use {TAU}."
        )
    if scores.ndim != 1 or rows.ndim != 2 or len(rows) != len(scores) or not np.isfinite(rows).all():
        raise InputError(
            f"Deita's rule needs one score and one finite embedding of every candidate; the shapes are {scores.shape} "
            f"and {rows.shape}."
        )
    order = deepest(scores)  # (n,) those with a score
    budget = checked_budget(budget, len(order))
    if len(order) > 1 and np.ptp(scores[order]) == 0:
        raise InputError(
            f"All {len(order)} scores are equal, so there is no order to go through. Score by something that differs "
            "between candidates, or select by coverage alone."
        )
    length = np.linalg.norm(rows, axis=1, keepdims=True)  # (N, 1)
    unit = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    kept, turned_down = _kept(order, unit, budget, tau)
    if len(kept) < budget:
        log.warning(
            "Of %d candidates %d are less than %g similar to all that is kept; the %d deepest of the others fill up.",
            len(order), len(kept), tau, budget - len(kept),
        )  # fmt: skip
    return np.array([*kept, *turned_down][:budget], dtype=np.int64)


def _kept(order: Ints, unit: np.ndarray, budget: int, tau: float) -> tuple[list[int], list[int]]:
    """Candidates that are kept, until the budget, and those that were turned down before, in order."""
    kept: list[int] = []
    turned_down: list[int] = []
    nearest = np.full(len(unit), -np.inf)  # (N,) similarity to the nearest that is kept
    for i in map(int, order):
        if len(kept) == budget:
            break
        if np.round(nearest[i], DECIMALS) < tau:
            kept.append(i)
            np.maximum(nearest, unit @ unit[i], out=nearest)
        else:
            turned_down.append(i)
    return kept, turned_down


def tau_of(selector: str) -> float:
    """Read what stands after ``@``: tau, by default Deita's own."""
    text = selector.partition("@")[2]
    try:
        return float(text) if text else TAU
    except ValueError:
        raise InputError(f"{selector!r} is no selector. Write deita, or deita@0.7 for another similarity.") from None


def picks(study: Study, spec: RunSpec) -> Ints:
    """Indices into the pool that a run trains on, best first, int64 (B,); the run's seed does not matter."""
    if spec.experiment != "budget":
        raise InputError(f"Deita has no queries and no distance, so it cannot run the {spec.experiment} experiment.")
    depths = ila.explore(study, ila.Settings()).depths  # (N,)
    return score_first(depths, study.features("embed")[0], spec.budget, tau=tau_of(spec.selector))


def recipe(study: Study, spec: RunSpec) -> dict[str, Any]:
    """What the picks depend on besides spec, pool, base model and training settings."""
    return {"tau": tau_of(spec.selector), "embed": ila.embed_key(study), "versions": versions("deita")}
