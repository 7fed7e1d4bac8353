"""INSTA on a study: what the instructions of the pool's tasks say, and which examples a run trains on.

The selector of a run spec is ``insta@K`` with options after colons: ``insta@5:cards:aligned``.

* without ``cards`` a task's instruction is what its prompts in the pool have in common, and the target's is what its
  query prompts have in common (``wordings``), or the first few prompts where that is nothing; no answer is read;
* ``cards``: task and target are described by an author's sentences (:mod:`tis_utils.neighbours.insta.task_cards`);
* ``max``: max-of-max instead of the mean over pairs of wordings;
* ``aligned``: with a selector aligned on the tasks that belong to no target's skill group;
* ``random``: K tasks by chance, the baseline.

Which task a candidate belongs to is read from ``meta["family"]``: INSTA needs a pool that is sorted into tasks, and
is the only method here that is told.
"""

from __future__ import annotations

import functools
import logging
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tis_utils.errors import InputError
from tis_utils.examples.text import request, turns
from tis_utils.experiments.grids import INSTA_TASKS
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta.alignment import align, alignment_pairs
from tis_utils.neighbours.insta.pool_tasks import tasks_of
from tis_utils.neighbours.insta.scores import (
    MOST,
    Instructions,
    checked,
    draw_examples,
    embed_tasks,
    encode,
    task_scores,
    top_tasks,
    wordings,
)
from tis_utils.neighbours.insta.task_cards import CARDS
from tis_utils.representations.embed import Embed
from tis_utils.storage.keys import digest, step, versions

log = logging.getLogger(__name__)

VERSION = step("insta", 1)
RATE = 2e-5  # of alignment; the authors' 1e-6 hardly moves a model in the few steps that 28 families give


@dataclass(frozen=True)
class Setting:
    """What a selector's name says."""

    k: int = INSTA_TASKS
    cards: bool = False
    max: bool = False
    aligned: bool = False
    random: bool = False

    @classmethod
    def of(cls, selector: str) -> Setting:
        """Read a name such as ``insta``, ``insta@5`` or ``insta@5:cards:max``; an InputError says what is known."""
        number, *options = selector.removeprefix("insta").removeprefix("@").split(":")
        number = number or str(INSTA_TASKS)
        known = [field.name for field in fields(cls) if field.name != "k"]
        if not set(options) <= set(known) or not number.isdigit() or int(number) < 1:
            raise InputError(
                f"{selector!r} is no INSTA selector. Write insta@K with a number of tasks K of at least 1, and any of "
                f":{', :'.join(known)} after it, for example insta@5:cards."
            )
        return cls(int(number), **dict.fromkeys(options, True))


# --- instructions -------------------------------------------------------------------------------------


def instructions(study: Study, *, cards: bool = False) -> dict[str, tuple[str, ...]]:
    """Wordings of every task in the pool: what its prompts share, or its card.

    Raises
    ------
    InputError
        If a task has no card, or its prompts are empty.
    """
    names, labels = tasks_of(study)
    if cards:
        return {name: _card(name) for name in names}
    prompts = np.array([turns(example, "user") for example in study.data.pool], dtype=object)  # (N,)
    return checked({name: _shared(prompts[labels == t].tolist()) for t, name in enumerate(names)})


def _shared(prompts: Sequence[str]) -> tuple[str, ...]:
    """What prompts have in common; where that is nothing, the first of them as they are."""
    return wordings(prompts) or tuple(dict.fromkeys(prompts))[:MOST]


def _card(task: str) -> tuple[str, ...]:
    if task not in CARDS:
        raise InputError(
            f"Task {task!r} has no card. Add one to tis_utils/neighbours/insta/task_cards.yaml, or leave out the "
            "option ':cards': then the instruction is what the task's prompts have in common."
        )
    return CARDS[task]


def target_instruction(study: Study, task: str, *, cards: bool = False) -> tuple[str, ...]:
    """Wordings of a target task: what its query prompts share, or the card of the function its queries want."""
    queries = study.data.queries[task]
    if cards:
        return _card(str(queries[0].meta.get("family", task)))
    return checked({task: _shared([request(query) for query in queries])})[task]


def target_family(study: Study, target: str) -> str:
    """The pool's family that teaches a target: itself, or the function that a skill's queries want."""
    queries = study.data.queries.get(target)
    return str(queries[0].meta.get("family", target)) if queries else target


def alignment_tasks(study: Study) -> dict[str, tuple[str, ...]]:
    """What a selector is aligned on: the tasks of no target's skill group, by their cards (prompts without one)."""
    groups = {str(q.meta.get("group", task)) for task, qs in study.data.queries.items() for q in qs}
    by_prompts = instructions(study).items()
    return {name: CARDS.get(name, texts) for name, texts in by_prompts if name.partition("/")[0] not in groups}


# --- embeddings and scores ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def _embedder(name: str) -> tuple[Embed, str]:
    """An embedding model and the digest of its weights."""
    embedder = Embed(name, show_progress=False)
    return embedder, str(embedder.settings["model"])


def embedded(
    study: Study, texts: Sequence[str], *, align_on: Instructions | None = None, rate: float = RATE, seed: int = 0
) -> np.ndarray:
    """Embeddings of `texts`, float32 unit rows (U, D), kept in the study's store.

    With `align_on`, by a copy of the profile's embedding model that was aligned on these tasks.
    """
    embedder, fingerprint = _embedder(study.profile.embedder)
    key = {
        "texts": list(texts),
        "model": fingerprint,
        "align_on": align_on,
        "rate": rate if align_on else None,
        "seed": seed if align_on else None,
        "versions": versions("insta"),
    }

    def compute() -> np.ndarray:
        if align_on is None:
            return encode(embedder.encoder, texts)
        pairs = alignment_pairs(align_on, functools.partial(encode, embedder.encoder), seed=seed)
        with tempfile.TemporaryDirectory() as scratch:
            align(embedder.encoder, pairs, Path(scratch) / "selector", learning_rate=rate, seed=seed)
            return encode(Embed(str(Path(scratch) / "selector")).encoder, texts)

    return study.store.array("insta", key, compute)


@functools.lru_cache(maxsize=4)
def _rows(study: Study, aligned: bool) -> dict[str, np.ndarray]:
    """Embeddings of all instructions at once, pool and targets, by prompts and by cards where there are any."""
    texts: dict[str, tuple[str, ...]] = {}
    by_prompts = instructions(study)
    by_cards = {name: CARDS[name] for name in by_prompts if name in CARDS}
    for cards, known in ((False, by_prompts), (True, by_cards)):
        texts |= {f"{cards} pool {name}": wordings_ for name, wordings_ in known.items()}
        for task, queries in study.data.queries.items():
            if not cards or queries[0].meta.get("family") in CARDS:
                texts[f"{cards} target {task}"] = target_instruction(study, task, cards=cards)
    align_on = alignment_tasks(study) if aligned else None
    return embed_tasks(texts, functools.partial(embedded, study, align_on=align_on))


def target_scores(study: Study, task: str, setting: Setting) -> np.ndarray:
    """Score of every task of the pool for one target, float64 (K,), in the order of :func:`tasks_of`."""
    known = instructions(study, cards=setting.cards)
    target_instruction(study, task, cards=setting.cards)  # raises for a target without a card
    rows = _rows(study, setting.aligned)
    pool = [rows[f"{setting.cards} pool {name}"] for name in known]
    return task_scores(rows[f"{setting.cards} target {task}"], pool, "max" if setting.max else "mean")


def task_order(study: Study, spec: RunSpec) -> np.ndarray:
    """All tasks, nearest first, int64 (K,)."""
    names, _ = tasks_of(study)
    setting = Setting.of(spec.selector)
    if setting.random:
        chance = np.random.default_rng([spec.seed, zlib.crc32(spec.task.encode())]).permutation(len(names))
        return chance.astype(np.int64)
    return top_tasks(target_scores(study, spec.task, setting), len(names))


# --- what a run asks for ------------------------------------------------------------------------------


def picks(study: Study, spec: RunSpec) -> np.ndarray:
    """Indices into the pool, int64 (B,), drawn by the run's seed from its `k` tasks; the next fill up small ones."""
    names, labels = tasks_of(study)
    setting = Setting.of(spec.selector)
    top_tasks(np.zeros(len(names)), setting.k)  # raises for a k that cannot be had
    order = task_order(study, spec)
    if (held := int(np.isin(labels, order[: setting.k]).sum())) < spec.budget:
        log.info("%s: %d tasks hold %d examples; the next tasks fill up.", spec.selector, setting.k, held)
    return draw_examples(labels, order.tolist(), setting.k, spec.budget, spec.seed)


def recipe(study: Study, spec: RunSpec) -> dict[str, Any]:
    """What the picks depend on besides the spec, the pool and the queries."""
    return {"embedder": _embedder(study.profile.embedder)[1], "cards": digest(CARDS), "versions": versions("insta")}
