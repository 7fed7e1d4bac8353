"""Make figures.csv (and its checksum) from the result files that the paper's authors released.

Run ``python data/published/build.py [FOLDER]``; FOLDER holds ``tulu/`` and ``dolci/`` with one folder per
model (default: ``../shared/paper_results`` beside the repository). See README.md here.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
DEFAULT = HERE.parents[2] / "shared" / "paper_results"
KEYS = ["pool", "model", "experiment", "representation", "selector", "task", "budget", "bin", "metric"]
COLUMNS = [*KEYS, "mean", "sd", "n"]
METHODS = {
    "Random": ("none", "random"),
    "EMBED (RR)": ("embed", "round_robin"),
    "RDS+ (RR)": ("rds", "round_robin"),
    "LESS (RR)": ("less", "round_robin"),
    "LESS (DG)": ("less", "doubly_greedy"),
    "LESS (KNN-Unif.)": ("less", "knn_uniform"),
    "LESS (KNN-KDE)": ("less", "knn_kde"),
    "LESS (UOT)": ("less", "uot"),
    "zero-shot": ("none", "none"),
}
METRICS = {"dev": "query_loss", "test": "test_loss", "true_metric": "downstream"}
BIN_BUDGET = 500  # examples trained on per distance quantile
FILES = {  # file name stem: experiment; each exists for losses and for the downstream metric
    "binning_{}_quantile": "quantile",
    "sub_bin0_focus_{}_quantile": "focus",
    "budget_{}_budget": "budget",
    "budget_{}_zero_shot": "zero_shot",
}


def read(path: Path, experiment: str) -> pd.DataFrame:
    """One released file in long form: a row per method, task, budget or bin, seed and metric."""
    wide = pd.read_csv(path).rename(columns={"dataset": "task", "num_samples": "budget"})
    if experiment == "zero_shot":
        wide["method"] = "zero-shot"
    elif experiment != "budget":
        wide["budget"] = BIN_BUDGET
    wide["representation"] = wide["method"].map(lambda name: METHODS[name][0])
    wide["selector"] = wide["method"].map(lambda name: METHODS[name][1])
    keys = ["representation", "selector", "task", *wide.columns.intersection(["budget", "bin", "seed"])]
    values = list(wide.columns.intersection(list(METRICS)))
    long = wide.melt(keys, values, var_name="metric")
    return long.assign(metric=long["metric"].map(METRICS), experiment=experiment)


def table(source: Path) -> pd.DataFrame:
    """Mean, standard deviation (ddof 1) and number of seeds of everything released, sorted."""
    parts = []
    for folder in sorted(p for p in source.glob("*/*") if p.is_dir()):
        for stem, experiment in FILES.items():
            for kind in ("ce_loss", "true_metric"):
                if (path := folder / f"{stem.format(kind)}.csv").exists():
                    parts.append(read(path, experiment).assign(pool=folder.parent.name, model=folder.name))
    runs = pd.concat(parts, ignore_index=True)
    cells = runs.groupby(KEYS, dropna=False)["value"].agg(["mean", "std", "count"]).reset_index()
    cells = cells.rename(columns={"std": "sd", "count": "n"})
    return cells.astype({"budget": "Int64", "bin": "Int64"})[COLUMNS].sort_values(KEYS, ignore_index=True)


def main(source: Path) -> None:
    """Write figures.csv with four significant digits, and figures.sha256."""
    cells = table(source)
    for column in ("mean", "sd"):
        cells[column] = [f"{value:.4g}" if pd.notna(value) else "" for value in cells[column]]
    text = cells.to_csv(index=False, lineterminator="\n").encode()
    (HERE / "figures.csv").write_bytes(text)
    line = f"{hashlib.sha256(text).hexdigest()}  figures.csv\n"
    (HERE / "figures.sha256").write_text(line, encoding="utf-8", newline="\n")
    print(f"{len(cells)} rows, {len(text)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
