"""ILA in the frame of the experiments: run specs whose selector is ``ila`` or ``ila@…``.

After ``@`` stand settings, joined by ``+``:

- ``depth``: the deepest of the whole pool; ``coverage``: the same cells as ILA, in each a random example;
  ``random``: Random among the candidates that ILA may take;
- ``tsne``, ``tsne1``, …: a t-SNE map (the number is its seed) instead of PCA; ``kmeans``: clusters of the
  embeddings, as many as the PCA map has cells;
- ``grid6``: cells per axis; ``pool750``: a random part of the pool, drawn with the run's seed; ``words``: ability
  labels counted by words; ``tuned1``: another random subset tuned the model.
"""

import functools
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Encoded, Example, turns
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.models.batching import batches, example_losses
from tis_utils.models.load import LanguageModel
from tis_utils.neighbours.ila.coverage_depth import (
    Floats,
    Ints,
    Landscape,
    Rule,
    checked_budget,
    depth,
    grid_cells,
    kmeans_cells,
    project,
    relative_depth,
)
from tis_utils.neighbours.training import tuned_model
from tis_utils.storage.keys import digest, step, versions

VERSION = step("ila", 1)
LOSSES_NAME, LOSSES = "ila_losses", ["before", "after", "tokens"]
BINS = 12  # cells per axis of the map
TUNED_SHARE = 0.1  # of the pool tunes the model that measures depth, and is never selected
# One label for each different word of these in the request, at least one: an ad hoc count, as every one is here.
SKILL_WORDS = {
    "add", "answer", "arithmetic", "calculate", "cipher", "common", "compute", "convert", "count",
    "date", "decrypt", "determine", "difference", "digit", "digits", "divisor", "evaluate", "fraction",
    "keep", "last", "letter", "list", "multiple", "number", "numbers", "order", "pairs", "pick",
    "prime", "read", "rearrange", "remove", "reverse", "rotate", "round", "simplify", "solve", "sort",
    "spell", "square", "time", "word", "words",
}  # fmt: skip


# What a word after ``@`` sets, and what the number behind it sets.
WORDS: dict[str, dict[str, str]] = {
    "depth": {"rule": "depth"},
    "coverage": {"rule": "coverage"},
    "random": {"rule": "random"},
    "tsne": {"projection": "tsne"},
    "kmeans": {"projection": "kmeans"},
    "words": {"labels": "words"},
}
NUMBERED = {"tsne": "map_seed", "grid": "bins", "pool": "pool", "tuned": "tuned"}


@dataclass(frozen=True)
class Settings:
    """What stands after ``@``."""

    rule: Rule = "both"
    projection: str = "pca"
    map_seed: int = 0
    bins: int = BINS
    pool: int | None = None
    labels: str = "one"
    tuned: int = 0


def picks(study: Study, spec: RunSpec) -> Ints:
    """Indices into the pool that a run trains on, best first, int64 (B,)."""
    settings = parse(spec.selector)
    if spec.experiment != "budget":
        raise InputError(f"ILA has no queries and no distance, so it cannot run the {spec.experiment} experiment.")
    return explore(study, settings, spec.seed).picks(settings.rule, spec.budget, spec.seed)


def recipe(study: Study, spec: RunSpec) -> dict[str, Any]:
    """What the picks depend on besides spec, pool, base model and training settings."""
    return {"settings": asdict(parse(spec.selector)), "embed": embed_key(study), "versions": versions("ila")}


def parse(selector: str) -> Settings:
    """Read what stands after ``@``; an InputError says what is known."""
    changes: dict[str, Any] = {}
    for text in filter(None, selector.partition("@")[2].split("+")):
        word = text.rstrip("0123456789")
        number = text[len(word) :]
        if word not in (NUMBERED if number else WORDS):
            raise InputError(
                f"Unknown setting {text!r} of {selector!r}. Known: depth, coverage, random, tsne, tsne1, kmeans, "
                "grid6, pool750, words, tuned1; several are joined by +."
            )
        changes |= WORDS.get(word, {})
        if number:
            changes[NUMBERED[word]] = int(number)
    return Settings(**changes)


@functools.lru_cache(maxsize=32)
def explore(study: Study, settings: Settings, seed: int = 0) -> Landscape:
    """Map and depths of the pool, or of the part that ``settings.pool`` names, drawn with `seed`, whatever the rule.

    A part is drawn from what may be selected, with depths, map and cells of its own; the model that measures depth
    stays the same.
    """
    part = settings.pool is not None
    if settings.rule != "both" or (seed and not part):
        return explore(study, replace(settings, rule="both"), seed if part else 0)
    pool = study.data.pool
    depths, tuning = absolute_depths(study, settings.tuned, settings.labels)  # (N,), (K,)
    depths[tuning] = np.nan
    index = np.arange(len(pool))
    if settings.pool is not None:
        free = np.flatnonzero(np.isfinite(depths))  # (n,)
        size = checked_budget(settings.pool, len(free))
        index = np.sort(np.random.default_rng(seed).choice(free, size, replace=False))
    relative = relative_depth(depths[index], [pool[i].source for i in index])
    cells, points = _map(study, settings, index)
    return Landscape(index, cells, relative, points)


def absolute_depths(study: Study, tuned: int = 0, labels: str = "one") -> tuple[Floats, Ints]:
    """Depth of every candidate, nats per token, (N,), and the random subset that tuned the model, (K,)."""
    pool = study.data.pool
    base, after, tokens = response_losses(study, tuned)[LOSSES].to_numpy(float).T  # (N,) each
    counts = label_counts(pool, labels)
    return depth(base * tokens, after * tokens, tokens, counts), tuning_subset(len(pool), tuned)


def response_losses(study: Study, tuned: int = 0) -> pd.DataFrame:
    """Mean loss per response token before and after tuning, and response tokens, of every candidate: ``LOSSES``."""
    if not tuned and len(rows := study.table(LOSSES_NAME, losses_key, LOSSES)):
        return rows
    found = study.store.array(LOSSES_NAME, losses_key(study, tuned), lambda: _losses(study, tuned))
    return pd.DataFrame(found.T, columns=LOSSES)


def losses_key(study: Study, tuned: int = 0) -> dict[str, Any]:
    """What the losses of :func:`response_losses` depend on."""
    return {
        "pool": digest(study.data.pool),
        "tuning": tuning_subset(len(study.data.pool), tuned).tolist(),
        **study.run_settings,
        "versions": versions("ila"),
    }


def tuning_subset(pool: int, draw: int = 0) -> Ints:
    """The random subset that tunes the model, sorted, int64 (K,)."""
    return np.sort(np.random.default_rng(draw).choice(pool, max(1, round(TUNED_SHARE * pool)), replace=False))


def label_counts(examples: list[Example], kind: str) -> Floats:
    """Ability labels of each candidate, (N,): "one", or the "words" of the request that name a skill (at least 1)."""
    if kind == "one":
        return np.ones(len(examples))
    texts = (turns(e, "user").lower() for e in examples)
    return np.array([max(1.0, len(SKILL_WORDS & set(re.findall(r"[a-z]+", text)))) for text in texts])


def _losses(study: Study, seed: int) -> Floats:
    """The columns of ``LOSSES``, float64 (3, N)."""
    pool = study.data.pool
    tuned = tuned_model(study, [pool[i] for i in tuning_subset(len(pool), seed)], seed)
    encoded = study.model.encode(pool, study.profile.max_length)
    tokens = [(text.labels[1:] != IGNORE).sum() for text in encoded]
    return np.array([_candidate_losses(study.model, encoded), _candidate_losses(tuned, encoded), tokens])


@torch.no_grad()
def _candidate_losses(model: LanguageModel, encoded: list[Encoded]) -> Floats:
    """Mean cross-entropy per response token of each candidate, in nats, (N,); NaN without response tokens."""
    result = np.empty(len(encoded))  # (N,)
    for batch in batches(encoded, model.pad_id, model.device, 1024 if model.device.type == "cpu" else 16384):
        result[batch.index] = example_losses(model.model, batch).double().cpu().numpy()
    return result


def embed_key(study: Study) -> Any:
    """What the embeddings of the pool depend on."""
    return study.feature_recipe("embed")


def _map(study: Study, settings: Settings, index: Ints) -> tuple[Ints, Floats]:
    """Cell of each candidate (n,), and the map (n, 2)."""
    rows = study.features("embed")[0][index]  # (n, D)
    if settings.projection == "tsne":
        key = {"embed": embed_key(study), "index": index, "seed": settings.map_seed, "versions": versions("ila")}
        points = study.store.array("ila_map", key, lambda: project(rows, "tsne", seed=settings.map_seed))
    else:
        points = project(rows, "pca")
    cells = grid_cells(points, settings.bins)
    if settings.projection == "kmeans":
        return kmeans_cells(rows, len(np.unique(cells)), seed=settings.map_seed), np.empty((0, 2))
    return cells, points
