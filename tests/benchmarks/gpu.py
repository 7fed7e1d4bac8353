"""The GPU kit: does the code give the CPU's numbers on a GPU, how fast is it there, and SmolLM2's grids.

    python tests/benchmarks/gpu.py pack .gpu              # here: data, planned runs, weights in parts of 33 MB
    python tests/benchmarks/gpu.py run .gpu OUT           # on the GPU, without network or Hub; `make gpu` rehearses it
    python tests/benchmarks/gpu.py keep OUT               # here again: numbers and runs into data/results

`run` needs torch, transformers, peft, scikit-learn and what `pack` put beside the data. Each part writes its own files,
and one that fails says so in its report and does not stop the others. Subsets are chosen where they are packed, but for
those that look at what is not stored yet: features of the language model (`features`), ILA's losses (`depths`) and
measured transfer (`transfer`) are made there, and `late` does the runs on them. What is stored already is not planned
again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import chain, product
from pathlib import Path

import gpu_parts as parts
import numpy as np
import pandas as pd
import torch

from tis_utils.examples.load import load_data
from tis_utils.examples.text import Data
from tis_utils.experiments import grids
from tis_utils.experiments.run import RunTask
from tis_utils.experiments.run_spec import NONE, SPEC_COLUMNS, RunSpec, zero_shot
from tis_utils.experiments.study import Study
from tis_utils.models.files import smollm2_file
from tis_utils.neighbours.ila import selector as ila
from tis_utils.neighbours.insta import transfer
from tis_utils.profiles import load_profile
from tis_utils.storage import stored_results
from tis_utils.storage.keys import digest
from tis_utils.storage.manifests import read_manifest
from tis_utils.storage.parallel import run_all

PART = 33_000_000  # bytes of a piece of the weights
COMPUTED = ("rds", "less", "less_proxy")  # features that need the language model
GRIDS = ("budgets", "quantiles", "insta_rivals", "ila_rivals", "hybrids")
PLAN = (  # grid, seed and largest budget of what is run first where minutes are few
    ("budgets", 0, 256),
    ("quantiles", 0, 64),
    ("budgets", 1, 64),
    ("budgets", 2, 64),
    *((name, seed, 64) for seed in range(3) for name in ("ila_rivals", "hybrids", "insta_rivals")),
    *((name, seed, 256) for name in ("ila_rivals", "budgets") for seed in range(3)),
    ("quantiles", 1, 64),
    ("quantiles", 2, 64),
)
BY_REPRESENTATION = ("round_robin", "random", NONE)
PLANS = {"smollm2/calls": tuple(("budgets", seed, most, BY_REPRESENTATION) for most in (64, 256) for seed in range(3))}
NOT_HERE = ":cards"  # wordings that these pools do not have
BY_BOTH = "hybrid@insta"  # looks at the embedder, which is only here, and at depths
LOOKS_AT = {"ila": "depths", "deita": "depths", "hybrid": "depths", "transfer": "transfer"}  # selector: measured before


def study_of(profile: str) -> Study:
    """The profile's study on a machine that has all packages."""
    import tis_utils.neighbours  # noqa: F401  makes INSTA, ILA and their rivals known

    return Study(load_profile(profile))


def pack(profile: str, folder: Path) -> None:
    """Everything that a machine without network needs, in small files."""
    folder.mkdir(parents=True, exist_ok=True)
    study = study_of(profile)
    (folder / "data.json").write_text(json.dumps(asdict(study.data), ensure_ascii=False), encoding="utf-8")
    missing = not_stored(study)
    specs = [spec for spec in planned(study) if "depths" not in missing or not spec.selector.startswith(BY_BOTH)]
    picks = [None if waits(spec, missing) else study.picks(spec).tolist() for spec in specs]
    runs = [{"spec": asdict(spec), "picks": some} for spec, some in zip(specs, picks, strict=True)]
    (folder / "runs.json").write_text(json.dumps(runs), encoding="utf-8")
    expected = {"profile": profile, **_reading(study)}
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    with smollm2_file().open("rb") as weights:
        for number, piece in enumerate(iter(lambda: weights.read(PART), b"")):
            (folder / f"weights.{number}").write_bytes(piece)
    print(f"{len(runs)} runs planned, {picks.count(None)} of them on what is measured there: {', '.join(missing)}")


def not_stored(study: Study) -> list[str]:
    """What some selections look at and this profile does not store yet: features, depths, transfer."""
    name, jobs = study.profile.name, {name: study.pool_features(name) for name in COMPUTED}
    missing = [key for key, job in jobs.items() if stored_results.read_features(name, key, job.key) is None]
    tables = {"depths": ila.LOSSES_NAME, "transfer": transfer.NAME}
    return missing + [part for part, table in tables.items() if not stored_results.table_file(name, table).exists()]


def waits(spec: RunSpec, missing: Collection[str]) -> bool:
    """Whether a run's examples cannot be chosen yet."""
    return spec.representation in missing or LOOKS_AT.get(spec.selector.partition("@")[0]) in missing


def _reading(study: Study) -> dict[str, str]:
    """Digests of the model's weights and of all texts as its tokens: what another machine must read the same."""
    texts = [*study.data.pool, *chain(*study.data.queries.values(), *study.data.test.values())]
    ids = [text.ids.tolist() for text in study.model.encode(texts, study.profile.max_length)]
    return {"weights": study.model.fingerprint, "tokens": digest(ids)}


def specs_of(study: Study, name: str) -> Iterator[RunSpec]:
    """Runs of a grid, longest first, without those that this kit does not do."""
    for spec in sorted(grids.specs_of(name, study.profile), key=lambda spec: -spec.budget):
        if NOT_HERE not in spec.selector:
            yield spec


def planned(study: Study) -> list[RunSpec]:
    """Runs that are not stored yet, the most wanted first, each once however many grids it is in."""
    stored, keys = stored_results.read_runs(study.profile.name), {}
    for spec in chain(*(_part(study, *part) for part in PLANS.get(study.profile.name, PLAN))):
        keys.setdefault(stored_results.run_key(study.recipe(spec)), spec)
    return [spec for key, spec in keys.items() if key not in stored]


def _part(study: Study, name: str, seed: int, most: int, selectors: Collection[str] = ()) -> list[RunSpec]:
    specs = [spec for spec in specs_of(study, name) if spec.seed == seed and spec.budget <= most]
    return [spec for spec in specs if not selectors or spec.selector in selectors]


def run(study: Study, plan: Path, out: Path, args: argparse.Namespace) -> int:
    """All parts, each on its own; the number of those that failed."""
    out.mkdir(parents=True, exist_ok=True)
    machine, failed = _machine(), 0
    rehearsal = not torch.cuda.is_available()
    work: dict[str, Callable[[], pd.DataFrame]] = {
        "checks": lambda: parts.checks(study.profile, study.data, rehearsal),
        "speed": lambda: parts.speed(rehearsal, out / "speed.csv"),
        "selectors": lambda: parts.selectors(rehearsal),
        "features": lambda: _features(study, out),
        "depths": lambda: ila.response_losses(study),
        "transfer": lambda: _transfer(study, plan, args.jobs),
        "runs": lambda: _runs(study, plan, out, args, late=False),
        "late": lambda: _runs(study, plan, out, args, late=True),
    }
    for name in args.only.split(","):
        start, error = time.perf_counter(), ""
        try:
            table = work[name]()
            table.to_csv(out / f"{name}.csv", index=False)
            print(f"== {name}\n{table.head(40).to_string(index=False)}", flush=True)
        except Exception:  # the next part may still work: a machine is lent for minutes
            error, failed = traceback.format_exc(), failed + 1
            print(error, flush=True)
        report = {
            "profile": study.profile.name,
            "machine": machine,
            "seconds": round(time.perf_counter() - start, 1),
            "error": error,
        }
        (out / f"{name}.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return failed


def _machine() -> dict[str, str]:
    import peft
    import transformers

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    versions = {m.__name__: str(m.__version__) for m in (torch, transformers, peft)}
    return {"device": device, "python": platform.python_version(), **versions}


def _features(study: Study, out: Path) -> pd.DataFrame:
    """Features of the pool under the representations that need the language model."""
    kept, rows = {}, []
    names = [name for name in COMPUTED if name in not_stored(study)]
    for name in names if study.profile.proxy else COMPUTED[:-1]:
        start = time.perf_counter()
        stacked = np.asarray(study.pool_features(name).matrix())
        seconds = time.perf_counter() - start
        kept[name] = stored_results.rotated(stacked).astype(np.float16)
        rows.append({"representation": name, "texts": len(stacked), "width": stacked.shape[1], "seconds": seconds})
    np.savez(out / "features.npz", **kept)
    return pd.DataFrame(rows)


def _transfer(study: Study, plan: Path, jobs: int) -> pd.DataFrame:
    """The measured matrix, its trainings side by side; in a rehearsal one of them."""
    sources = list(transfer.source_tasks(study)) if plan.exists() else list(transfer.source_tasks(study))[:1]
    seeds = study.profile.seeds if plan.exists() else study.profile.seeds[:1]
    if plan.exists():
        parts.free_memory()
        run_all(partial(parts.train_on, plan.parent), list(product(sources, seeds)), jobs=jobs, what="transfer")
    return transfer.matrix(study, sources=sources, seeds=seeds)  # finished trainings come from the store


def _give(study: Study, rows: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Features as a reader of the stored file will have them."""
    stacked, n = stored_results.unit_rows(rows), len(study.data.pool)
    ends = np.cumsum([len(study.data.queries[task]) for task in study.profile.tasks])
    return stacked[:n], dict(zip(study.profile.tasks, np.split(stacked[n:], ends[:-1]), strict=True))


def _runs(study: Study, plan: Path, out: Path, args: argparse.Namespace, late: bool) -> pd.DataFrame:
    """As many planned runs as the minutes allow; each writes its rows to a file of its own as soon as it is done."""
    if plan.exists():
        runs = json.loads(plan.read_text(encoding="utf-8"))
    else:
        baselines = [spec for spec in specs_of(study, "budgets") if spec.representation == NONE]
        runs = [{"spec": asdict(s), "picks": study.picks(s).tolist()} for s in baselines[:4]]
    folder = out / "runs"
    folder.mkdir(exist_ok=True)
    numbers = [number for number, run in enumerate(runs) if (run["picks"] is None) == late]
    if late:
        here = stored_results.RESULTS / study.profile.name
        known = {file.stem.removeprefix("features-"): np.load(file) for file in here.glob("features-*.npy")}
        known |= dict(np.load(out / "features.npz")) if (out / "features.npz").exists() else {}
        study._features |= {name: _give(study, rows) for name, rows in known.items()}
        for number in numbers:
            runs[number]["picks"] = study.picks(RunSpec(**runs[number]["spec"])).tolist()
    (out / f"plan{'-late' * late}.json").write_text(json.dumps(runs), encoding="utf-8")
    untuned = {task: study.task_of(zero_shot(task)) for task in study.profile.tasks}
    numbers = [number for number in numbers if not (folder / f"{number}.csv").exists()]
    tasks = [(number, _task(untuned, study.data, runs[number])) for number in numbers]
    parts.free_memory()
    done = parts.runs_until(tasks, folder, jobs=args.jobs, deadline=time.time() + 60 * args.minutes)
    return pd.DataFrame([{"planned": len(tasks), "done": sum(done)}])


def _task(untuned: dict[str, RunTask], data: Data, run: dict) -> RunTask:
    spec = RunSpec(**run["spec"])
    subset = [data.pool[index] for index in run["picks"]]
    return replace(untuned[spec.task], seed=spec.seed if subset else 0, subset=subset)


def keep(out: Path) -> None:
    """Store features and runs with this checkout's keys below the profile, the measurements in data/results/gpu."""
    reports = {f.stem: json.loads(f.read_text(encoding="utf-8")) for f in out.glob("*.json") if "plan" not in f.stem}
    about = next(iter(reports.values()))
    machine, study = about["machine"], study_of(about["profile"])
    profile = study.profile.name
    if (out / "features.npz").exists():
        seconds = pd.read_csv(out / "features.csv").set_index("representation")["seconds"]
        for name, rows in np.load(out / "features.npz").items():
            key, spent = study.pool_features(name).key, float(seconds[name])
            stored_results.write_features(profile, name, key, rows.astype(np.float32), spent, environment=machine)
    tables = {"depths": (ila.LOSSES_NAME, ila.losses_key), "transfer": (transfer.NAME, transfer.recipe)}
    for part, (name, key) in tables.items():
        if (out / f"{part}.csv").exists():
            stored_results.write_keyed(profile, name, pd.read_csv(out / f"{part}.csv"), key(study), environment=machine)
    if plans := sorted(out.glob("plan*.json")):  # "plan-late", the first, has all picks
        spent = sum(reports[name]["seconds"] for name in ("runs", "late") if name in reports)
        _keep_runs(study, out, json.loads(plans[0].read_text(encoding="utf-8")), spent, machine)
    for name in ("checks", "speed", "selectors", "features"):
        if (out / f"{name}.csv").exists():
            stored_results.write_keyed("gpu", name, pd.read_csv(out / f"{name}.csv"), machine)


def _keep_runs(study: Study, out: Path, runs: list[dict], seconds: float, machine: dict[str, str]) -> None:
    """Every run of a grid, from what was stored before and what came back."""
    found, came = stored_results.read_runs(study.profile.name), set()
    done = {n: RunSpec(**run["spec"]) for n, run in enumerate(runs) if (out / "runs" / f"{n}.csv").exists()}
    others = [n for n, spec in done.items() if study.picks(spec).tolist() != runs[n]["picks"]]
    print(f"{len(done)} runs came back; dropped, as this machine would train on other examples: {len(others)}")
    for number, spec in done.items():
        if number not in others:
            key = stored_results.run_key(study.recipe(spec))
            came.add(key)
            found[key] = pd.read_csv(out / "runs" / f"{number}.csv").assign(subset=study.subset(spec))
    for name in GRIDS:
        keys = {spec: stored_results.run_key(study.recipe(spec)) for spec in specs_of(study, name)}
        done_here = {spec: key for spec, key in keys.items() if key in found}
        met = {(s.budget, s.seed) for s in done_here if s.selector not in ("random", NONE)} | {(0, 0)}
        done_here = {s: key for s, key in done_here.items() if (s.budget, s.seed) in met}  # no Random without rivals
        print(f"{name}: {len(done_here)} of {len(keys)} runs")
        if new := set(done_here.values()) & came:
            rows = pd.concat(found[key].assign(**asdict(spec), key=key) for spec, key in done_here.items())
            columns = [*SPEC_COLUMNS, "metric", "value", "status", "subset", "key"]
            before = read_manifest(stored_results.table_file(study.profile.name, name)) or {"seconds": 0}
            spent = before["seconds"] + seconds * len(new) / len(done)
            first = before.get("environment", machine)
            about = {"environment": first}
            if first["device"] != machine["device"]:
                about["elsewhere"] = [*before.get("elsewhere", []), {"runs": len(new), **machine}]
            stored_results.write_runs(study.profile.name, name, rows[columns], spent, **about)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "run", "keep", "rehearse"))
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--profile", default="smollm2/gpu", help="what `pack` packs")
    parser.add_argument("--only", default="checks,speed,selectors,runs,features,depths,transfer,late")
    parser.add_argument("--minutes", type=float, default=5, help="no run is started later than this")
    parser.add_argument("--jobs", type=int, help="runs that share the GPU; by default as its memory allows")
    args = parser.parse_args()
    args.jobs = args.jobs or parts.jobs_that_fit()
    first, last = args.folders[0], args.folders[-1]
    if args.what == "pack":
        pack(args.profile, first)
    elif args.what == "keep":
        keep(first)
    elif args.what == "rehearse":
        profile = load_profile("smoke", proxy="mini")
        return run(Study(profile, data=load_data(profile)), first / "no plan", last, args)
    else:
        if not (first / "data.json").exists():
            pack(args.profile, first)  # this machine has everything
        study = parts.packed(first)
        expected = json.loads((first / "expected.json").read_text(encoding="utf-8"))
        needs_weights = args.only not in ("speed", "selectors", "speed,selectors")
        if needs_weights and not (reading := _reading(study)).items() <= expected.items():
            raise SystemExit(f"Model or tokens are read otherwise here: {reading}, expected {expected}.")
        return run(study, first / "runs.json", last, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
