"""One training, the loss on many targets: tables for methods that know no task, whose subset is the same for all.

``POOLS``: ILA on pools of growing size against Random, for its claim that the gain scales. ``MATHS``: a pool of
mathematics only, for one target in it. Rows are stored in ``data/results/<profile>`` with the picks of every run.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.examples.load import Data
from tis_utils.examples.text import Example, Query
from tis_utils.experiments.grids import DEITA, ILA_RULES, INSTA_TASKS
from tis_utils.experiments.run_spec import NONE, RunSpec, grid
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila.selector import tuning_subset
from tis_utils.neighbours.insta import transfer
from tis_utils.neighbours.insta.retrieval import topic
from tis_utils.storage.keys import digest, step, versions
from tis_utils.storage.parallel import progress
from tis_utils.storage.stored_results import write_keyed

VERSION = step("many_targets", 1)
DOUBLINGS = 4  # from the smallest pool to all that ILA may take
MATHS_TASK = "numbers"
MATHS_TOPICS = ("arithmetic", "algebra", "geometry")  # of the families, as reasoning-gym files them
RUN = ["representation", "selector", "budget", "seed"]
COLUMNS = [*RUN, "picks"]  # then one per target
Targets = dict[str, list[Query]]


@dataclass(frozen=True)
class Measured:
    """A table of runs: the study whose pool they select from, which runs, and which targets are measured."""

    name: str
    part: Callable[[Study], Study]
    specs: Callable[[Study], list[RunSpec]]
    targets: Callable[[Study], Targets]

    def compute(self, study: Study, specs: Sequence[RunSpec] | None = None) -> pd.DataFrame:
        """Select and train here, by default everything; finished trainings come from the store."""
        part = self.part(study)
        specs = self.specs(part) if specs is None else specs
        targets, lines = self.targets(part), []
        for spec in progress(specs, len(specs), self.name, True):
            lines.append(_line(part, spec, part.picks(spec), targets))
        return pd.DataFrame(lines)

    def keep(self, study: Study) -> Path:
        """Compute the table and store it with its manifest."""
        return write_keyed(study.profile.name, self.name, self.compute(study), self.key(study))

    def stored(self, study: Study) -> pd.DataFrame:
        """The table if it came with the repository and its key fits, else no rows; nothing is trained."""
        return study.table(self.name, self.key, COLUMNS)

    def recheck(self, study: Study, rows: pd.DataFrame, *, count: int = 1, seed: int = 0) -> float:
        """Largest difference of a loss, in nats, where some trainings are repeated here on the stored picks; or NaN."""
        if rows.empty:
            return float("nan")
        part, drawn = self.part(study), rows.sample(min(count, len(rows)), random_state=seed)
        targets, gaps = self.targets(part), []
        for stored in drawn.to_dict("records"):
            spec = RunSpec(part.profile.tasks[0], *(stored[name] for name in RUN))
            live = _line(part, spec, np.array(stored["picks"].split(), dtype=int), targets)
            gaps += [abs(live[name] - stored[name]) for name in targets]
        return float(max(gaps))

    def key(self, study: Study) -> dict[str, Any]:
        """Everything that the table depends on."""
        part = self.part(study)
        specs, data = self.specs(part), part.data
        return part.run_settings | {
            "pool": digest(data.pool),
            "queries": digest(data.queries),
            "targets": digest(self.targets(part)),
            "runs": digest([part.recipe(spec) for spec in specs]),
            "versions": versions("many_targets"),
        }


def _line(study: Study, spec: RunSpec, picks: np.ndarray, targets: Targets) -> dict[str, Any]:
    """One row: what the run is, its picks, the loss on every target."""
    losses = transfer.losses(study, [study.data.pool[i] for i in picks], spec.seed, targets)
    run = {name: getattr(spec, name) for name in RUN} | {"picks": " ".join(map(str, picks))}
    return run | dict(zip(losses["target_task"], losses["loss"], strict=True))


def tidy(rows: pd.DataFrame) -> pd.DataFrame:
    """The table as rows of an experiment: one per run and target, metric ``test_loss``."""
    long = rows.drop(columns="picks").melt(RUN, var_name="task")
    return long.assign(experiment="budget", metric="test_loss")


# --- pools of growing size ----------------------------------------------------------------------------


def _classroom(study: Study, **changes: Any) -> Study:
    if study.profile.pool != "classroom":
        raise InputError(
            f"Profile {study.profile.name!r} has a pool of its own; this table is made of the classroom's. Take the "
            "profile classroom or classroom/mini."
        )
    profile = study.profile.model_copy(update=changes)
    return Study(profile, study.store, live=study.live, compute=study.compute) if changes else study


def sizes(pool: int) -> list[int]:
    """How many of a pool ILA may take, each time about twice as many; the last are all that did not tune the model."""
    free = pool - len(tuning_subset(pool))
    return [free >> power for power in range(DOUBLINGS, -1, -1)]


def _pool_specs(study: Study) -> list[RunSpec]:
    rules = [*(f"ila@pool{size}" for size in sizes(len(study.data.pool))[:-1]), "ila", "random"]
    return _at_the_ends(study, [(NONE, rule) for rule in rules])


def _at_the_ends(study: Study, methods: list[tuple[str, str]]) -> list[RunSpec]:
    """Runs at the lowest and the highest budget for the first task; untargeted picks do not depend on it."""
    profile = study.profile
    ends = sorted({min(profile.budgets), max(profile.budgets)})
    return grid(profile.tasks[:1], methods, ends, profile.seeds, baselines=False)


# --- mathematics only ---------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _maths(study: Study) -> Study:
    whole = _classroom(study, tasks=(MATHS_TASK,))
    pool = [example for example in whole.data.pool if _is_maths(str(example.meta["group"]), example)]
    profile = whole.profile.model_copy(update={"pool_size": len(pool)})
    data = Data(pool, whole.data.queries, whole.data.test)
    return Study(profile, study.store, data=data, live=study.live, compute=study.compute)


def _is_maths(group: str, example: Example) -> bool:
    return group == MATHS_TASK or (group == "general" and topic(str(example.meta["family"])) in MATHS_TOPICS)


def _maths_specs(study: Study) -> list[RunSpec]:
    names = [*ILA_RULES, DEITA, f"insta@{INSTA_TASKS}:cards", "random"]
    targeted = [(name, "round_robin") for name in ("embed", "less")]
    return _at_the_ends(study, [*((NONE, name) for name in names), *targeted])


def _maths_targets(study: Study) -> Targets:
    everything = transfer.target_tasks(study)
    return {name: qs for name, qs in everything.items() if name == MATHS_TASK or topic(name) in MATHS_TOPICS}


POOLS = Measured("ila_pools", _classroom, _pool_specs, transfer.target_tasks)
MATHS = Measured("maths", _maths, _maths_specs, _maths_targets)
