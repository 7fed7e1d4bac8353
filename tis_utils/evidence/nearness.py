"""What a representation holds to be near: neighbourhoods of a query, and a map of pool and queries."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from tis_utils.examples.kinds import view
from tis_utils.examples.text import one_line, short
from tis_utils.experiments.study import Study
from tis_utils.labels import KINDS, in_order


def neighbourhood(study: Study, representation: str, task: str) -> list[str]:
    """The three candidates nearest to a task's first query and the two farthest: rank, text, kind and cosine."""
    row = study.similarity(representation, task)[0]
    order = np.argsort(-row, kind="stable")
    lines = []
    for place in [0, 1, 2, len(order) - 2, len(order) - 1]:
        example, cosine = study.data.pool[order[place]], row[order[place]]
        lines.append(f"{place + 1:,}. {one_line(example, 120)} ({view(example, task)}; {cosine:.2f})")
    return lines


def on_axes(
    study: Study, representations: Mapping[str, str], task: str, limit: int = 420
) -> tuple[dict[str, pd.DataFrame], list[str], dict[str, float]]:
    """Pool and queries on the two principal axes of the points shown.

    Parameters
    ----------
    study : Study
    representations : mapping of title to name
    task : str
    limit : int
        So many candidates: those of the task's own kinds, then the first of all others.

    Returns
    -------
    dict of title to DataFrame
        Columns x, y, kind, text, for :func:`tis_utils.plots.point_map`.
    list of str
        Kinds in the order of the legend, "query" last.
    dict of title to float
        Per cent of the variance that the axes hold.
    """
    kinds = np.array([view(example, task) for example in study.data.pool])
    chosen = np.argsort(~np.isin(kinds, KINDS), kind="stable")[:limit]
    texts = [one_line(study.data.pool[j], 60).replace(" → ", "<br>→ ") for j in chosen]
    asked = [short(query.label, 60) for query in study.data.queries[task]]
    points = pd.DataFrame({"kind": [*kinds[chosen], *["query"] * len(asked)], "text": texts + asked})
    tables, held = {}, {}
    for title, name in representations.items():
        candidates, queries = study.features(name)
        axes = PCA(2, svd_solver="full")
        x, y = axes.fit_transform(np.concatenate([candidates[chosen], queries[task]])).T
        tables[title] = points.assign(x=x, y=y)
        held[title] = 100 * float(axes.explained_variance_ratio_.sum())
    return tables, [*in_order(kinds[chosen]), "query"], held
