"""The claims of the neighbours, INSTA and ILA, judged by this book's stored runs: the second part of the scorecard."""

from collections.abc import Sequence

import pandas as pd

from tis_utils.errors import InputError
from tis_utils.evidence.claims import SCORECARD_COLUMNS
from tis_utils.experiments.run_spec import ROW_COLUMNS
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import claims as ila_claims
from tis_utils.neighbours.ila import designed_subsets, table_claims
from tis_utils.neighbours.insta import claims as insta_claims
from tis_utils.neighbours.models import MODELS, stored_rows
from tis_utils.profiles import load_profile


def neighbour_scorecard(sources: Sequence[str] = MODELS) -> pd.DataFrame:
    """One row per claim of INSTA's and of ILA's authors and per profile, from stored runs; nothing is trained.

    Columns of :func:`tis_utils.evidence.claims.scorecard`, by the same rules, and ``method`` (INSTA or ILA). What a
    profile's model would say is "not testable" where that model is not installed.
    """
    rows, by_coverage, missing = {}, [], {}
    tables: dict[str, table_claims.Tables] = {}
    for source in sources:
        study = Study(load_profile(source), compute=False)
        try:
            rows[source], subsets = stored_rows(study), designed_subsets.stored(study)
            tables[source] = table_claims.read(study)
        except InputError as error:
            missing[source] = str(error)
            rows[source], subsets = pd.DataFrame(columns=ROW_COLUMNS), pd.DataFrame(columns=designed_subsets.COLUMNS)
        by_coverage.append(ila_claims.judge(rows[source], subsets, source, study.profile.pool_size))
    parts = {
        "INSTA": [insta_claims.judge_models(rows)],
        "ILA": [*by_coverage, ila_claims.gaps(rows), table_claims.judge(tables)],
    }
    table = pd.concat([part.assign(method=method) for method, judged in parts.items() for part in judged])
    table["reason"] = table["source"].map(missing).fillna(table["reason"])
    return table.reindex(columns=[*SCORECARD_COLUMNS, "method"]).reset_index(drop=True)
