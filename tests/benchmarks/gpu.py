"""The GPU kit: does the code give the CPU's numbers on a GPU, how fast is it there, and SmolLM2's grids.

    python tests/benchmarks/gpu.py pack .gpu              # here: data, small features, weights in parts of 40 MB
    python tests/benchmarks/gpu.py run .gpu OUT           # on the GPU, without network or Hub; `make gpu` rehearses it
    python tests/benchmarks/gpu.py keep OUT               # here again: numbers and runs into data/results

`run` needs torch, transformers, peft, scikit-learn and what `pack` put beside the data. Each part writes its own file,
and one that fails says so in gpu.json and does not stop the others.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import gpu_parts as parts
import numpy as np
import pandas as pd
import torch

from tis_utils.examples.load import load_data
from tis_utils.examples.text import Data, Example, Query
from tis_utils.experiments import grids
from tis_utils.experiments.run_spec import SPEC_COLUMNS, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.models.files import smollm2_file
from tis_utils.profiles import Profile, load_profile
from tis_utils.storage import stored_results

PART = 40_000_000  # bytes of a piece of the weights
CARRIED, COMPUTED = ("embed", "lexical"), ("rds", "less", "less_proxy")
PROFILE = "smollm2/gpu"


def pack(folder: Path) -> None:
    """Everything that a machine without network needs, in small files."""
    folder.mkdir(parents=True, exist_ok=True)
    study = Study(load_profile(PROFILE))
    data = study.data
    (folder / "data.json").write_text(json.dumps(asdict(data), ensure_ascii=False), encoding="utf-8")
    stacked = {name: _stacked(study, name).astype(np.float16) for name in CARRIED}
    np.savez(folder / "features.npz", **{name: stored_results.rotated(rows) for name, rows in stacked.items()})
    with smollm2_file().open("rb") as weights:
        for number, piece in enumerate(iter(lambda: weights.read(PART), b"")):
            (folder / f"weights.{number}").write_bytes(piece)


def _stacked(study: Study, name: str) -> np.ndarray:
    candidates, queries = study.features(name)
    return np.concatenate([candidates, *queries.values()])


def unpack(folder: Path) -> Data:
    """The data of :func:`pack`."""
    plain = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    queries, test = ({t: [Query(**q) for q in part] for t, part in plain[what].items()} for what in ("queries", "test"))
    return Data([Example(**example) for example in plain["pool"]], queries, test)


def run(profile: Profile, data: Data, carried: Path | None, out: Path, args: argparse.Namespace) -> int:
    """All parts, each on its own; the number of those that failed."""
    out.mkdir(parents=True, exist_ok=True)
    report = {"machine": _machine(), "seconds": {}, "errors": {}}
    study = Study(profile, data=data)
    rehearsal = not torch.cuda.is_available()
    work: dict[str, Callable[[], pd.DataFrame]] = {
        "checks": lambda: parts.checks(profile, data, rehearsal),
        "speed": lambda: parts.speed(rehearsal),
        "selectors": lambda: parts.selectors(rehearsal),
        "features": lambda: _features(study, carried, out),
        "budgets": lambda: _grid(study, "budgets", args),
        "quantiles": lambda: _grid(study, "quantiles", args),
    }
    for name in args.only.split(","):
        start = time.perf_counter()
        try:
            table = work[name]()
            table.to_csv(out / f"{name}.csv", index=False)
            print(f"== {name}\n{table.head(40).to_string(index=False)}", flush=True)
        except Exception:  # the next part may still work: a machine is lent for minutes
            report["errors"][name] = traceback.format_exc()
            print(report["errors"][name], flush=True)
        report["seconds"][name] = round(time.perf_counter() - start, 1)
        (out / "gpu.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(json.dumps(report["seconds"]))
    return len(report["errors"])


def _machine() -> dict[str, str]:
    import peft
    import transformers

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: a rehearsal on the CPU"
    versions = {m.__name__: str(m.__version__) for m in (torch, transformers, peft)}
    return {"device": device, "python": platform.python_version(), **versions}


def _features(study: Study, carried: Path | None, out: Path) -> pd.DataFrame:
    """Features of the pool under the representations that need the language model; the others were packed."""
    if carried:
        for name, rows in np.load(carried).items():
            _give(study, name, rows)
    kept, rows = {}, []
    for name in COMPUTED:
        start = time.perf_counter()
        stacked = np.asarray(study.pool_features(name).matrix())
        seconds = time.perf_counter() - start
        kept[name] = stored_results.rotated(stacked).astype(np.float16)
        _give(study, name, kept[name])  # what a reader will have
        rows.append({"representation": name, "texts": len(stacked), "width": stacked.shape[1], "seconds": seconds})
    np.savez(out / "features.npz", **kept)
    torch.cuda.empty_cache()  # room for the runs
    return pd.DataFrame(rows)


def _give(study: Study, name: str, rows: np.ndarray) -> None:
    stacked, n = stored_results.unit_rows(rows), len(study.data.pool)
    ends = np.cumsum([len(study.data.queries[task]) for task in study.profile.tasks])
    study._features[name] = stacked[:n], dict(zip(study.profile.tasks, np.split(stacked[n:], ends[:-1]), strict=True))


def _grid(study: Study, name: str, args: argparse.Namespace) -> pd.DataFrame:
    """As many runs of a grid as the minutes allow, whole seeds first; rows as they are stored, but without keys."""
    specs = sorted(grids.specs_of(name, study.profile), key=lambda spec: (spec.seed, -spec.budget))
    if not torch.cuda.is_available():
        specs = specs[:4]
    tasks = {spec: study.task_of(spec) for spec in specs}
    frames = parts.runs_until(list(tasks.values()), jobs=args.jobs, deadline=time.time() + 60 * args.minutes)
    done = [(spec, frame) for spec, frame in zip(specs, frames, strict=True) if frame is not None]
    print(f"{name}: {len(done)} of {len(specs)} runs", flush=True)
    return pd.concat([frame.assign(**asdict(spec), subset=study.subset(spec)) for spec, frame in done])


def keep(out: Path) -> None:
    """Store features and runs with this checkout's keys below the profile, the measurements in data/results/gpu."""
    report = json.loads((out / "gpu.json").read_text(encoding="utf-8"))
    study = Study(load_profile(PROFILE))
    if (out / "features.npz").exists():
        seconds = pd.read_csv(out / "features.csv").set_index("representation")["seconds"]
        for name, rows in np.load(out / "features.npz").items():
            job = study.pool_features(name)
            spent, where = float(seconds[name]), report["machine"]
            stored_results.write_features(PROFILE, name, job.key, rows.astype(np.float32), spent, environment=where)
    for name in ("budgets", "quantiles"):
        if (out / f"{name}.csv").exists():
            rows = pd.read_csv(out / f"{name}.csv", dtype={"subset": str})
            _keep_runs(study, name, rows[rows["seed"].isin(study.profile.seeds)], report)
    for name in ("checks", "speed", "selectors", "features"):
        if (out / f"{name}.csv").exists():
            stored_results.write_keyed("gpu", name, pd.read_csv(out / f"{name}.csv"), report["machine"])


def _keep_runs(study: Study, name: str, rows: pd.DataFrame, report: dict) -> None:
    specs = {key: RunSpec(**dict(zip(SPEC_COLUMNS, key, strict=True))) for key in rows.groupby(SPEC_COLUMNS).groups}
    keys = {key: stored_results.run_key(study.recipe(spec)) for key, spec in specs.items()}
    rows = rows.assign(key=[keys[tuple(row)] for row in rows[SPEC_COLUMNS].itertuples(index=False)])
    same = [study.subset(spec) == rows.loc[rows["key"] == keys[key], "subset"].iloc[0] for key, spec in specs.items()]
    print(f"{name}: {len(specs)} runs; this machine would train on the same subset in {sum(same)}")
    columns = [*SPEC_COLUMNS, "metric", "value", "status", "subset", "key"]
    facts = {"environment": report["machine"]} | ({"note": report["note"]} if "note" in report else {})
    stored_results.write_runs(PROFILE, name, rows[columns], report["seconds"][name], **facts)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "run", "keep", "rehearse"))
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", default="checks,speed,selectors,features,budgets,quantiles")
    parser.add_argument("--minutes", type=float, default=3, help="at most this long for each grid")
    parser.add_argument("--jobs", type=int, help="runs that share the GPU; by default as its memory allows")
    args = parser.parse_args()
    args.jobs = args.jobs or parts.jobs_that_fit()
    first, last = args.folders[0], args.folders[-1]
    if args.what == "pack":
        pack(first)
    elif args.what == "keep":
        keep(first)
    elif args.what == "rehearse":
        profile = load_profile("smoke", proxy="mini")
        return run(profile, load_data(profile), None, last, args)
    else:
        if not (first / "data.json").exists():
            pack(first)  # this machine has everything
        return run(load_profile(PROFILE), unpack(first), first / "features.npz", last, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
