"""Several tasks in one set of queries: pooled, or each with an equal share of the picks."""

from collections.abc import Mapping, Sequence

import numpy as np

from tis_utils.examples.text import Query
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.selectors import select

TASK = "target"  # all queries together


def groups_of(queries: Sequence[Query]) -> dict[str, np.ndarray]:
    """Places of the queries of every task, in the order in which the tasks appear."""
    tasks = np.array([query.task for query in queries], dtype=object)
    return {name: np.flatnonzero(tasks == name) for name in dict.fromkeys(tasks.tolist())}


def in_turns(study: Study, spec: RunSpec, groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """Picks of a spec; with more than one group, the groups' own selections take turns, int64 (B,).

    A candidate that another task has taken already is passed over, so that every task picks as often as the others.
    """
    if len(groups) < 2 or spec.representation == NONE:
        return study.picks(spec)
    S, candidates = study.similarity(spec.representation, TASK), study.features(spec.representation)[0]
    orders = [iter(select(spec.selector, S[rows], spec.budget, candidates=candidates)) for rows in groups.values()]
    taken: dict[int, None] = {}
    while len(taken) < spec.budget:
        for order in orders:
            pick = next((int(j) for j in order if int(j) not in taken), None)
            if pick is not None and len(taken) < spec.budget:
                taken[pick] = None
    return np.array(list(taken), dtype=np.int64)
