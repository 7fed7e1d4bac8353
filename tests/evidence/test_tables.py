"""Unfinished sweeps keep what is complete."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tis_utils.evidence.tables import complete


def test_unfinished_sweeps_keep_their_complete_tasks(sweep_rows):
    whole = sweep_rows()
    pd.testing.assert_frame_equal(complete(whole).sort_index(), whole)
    missing = (whole["task"] == "pick") & (whole["budget"] == 50) & (whole["representation"] == "less")
    assert set(complete(whole[~missing])["task"]) == {"words"}
    assert set(complete(whole[~((whole["task"] == "words") & (whole["budget"] == 0))])["task"]) == {"pick"}
    one_seed_less = whole.drop(index=whole.index[0])
    assert len(complete(one_seed_less)) == len(whole) - 1
    assert complete(whole[whole["representation"] == "none"]).empty
    assert complete(whole.iloc[:0]).empty
    assert complete(whole.assign(value=np.nan)).empty


def test_metrics_are_complete_one_by_one(sweep_rows):
    both = pd.concat([sweep_rows(), sweep_rows("query_loss").query("task == 'words'")])
    kept = complete(both)
    assert {m: set(p["task"]) for m, p in kept.groupby("metric")} == {
        "test_loss": {"words", "pick"},
        "query_loss": {"words"},
    }
