"""The design and its table of runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tis_utils.experiments.study import Study
from tis_utils.neighbours import training
from tis_utils.neighbours.ila import designed_subsets as ila_subsets
from tis_utils.neighbours.ila import selector as ila


def test_designed_subsets_differ_in_coverage_and_depth(study: Study) -> None:
    land = ila.explore(study, ila.parse("ila@grid3"))
    found = [ila_subsets.designed(land, 5, draw) for draw in range(40)]
    assert all(len(set(picks.tolist())) == 5 for picks in found)
    wide, deep = np.array([land.measure(picks) for picks in found]).T
    assert np.ptp(wide) > 0.25
    assert np.ptp(deep) > 0.4
    assert abs(np.corrcoef(wide, deep)[0, 1]) < 0.6


def test_the_table_of_subsets_is_stored_and_read_back(study: Study, monkeypatch) -> None:
    assert ila_subsets.stored(study).empty
    few = [row for row in ila_subsets.plan(study) if row[0] != "designed"][:3]
    rows = ila_subsets.compute(study, few)
    assert list(rows) == [*ila_subsets.COLUMNS[:6], "tasks", "general", "letters", "digits"]
    assert rows["general"].isna().all()  # only the classroom has general held-out examples
    np.testing.assert_allclose(rows["tasks"], rows[["letters", "digits"]].mean(axis=1))
    monkeypatch.setattr(ila_subsets, "plan", lambda study: few)
    ila_subsets.keep(study)
    monkeypatch.setattr(training, "fine_tune", lambda *_, **__: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(ila_subsets.stored(study), rows)
    pd.testing.assert_frame_equal(ila_subsets.table(study), rows)
