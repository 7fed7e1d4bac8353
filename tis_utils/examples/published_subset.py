"""Subsets that others selected and published, found again in a pool: from the Hub, a folder or a file."""

import functools
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tis_utils.errors import InputError
from tis_utils.examples import hub
from tis_utils.examples.load import load_examples
from tis_utils.examples.text import Example

_CONFIGURED = re.compile(r"(?P<name>.+):(?P<config>[\w.+-]+)")


def positions(pool: Sequence[Example], name: str) -> np.ndarray:
    """Places in the pool of a published subset's examples, in the subset's order, int64 (B,), distinct.

    A row is the candidate with the same turns; of several equal ones, that with its id, else the first still free.

    Parameters
    ----------
    pool : sequence of Example
    name : str
        ``Harvard-DCML/tis-subset-datasets-Llama-2-7b-hf:less_rr_bbh_10000`` (Hub data set, colon, configuration), a
        data set or folder without configurations, or a ``.parquet`` or ``.jsonl`` file.

    Raises
    ------
    InputError
        If rows are not in the pool; the text says how many of how many.
    """
    subset = _load(name)
    free: dict[tuple[tuple[str, str], ...], dict[str, int]] = defaultdict(dict)
    for i, candidate in enumerate(pool):
        free[_turns(candidate)][candidate.id] = i
    places, missing = [], []
    for row in subset:
        same = free.get(_turns(row))
        if same:
            places.append(same.pop(row.id if row.id in same else next(iter(same))))
        else:
            missing.append(row.id)
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(subset)} rows of the published subset {name!r} are not among the {len(pool)} "
            f"candidates of the pool, the first is {missing[0]!r}. Take the pool that it was selected from, whole (see "
            "`pool` and `pool_size` of the profile)."
        )
    return np.array(places, dtype=np.int64)


@functools.lru_cache(maxsize=4)
def _load(name: str) -> list[Example]:
    match = None if Path(name).exists() else _CONFIGURED.fullmatch(name)
    return hub.load_pool(match["name"], config=match["config"]) if match else load_examples(name)


def _turns(example: Example) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], message["content"]) for message in example.messages)
