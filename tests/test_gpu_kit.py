"""The GPU kit, rehearsed on the CPU with tiny shapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

KIT = Path(__file__).parent / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_the_rehearsal_measures_every_part_and_finds_the_same_numbers(tmp_path: Path) -> None:
    command = [sys.executable, KIT, "rehearse", tmp_path, "--only", "checks,speed,selectors,runs"]
    subprocess.run(command, check=True, env={**os.environ, "TIS_CACHE": str(tmp_path / "cache")}, capture_output=True)
    for part in ("checks", "speed", "selectors", "runs"):
        assert json.loads((tmp_path / f"{part}.json").read_text(encoding="utf-8"))["error"] == ""
    checks = pd.read_csv(tmp_path / "checks.csv")
    assert set(checks["representation"]) == {"embed", "rds", "less"}
    exact = checks[checks["dtype"] == "float32"]
    assert (exact["largest_difference"] < 1e-4).all()
    assert (checks["rank_correlation"] > 0.99).all()
    speed = pd.read_csv(tmp_path / "speed.csv")
    assert len(speed) == 5
    assert (speed["tokens_per_second"] > 0).all()
    assert len(pd.read_csv(tmp_path / "selectors.csv")) == 7
    assert pd.read_csv(tmp_path / "runs.csv").to_dict("records") == [{"planned": 4, "done": 4}]
    assert {"query_loss", "test_loss"} <= set(pd.read_csv(tmp_path / "runs" / "3.csv")["metric"])
