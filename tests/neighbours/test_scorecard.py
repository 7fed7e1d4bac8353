from __future__ import annotations

import pandas as pd
import pytest

from tis_utils.errors import InputError
from tis_utils.evidence.claims import SCORECARD_COLUMNS
from tis_utils.experiments.study import Study
from tis_utils.neighbours import scorecard
from tis_utils.neighbours.models import MODELS, NO_TABLE
from tis_utils.neighbours.scorecard import neighbour_scorecard
from tis_utils.storage import stored_results as shipped


@pytest.fixture(scope="module")
def card() -> pd.DataFrame:
    return neighbour_scorecard()


def test_both_neighbours_are_judged_by_the_rules_of_the_scorecard(card: pd.DataFrame) -> None:
    assert list(card.columns) == [*SCORECARD_COLUMNS, "method"]
    assert set(card["method"]) == {"INSTA", "ILA"}
    assert not card.duplicated(["claim", "source"]).any()
    assert list(card["source"].unique()) == list(MODELS)
    tested = card[card["grade"] != "not testable"]
    untested = card[(card["grade"] == "not testable") & (card["source"] == "classroom")]  # all runs are stored
    untested = untested[~untested["reason"].str.startswith(NO_TABLE)]
    assert untested["metric"].eq("general_loss").all()
    assert untested["reason"].str.startswith("1 task only").all()
    assert len(untested) == 5
    small = tested[tested["source"] == "classroom/mini"]["claim"]
    assert small.str.contains("transfer|retrieved|random tasks").sum() == 6  # INSTA and its rivals, stored
    for row in tested.itertuples():
        assert row.low <= row.estimate <= row.high
        assert (row.grade == "shown") == (row.low > 0)
        assert (row.grade == "refuted") == (row.high < 0)


def test_without_stored_runs_nothing_is_testable(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shipped, "RESULTS", tmp_path)
    card = neighbour_scorecard(["smoke"])
    assert set(card["grade"]) == {"not testable"}
    assert card["reason"].str.len().min() > 0


def test_a_model_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(study: Study) -> pd.DataFrame:
        raise InputError("The model is not installed here.")

    monkeypatch.setattr(scorecard, "stored_rows", absent)
    card = neighbour_scorecard(["smoke"])
    assert set(card["grade"]) == {"not testable"}
    assert set(card["reason"]) == {"The model is not installed here."}
