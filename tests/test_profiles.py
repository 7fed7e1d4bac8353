from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tis_utils.errors import InputError
from tis_utils.profiles import Training, load_profile, names


@pytest.mark.parametrize("name", ["smoke", "classroom", "smollm2", "paper"])
def test_the_shipped_profiles_are_valid_and_carry_their_name(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert list(profile.budgets) == sorted(set(profile.budgets))
    assert max(profile.budgets) <= profile.pool_size


def test_the_paper_profile_has_the_papers_values() -> None:
    paper = load_profile("paper")
    assert paper.budgets == (500, 1000, 2500, 5000, 10000)
    assert (paper.training.epochs, paper.training.learning_rate, paper.training.batch_size) == (2, 2e-5, 128)
    assert (paper.less.rank, paper.less.alpha, paper.less.dim) == (128, 512, 8192)
    assert paper.less.sketch == "rademacher"


def test_overrides_replace_values_and_none_keeps_them() -> None:
    profile = load_profile("classroom", budgets=[5, 7], pool_size=None, tasks="words")
    assert profile.budgets == (5, 7)
    assert profile.tasks == ("words",)
    assert profile.pool_size == load_profile("classroom").pool_size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bugdets": [1]}, r"unknown key 'bugdets'; did you mean 'budgets'\?"),
        ({"less": {"rnk": 3}}, r"unknown key 'less\.rnk'"),
        ({"budgets": [-5]}, r"budgets\.0 = -5 is not possible"),
        ({"budgets": 0}, r"budgets\.0 = 0 is not possible"),
        ({"budgets": []}, "budgets"),
        ({"pool_size": "many"}, "pool_size = 'many' is not possible"),
        ({"seeds": [-1]}, r"seeds\.0 = -1"),
        ({"dtype": "float8"}, "dtype = 'float8'"),
    ],
)
def test_impossible_values_are_one_clear_sentence(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_profile("classroom", **change)


def test_unknown_profiles_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="no profile 'clasroom'.*" + ", ".join(names())):
        load_profile("clasroom")
    with pytest.raises(InputError, match="does not exist"):
        load_profile("nowhere/mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("name: [", "not valid YAML"), ("- a\n- b\n", "must be a mapping"), ("name: mine\n", "key 'model' is missing")],
)
def test_broken_profile_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_profile(path)


def test_micro_batches_must_fill_the_batch() -> None:
    with pytest.raises(ValidationError, match="micro_batch_size 4 must divide batch_size 10"):
        Training(batch_size=10, micro_batch_size=4)
    assert Training(batch_size=4, micro_batch_size=100).batch_size == 4
