"""What ILA's own tables say: pools of growing size, mathematics only, two languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.evidence.claims import SCORECARD_COLUMNS, judged_tasks
from tis_utils.evidence.cube import Cube, lead_estimate
from tis_utils.evidence.statistics import Floats, mean_estimate
from tis_utils.experiments.grids import HYBRIDS
from tis_utils.experiments.run_spec import NONE
from tis_utils.experiments.study import Study
from tis_utils.labels import label
from tis_utils.neighbours.ila import languages
from tis_utils.neighbours.ila.claims import CARDS, DEITA, ILA, PROMPTS, RANDOM, TARGETED, pool_cube, pool_slopes
from tis_utils.neighbours.leads import common_cube, task_leads
from tis_utils.neighbours.many_targets import MATHS, MATHS_TASK, POOLS, sizes, tidy
from tis_utils.neighbours.models import NO_TABLE, at_lowest
from tis_utils.profiles import load_profile
from tis_utils.storage.manifests import trusted
from tis_utils.storage.stored_results import EXACT, UNUSED, hidden, table_file

GROWS, MATHEMATICS, ENGLISH = "Does the gain keep growing?", "Mathematics only", "English only?"
SLOPE, LEAD, AGREE = "points of lead per doubling", "% of loss", "Spearman"
# Question, experiment, claim, what is counted, unit; `_values` gives the numbers in this order.
CLAIMS = (
    (GROWS, "with the pool, on the tasks", "a larger pool helps ILA, tasks", "tasks", SLOPE),
    (GROWS, "with the pool, on general families", "a larger pool helps ILA, families", "families", SLOPE),
    (MATHEMATICS, "ILA over Random", "mathematics only, ILA over Random", "families", LEAD),
    (MATHEMATICS, "ILA over Deita's rule", "mathematics only, ILA over Deita", "families", LEAD),
    (
        ENGLISH,
        "one task in two languages shares a cell, less two tasks in one",
        "the map follows the task, not the language",
        "tasks",
        "points of pairs",
    ),
    (
        ENGLISH,
        "depths agree on a translation, less on a rewording",
        "depth agrees on a translation as on a rewording",
        "tasks",
        AGREE,
    ),
)
LARGE = "classroom/mini-30000"
QUESTIONS = tuple(line[:3] for line in CLAIMS)


def claims_of(question: str) -> list[str]:
    """Names of the claims that answer a question, in order."""
    return [line[2] for line in CLAIMS if line[0] == question]


@dataclass(frozen=True)
class Tables:
    """The stored tables of one profile; empty where there is none."""

    pools: pd.DataFrame
    maths: pd.DataFrame
    texts: pd.DataFrame
    sizes: tuple[int, ...]
    tasks: tuple[str, ...]


def read(study: Study) -> Tables:
    """What came with the repository for a profile; nothing is trained."""
    pools = POOLS.stored(study)
    room = tuple(sizes(len(POOLS.part(study).data.pool))) if len(pools) else ()
    return Tables(pools, MATHS.stored(study), languages.stored(study), room, study.profile.tasks)


def read_large() -> Tables:
    """The table of a pool of 30,000 as stored: a slow test checks its key, for which that pool must be made."""
    profile, none, path = load_profile(LARGE), pd.DataFrame(), table_file(LARGE, POOLS.name)
    pools = none if hidden() or trusted(path, what=UNUSED) is None else pd.read_csv(path, **EXACT)
    return Tables(pools, none, none, tuple(sizes(profile.pool_size)), profile.tasks)


def recheck(study: Study, tables: Tables, seed: int = 0) -> float:
    """Largest difference of a loss, in nats, where a training of each stored table is repeated here, or NaN."""
    gaps = POOLS.recheck(study, tables.pools, seed=seed), MATHS.recheck(study, tables.maths, seed=seed)
    return float(np.fmax(gaps[0], gaps[1]))


def by_size(tables: Tables) -> tuple[Cube, list[int]]:
    """Held-out loss of ILA on every size of the pool and of Random on the whole, on every target; and the sizes."""
    return pool_cube(tidy(tables.pools), list(tables.sizes[:-1]), tables.sizes[-1])


def size_leads(tables: Mapping[str, Tables], names: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Lead over Random against the size of the pool, mean over budgets, interval over targets: a panel per table part.

    Columns method, size, value, low, high, by title; `names` are those of the profiles.
    """
    panels = {}
    for source, known in tables.items():
        if len(known.pools):
            data, room = by_size(known)
            gains, own = data.gain(RANDOM).mean(axis=-1)[:, :-1], np.isin(data.tasks, known.tasks)  # (T, K - 1), (T,)
            for part, inside in (("tasks", own), ("general families", ~own)):
                lines = [
                    ("ila", size, *mean_estimate(g).per_cent()) for size, g in zip(room, gains[inside].T, strict=True)
                ]
                title = f"{names[source]}\n{inside.sum()} {part}"
                panels[title] = pd.DataFrame(lines, columns=["method", "size", "value", "low", "high"])
    return panels


def judge(tables: Mapping[str, Tables]) -> pd.DataFrame:
    """Rows of the scorecard, one per claim and profile."""
    lines = []
    for source, known in tables.items():
        values = _values(known)
        for _, _, claim, units, unit in CLAIMS:
            line: dict[str, Any] = {"claim": claim, "statement": claim, "source": source, "metric": "test_loss"}
            if claim in values:
                line |= judged_tasks(values[claim], unit) | {"of": units}
            else:
                reason = f"{NO_TABLE} of this is stored for the profile."
                line |= {"k": 0, "n": 0, "grade": "not testable", "reason": reason}
            lines.append(line | {"unit": unit})
    return pd.DataFrame(lines, columns=SCORECARD_COLUMNS)


def _values(tables: Tables) -> dict[str, Floats]:
    """One number per task or family, positive where the claim is right, of the claims that can be judged."""
    values: list[Floats | None] = [None] * len(CLAIMS)
    if len(tables.pools):
        data, room = by_size(tables)
        slopes, own = pool_slopes(data, room), np.isin(data.tasks, tables.tasks)
        values[0], values[1] = slopes[own], slopes[~own]
    if len(tables.maths):
        rows = tidy(tables.maths.drop(columns=MATHS_TASK))
        for place, rival in ((2, RANDOM), (3, DEITA)):
            values[place] = task_leads(common_cube(rows, "test_loss", [ILA, rival]), ILA, rival)
    if len(tables.texts):
        agreed = languages.by_task(tables.texts)
        values[4] = 100 * agreed["cell"].to_numpy(float)
        values[5] = (agreed["translation"] - agreed["rewording"]).to_numpy(float)
    return {line[2]: part for line, part in zip(CLAIMS, values, strict=True) if part is not None}


def maths_leads(tables: Tables) -> pd.DataFrame:
    """Per cent of loss below Random's with mathematics only: methods × the target (noise of seeds), its families."""
    rows = tidy(tables.maths)
    methods, own = list(dict.fromkeys(rows["representation"] + "/" + rows["selector"])), rows["task"] == MATHS_TASK
    text = {}
    for name, part in ((MATHS_TASK, rows[own]), ("families", rows[~own])):
        data = common_cube(part, "test_loss", methods) if len(part) else None
        text[name] = {m: lead_estimate(data, RANDOM, m).text(0) for m in methods if data and m != RANDOM}
    return pd.DataFrame(text).rename(index=_printed)


def hybrid_leads(rows: pd.DataFrame) -> pd.DataFrame:
    """Per cent of loss below Random's, hybrids and what they are made of × tasks, at the lowest budget."""
    run = set(rows["selector"])  # a pool without task cards has no runs by cards
    names = [f"{NONE}/{name}" for name in (*HYBRIDS, PROMPTS, CARDS) if name in run]
    data = common_cube(at_lowest(rows), "test_loss", [*names, ILA, TARGETED, RANDOM])
    table = pd.DataFrame(data.lead(RANDOM)[:, :-1, 0], data.tasks, data.methods[:-1]).T
    return table.rename(index=_printed).round(0).astype(int)


def _printed(method: str) -> str:
    return label(method.removeprefix(f"{NONE}/").removesuffix("/round_robin"))
