"""Load: two hundred runs in two workers whose memory stays flat."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests_support import example, query
from tis_utils.experiments.run import RunTask, run_task
from tis_utils.models.load import load_model
from tis_utils.profiles import Training
from tis_utils.storage.parallel import run_all

STATM = Path("/proc/self/statm")
RUNS = 200
SHORT = 5  # runs of workers that joblib replaced, all together
GROWTH = 0.03  # of resident memory, between the second and the last fifth of the runs


def watched(task: RunTask) -> tuple[int, int, float]:
    """One run; the worker's process, its resident memory afterwards in bytes, and the loss."""
    rows = run_task(task).set_index("metric")["value"]
    resident = int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return os.getpid(), resident, float(rows["query_loss"])


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="resident memory is read from /proc, which Linux has")
def test_resident_memory_stays_flat_over_two_hundred_runs(tmp_path: Path, random_model) -> None:
    random_model.model.save_pretrained(tmp_path / "model")
    random_model.tokenizer.save_pretrained(tmp_path / "model")
    model = str(tmp_path / "model")
    first = RunTask(
        seed=0,
        subset=[example(text * 3, name=text) for text in "abcd"],
        queries=[query("aaa")],
        test=[query("bbb")],
        model=model,
        model_fingerprint=load_model(model).fingerprint,
        dtype="float32",
        max_length=64,
        training=Training(epochs=1, learning_rate=1e-3, batch_size=2),
        metric="none",
        root=tmp_path / "cache",
    )
    tasks = [replace(first, seed=seed) for seed in range(RUNS)]
    done = run_all(watched, tasks, jobs=2)
    assert len({loss for _, _, loss in done}) > 1  # the order of the examples follows the seed
    assert len(list((tmp_path / "cache" / "runs").glob("*.csv"))) == RUNS
    owners = [pid for pid, _, _ in done]
    # joblib may replace a worker after its first run; one that it replaces later has grown by 300 MB
    lasting = [pid for pid in dict.fromkeys(owners) if owners.count(pid) > SHORT]
    assert len(lasting) == 2
    assert RUNS - sum(map(owners.count, lasting)) <= SHORT
    for pid in lasting:
        sizes = [size for owner, size, _ in done if owner == pid]
        fifth = len(sizes) // 5
        early, late = np.mean(sizes[fifth : 2 * fifth]), np.mean(sizes[-fifth:])
        print(f"{len(sizes)} runs: {early / 2**20:.1f} MiB early, {late / 2**20:.1f} MiB late")
        assert late < (1 + GROWTH) * early
