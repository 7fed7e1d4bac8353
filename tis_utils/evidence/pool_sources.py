"""Where a pool's candidates come from, seen from each task: text shared with its queries, and what is taken."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from tis_utils.examples import shared_text
from tis_utils.examples.kinds import contrasts
from tis_utils.examples.text import request
from tis_utils.experiments.study import Study
from tis_utils.labels import label
from tis_utils.storage.stored_results import write_keyed

NAME = "pool_sources"
FORWARD = ("lexical", "embed", "rds")  # LESS takes hours on a CPU; a tiny proxy loses a quarter of the answers
OWN = "own group vs the rest"
RUN = 8  # words in a row that count as shared text


def pool_sources(study: Study, representations: Sequence[str] = FORWARD, budget: int = 64) -> pd.DataFrame:
    """Seen from each task, how much text the pool shares with it and how much of its own group is taken.

    Returns
    -------
    DataFrame
        Columns task, measure, method, value. ``shared queries``, ``shared held out``: the largest share of a text's
        runs of eight words that one candidate has. ``auc``, mean over queries: how often a candidate of the task's own
        group is nearer than another. ``own``: that group's share of round-robin's first `budget` picks; with the
        method ``random`` of the whole pool.
    """
    texts = [request(example) for example in study.data.pool]
    rows = []
    for task in study.profile.tasks:
        for part, asked in (("queries", study.data.queries[task]), ("held out", study.data.test[task])):
            shares, _ = shared_text.largest_share([request(query) for query in asked], texts, RUN)
            rows.append((task, f"shared {part}", "random", shares.max(initial=0)))
        groups = contrasts(study.data.pool, task)
        if OWN not in groups:
            continue
        own, others = groups[OWN]
        truth = np.repeat([1, 0], [len(own), len(others)])
        rows.append((task, "own", "random", len(own) / len(texts)))
        for name in representations:
            S = study.similarity(name, task)[:, np.r_[own, others]]
            rows.append((task, "auc", name, np.mean([roc_auc_score(truth, row) for row in S])))
            rows.append((task, "own", name, np.isin(study.order(name, task)[:budget], own).mean()))
    return pd.DataFrame(rows, columns=["task", "measure", "method", "value"])


def keep(study: Study) -> Path:
    """Store :func:`pool_sources` for the book."""
    key = {"features": {name: study.feature_recipe(name) for name in FORWARD}}
    return write_keyed(study.profile.name, NAME, pool_sources(study), key)


def sources_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`pool_sources` as a page shows them: tasks × measures, in per cent."""
    names = {"shared queries": "largest 8-gram share, queries", "shared held out": "largest 8-gram share, held out"}
    kept = rows[rows["measure"] != "auc"]
    what = kept["measure"].map(names).fillna("own group, " + kept["method"].map(label))
    wide = kept.assign(what=what).pivot(index="task", columns="what", values="value")
    return (100 * wide.loc[kept["task"].unique(), what.unique()]).rename(index=label)
