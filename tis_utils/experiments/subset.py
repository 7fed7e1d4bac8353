"""Which candidates a run trains on."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from tis_utils.errors import InputError
from tis_utils.examples.published_subset import positions
from tis_utils.experiments.run_spec import BINS, NONE, RunSpec
from tis_utils.experiments.similarities import Similarities
from tis_utils.selectors import select
from tis_utils.storage.keys import step

VERSION = step("subset", 1)


class Chooser(Protocol):
    """A method that chooses from more than a similarity matrix: whole tasks (INSTA), coverage and depth (ILA)."""

    def picks(self, study: Any, spec: RunSpec) -> np.ndarray:
        """Indices into the pool, best first, int64 (B,)."""

    def recipe(self, study: Any, spec: RunSpec) -> Mapping[str, Any]:
        """Everything the picks depend on besides the spec, the pool and the queries."""


class Published:
    """Takes the first rows of a subset that others selected, see :mod:`tis_utils.examples.published_subset`."""

    def picks(self, study: Similarities, spec: RunSpec) -> np.ndarray:
        """Where the subset's first rows are in the pool."""
        name = spec.selector.partition("@")[2]
        if not name:
            raise InputError("Which published subset? Say published@NAME, NAME being on the Hub, a folder or a file.")
        places = positions(study.data.pool, name)
        if spec.budget > len(places):
            raise InputError(
                f"Budget {spec.budget} is larger than the published subset {name!r} of {len(places)} rows."
            )
        return places[: spec.budget]

    def recipe(self, study: Similarities, spec: RunSpec) -> dict[str, Any]:
        """Which candidates these are: what lies under a name may change."""
        return {"picks": [study.data.pool[i].id for i in self.picks(study, spec)]}


# The others come from tis_utils.neighbours; a spec names one by its selector, with a setting after "@": insta@5,
# ila@tsne, published@FILE.
CHOOSERS: dict[str, Chooser] = {"published": Published()}


def chooser_of(spec: RunSpec) -> Chooser | None:
    """The method that chooses for a spec; None where a selector reads a similarity matrix."""
    return CHOOSERS.get(spec.selector.partition("@")[0])


def picks(study: Similarities, spec: RunSpec) -> np.ndarray:
    """Indices into the pool, best first, int64 (B,); see :class:`RunSpec` for the experiments."""
    if chooser := chooser_of(spec):
        return chooser.picks(study, spec)
    if spec.selector == NONE:
        return np.empty(0, dtype=np.int64)
    if spec.experiment in ("quantile", "focus"):
        order = study.order(spec.representation, spec.task)
        return distance_bin(order, spec.bin, focus=spec.experiment == "focus")[: spec.budget]
    if spec.experiment == "tokens":
        order = _select(study, spec, len(study.data.pool))
        tokens = np.cumsum(study.answer_tokens[order])
        return order[: 1 + np.searchsorted(tokens, spec.budget * study.answer_tokens.mean())]
    return _select(study, spec, spec.budget)


def distance_bin(order: np.ndarray, index: int, *, focus: bool = False) -> np.ndarray:
    """One of ten equal parts of an order (N,), nearest first; the last takes the rest.

    With `focus`, the first part is cut into ten again.
    """
    if focus:
        order = order[: len(order) // BINS]
    size = len(order) // BINS
    return order[index * size : (index + 1) * size if index < BINS - 1 else None]


def half_of(queries: int, draw: int) -> np.ndarray:
    """Row numbers of a random half of the queries (at least one), sorted; the same for every method."""
    return np.sort(np.random.default_rng(draw).choice(queries, max(1, queries // 2), replace=False))


def _select(study: Similarities, spec: RunSpec, budget: int) -> np.ndarray:
    if spec.representation == NONE:
        blank = np.zeros((1, len(study.data.pool)), dtype=np.float32)  # Random looks at nothing
        return select(spec.selector, blank, budget, seed=spec.seed)
    S = study.similarity(spec.representation, spec.task)
    if spec.experiment == "resample":
        S = S[half_of(len(S), spec.draw)]
    name, _, distance = spec.selector.partition("@")  # knn_kde@euclidean: TSDS as published
    options: dict[str, Any] = {"distance": distance} if distance else {}
    return select(name, S, budget, candidates=study.features(spec.representation)[0], **options)
