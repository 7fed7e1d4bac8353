"""Tidy rows: aggregated over seeds, named by method; unfinished sweeps keep what is complete."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plots_support import results

from tis_utils.errors import InputError
from tis_utils.evidence.tables import aggregate, complete, with_method


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


finite = st.floats(-1e3, 1e3)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.lists(finite, min_size=1, max_size=5), min_size=1))
def test_aggregate_equals_plain_python(groups):
    frame = pd.DataFrame([(key, value) for key, values in groups.items() for value in values], columns=["k", "value"])
    table = aggregate(frame, ["k"]).set_index("k")
    for key, values in groups.items():
        mean = sum(values) / len(values)
        assert table.loc[key, "n"] == len(values)
        assert table.loc[key, "mean"] == pytest.approx(mean, abs=1e-9)
        if len(values) > 1:
            variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
            assert table.loc[key, "sd"] == pytest.approx(math.sqrt(variance), abs=1e-6)
            assert table.loc[key, "se"] == pytest.approx(math.sqrt(variance / len(values)), abs=1e-6)
        else:
            assert math.isnan(table.loc[key, "se"])


def test_aggregated_rows_pass_through_and_may_not_repeat():
    frame = pd.DataFrame({"k": ["a", "b"], "mean": [1.0, 2.0], "sd": [0.5, 1.0], "n": [4, 1]})
    assert list(aggregate(frame, ["k"])["se"]) == [0.25, 1.0]
    with pytest.raises(InputError, match="several aggregated rows"):
        aggregate(pd.concat([frame, frame]), ["k"])


def test_methods_of_rows():
    assert set(with_method(results(), "representation")["method"]) == {"embed", "rds", "less", "random", "zero_shot"}
    frame = results().assign(selector=lambda f: f["selector"].replace("round_robin", "uot"))
    with pytest.raises(InputError, match=r"several values of representation \(embed, less, rds\)"):
        with_method(frame, "selector")
    kept = frame[(frame["representation"] == "less") | (frame["representation"] == "none")]
    assert set(with_method(kept, "selector")["method"]) == {"uot", "random", "zero_shot"}
    with pytest.raises(InputError, match="by = 'colour'"):
        with_method(frame, "colour")
