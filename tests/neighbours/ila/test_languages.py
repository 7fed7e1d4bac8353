"""The bilingual pool, and what its table says by an oracle of loops."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tis_utils.examples.text import turns
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila import languages
from tis_utils.neighbours.ila.languages import ANSWERS, COLUMNS, DRAWS, TEXT, WORDINGS, by_task, puzzles
from tis_utils.profiles import load_profile
from tis_utils.storage import stored_results
from tis_utils.storage.cache import Store


def test_every_task_is_written_twice_in_both_languages() -> None:
    assert set(WORDINGS) == set(ANSWERS)
    texts = [text for part in WORDINGS.values() for wordings in part.values() for text in wordings]
    assert all(list(part) == ["en", "es"] and len(part["en"]) == len(part["es"]) == 2 for part in WORDINGS.values())
    assert len(set(texts)) == len(texts) == 4 * len(WORDINGS)
    assert all(text.count("{}") == 1 for text in texts)


def test_a_problem_has_the_same_numbers_and_answer_in_all_four_texts() -> None:
    pool = puzzles(3)
    assert len(pool) == 4 * 3 * len(WORDINGS) == len({example.id for example in pool})
    groups: dict[tuple[str, int], set[tuple[tuple[str, ...], str]]] = {}
    for example in pool:
        numbers = tuple(re.findall(r"\b\d\d\b", turns(example, "user").replace("than 50", "").replace("que 50", "")))
        answer = turns(example, "assistant")
        groups.setdefault((example.meta["task"], example.meta["problem"]), set()).add((numbers, answer))
    assert {len(group) for group in groups.values()} == {1}
    assert all(answer for group in groups.values() for _, answer in group)


def test_answers_by_hand() -> None:
    numbers = [40, 17, 52]
    answers = {name: answer(numbers) for name, answer in ANSWERS.items()}
    assert answers["sum"] == [109]
    assert answers["descending"] == [52, 40, 17]
    assert answers["odd"] == [17]
    assert answers["digit_sums"] == [4, 8, 7]
    assert answers["first_digits"] == [4, 1, 5]
    assert answers["last_digits"] == [0, 7, 2]
    assert answers["spread"] == [35]
    assert answers["above_fifty"] == [1]


def made_up(shift: float, agree: bool, by_language: bool) -> pd.DataFrame:
    """A table in which the language decides the cell or the task does, and translations agree or do not."""
    rng = np.random.default_rng(0)
    lines = []
    for t, task in enumerate("abc"):
        for problem in range(8):
            for language in ("en", "es"):
                for wording in (0, 1):
                    depth = problem / 8 if agree or language == "en" else rng.random()
                    cell = int(language == "es") if by_language else t
                    depths = [depth + shift * (language == "es")] * DRAWS
                    lines.append((task, problem, language, wording, cell, 0.5, 0.7, *depths))
    return pd.DataFrame(lines, columns=COLUMNS)


def test_what_the_table_says() -> None:
    same = by_task(made_up(0.25, True, False))
    assert same["translation"].tolist() == same["rewording"].tolist() == pytest.approx([1, 1, 1])
    assert same["spanish"].tolist() == pytest.approx([0.25] * 3)
    assert same["cell"].tolist() == [1, 1, 1]
    assert same["cosine"].tolist() == pytest.approx([-0.2] * 3)
    other = by_task(made_up(0, False, True))
    assert (other["translation"] < 0.8).all()
    assert other["cell"].tolist() == [-1, -1, -1]


def test_texts_that_tuned_the_model_have_no_depth_and_do_not_count() -> None:
    rows = made_up(0, True, False)
    for draw in range(DRAWS):
        rows.loc[draw::7, f"depth{draw}"] = np.nan
    assert by_task(rows)["translation"].tolist() == pytest.approx([1, 1, 1])


def test_the_table_is_stored_under_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_results, "RESULTS", tmp_path / "results")
    few = puzzles(1)
    monkeypatch.setattr(languages, "puzzles", lambda: few)
    monkeypatch.setattr(languages, "DRAWS", 1)
    study = Study(load_profile("smoke", model="mini"), Store(tmp_path / "cache"))
    assert languages.stored(study).empty
    languages.keep(study)
    rows = languages.stored(study)
    assert rows[TEXT].to_numpy().tolist() == [[example.meta[name] for name in TEXT] for example in few]
    tuned = rows["depth0"].isna().sum()
    assert tuned == round(0.1 * len(few))
    unit = languages.bilingual(study).features("embed")[0]
    first = rows.iloc[0]
    among = [
        i for i, row in rows.iterrows() if row["task"] != first["task"] and row["language"] == first["language"]
    ]  # fmt: skip
    assert first["form"] == pytest.approx(max(float(unit[0] @ unit[i]) for i in among), abs=1e-5)
