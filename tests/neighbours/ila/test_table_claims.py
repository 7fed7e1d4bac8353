"""Grades of what ILA's own tables say, on tables with a known effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tis_utils.experiments.grids import HYBRIDS
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import languages, table_claims
from tis_utils.neighbours.ila.table_claims import (
    CLAIMS,
    QUESTIONS,
    Tables,
    by_size,
    hybrid_leads,
    judge,
    maths_leads,
    size_leads,
)
from tis_utils.neighbours.many_targets import COLUMNS, MATHS_TASK
from tis_utils.neighbours.models import NOT_RUN, verdicts
from tis_utils.profiles import load_profile

SIZES = (10, 20, 40)
NONE = Tables(pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=COLUMNS), pd.DataFrame(), (), ("words",))


def losses(names: dict[str, float], targets: list[str]) -> pd.DataFrame:
    """A loss of 2, less so many per cent, for each method; the targets differ a little."""
    rng = np.random.default_rng(0)
    lines = [
        ("none", name, 25, seed, "1 2", *(2 * (1 - gain / 100) + 0.002 * rng.normal(size=len(targets))))
        for name, gain in names.items()
        for seed in (0, 1)
    ]
    return pd.DataFrame(lines, columns=[*COLUMNS, *targets])


def tables() -> Tables:
    pools = losses({"ila@pool10": 1, "ila@pool20": 3, "ila": 5, "random": 0}, ["words", "pick", "filter", *"abcd"])
    maths = losses({"ila": 4, "random": 0, "deita": 6}, [MATHS_TASK, *"abcd"])
    return Tables(pools, maths, pd.DataFrame(), SIZES, ("words", "pick", "filter"))


def test_grades_follow_the_tables() -> None:
    card = judge({"x": tables()}).set_index("claim")
    for what, n in (("tasks", 3), ("families", 4)):
        line = card.loc[f"a larger pool helps ILA, {what}"]
        assert line["estimate"] == pytest.approx(2, abs=0.2)  # points per doubling
        assert (line["grade"], line["k"], line["n"], line["of"]) == ("shown", n, n, what)
    assert card.loc["mathematics only, ILA over Random", "estimate"] == pytest.approx(4, abs=0.2)
    assert card.loc["mathematics only, ILA over Deita", "grade"] == "refuted"
    assert card.loc["mathematics only, ILA over Deita", "n"] == 4  # families, without the task
    data, sizes = by_size(tables())
    assert sizes == list(SIZES)
    assert data.methods[-1] == "none/random"


def test_leads_by_size_have_a_panel_for_tasks_and_one_for_families() -> None:
    panels = size_leads({"x": tables(), "none": NONE}, {"x": "X"})
    assert list(panels) == ["X\n3 tasks", "X\n4 general families"]
    for table in panels.values():
        assert table["size"].tolist() == list(SIZES)
        assert table["value"].tolist() == pytest.approx([1, 3, 5], abs=0.2)
        assert (table["low"] < table["value"]).all()


def test_mathematics_has_a_column_for_the_target_and_one_for_its_families() -> None:
    table = maths_leads(tables())
    assert list(table) == [MATHS_TASK, "families"]
    assert list(table.index) == ["ILA", "Deita"]
    assert table.loc["Deita", "families"].startswith("+6 [")
    assert maths_leads(NONE).empty


def test_hybrids_stand_beside_what_they_are_made_of() -> None:
    gains = {**dict.fromkeys(HYBRIDS, 8), "insta@5": 5, "insta@5:cards": 6, "ila": 4, "random": 0, "round_robin": 10}
    rows = pd.DataFrame(
        [
            ("less" if name == "round_robin" else "none", name, task, budget, 2 * (1 - gain / 100))
            for name, gain in gains.items()
            for task in "ab"
            for budget in (25, 50)
        ],
        columns=["representation", "selector", "task", "budget", "value"],
    ).assign(experiment="budget", metric="test_loss", seed=0)
    table = hybrid_leads(rows)
    assert table["a"].to_dict() == table["b"].to_dict()
    assert table["a"].loc[["LESS over ILA's cells", "INSTA by cards", "ILA", "LESS"]].tolist() == [8, 6, 4, 10]
    without = hybrid_leads(rows[~rows["selector"].str.contains("cards")])
    assert not {"INSTA by cards", "INSTA by cards, deepest"} & set(without.index)
    assert len(without) == len(table) - 2


def test_languages_are_judged_over_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"cell": [-0.1, -0.2, -0.3], "translation": [0.1, 0.2, 0.3], "rewording": [0.2, 0.2, 0.2]}
    monkeypatch.setattr(languages, "by_task", lambda rows: pd.DataFrame(said))
    known = Tables(NONE.pools, NONE.maths, pd.DataFrame({"task": [1]}), (), ())
    card = judge({"x": known}).set_index("claim")
    line = card.loc["the map follows the task, not the language"]
    assert (line["estimate"], line["k"], line["n"]) == (pytest.approx(-20), 0, 3)
    assert card.loc["depth agrees on a translation as on a rewording", "grade"] == "open"


def test_what_is_not_stored_is_not_run() -> None:
    card = judge({"x": NONE})
    assert set(card["grade"]) == {"not testable"}
    table = verdicts(QUESTIONS, card, {"x": "X"})
    assert set(table["X"]) == {NOT_RUN}
    assert len(table) == len(CLAIMS)


def test_a_profile_without_tables_reads_as_empty() -> None:
    known = table_claims.read(Study(load_profile("smoke"), compute=False))
    assert known.pools.empty
    assert known.maths.empty
    assert known.texts.empty
