"""ILA in the frame of the experiments: cells whose selector is ``ila`` or ``ila@…`` (METHODS §8).

After ``@`` stand settings, joined by ``+``:

- ``depth``: the deepest of the whole pool; ``coverage``: the same cells as ILA, in each a random example;
  ``random``: Random among the candidates that ILA may take;
- ``tsne``, ``tsne1``, …: a t-SNE map (the number is its seed) instead of PCA; ``kmeans``: clusters of the
  embeddings, as many as the PCA map has cells;
- ``grid6``: cells per axis; ``pool750``: a random part of the pool, drawn with the cell's seed; ``words``: ability
  labels counted by words; ``tuned1``: another random subset tuned the model.
"""

from __future__ import annotations

import functools
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Example, encode_all, turns
from tis_utils.experiments.run_spec import RunSpec
from tis_utils.experiments.study import Study
from tis_utils.models.batching import batches, example_losses
from tis_utils.models.fine_tuning import fine_tune
from tis_utils.models.load import LanguageModel
from tis_utils.neighbours.ila import coverage_depth as landscape
from tis_utils.neighbours.ila.coverage_depth import Floats, Ints
from tis_utils.storage.keys import digest, step, versions

VERSION = step("ila", 1)
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


@dataclass(frozen=True)
class Settings:
    """What stands after ``@``."""

    rule: str = "both"
    projection: str = "pca"
    map_seed: int = 0
    bins: int = BINS
    pool: int | None = None
    labels: str = "one"
    tuned: int = 0


@dataclass(frozen=True)
class Landscape:
    """A pool, or part of one, as ILA sees it.

    Attributes
    ----------
    index : ndarray, int64 of shape (n,)
        Which candidates of the pool.
    cells : ndarray, int64 of shape (n,)
        Where each lies on the map.
    depths : ndarray, float64 of shape (n,)
        Relative depth; NaN where there is none, above all for the examples that tuned the model.
    points : ndarray, float64 of shape (n, 2)
        The map; empty for k-means.
    """

    index: Ints
    cells: Ints
    depths: Floats
    points: Floats

    def picks(self, rule: str, budget: int, seed: int = 0) -> Ints:
        """Indices into the pool, best first, int64 (B,)."""
        noise = np.random.default_rng(seed).random(len(self.index))  # (n,)
        by_chance = np.where(np.isnan(self.depths), np.nan, noise)
        chosen = {
            "both": lambda: landscape.rounds(self.cells, self.depths, budget),
            "depth": lambda: landscape.deepest(self.depths, budget),
            "coverage": lambda: landscape.rounds(self.cells, by_chance, budget),
            "random": lambda: landscape.deepest(by_chance, budget),
        }[rule]()
        return self.index[chosen]

    def measure(self, picks: Ints) -> tuple[float, float]:
        """Coverage and mean relative depth of a subset of `index`; picks without a depth count for coverage only."""
        place = np.searchsorted(self.index, picks)
        return landscape.coverage(self.cells, place), float(np.nanmean(self.depths[place]))


def picks(study: Study, cell: RunSpec) -> Ints:
    """Indices into the pool that a cell trains on, best first, int64 (B,).

    Raises
    ------
    InputError
        If a setting is unknown, all depths are equal, or the budget exceeds what may be selected.
    """
    settings = parse(cell.selector)
    if cell.experiment != "budget":
        raise InputError(f"ILA has no queries and no distance, so it cannot run the {cell.experiment} experiment.")
    return explore(study, settings, cell.seed).picks(settings.rule, cell.budget, cell.seed)


def recipe(study: Study, cell: RunSpec) -> dict[str, Any]:
    """What the picks depend on besides cell, pool, base model and training settings."""
    settings = parse(cell.selector)
    return {"settings": asdict(settings), "embed": embed_key(study), "versions": versions("ila")}


def parse(selector: str) -> Settings:
    """Read what stands after ``@``.

    Raises
    ------
    InputError
        If a setting is unknown.
    """
    found = Settings()
    for text in filter(None, selector.partition("@")[2].split("+")):
        match = re.fullmatch(r"([a-z]+)(\d*)", text)
        word, number = match.groups() if match else (text, "")
        known: dict[tuple[str, bool], dict[str, Any]] = {
            ("depth", False): {"rule": "depth"},
            ("coverage", False): {"rule": "coverage"},
            ("random", False): {"rule": "random"},
            ("tsne", False): {"projection": "tsne"},
            ("tsne", True): {"projection": "tsne", "map_seed": int(number or 0)},
            ("kmeans", False): {"projection": "kmeans"},
            ("grid", True): {"bins": int(number or 0)},
            ("pool", True): {"pool": int(number or 0)},
            ("words", False): {"labels": "words"},
            ("tuned", True): {"tuned": int(number or 0)},
        }
        change = known.get((word, bool(number)))
        if change is None:
            raise InputError(
                f"Unknown setting {text!r} of {selector!r}. Known: depth, coverage, random, tsne, tsne1, kmeans, "
                "grid6, pool750, words, tuned1; several are joined by +."
            )
        found = replace(found, **change)
    return found


@functools.lru_cache(maxsize=32)
def explore(study: Study, settings: Settings, seed: int = 0) -> Landscape:
    """Map and depths of the pool, or of the part that ``settings.pool`` names, drawn with `seed`.

    The rule does not matter here. The part is drawn from what may be selected, with depths, map and cells of its own;
    the model that measures depth stays the same.

    Raises
    ------
    InputError
        If all depths are equal or the part is larger than what may be selected.
    """
    part = settings.pool is not None
    if settings.rule != "both" or (seed and not part):
        return explore(study, replace(settings, rule="both"), seed if part else 0)
    pool = study.data.pool
    depths, tuning = absolute_depths(study, settings.tuned, settings.labels)  # (N,), (K,)
    free = np.setdiff1d(np.flatnonzero(np.isfinite(depths)), tuning)  # (n,)
    depths = np.where(np.isin(np.arange(len(pool)), free), depths, np.nan)
    index = np.arange(len(pool))
    if settings.pool is not None:
        size = landscape.checked_budget(settings.pool, len(free))
        index = np.sort(np.random.default_rng(seed).choice(free, size, replace=False))
    relative = landscape.relative_depth(depths[index], [pool[i].source for i in index])
    found, points = _cells(study, settings, index)
    return Landscape(index, found, relative, points)


def absolute_depths(study: Study, tuned: int = 0, labels: str = "one") -> tuple[Floats, Ints]:
    """Depth of every candidate, nats per token, (N,), and the random subset that tuned the model, (K,)."""
    pool, tuning = study.data.pool, tuning_subset(len(study.data.pool), tuned)
    key = {
        "pool": digest(pool),
        "tuning": tuning.tolist(),
        "model": study.model.fingerprint,
        "dtype": study.profile.dtype,
        "max_length": study.profile.max_length,
        "training": study.profile.training.model_dump(),
        "versions": versions("ila"),
    }
    base, after, tokens = study.store.array("ila_losses", key, lambda: _losses(study, tuning, tuned))  # (N,) each
    return landscape.depth(base * tokens, after * tokens, tokens, label_counts(pool, labels)), tuning


def tuning_subset(pool: int, draw: int = 0) -> Ints:
    """The random subset that tunes the model, sorted, int64 (K,)."""
    return np.sort(np.random.default_rng(draw).choice(pool, max(1, round(TUNED_SHARE * pool)), replace=False))


def label_counts(examples: list[Example], kind: str) -> Floats:
    """Ability labels of each candidate, (N,): "one", or the "words" of the request that name a skill (at least 1)."""
    if kind == "one":
        return np.ones(len(examples))
    texts = (turns(e, "user").lower() for e in examples)
    return np.array([max(1.0, len(SKILL_WORDS & set(re.findall(r"[a-z]+", text)))) for text in texts])


def _losses(study: Study, tuning: Ints, seed: int) -> Floats:
    """Mean loss per response token before and after tuning, and response tokens, float64 (3, N)."""
    torch.set_num_threads(1)  # the same sums in the same order on every machine of one kind
    pool, profile = study.data.pool, study.profile
    chosen = [pool[i] for i in tuning]
    tuned = fine_tune(study.model, chosen, profile.training, seed=seed, max_length=profile.max_length)
    both = [candidate_losses(model, pool, profile.max_length) for model in (study.model, tuned)]
    encoded = encode_all(pool, study.model.tokenizer, profile.max_length)
    return np.array([*both, [(text.labels[1:] != IGNORE).sum() for text in encoded]])


@torch.no_grad()
def candidate_losses(model: LanguageModel, examples: list[Example], max_length: int) -> Floats:
    """Mean cross-entropy per response token of each candidate, in nats, (N,); NaN without response tokens."""
    encoded = encode_all(examples, model.tokenizer, max_length)
    result = np.empty(len(encoded))  # (N,)
    for batch in batches(encoded, model.pad_id, model.device, 1024 if model.device.type == "cpu" else 16384):
        result[batch.index] = example_losses(model.model, batch).double().cpu().numpy()
    return result


@functools.lru_cache(maxsize=4)
def embed_key(study: Study) -> dict[str, Any]:
    """What the embeddings of the pool depend on."""
    return dict(study.pool_features("embed").key)


def _cells(study: Study, settings: Settings, index: Ints) -> tuple[Ints, Floats]:
    """RunSpec of each candidate (n,), and the map (n, 2)."""
    rows = study.features("embed")[0][index]  # (n, D)
    if settings.projection == "tsne":
        key = {"embed": embed_key(study), "index": index, "seed": settings.map_seed, "versions": versions("ila")}
        points = study.store.array("ila_map", key, lambda: landscape.project(rows, "tsne", seed=settings.map_seed))
        return landscape.grid_cells(points, settings.bins), points
    points = landscape.project(rows, "pca")
    on_grid = landscape.grid_cells(points, settings.bins)
    if settings.projection == "kmeans":
        return landscape.kmeans_cells(rows, len(np.unique(on_grid)), seed=settings.map_seed), np.empty((0, 2))
    return on_grid, points
