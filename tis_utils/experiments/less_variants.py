"""What the choices inside LESS change: picks and losses under the variants of the released code."""

from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.selectors.overlap import jaccard
from tis_utils.storage.keys import digest, versions
from tis_utils.storage.parallel import progress
from tis_utils.storage.stored_results import read_keyed, write_keyed

NAME = "less_variants"
METRIC = "test_loss"
VARIANTS: dict[str, dict[str, Any]] = {  # changes of the profile's `less`
    "as on this page": {},
    "dropout on": {"as_released": ("dropout",)},
    "half precision": {"as_released": ("half",)},
    "token-weighted warm-up": {"as_released": ("token_loss",)},
    "all three": {"as_released": ("dropout", "half", "token_loss")},
    "another seed": {"seed": 1},  # the yardstick: other LoRA start, warm-up examples and projection
}
COLUMNS = ["variant", "task", "budget", "seed", "jaccard", METRIC]


def specs_of(study: Study) -> list[RunSpec]:
    """The runs that every variant repeats."""
    budget, cells = max(study.profile.budgets), product(study.profile.tasks, study.profile.seeds)
    return [RunSpec(task, "less", "round_robin", budget, seed=seed) for task, seed in cells]


def measured(study: Study) -> pd.DataFrame:
    """Picks and losses of round-robin at the largest budget, one row per variant, task and seed, `COLUMNS`.

    ``jaccard`` compares with the picks of the first variant; the loss is held-out, nats per token.
    """
    specs, parts = specs_of(study), []
    for name, changes in progress(VARIANTS.items(), len(VARIANTS), "variants", True):
        varied = _varied(study, changes)
        rows = varied.run(specs).query("metric == @METRIC").set_index(["task", "seed"])["value"]
        parts += [
            (name, s.task, s.budget, s.seed, jaccard(study.picks(s), varied.picks(s)), rows[s.task, s.seed])
            for s in specs
        ]
    return pd.DataFrame(parts, columns=COLUMNS)


def _varied(study: Study, changes: dict[str, Any]) -> Study:
    less = study.profile.less.model_copy(update=changes)
    return Study(study.profile.model_copy(update={"less": less}), data=study.data, live=True)


def recipe(study: Study) -> dict[str, Any]:
    """Key of a profile's table."""
    return study.run_settings | {
        "features": {name: _varied(study, changes).pool_features("less").key for name, changes in VARIANTS.items()},
        "test": digest(study.data.test),
        "runs": [asdict(spec) for spec in specs_of(study)],
        "versions": versions("round_robin", "subset", "run"),
    }


def keep(study: Study) -> Path:
    """Measure and store with a manifest."""
    return write_keyed(study.profile.name, NAME, measured(study), recipe(study))


def stored(study: Study) -> pd.DataFrame:
    """The stored table of the study's profile if its key fits, else no rows."""
    return read_keyed(study.profile.name, NAME, recipe(study), COLUMNS)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over tasks of the rows of :func:`stored`: one line per variant, NaN where there are no rows.

    How far a loss moves is measured per task, without its sign: ups and downs do not cancel.
    """
    by_task = rows.groupby(["variant", "task"])
    alike, loss = (by_task[name].mean().unstack().reindex(list(VARIANTS)) for name in ("jaccard", METRIC))
    change = loss - loss.loc["as on this page"]
    return pd.DataFrame(
        {
            "Jaccard with this page's picks": alike.mean(axis=1),
            "held-out loss, nats per token": loss.mean(axis=1),
            "size of its change, nats per token": change.abs().mean(axis=1),
            f"tasks with a higher loss, of {change.shape[1]}": (change > 0).sum(axis=1),
        }
    )
