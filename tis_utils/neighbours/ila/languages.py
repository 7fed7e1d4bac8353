"""Does ILA see the text or the language? The same puzzles in English and in Spanish, in two wordings each.

The authors' pools are English. Nothing is fine-tuned on a selection here: a map and depths of a pool that is half
English and half Spanish say whether cells follow the language, and whether depth rates a translation as it rates
another wording.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tis_utils.evidence.statistics import spearman
from tis_utils.examples.load import Data
from tis_utils.examples.text import Example, as_query, exchange
from tis_utils.experiments.study import Study
from tis_utils.neighbours.ila.selector import Settings, embed_key, explore
from tis_utils.storage.keys import digest, step, versions
from tis_utils.storage.stored_results import write_keyed

NAME = "languages"
VERSION = step("languages", 1)
PROBLEMS = 8  # of each task, in both wordings of both languages
DRAWS = 3  # of the tenth that tunes the model
TEXT = ["task", "problem", "language", "wording"]
COLUMNS = [*TEXT, "cell", "content", "form", *(f"depth{draw}" for draw in range(DRAWS))]
Numbers = list[int]


def _each(change: Callable[[int], int]) -> Callable[[Numbers], Numbers]:
    return lambda numbers: [change(number) for number in numbers]


WORDINGS: dict[str, dict[str, list[str]]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
ANSWERS: dict[str, Callable[[Numbers], Numbers]] = {
    "sum": lambda n: [sum(n)],
    "largest": lambda n: [max(n)],
    "smallest": lambda n: [min(n)],
    "ascending": sorted,
    "descending": lambda n: sorted(n, reverse=True),
    "count": lambda n: [len(n)],
    "even": lambda n: [x for x in n if x % 2 == 0],
    "odd": lambda n: [x for x in n if x % 2],
    "last_digits": _each(lambda x: x % 10),
    "first_digits": _each(lambda x: x // 10),
    "add_one": _each(lambda x: x + 1),
    "double": _each(lambda x: 2 * x),
    "backwards": lambda n: n[::-1],
    "spread": lambda n: [max(n) - min(n)],
    "first": lambda n: n[:1],
    "last": lambda n: n[-1:],
    "above_fifty": lambda n: [sum(x > 50 for x in n)],
    "digit_sums": _each(lambda x: x // 10 + x % 10),
}


def puzzles(problems: int = PROBLEMS) -> list[Example]:
    """The pool: every problem of every task in every wording of both languages; ``meta`` holds ``TEXT``."""
    rng, pool = Random(0), []
    for task, by_language in WORDINGS.items():
        for problem in range(problems):
            numbers = rng.sample(range(11, 99), 6)
            while not (answer := ANSWERS[task](numbers)):
                numbers = rng.sample(range(11, 99), 6)
            for language, wordings in by_language.items():
                for number, wording in enumerate(wordings):
                    meta: dict[str, Any] = dict(zip(TEXT, (task, problem, language, number), strict=True))
                    request = wording.format(" ".join(map(str, numbers)))
                    messages = exchange(request, " ".join(map(str, answer)))
                    pool.append(Example("-".join(map(str, meta.values())), messages, task, meta | {"family": task}))
    return pool


@functools.lru_cache(maxsize=4)
def bilingual(study: Study) -> Study:
    """The study's model and embeddings with the puzzles as its pool."""
    pool = puzzles()
    target = {NAME: [as_query(pool[0], NAME)]}  # a study has one; nothing reads it
    profile = study.profile.model_copy(update={"tasks": (NAME,), "pool_size": len(pool)})
    return Study(profile, study.store, data=Data(pool, target, target), live=study.live, compute=study.compute)


def compute(study: Study) -> pd.DataFrame:
    """One row per text, columns ``COLUMNS``.

    ``content`` and ``form`` are cosines with the nearest other problem: of the same task in the other language, and of
    another task in the same language. ``depth0`` … are relative depths, each after another tenth was tuned on.
    """
    own = bilingual(study)
    rows = pd.DataFrame([example.meta for example in own.data.pool])[TEXT]
    unit = own.features("embed")[0].astype(float)  # (N, D)
    cosines = unit @ unit.T
    task, problem, language = (rows[name].to_numpy() for name in TEXT[:3])
    alike, abroad = task[:, None] == task, language[:, None] != language  # (N, N)
    near = alike & abroad & (problem[:, None] != problem)
    values: dict[str, np.ndarray] = {"cell": explore(own, Settings()).cells}
    for name, among in {"content": near, "form": ~alike & ~abroad}.items():
        values[name] = np.where(among, cosines, -1).max(axis=1)
    values |= {f"depth{draw}": explore(own, Settings(tuned=draw)).depths for draw in range(DRAWS)}
    return rows.assign(**values)


def keep(study: Study) -> Path:
    """Measure and store the table with its manifest."""
    return write_keyed(study.profile.name, NAME, compute(study), _key(study))


def stored(study: Study) -> pd.DataFrame:
    """The table if it came with the repository and its key fits, else no rows; nothing is trained."""
    return study.table(NAME, _key, COLUMNS)


def _key(study: Study) -> dict[str, Any]:
    own = bilingual(study)
    return own.run_settings | {
        "pool": digest(own.data.pool),
        "embed": embed_key(own),
        "draws": DRAWS,
        "versions": versions("languages"),
    }


# --- what the table says, one number per task ----------------------------------------------------------


def by_task(rows: pd.DataFrame) -> pd.DataFrame:
    """Index task. All are positive where the language does not matter more than it should.

    ``cosine``: how much nearer the same task in the other language is than another task in the same language.
    ``cell``: the share of such pairs in one cell of ILA's map, less that of pairs of two tasks in one language.
    ``translation``: rank correlation of the depths of a problem and of its translation; ``rewording``: of its two
    wordings in one language, the most one can ask for. ``spanish``: mean depth quantile of Spanish less English.
    """
    parts = {str(task): part for task, part in rows.groupby("task", sort=False)}
    lines = {name: _agreement(part) | {"cell": _shared_cells(rows, part)} for name, part in parts.items()}
    cosine = (rows["content"] - rows["form"]).groupby(rows["task"], sort=False).mean()
    return pd.DataFrame.from_dict(lines, orient="index").assign(cosine=cosine)


def _shared_cells(rows: pd.DataFrame, part: pd.DataFrame) -> float:
    cells = part.groupby("language")["cell"]
    english, spanish = (cells.get_group(name).to_numpy() for name in ("en", "es"))
    together = (english[:, None] == spanish).mean()
    others = rows[rows["task"] != part["task"].iloc[0]]
    apart = [
        (own[:, None] == others.loc[others["language"] == name, "cell"].to_numpy()).mean()
        for name, own in (("en", english), ("es", spanish))
    ]
    return float(together - np.mean(apart))


def _agreement(part: pd.DataFrame) -> dict[str, float]:
    wide = part.pivot(index="problem", columns=["language", "wording"], values=[f"depth{d}" for d in range(DRAWS)])
    pairs: dict[str, list[float]] = {"translation": [], "rewording": []}
    moved = []
    for draw in range(DRAWS):
        depths = pd.DataFrame(wide[f"depth{draw}"])  # problems × (language, wording)
        moved.append(depths["es"].stack().mean() - depths["en"].stack().mean())
        for name, (one, two) in _pairs(depths):
            both = depths[[one, two]].dropna().to_numpy(float)
            if len(both) > 2:
                pairs[name].append(float(spearman(both[:, 0], both[:, 1])))
    return {name: float(np.mean(values)) for name, values in pairs.items()} | {"spanish": float(np.mean(moved))}


def _pairs(depths: pd.DataFrame) -> list[tuple[str, tuple[Any, Any]]]:
    """Translations are compared within a wording, rewordings within a language."""
    translations = [("translation", (("en", w), ("es", w))) for w in (0, 1)]
    return translations + [("rewording", ((name, 0), (name, 1))) for name in ("en", "es")]
