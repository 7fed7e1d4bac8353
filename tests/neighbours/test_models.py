"""What is compared between models: leads that shrink, by an oracle of SciPy, and the table of open questions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from tis_utils.errors import InputError
from tis_utils.evidence.tables import RANDOM
from tis_utils.experiments.study import Study
from tis_utils.neighbours.models import (
    MODELS,
    NOT_RUN,
    TOGETHER,
    at_lowest,
    counted,
    shrinks,
    sized,
    studies,
    together,
    verdicts,
)
from tis_utils.profiles import load_profile

METHOD = "none/insta@5"


def rows_of(below: dict[str, float], budget: int = 25) -> pd.DataFrame:
    """A loss that lies so many per cent below Random's, by task."""
    fields = ["experiment", "representation", "selector", "task", "budget", "seed", "metric", "value"]
    lines = [
        ("budget", "none", name, task, budget, 0, "test_loss", 2.0 * (1 - share / 100 * (name != "random")))
        for task, share in below.items()
        for name in ("insta@5", "random")
    ]
    return pd.DataFrame(lines, columns=fields)


def test_models_with_the_same_tasks_are_compared_task_by_task() -> None:
    small, large = {"a": 40.0, "b": 20.0, "c": 10.0}, {"b": 12.0, "a": 25.0, "c": 8.0}
    table = shrinks({"s": rows_of(small), "l": rows_of(large)}, METHOD, RANDOM, "shrinks").set_index("source")
    falls = [small[task] - large[task] for task in small]
    ends = ttest_1samp(falls, 0).confidence_interval()
    assert table.loc["l", ["estimate", "low", "high"]].tolist() == pytest.approx([np.mean(falls), *ends])
    assert table.loc["l", ["k", "n", "of"]].tolist() == [3, 3, "tasks"]
    assert table.loc["l", "grade"] == "leaning"
    assert table.loc["s", "grade"] == "not testable"
    assert "no smaller model" in table.loc["s", "reason"]


@pytest.mark.parametrize(("shift", "wanted"), [(30, "shown"), (-30, "refuted"), (1, "open")])
def test_models_with_other_tasks_are_compared_by_their_means(shift: float, wanted: str) -> None:
    small, large = [40.0, 44.0, 48.0, 41.0], [v - shift for v in (40.0, 47.0, 43.0)]
    rows = {
        "s": rows_of(dict(zip("abcd", small, strict=True))),
        "l": rows_of(dict(zip("xyz", large, strict=True)), budget=16),
    }
    line = shrinks(rows, METHOD, RANDOM, "shrinks").iloc[1]
    ends = ttest_ind(small, large, equal_var=False).confidence_interval()
    assert [line.estimate, line.low, line.high] == pytest.approx([np.mean(small) - np.mean(large), *ends])
    assert line.grade == wanted
    assert "other tasks and pool" in line.unit
    assert line.n == 0


def test_a_model_without_runs_is_passed_over_and_too_few_tasks_say_so() -> None:
    few = rows_of({"x": 1.0, "y": 2.0})
    whole = rows_of({"a": 40.0, "b": 20.0, "c": 10.0})
    table = shrinks({"s": whole, "none": whole.iloc[:0], "l": whole, "few": few}, METHOD, RANDOM, "shrinks")
    assert table["grade"].tolist() == ["not testable", "not testable", "open", "not testable"]
    assert table["estimate"].iloc[2] == pytest.approx(0)
    assert "too few" in table["reason"].iloc[3]
    same = shrinks({"s": few, "l": few}, METHOD, RANDOM, "shrinks").iloc[1]
    assert (same.grade, same.estimate) == ("not testable", pytest.approx(0))


def test_the_lowest_budget_comes_with_the_untuned_model() -> None:
    rows = pd.DataFrame({"budget": [0, 25, 100, 25]})
    assert at_lowest(rows)["budget"].tolist() == [0, 25, 25]
    assert at_lowest(rows.iloc[:0]).empty


def test_every_question_has_a_verdict_of_every_model() -> None:
    line = {"source": "a", "unit": "% of loss", "of": "tasks", "reason": "", "k": 4, "n": 4}
    lead, other = (
        line | {"claim": "y", "unit": "points of lead"},
        {"source": "b", "unit": "points of lead, other tasks"},
    )
    untested = {"grade": "not testable", "k": 0, "n": 0}
    card = pd.DataFrame([
        line | {"claim": "x", "grade": "shown", "estimate": 9.04, "low": 1.0, "high": 17.0},
        line | {"claim": "x", "source": "b", "reason": "No task and budget has all."} | untested,
        line | {"claim": "x", "source": "d", "grade": "open", "estimate": 1.0, "low": -1.0, "high": 3.0, "k": 3},
        lead | {"reason": "no smaller model to compare with"} | untested,
        lead | other | {"grade": "open", "estimate": -2.0, "low": -9.0, "high": 5.0, "n": 0},
    ])  # fmt: skip
    questions = [("Larger?", "first", "x"), ("Else?", "third", "x"), ("Larger?", "second", "y")]
    table = verdicts(questions, card, {"a": "tiny", "b": "large", "c": "none"})
    assert table.columns.tolist() == [TOGETHER, "tiny", "large", "none"]
    assert [question for question, _ in table.index] == ["Larger?", "Larger?", "Else?"]  # one block each
    first, second = "first (% of loss)", "second (points of lead)"
    assert table.loc[("Larger?", first)].tolist() == [
        "4 of 4", "shown: +9.0 [+1.0, +17.0], 4 of 4 tasks", NOT_RUN, NOT_RUN
    ]  # fmt: skip
    assert table.loc[("Larger?", second)].tolist() == [
        "", "not testable: no smaller model to compare with", "open: −2.0 [−9.0, +5.0], other tasks", NOT_RUN
    ]  # fmt: skip
    assert counted(card, "x", ["a", "d"]) == "7 of 8"
    assert counted(card, "y", ["a", "b"]) == ""
    assert together(card, "x", ["a", "b", "d"]) == (7, 8)
    assert verdicts(questions[:1], card, {"a": "tiny"}).columns.tolist() == ["tiny"]
    with pytest.raises(InputError, match="no claim 'z'; it has x, y"):
        verdicts([("", "", "z")], card, {"a": "tiny"})


def test_models_are_compared_where_the_own_profile_is_one_of_them() -> None:
    own, other = Study(load_profile("classroom")), Study(load_profile("smoke"))
    compared = studies(own)
    assert list(compared) == list(MODELS)
    assert compared["classroom"] is own
    assert sized(compared["classroom/mini"]) == "mini (0.18 M)"
    assert studies(other) == {"smoke": other}
    assert studies(own, compare=False) == {"classroom": own}
