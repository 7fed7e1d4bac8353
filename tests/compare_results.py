"""Compare every cell of ``data/results`` with those of another commit: ``python tests/compare_results.py COMMIT``.

Keys may differ (they name step versions); no other value may. Exit code 1 where one does, or a file is gone or new.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "data/results"


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout


def cells(name: str, payload: bytes) -> np.ndarray:
    """All values of a file but the keys; text of a table as it stands, so that no rounding hides a change."""
    if name.endswith(".npy"):
        return np.load(io.BytesIO(payload), allow_pickle=False)
    table = pd.read_csv(io.BytesIO(payload), dtype=str, keep_default_na=False).drop(columns="key", errors="ignore")
    return np.vstack([np.array(table.columns), table.to_numpy()])


def main(commit: str) -> int:
    listing = git("ls-tree", "-r", "--name-only", commit, "--", FOLDER).decode().splitlines()
    before = [name for name in listing if name.endswith((".csv", ".npy"))]
    after = [str(p.relative_to(ROOT)) for p in ROOT.joinpath(FOLDER).rglob("*") if p.suffix in (".csv", ".npy")]
    wrong = sorted({*before} ^ {*after})
    compared = differences = 0
    for name in sorted({*before} & {*after}):
        old, new = cells(name, git("show", f"{commit}:{name}")), cells(name, (ROOT / name).read_bytes())
        different = old.size if old.shape != new.shape else int((old != new).sum())
        compared, differences = compared + old.size, differences + different
        print(f"{name}: {old.size:,} cells, {different} differences")
    moved = ", ".join(wrong) or "none"
    print(f"{compared:,} cells in {len(before)} files, {differences} differences; gone or new: {moved}")
    return int(bool(wrong or differences))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
