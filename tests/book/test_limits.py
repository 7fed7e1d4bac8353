"""The ceiling on memory, and a large selection below it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tis_utils.book import limits
from tis_utils.errors import InputError, is_exhausted

LIMITED = pytest.mark.skipif(limits.resource is None, reason="this system has no limits on memory")
COUNT, QUERIES, WIDTH = 100_000, 100, 384  # width of MiniLM's features


def run(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=environment)


@pytest.mark.parametrize("gib", [0, -1])
def test_a_ceiling_is_positive(gib: float) -> None:
    with pytest.raises(InputError, match="no amount of memory"):
        limits.limit(gib)


def test_systems_without_limits_say_so(monkeypatch) -> None:
    monkeypatch.setattr(limits, "resource", None)
    with pytest.raises(InputError, match="does not have"):
        limits.limit(1)


@LIMITED
def test_above_the_ceiling_nothing_is_allocated() -> None:
    code = "from tis_utils.book.limits import limit; limit(0.25); import numpy; numpy.ones(10**9)"
    done = run(code)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr
    assert run("from tis_utils.book.limits import limit; limit(0.25); import numpy; numpy.ones(10**6)").returncode == 0


@LIMITED
def test_the_ceiling_can_be_lifted_to_say_so() -> None:
    code = "from tis_utils.book.limits import lift, limit; limit(0.25); lift(); import numpy; numpy.ones(10**8)"
    assert run(code).returncode == 0


@LIMITED
@pytest.mark.skipif(not limits.STATUS.exists(), reason="only Linux says how much counts towards the ceiling")
def test_who_comes_near_the_ceiling_is_stopped_before_it() -> None:
    code = "import time\nfrom tis_utils.book.limits import limit; limit(0.25); kept = []\n"
    done = run(code + "while True: kept.append(bytes(10**5)); time.sleep(0.001)")  # as files are read
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("MemoryError")


def test_who_says_that_memory_ran_out() -> None:
    assert is_exhausted(MemoryError())
    assert is_exhausted(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_exhausted(RuntimeError("a matrix is singular"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 100,000 candidates and 100 queries, and features of both."""
    folder, rng = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    for name, count in (("pool", COUNT), ("queries", QUERIES)):
        records = ({"prompt": f"{name} {i}: what is {i} plus {i}?", "response": str(2 * i)} for i in range(count))
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
        np.save(folder / f"{name}.npy", rng.normal(size=(count, WIDTH)).astype(np.float32))
    return folder


SELECT = """
import sys
from tis_utils.cli import main
try:
    main()
finally:
    import resource
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def select(folder: Path, gib: str) -> subprocess.CompletedProcess[str]:
    features = [str(folder / f"{name}.npy") for name in ("pool", "queries")]
    return run(
        SELECT, "--memory", gib, "select", "--pool", str(folder / "pool.jsonl"), "--queries",
        str(folder / "queries.jsonl"), "--features", *features, "--budget", "500",
        "--output", str(folder / "own.jsonl"),
    )  # fmt: skip


@pytest.mark.slow
@LIMITED
def test_a_hundred_thousand_candidates_fit_below_four_gib(large: Path) -> None:
    done = select(large, "4")
    assert done.returncode == 0, done.stderr
    peak = float(done.stdout.split("peak ")[1])
    print(f"peak resident memory {peak:.2f} GiB")
    assert peak < 4
    picked = [json.loads(line) for line in (large / "own.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({record["prompt"] for record in picked}) == 500
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in
            (np.load(large / "queries.npy"), np.load(large / "pool.npy"))]  # fmt: skip
    nearest = int((unit[0][0] @ unit[1].T).argmax())
    assert picked[0]["prompt"].startswith(f"pool {nearest}:")  # round-robin starts with the first query's nearest


@pytest.mark.slow
@pytest.mark.timeout(600)  # OpenBLAS, loaded where memory has run out, would ask for it without end
@pytest.mark.parametrize("gib", ["0.35", "0.5"])
@LIMITED
def test_too_low_a_ceiling_is_one_sentence(large: Path, gib: str) -> None:
    done = select(large, gib)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not enough memory" in done.stderr
    assert "Traceback" not in done.stderr
