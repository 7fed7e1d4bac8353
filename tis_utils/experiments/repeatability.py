"""How far numbers repeat: features, picks and losses computed again under other conditions.

Every condition is a process with an empty cache: threads and instruction sets are fixed when a process starts.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import RunError
from tis_utils.experiments.grids import PAPER_REPRESENTATIONS, ROUND_ROBIN
from tis_utils.experiments.run_spec import grid
from tis_utils.experiments.study import Study
from tis_utils.profiles import Profile
from tis_utils.selectors.overlap import jaccard
from tis_utils.storage.keys import digest, versions
from tis_utils.storage.parallel import progress
from tis_utils.storage.stored_results import read_keyed, write_keyed

NAME = "repeatability"
OLDER = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}
CONDITIONS: dict[str, dict[str, str]] = {
    "one thread": {},
    "one thread again": {},
    "two threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
    "instructions of an older processor": OLDER,
}
CHANGE_COLUMNS = ["condition", "representation", "similarity", "jaccard", "loss", "identical"]
Measured = dict[str, np.ndarray]


def observe(study: Study) -> Measured:
    """Similarities (M, N), picks (B,) and losses (2,) of round-robin at the largest budget, one seed.

    The keys are ``kind/representation/task``.
    """
    profile, arrays = study.profile, {}
    specs = grid(profile.tasks, ROUND_ROBIN, [max(profile.budgets)], profile.seeds[:1], baselines=False)
    place = {spec: f"{spec.representation}/{spec.task}" for spec in specs}
    for spec in specs:  # all of them before the first run: a run keeps its process at one thread
        arrays[f"similarity/{place[spec]}"] = study.similarity(spec.representation, spec.task)
        arrays[f"picks/{place[spec]}"] = study.picks(spec)
    for spec in specs:
        rows = study.run([spec], jobs=1).set_index("metric")["value"]
        arrays[f"loss/{place[spec]}"] = rows[["query_loss", "test_loss"]].to_numpy()
    return arrays


def compare(reference: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """What changed, one row per representation, over tasks.

    Largest change of a similarity, smallest overlap of two selections, largest change of a loss after training (nats),
    and whether all of it is equal bit for bit.
    """
    rows = []
    for name in dict.fromkeys(key.split("/")[1] for key in reference):
        both = {key: (array, other[key]) for key, array in reference.items() if key.split("/")[1] == name}
        kinds = ("similarity", "picks", "loss")
        similarity, picks, loss = ([pair for key, pair in both.items() if key.startswith(kind)] for kind in kinds)
        moved, lost = (max(float(np.abs(a - b).max()) for a, b in pairs) for pairs in (similarity, loss))
        shared = min(jaccard(a, b) for a, b in picks)
        rows.append((name, moved, shared, lost, all(np.array_equal(a, b) for a, b in both.values())))
    return pd.DataFrame(rows, columns=CHANGE_COLUMNS[1:])


def measured(study: Study) -> pd.DataFrame:
    """Compute everything once under every condition, columns ``CHANGE_COLUMNS``; RunError if a process fails."""
    with tempfile.TemporaryDirectory() as scratch:
        arrays = {
            name: _in_a_process(study, variables, Path(scratch, str(i)))
            for i, (name, variables) in enumerate(progress(CONDITIONS.items(), len(CONDITIONS), "conditions", True))
        }
    reference, *others = CONDITIONS
    parts = [compare(arrays[reference], arrays[name]).assign(condition=name) for name in others]
    return pd.concat(parts, ignore_index=True)[CHANGE_COLUMNS]


def _in_a_process(study: Study, variables: Mapping[str, str], folder: Path) -> Measured:
    folder.mkdir()
    (folder / "profile.json").write_text(study.profile.model_dump_json(), encoding="utf-8")
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TIS_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "tis_utils.experiments.repeatability", str(folder)]
    whole = {**os.environ, **one, **variables}
    done = subprocess.run(command, env=whole, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"Measuring repeatability failed under {dict(variables) or 'one thread'}: {last}")
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def _child(folder: Path) -> None:
    profile = Profile(**json.loads((folder / "profile.json").read_text(encoding="utf-8")))
    np.savez(folder / "arrays.npz", allow_pickle=False, **observe(Study(profile, live=True)))  # type: ignore[arg-type]


# --- the stored table ---------------------------------------------------------------------------------


def recipe(study: Study) -> dict[str, Any]:
    """Key of a profile's table."""
    return study.run_settings | {
        "features": {name: study.pool_features(name).key for name in PAPER_REPRESENTATIONS},
        "test": digest(study.data.test),
        "conditions": CONDITIONS,
        "versions": versions("round_robin", "subset", "run"),
    }


def keep(study: Study) -> Path:
    """Measure and store with a manifest."""
    return write_keyed(study.profile.name, NAME, measured(study), recipe(study))


def stored(study: Study) -> pd.DataFrame:
    """The stored table of the study's profile if its key fits, else no rows."""
    return read_keyed(study.profile.name, NAME, recipe(study), CHANGE_COLUMNS)


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
