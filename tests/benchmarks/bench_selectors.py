"""Selectors against plain rescanning, and at the size of the largest pool; run by `make bench`.

    python tests/benchmarks/bench_selectors.py [--short] [--part greedy|kde|six|large] [--folder DIR]

Ratios compare two implementations in the same run on the same machine, and both must pick the same
candidates; the last column is the ratio of processor times, which other work on the machine disturbs
less. Every part runs in a process of its own, which reports its peak memory (mapped files count
where they are resident). `--short` uses smaller pools: the numbers then say nothing about the full size.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tis_utils.selectors import SELECTORS, density, neighbours, select
from tis_utils.selectors.similarity import nearest, similarity

M, DIM = 81, 64
TOPICS, TARGETS = 400, 8  # topics in the pool; topics the queries are about
BUDGET = 10_000


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds on the clock, seconds of processor time, result."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - start, time.process_time() - busy, result


def say(what: str, *columns: str) -> None:
    print(f"{what:<52}" + "".join(f"{column:>16}" for column in columns), flush=True)


def unit(x: NDArray[Any]) -> NDArray[Any]:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def rows(n: int, seed: int, topics: int) -> NDArray[Any]:
    """Unit rows around the first `topics` of the topics (cosine within a topic around 0.75); 0: no topics."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, DIM), dtype=np.float32)
    if not topics:
        return unit(noise)
    centres = unit(np.random.default_rng(0).standard_normal((TOPICS, DIM), dtype=np.float32))
    return unit(centres[rng.integers(topics, size=n)] + noise * np.float32(0.6 / DIM**0.5))


def pool(n: int, *, topical: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Similarities and candidates."""
    candidates = rows(n, 1, TOPICS if topical else 0)
    return similarity(rows(M, 2, TARGETS if topical else 0), candidates), candidates


def rescanning_round_robin(S: NDArray[Any], budget: int) -> NDArray[Any]:
    """Every turn looks through the query's whole row."""
    free = np.ones(S.shape[1], dtype=bool)
    picks = np.empty(budget, dtype=np.int64)
    for t in range(budget):
        picks[t] = np.where(free, S[t % len(S)], -np.inf).argmax()
        free[picks[t]] = False
    return picks


def densities_by_top_k(rows: NDArray[Any], *, sigma: float, k: int) -> NDArray[Any]:
    """Every row's k nearest by `torch.topk`, then the kernel."""
    sums = np.empty(len(rows))
    height = max(1, density.BLOCK // len(rows))  # the same products, bit by bit, as the package
    for start in range(0, len(rows), height):
        cosines = rows[start : start + height] @ rows.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = 1
        near = torch.topk(torch.from_numpy(cosines), k, dim=1).values.numpy().astype(np.float64)
        sums[start : start + height] = np.maximum(0, 1 - 2 * (1 - near) / sigma**2).sum(axis=1)
    return sums


def compare(what: str, fast: Callable[[], Any], plain: Callable[[], Any]) -> None:
    clock, busy, picks = timed(fast)
    plain_clock, plain_busy, expected = timed(plain)
    assert np.array_equal(picks, expected), f"{what}: the two implementations disagree"
    ratios = f"{plain_clock / clock:.1f} x", f"{plain_busy / busy:.1f} x"
    say(what, f"{clock:.2f} s", f"{plain_clock:.2f} s", *ratios)


def greedy(n: int) -> None:
    say(f"round-robin, {M} x {n:,}", "package", "rescanning", "ratio", "processor")
    for topical in (True, False):
        S, _ = pool(n, topical=topical)
        kind = "topical" if topical else "isotropic"
        for budget in (min(BUDGET, n), n):
            compare(
                f"  {kind}, budget {budget:,}",
                lambda S=S, budget=budget: select("round_robin", S, budget),
                lambda S=S, budget=budget: rescanning_round_robin(S, budget),
            )


def kde(n: int) -> None:
    say(f"KNN-KDE, {M} x {n:,} x {DIM}", "package", "top-k", "ratio", "processor")
    package = neighbours.densities
    for topical in (True, False):
        S, candidates = pool(n, topical=topical)
        union = len(np.unique(nearest(S, n // 10)[0]))

        def run(
            densities: Callable[..., Any], S: NDArray[Any] = S, candidates: NDArray[Any] = candidates
        ) -> NDArray[Any]:
            neighbours.densities = densities
            return select("knn_kde", S, n // 4, candidates=candidates)

        kind = "topical" if topical else "isotropic"
        compare(
            f"  {kind}, {union:,} neighbours", lambda run=run: run(package), lambda run=run: run(densities_by_top_k)
        )


def six(n: int) -> None:
    for topical in (True, False):
        say(f"{'topical' if topical else 'isotropic'}, {M} x {n:,} x {DIM}, budget {BUDGET:,}", "seconds", "processor")
        S, candidates = pool(n, topical=topical)
        _all(list(SELECTORS), S, candidates)


def write_similarities(candidates: NDArray[Any], path: Path) -> None:
    out = np.lib.format.open_memmap(path, "w+", np.float32, (M, len(candidates)))
    similarity(rows(M, 2, TARGETS), candidates, out=out)
    out.flush()


def large(n: int, folder: Path) -> None:
    """Everything from files: features are written block by block, similarities into a mapped file."""
    path = folder / "features.npy"
    features = np.lib.format.open_memmap(path, "w+", np.float32, (n, DIM))
    step = 200_000
    for start in range(0, n, step):
        features[start : start + step] = rows(min(step, n - start), 10 + start, TOPICS)
    features.flush()
    del features
    candidates = np.load(path, mmap_mode="r")
    say(f"from files, {M} x {n:,} x {DIM}, budget {BUDGET:,}", "seconds", "processor")
    seconds, busy, _ = timed(lambda: write_similarities(candidates, folder / "S.npy"))
    say("  similarity", f"{seconds:.1f}", f"{busy:.1f}")
    S = np.load(folder / "S.npy", mmap_mode="r")
    _all([name for name in SELECTORS if name != "knn_kde"], S, candidates)
    say("  peak memory so far", f"{_peak():.1f} GiB")
    union = len(np.unique(nearest(S, min(5000, n // 10))[0]))
    seconds, busy, _ = timed(lambda: select("knn_kde", S, BUDGET, candidates=candidates))
    say(f"  knn_kde, {union:,} neighbours", f"{seconds:.1f}", f"{busy:.1f}")


def _all(names: list[str], S: NDArray[Any], candidates: NDArray[Any]) -> None:
    total = np.zeros(2)
    for name in names:
        features = candidates if name == "knn_kde" else None
        seconds, busy, picks = timed(lambda name=name, f=features: select(name, S, BUDGET, candidates=f))
        assert len(np.unique(picks)) == min(BUDGET, S.shape[1])
        total += seconds, busy
        say(f"  {name}", f"{seconds:.2f}", f"{busy:.2f}")
    say("  together", *(f"{each:.1f}" for each in total))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="smaller pools")
    parser.add_argument("--part", choices=["greedy", "kde", "six", "large"])
    parser.add_argument("--folder", type=Path, help="where the large part may write 3.5 GB (default: temporary)")
    args = parser.parse_args()
    if args.part is None:
        for part in ("greedy", "kde", "six", "large"):
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", part], check=True)
        return
    warnings.simplefilter("ignore", UserWarning)
    if args.part == "large":
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            large(200_000 if args.short else 5_800_000, Path(folder))
    else:
        full = {"greedy": 197_000, "kde": 40_000, "six": 197_000}[args.part]
        {"greedy": greedy, "kde": kde, "six": six}[args.part](20_000 if args.short else full)
    say(f"peak memory of part {args.part}", f"{_peak():.1f} GiB")


if __name__ == "__main__":
    main()
