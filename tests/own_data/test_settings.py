from __future__ import annotations

from pathlib import Path

import pytest

from tis_utils.cli import dotted
from tis_utils.errors import InputError
from tis_utils.own_data.settings import settings_for


def test_without_a_profile_a_real_language_model_is_taken() -> None:
    settings = settings_for(None, "rds", "uot", None)
    assert (settings.model, settings.embedder, settings.max_length) == ("smollm2", "minilm", 2048)
    assert settings_for(None, "rds", "uot", "tiny", max_length=64).max_length == 64
    assert settings_for("classroom", "rds", "uot", None).max_length == 256


@pytest.mark.parametrize(
    ("representation", "selector", "field"),
    [
        ("embed", "uot", "embedder"),
        ("embed", "insta@3", "embedder"),
        ("rds", "uot", "model"),
        ("embed", "ila", "model"),
    ],
)
def test_the_model_goes_where_it_is_read(representation: str, selector: str, field: str) -> None:
    assert getattr(settings_for(None, representation, selector, "mine"), field) == "mine"


def test_settings_of_less_by_name_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "less.yaml").write_text("rank: 4\nepochs: 1\n", encoding="utf-8")
    (tmp_path / "profile.yaml").write_text("extends: smollm2\nless: {lr: 1.0e-5}\n", encoding="utf-8")
    given = [str(tmp_path / "less.yaml"), str(tmp_path / "profile.yaml"), "epochs=3", "targets=q_proj,v_proj"]
    less = settings_for(None, "less", "uot", None, less=given).less
    assert (less.rank, less.epochs, less.lr, less.targets) == (4, 3, 1e-5, ("q_proj", "v_proj"))
    assert less.alpha == settings_for(None, "less", "uot", None).less.alpha


@pytest.mark.parametrize(
    ("given", "message"),
    [("rnk=3", "did you mean 'rank'"), ("nothing.yaml", "neither KEY=VALUE"), ("rank=many", "rank = 'many'")],
)
def test_a_wrong_setting_is_said(given: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings_for(None, "less", "uot", None, less=[given])


def test_dotted_options() -> None:
    assert dotted(["select", "--less.rank", "16", "-B", "3", "--less", "lr=1"]) == [
        "select", "--less", "rank=16", "-B", "3", "--less", "lr=1",
    ]  # fmt: skip
    assert dotted(["--less.rank"]) == ["--less.rank"]
