"""The command line as a user meets it: help, exit codes, one-paragraph errors, no tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import tests_support
from tis_utils import cli
from tis_utils.book.doctor import Check, Report, examine

ROOT = Path(__file__).resolve().parent.parent


tis = partial(tests_support.tis, COLUMNS="100", NO_COLOR="1")


def test_help_names_every_command() -> None:
    done = tis("--help")
    assert done.returncode == 0
    for command in ("book", "run", "sweep", "represent", "grid", "measure", "select", "compare", "doctor"):
        assert command in done.stdout
    assert tis().returncode == 2


def test_the_parameters_of_a_notebook_can_be_listed() -> None:
    done = tis("run", "00", "--parameters")
    assert done.returncode == 0
    assert 'profile = "classroom"' in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "99_nothing"], "There is no notebook '99_nothing'"),
        (["run", "00", "-p", "budgte", "5"], "has no parameter 'budgte'"),
        (["run", "00", "-p", "budgets", "-5"], "budgets.0 = -5 is not possible"),
        (["run", "00", "-p", "budgets", "10,0"], "budgets.1 = 0 is not possible"),
        (["run", "00", "--profile", "huge"], "There is no profile 'huge'"),
        (["run", "00", "--profile", "missing/mine.yaml"], "does not exist"),
        (["book", "--profile", "huge"], "There is no profile 'huge'"),
        (["doctor", "--profile", "huge"], "There is no profile 'huge'"),
        (["measure", "all"], "Unknown table 'all'; known: less_variants, transfer, ila_subsets, languages"),
        (["grid", "all"], "There is no grid 'all'; known: quantiles"),
        (["grid", "quantiles", "--task", "chess"], "has no task 'chess'; it has words"),
        (["sweep", "00", "-p", "budgte", "5,6"], "has no parameter 'budgte'"),
        (["sweep", "00", "-p", "budgets", "[5"], "cannot be read as values"),
        (["sweep", "11", "-p", "alpha", "0.1", "--engine", "slurm"], "Unknown engine 'slurm'"),
        (["bok"], "No such command"),
        (["run"], "Missing argument"),
    ],
)
def test_misuse_is_one_clear_paragraph_and_exit_code_2(words: list[str], message: str) -> None:
    done = tis(*words)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_dry_run_lists_jobs_and_touches_nothing(tmp_path: Path) -> None:
    done = tis("grid", "quantiles", "--profile", "paper", "--dry-run", TIS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.strip().startswith("quantile ")]) == 451  # + total
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_of_one_of_the_papers_settings() -> None:
    done = tis("grid", "budgets", "--profile", "paper/qwen3-4b-dolci", "--dry-run", "--shard", "0/4")
    assert done.returncode == 0, done.stderr
    assert "tokens_per_example = 438" in done.stdout
    assert tis("grid", "budgets", "--shard", "0/4", "--ship").returncode == 2


@pytest.mark.slow
def test_a_dry_run_without_a_plan_times_the_model_on_this_machine(tmp_path: Path) -> None:
    done = tis("grid", "budgets", "--profile", "smoke", "--dry-run", TIS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.strip().startswith("budget ")]) == 81  # + total
    assert "parameters = 748416" in done.stdout
    assert "training_tflops = 0." in done.stdout
    assert not (tmp_path / "cache" / "runs").exists()


def test_a_profile_with_an_unknown_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (ROOT / "notebooks" / "profiles" / "smoke.yaml").read_text(encoding="utf-8")
    path.write_text(text + "bugdets: [1]\n", encoding="utf-8")
    done = tis("run", "00", "--profile", str(path))
    assert done.returncode == 2
    assert "unknown key 'bugdets'; did you mean 'budgets'?" in done.stderr


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in tis("--debug", "run", "99_nothing").stderr


FULL_DISK = """
import pathlib, sys
import numpy as np
from tis_utils import cli
from tis_utils.storage.cache import Store

usual = pathlib.Path.open

def on_a_full_disk(self, *args, **options):
    if self.name.endswith(".part"):  # /dev/full fails every write for lack of space
        return usual(pathlib.Path("/dev/full"), "wb", buffering=0)
    return usual(self, *args, **options)

pathlib.Path.open = on_a_full_disk
cli.app = lambda words: Store(pathlib.Path(sys.argv[1])).array("features", {}, lambda: np.zeros(9))
cli.main()
"""


def test_a_full_disk_stops_the_run_with_a_clear_message(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    environment = {**os.environ, "TIS_CACHE": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "No space left to write" in done.stderr
    assert "TIS_CACHE" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.npy*"))


def test_doctor_is_healthy_for_the_default_profile() -> None:
    done = tis("doctor")
    assert done.returncode == 0, done.stdout
    assert "Profile classroom can run here." in done.stdout
    for name in ("smoke", "smollm2", "paper"):
        assert name in done.stdout


def test_doctor_says_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    report = examine("paper")
    missing = {check.name for check in report.checks if check.ok is False}
    assert {"hub data", "meta-llama/Llama-2-7b-hf", "sentence-transformers/gtr-t5-base"} <= missing
    (tmp_path / "hub/models--meta-llama--Llama-2-7b-hf/snapshots").mkdir(parents=True)
    assert "meta-llama/Llama-2-7b-hf" not in {c.name for c in examine("paper").checks if c.ok is False}
    assert not report.healthy
    assert "MISSING" in report.text
    assert Report("x", [Check("a", None, "optional thing")], []).healthy


@pytest.fixture(scope="module")
def small_profile(tmp_path_factory) -> Path:
    text = (ROOT / "notebooks/profiles/smoke.yaml").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("profile") / "small.yaml"
    path.write_text(
        text.replace("pool_size: 600", "pool_size: 300").replace("name: smoke", "name: small"), encoding="utf-8"
    )
    return path


@pytest.mark.slow  # five processes that load the model
def test_features_by_shard_then_joined(small_profile: Path, tmp_path: Path) -> None:
    def represent(*words: str) -> str:
        done = tis("represent", "-P", str(small_profile), "-R", "rds", *words, TIS_CACHE=str(tmp_path))
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "part 1 of 2 is done, 2 of 3 shards are missing" in represent("--shard", "1/2")
    assert "part 0 of 2 is done, 0 of 3 shards are missing" in represent("--shard", "0/2")
    assert "316 rows of 128 numbers" in represent()
    stamps = [path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")]
    assert "316 rows of 128 numbers" in represent()
    assert stamps == [path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "4/4"], "--shard '4/4' is not I/N with 0 <= I < N"),
        (["--shard", "first"], "--shard 'first' is not I/N"),
        (["--shard", "0/2", "--ship"], "--ship needs the whole pool"),
        (["-R", "bert"], "Unknown representation 'bert'"),
    ],
)
def test_misused_represent(words: list[str], message: str) -> None:
    done = tis("represent", "-P", "smoke", *words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_unknown_grid() -> None:
    done = tis("grid", "quantile", "-P", "smoke")
    assert done.returncode == 2
    assert "There is no grid 'quantile'; known: quantiles, focus" in done.stderr


@pytest.mark.slow  # two processes that load the models
@pytest.mark.parametrize("name", ["ila", "insta"])
def test_grids_of_other_papers_methods_run_from_the_command_line(
    small_profile: Path, tmp_path: Path, name: str
) -> None:
    words = ("--profile", str(small_profile), "--shard", "0/9999", "-j", "1")
    done = tis("grid", name, *words, TIS_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"{name}: 1 runs" in done.stdout


def test_a_relative_cache_is_one_folder_for_the_command_and_its_notebooks(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIS_CACHE", "mine")
    monkeypatch.setattr(cli, "app", lambda words: None)
    cli.main()
    assert os.environ["TIS_CACHE"] == str(tmp_path / "mine")
