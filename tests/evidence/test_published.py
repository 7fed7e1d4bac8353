"""The table of published figures: checksum, shape, and agreement with the released files where present."""

from __future__ import annotations

import hashlib
import itertools
import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from tis_utils.errors import RunError
from tis_utils.evidence import published

RELEASED = published.FOLDER.parents[2] / "shared" / "paper_results"
with_released = pytest.mark.skipif(not RELEASED.is_dir(), reason="the released files are not beside the repository")
RELEASED_NAMES = {  # written out again, so that a slip in the build script shows
    "EMBED (RR)": ("embed", "round_robin"),
    "RDS+ (RR)": ("rds", "round_robin"),
    "LESS (RR)": ("less", "round_robin"),
    "LESS (DG)": ("less", "doubly_greedy"),
    "LESS (KNN-Unif.)": ("less", "knn_uniform"),
    "LESS (KNN-KDE)": ("less", "knn_kde"),
    "LESS (UOT)": ("less", "uot"),
    "Random": ("none", "random"),
}


def test_checksum_of_the_file_itself() -> None:
    stored = (published.FOLDER / "figures.sha256").read_text(encoding="utf-8")
    content = (published.FOLDER / "figures.csv").read_bytes().replace(b"\r\n", b"\n")
    assert stored == f"{hashlib.sha256(content).hexdigest()}  figures.csv\n"


def test_columns_types_and_values() -> None:
    table = published.figures()
    expected = "pool model experiment representation selector task budget bin metric mean sd n"
    assert list(table.columns) == expected.split()
    assert (str(table["budget"].dtype), str(table["bin"].dtype)) == ("Int64", "Int64")
    assert set(table["pool"]) == set(published.POOLS)
    assert set(table["model"]) == set(published.MODELS)
    assert set(table["task"]) == set(published.TASKS)
    assert set(table["metric"]) == {"query_loss", "test_loss", "downstream"}
    assert set(table["representation"]) == {"embed", "rds", "less", "none"}
    assert set(table["selector"]) == {s for _, s in RELEASED_NAMES.values()} | {"none"}
    assert table["mean"].notna().all()
    assert (table["sd"].isna() == (table["n"] == 1)).all()
    assert (table["budget"].isna() == (table["experiment"] == "zero_shot")).all()
    assert (table["bin"].notna() == table["experiment"].isin(["quantile", "focus"])).all()
    assert table.loc[table["metric"] == "downstream", "mean"].between(0, 100).all()


def test_every_cell_is_there_once() -> None:
    table = published.figures()
    assert not table.duplicated(list(published.FIGURE_KEYS)).any()
    per_model = table.groupby(["pool", "model"])["experiment"].value_counts().unstack(fill_value=0)
    assert len(per_model) == 10
    assert (per_model[["quantile", "budget", "zero_shot"]] == [450, 600, 15]).all(axis=None)
    assert per_model["focus"].to_dict() == {key: 450 * (key == ("tulu", "llama2-7b")) for key in per_model.index}


def test_callers_get_their_own_copy() -> None:
    table = published.figures()
    table["mean"] = 0.0
    assert (published.figures()["mean"] > 0).mean() > 0.9


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("query_loss", {"bbh": 0.92, "codex": 0.99, "gsm8k": 0.94, "mmlu_pro": 0.95, "tydiqa": 1.00}),
        ("downstream", {"bbh": -0.61, "codex": 0.72, "gsm8k": -0.89, "mmlu_pro": -0.76, "tydiqa": -1.00}),
    ],
)
def test_published_rank_correlations_of_less_bins(metric: str, expected: dict[str, float]) -> None:
    table = published.figures().query(
        "pool == 'tulu' and model == 'llama2-7b' and experiment == 'quantile' and representation == 'less'"
    )
    for task, rho in expected.items():
        rows = table[(table["metric"] == metric) & (table["task"] == task)]
        assert spearmanr(rows["bin"].astype(int), rows["mean"]).statistic == pytest.approx(rho, abs=0.005)


@with_released
@pytest.mark.parametrize(("pool", "model"), itertools.product(published.POOLS, published.MODELS))
def test_means_and_spreads_agree_with_the_released_runs(pool: str, model: str) -> None:
    table = published.figures().query("pool == @pool and model == @model").set_index(list(published.FIGURE_KEYS[2:]))
    rows = {tuple(map(str, index)): row for index, row in table.iterrows()}  # as text: missing equals missing
    seen = 0
    for path in sorted((RELEASED / pool / model).glob("*.csv")):
        runs = pd.read_csv(path)
        experiment = next(e for k, e in EXPERIMENTS.items() if k in path.name)
        columns = [c for c in ("dataset", "method", "num_samples", "bin") if c in runs]
        for key, group in runs.groupby(columns):
            place = dict(zip(columns, key, strict=True))
            representation, selector = RELEASED_NAMES.get(place.get("method", ""), ("none", "none"))
            budget = place.get("num_samples", 500 if "bin" in place else pd.NA)
            for column in ("dev", "test", "true_metric"):
                if column in group:
                    metric = {"dev": "query_loss", "test": "test_loss", "true_metric": "downstream"}[column]
                    head = (experiment, representation, selector, place["dataset"], budget, place.get("bin", pd.NA))
                    row = rows[tuple(map(str, (*head, metric)))]
                    values = group[column].to_numpy()
                    assert row["n"] == len(values)
                    assert row["mean"] == pytest.approx(values.mean(), rel=5.1e-4, abs=1e-9)
                    if len(values) > 1:
                        assert row["sd"] == pytest.approx(np.std(values, ddof=1), rel=5.1e-4, abs=1e-9)
                    seen += 1
    assert seen == len(table)


EXPERIMENTS = {"binning_": "quantile", "sub_bin0": "focus", "_zero_shot": "zero_shot", "_budget.csv": "budget"}


@with_released
def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    shutil.copy(published.FOLDER / "build.py", tmp_path)
    module = runpy.run_path(str(tmp_path / "build.py"))
    module["main"](RELEASED)
    for name in ("figures.csv", "figures.sha256"):
        assert (tmp_path / name).read_bytes() == (published.FOLDER / name).read_bytes().replace(b"\r\n", b"\n")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    for name in ("figures.csv", "figures.sha256"):
        shutil.copy(published.FOLDER / name, tmp_path)
    published.check(tmp_path / "figures.csv")
    content = (tmp_path / "figures.csv").read_bytes()
    (tmp_path / "figures.csv").write_bytes(content.replace(b"\n", b"\r\n"))  # as a Windows checkout may have it
    published.check(tmp_path / "figures.csv")
    (tmp_path / "figures.csv").write_bytes(content.replace(b"41.48", b"41.49", 1))
    with pytest.raises(RunError, match="has been changed"):
        published.check(tmp_path / "figures.csv")


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="restore the file with git"):
        published.check(tmp_path / "figures.csv")


def test_rows_by_setting_bear_the_printed_names() -> None:
    rows = published.figures()
    parts = published.by_setting(rows)
    assert len(parts) == len(published.MODELS) * len(published.POOLS)
    part = parts["Llama 2 7B, Dolci"]
    assert set(part["pool"]) == {"dolci"}
    assert set(part["model"]) == {"llama2-7b"}
    assert sum(map(len, parts.values())) == len(rows)


def test_independent_results_are_those_of_their_sources() -> None:
    table = published.independent_results()
    assert list(table.columns) == ["source", "model", "task", "measure", "method", "value"]
    assert table.notna().all(axis=None)
    assert not table.duplicated(["source", "task", "method"]).any()
    scores = table.query("source == 'DATE-LM'").pivot(index="method", columns="task", values="value")
    assert scores.shape == (6, 3)
    assert scores.mean(axis=1).round(2).to_dict() == {
        "BM25": 60.73, "GradSim": 60.57, "LESS": 61.23, "RDS+": 62.97, "Random": 61.8, "RepSim": 62.1,
    }  # fmt: skip
    lds = table.query("measure == 'lds'").set_index("method")["value"]
    assert lds.between(0, 1).all()
    assert lds.idxmax() == "MAGIC"
