"""The claims of the neighbours, INSTA and ILA, judged by this book's stored runs: the second part of the scorecard."""

from __future__ import annotations

import pandas as pd

from tis_utils.evidence.claims import SCORECARD_COLUMNS
from tis_utils.experiments.grids import GRIDS
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import claims as ila_claims
from tis_utils.neighbours.insta import claims as insta_claims
from tis_utils.profiles import load_profile


def neighbour_scorecard(source: str = "classroom") -> pd.DataFrame:
    """One row per claim of INSTA's and of ILA's authors, from the stored runs of a profile; nothing is trained.

    Columns of :func:`tis_utils.evidence.claims.scorecard`, by the same rules, and ``method`` (INSTA or ILA).
    """
    study = Study(load_profile(source), compute=False)
    cells = [*GRIDS["insta"](study.profile), *GRIDS["budgets"](study.profile)]
    by_instruction = insta_claims.judge(study.stored(cells), source=source)
    table = pd.concat([by_instruction.assign(method="INSTA"), ila_claims.claims(study).assign(method="ILA")])
    return table.reindex(columns=[*SCORECARD_COLUMNS, "method"]).reset_index(drop=True)
