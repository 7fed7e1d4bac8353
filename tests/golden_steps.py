"""One small computation per step whose numbers enter keys of stored results; ``test_golden.py`` compares them.

Inputs are fixed: the two shipped models, some examples of the classroom (``golden/inputs.json``), seeded matrices.
"""

from __future__ import annotations

import functools
import json
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from tis_utils.examples import benchmarks
from tis_utils.examples.load import Data
from tis_utils.examples.text import Encoded, Example, Query, chat_text, encode_all
from tis_utils.experiments import subset as subsets
from tis_utils.experiments.run_spec import NONE, RunSpec, grid, quantile_grid
from tis_utils.experiments.study import Study
from tis_utils.models import downstream as downstream_metrics
from tis_utils.models import evaluation as evaluations
from tis_utils.models import fine_tuning as training
from tis_utils.models import pass_at_k
from tis_utils.models.batching import batches, collate, example_losses, length_batches
from tis_utils.models.load import LanguageModel, add_lora, load_model, shared_copy
from tis_utils.neighbours import hybrids as mixed
from tis_utils.neighbours import many_targets as measured
from tis_utils.neighbours.ila import coverage_depth as ila_map
from tis_utils.neighbours.ila import deita as ila_deita
from tis_utils.neighbours.ila import designed_subsets as ila_subsets
from tis_utils.neighbours.ila import languages as ila_languages
from tis_utils.neighbours.ila import selector as ila_selector
from tis_utils.neighbours.insta import alignment as insta_alignment
from tis_utils.neighbours.insta import rivals as insta_rival
from tis_utils.neighbours.insta import scores as insta_score
from tis_utils.neighbours.insta import selector as insta_selector
from tis_utils.neighbours.insta import transfer as insta_transfer
from tis_utils.neighbours.insta.task_cards import CARDS
from tis_utils.profiles import Profile, Training
from tis_utils.representations import LESS, RDS, Embed, Lexical
from tis_utils.representations import warmup as less_warmup
from tis_utils.representations.gradients import adam_direction, example_gradients, lora_parameters
from tis_utils.representations.sketch import make_sketch
from tis_utils.selectors import SELECTORS
from tis_utils.selectors import select as selected
from tis_utils.selectors.density import densities
from tis_utils.selectors.greedy import doubly_greedy, round_robin
from tis_utils.selectors.mass_order import by_mass, sampling_keys
from tis_utils.selectors.neighbours import kde_mass, knn_kde, knn_uniform, uniform_mass
from tis_utils.selectors.random import random as shuffled
from tis_utils.selectors.similarity import largest, nearest
from tis_utils.selectors.similarity import similarity as cosines
from tis_utils.selectors.transport import plan_mass, uot
from tis_utils.storage.cache import Store
from tis_utils.storage.keys import digest

GOLDEN = Path(__file__).with_name("golden")
SCRATCH = tempfile.TemporaryDirectory()
Outputs = dict[str, Any]
STEP_OUTPUTS: dict[str, tuple[float, Callable[[], Outputs]]] = {}


def golden(tolerance: float = 0.0) -> Callable[[Callable[[], Outputs]], Callable[[], Outputs]]:
    """Register a step's computation; its floats may differ by `tolerance`, relatively and absolutely."""

    def register(function: Callable[[], Outputs]) -> Callable[[], Outputs]:
        STEP_OUTPUTS[function.__name__] = (tolerance, function)
        return function

    return register


# --- inputs -------------------------------------------------------------------------------------------


@functools.cache
def data() -> Data:
    """36 candidates of six families; per task four queries and four held-out examples."""
    raw = json.loads((GOLDEN / "inputs.json").read_text(encoding="utf-8"))
    queries, test = ({t: [Query(**q) for q in rows] for t, rows in raw[key].items()} for key in ("queries", "test"))
    return Data([Example(**e) for e in raw["pool"]], queries, test)


@functools.cache
def mini() -> LanguageModel:
    """The smaller of the shipped models."""
    return load_model("mini", device="cpu")


@functools.cache
def study() -> Study:
    """The experiments' frame around the fixed examples; everything is computed anew."""
    profile = Profile(
        name="golden", description="", model="mini", pool="golden.jsonl", pool_size=36, n_queries=4, n_test=4,
        tasks=("words", "pick"), budgets=(4,), seeds=(0,), max_length=96,
        training={"epochs": 1, "learning_rate": 1e-3, "batch_size": 4},
    )  # fmt: skip
    fixed = Study(profile, Store(Path(SCRATCH.name)), data=data(), live=True)
    fixed.add_features("fixed", unit(4, 36), {"words": unit(5, 4), "pick": unit(6, 4)})
    return fixed


def encoded(count: int = 8) -> list[Encoded]:
    """Tokens of every fourth candidate."""
    return encode_all(data().pool[::4][:count], mini().tokenizer, 96)


def unit(seed: int, rows: int, columns: int = 12) -> np.ndarray:
    """Seeded unit rows."""
    x = np.random.default_rng(seed).standard_normal((rows, columns))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@functools.cache
def matrix() -> tuple[np.ndarray, np.ndarray]:
    """Similarities (6, 240) with exact ties, and the candidates' features (240, 12), some of them twice."""
    S, candidates = np.random.default_rng(0).integers(-512, 513, (6, 240)) / np.float32(512), unit(1, 240)
    S[:, 200:], candidates[200:] = S[:, :40], candidates[:40]
    return S, candidates


def summary(rows: Any) -> np.ndarray:
    """Four numbers for each long row, to which every entry contributes."""
    rows = np.asarray(rows, dtype=np.float64)
    rows = rows.reshape(len(rows), -1)
    return rows @ np.random.default_rng(9).standard_normal((rows.shape[1], 4))


def parameters(model: torch.nn.Module) -> np.ndarray:
    """All weights in one row, summarised."""
    return summary(torch.cat([p.detach().flatten() for p in model.parameters()])[None])


def lora(seed: int = 0) -> Any:
    """The mini model with LoRA factors of which none is zero."""
    torch.manual_seed(seed)
    model = add_lora(shared_copy(mini().model), r=2, alpha=4, dropout=0.1, targets="all-linear")
    for p in lora_parameters(model).values():
        p.data.normal_(0, 0.05)
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Budgets beyond the candidates with mass are meant here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- selectors ----------------------------------------------------------------------------------------


@golden(1e-6)
def similarity() -> Outputs:
    queries, candidates = unit(0, 4), unit(1, 9)
    candidates[3], queries[2] = 0, 0
    S = cosines(queries, candidates)
    order, values = nearest(S, 4)
    return {"S": S, "nearest": order, "values": values, "largest": largest(np.array([2.0, 3.0, 2.0, 3.0, -0.0, 0.0]))}


@golden(1e-9)
def mass_order() -> Outputs:
    S, _ = matrix()
    mass = np.where(np.arange(240) % 3 == 0, np.round(S.max(axis=0).astype(float), 1), 0)
    with quiet():
        order = by_mass("golden", mass, S, 200)
    return {"order": order, "keys": sampling_keys(mass, 3)}


@golden()
def random() -> Outputs:
    S, _ = matrix()
    return {str(seed): shuffled(S, 30, seed=seed) for seed in (0, 1)}


@golden()
def greedy() -> Outputs:
    S, _ = matrix()
    return {
        "round_robin": round_robin(S, None),
        "doubly_greedy": doubly_greedy(S, None),
        "groups": doubly_greedy(S, None, groups=list("aabbba")),
    }


@golden(1e-6)
def neighbours() -> Outputs:
    S, candidates = matrix()
    outputs: Outputs = {"uniform_mass": uniform_mass(S), "kde_mass": kde_mass(S, candidates)}
    with quiet():
        for options in ({}, {"sample": True, "seed": 2}, {"distance": "euclidean"}, {"alpha": 0.6, "C": 2.0}):
            outputs[f"uniform {options}"] = knn_uniform(S, 60, **options)
            outputs[f"kde {options}"] = knn_kde(S, 60, candidates=candidates, **options)
    return outputs


@golden(1e-5)
def density() -> Outputs:
    spread, crowded = unit(2, 80, 24).astype(np.float64), unit(3, 80, 2).astype(np.float64)
    return {"spread": densities(spread, sigma=1.1, k=9), "crowded": densities(crowded, sigma=0.75, k=9)}


@golden(1e-6)
def transport() -> Outputs:
    S, _ = matrix()
    return {"mass": plan_mass(S), "both sides": plan_mass(S, reg=0.05, reg_m=(0.1, 0.01)), "order": uot(S, None)}


@golden()
def select() -> Outputs:
    S, candidates = (part.copy() for part in matrix())
    candidates[[5, 17]], S[:, [5, 17]] = 0, -1
    with quiet():
        return {name: selected(name, S, 240, candidates=candidates, seed=4) for name in SELECTORS}


# --- texts, models ------------------------------------------------------------------------------------


@golden()
def text() -> Outputs:
    messages = [{"role": "system", "content": "Be short."}, *data().pool[0].messages, *data().pool[1].messages]
    chat, tokenizer = Example("chat", messages, "golden"), mini().tokenizer
    items = [chat, data().pool[2], data().queries["pick"][0]]
    long, cut = encode_all(items, tokenizer, 96), encode_all(items, tokenizer, 20)
    outputs: Outputs = {"text": chat_text(chat, "<eos>")}
    for i, tokens in enumerate([*long, *cut]):
        outputs |= {f"ids {i}": tokens.ids, f"labels {i}": tokens.labels}
    return outputs


@golden(1e-4)
def load() -> Outputs:
    ids = torch.from_numpy(encoded(1)[0].ids)[None]
    outputs: Outputs = {}
    for name in ("tiny", "mini"):
        model = load_model(name, device="cpu")
        with torch.no_grad():
            outputs |= {name: summary(model.model(input_ids=ids).logits[0]), f"{name} fingerprint": model.fingerprint}
    torch.manual_seed(0)
    model = add_lora(shared_copy(mini().model), r=2)
    factors = lora_parameters(model)
    config = model.peft_config["default"]
    return outputs | {
        "targets": sorted(factors),
        "start": np.array([float(p.detach().double().abs().sum()) for _, p in sorted(factors.items())]),
        "alpha, dropout": [config.lora_alpha, config.lora_dropout],
    }


@golden(1e-4)
def batching() -> Outputs:
    tokens = encoded()
    groups = length_batches([len(t.ids) for t in tokens], 200)
    first = collate(tokens, groups[0], 0, torch.device("cpu"))
    losses = np.empty(len(tokens))
    with torch.no_grad():
        for batch in batches(tokens, mini().pad_id, mini().device, 200):
            losses[batch.index] = example_losses(mini().model, batch).numpy()
    parts = {"ids": first.ids, "mask": first.mask, "labels": first.labels}
    return {"groups": [group.tolist() for group in groups], "losses": losses, **parts}


@golden(1e-3)
def fine_tuning() -> Outputs:
    settings = Training(epochs=2, learning_rate=1e-3, batch_size=4, micro_batch_size=2, warmup_ratio=0.3)
    outputs: Outputs = {"order": [list(training.Shuffled([3, 9, 4, 9, 1, 7], 4, seed)) for seed in (0, 1)]}
    for rank in (0, 2):
        tuned = training.fine_tune(
            mini(), data().pool[::4], settings.model_copy(update={"lora_rank": rank}), seed=1, max_length=96
        )
        outputs[f"rank {rank}"] = parameters(tuned.model)
        outputs[f"losses {rank}"] = evaluations.query_losses(tuned, data().queries["words"], max_length=96)
    return outputs


@golden(1e-4)
def evaluation() -> Outputs:
    queries = data().queries["words"] + data().test["pick"]
    texts = evaluations.answers(mini(), queries, max_new_tokens=12)
    labels = [text if i % 4 else text.upper() for i, text in enumerate(texts)]  # a capital is no match
    echoed = [replace(query, label=f" {label} ") for query, label in zip(queries, labels, strict=True)]
    return {
        "losses": evaluations.query_losses(mini(), queries, max_length=96),
        "mean": evaluations.mean_loss(mini(), queries, max_length=24),
        "answers": texts,
        "exact match": evaluations.exact_match(mini(), echoed, max_new_tokens=12),
    }


@golden(1e-9)
def downstream() -> Outputs:
    facts = {"prompt": "def one():\n", "entry_point": "one", "test": "def check(f):\n    assert f() == 1\n"}
    problem = Query("HumanEval/0", facts["prompt"], "    return 1\n", "humaneval", facts)
    fenced = "Sure:\n```python\ndef one():\n    return 1\n```\nDone."
    texts = ["    return 1\n", fenced, "return 1\nprint(one())", "no", ""]
    outputs: Outputs = {"completions": [pass_at_k.completion(t, problem) for t in texts]}
    answers = mock.patch.object(pass_at_k, "answers", return_value=texts)
    with answers, mock.patch.dict("os.environ", TIS_RUN_CODE="1"):
        outputs["pass@2"] = pass_at_k.pass_at_k(mini(), [problem], k=2, samples=len(texts))
    outputs["exact match"] = downstream_metrics.measure(mini(), "exact_match", data().test["pick"])
    outputs["acc"] = downstream_metrics.measure(mini(), "acc", benchmarks.queries("bbh")[:24], max_length=128)
    return outputs


# --- representations ----------------------------------------------------------------------------------


@golden(1e-4)
def embed() -> Outputs:
    encoder = Embed("minilm", device="cpu", show_progress=False)
    rows, queries = encoder.candidates(data().pool[::4]), encoder.queries(data().queries["pick"])
    return {"candidates": summary(rows), "queries": summary(queries), "cosines": rows @ queries.T}


@golden(1e-4)
def rds() -> Outputs:
    method = RDS(mini(), max_length=96, show_progress=False)
    rows, queries = method.candidates(data().pool[::4]), method.queries(data().queries["pick"])
    return {"candidates": summary(rows), "queries": summary(queries), "cosines": rows @ queries.T}


@golden(1e-6)
def lexical() -> Outputs:
    method = Lexical(dim=512)
    rows, queries = method.candidates(data().pool), method.queries(data().queries["pick"])
    return {"candidates": summary(rows), "queries": summary(queries), "cosines": rows @ queries.T}


@golden(1e-4)
def gradients() -> Outputs:
    rng = np.random.default_rng(0)
    g, m, v = (torch.from_numpy(a) for a in (rng.normal(size=(3, 20)), rng.normal(size=20), rng.random(20) ** 4))
    parts: dict[str, torch.Tensor] = {}
    model = lora()
    losses = example_gradients(model, collate(encoded(4), np.arange(4), 0, torch.device("cpu")), parts.__setitem__)
    flat = torch.cat([parts[name].flatten(1) for name in lora_parameters(model)], dim=1)
    return {"adam": adam_direction(g, m, v), "losses": losses, "gradients": summary(flat)}


@golden(1e-5)
def sketch() -> Outputs:
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1200))).float()
    return {kind: make_sketch(kind, 1200, 40, seed=5).apply(rows) for kind in ("count", "rademacher")}


@golden(1e-3)
def warmup() -> Outputs:
    recipe = less_warmup.Recipe(epochs=2, lr=1e-3, batch_size=3, warmup_ratio=0.3, batch_tokens=200, seed=1)
    points = less_warmup.train(lora(), encoded(), recipe, mini().pad_id, show_progress=False)
    outputs: Outputs = {"rates": [point.lr for point in points]}
    for part in ("weight", "m", "v"):
        flat = [torch.cat([t.flatten() for t in getattr(point, part).values()])[None] for point in points]
        outputs[part] = summary(torch.cat(flat)) * {"weight": 1, "m": 1e2, "v": 1e4}[part]
    return outputs


@golden(1e-3)
def less() -> Outputs:
    outputs: Outputs = {}
    for options in ({}, {"candidate_gradient": "sgd", "checkpoints": "last", "sketch": "rademacher"}):
        method = LESS(
            mini(), rank=2, alpha=4, targets="all-linear", epochs=2, lr=1e-3, batch_size=4, warmup_fraction=0.4,
            dim=64, max_length=96, show_progress=False, **options,
        )  # fmt: skip
        rows, queries = method.candidates(data().pool[::4]), method.queries(data().queries["pick"])
        name = "last" if options else "all"
        outputs |= {f"{name} candidates": summary(rows), f"{name} cosines": rows @ queries.T}
    defaults = LESS(mini(), show_progress=False)
    return outputs | {"warm-up": method.warmup_ids, "defaults": json.dumps(defaults.settings, sort_keys=True)}


# --- experiments --------------------------------------------------------------------------------------


@golden()
def run_spec() -> Outputs:
    methods = [("less", "round_robin"), ("rds", "uot")]
    return {
        "grid": [list(astuple(s)) for s in grid(["a", "b"], methods, [5, 9], [0, 1])],
        "tokens": [list(astuple(s)) for s in grid(["a"], methods, [5], [0], experiment="tokens")],
        "quantile": [list(astuple(s)) for s in quantile_grid(["a"], ["less"], 5, [0])],
    }


@golden()
def subset() -> Outputs:
    fixed = study()
    specs = [
        RunSpec("pick", "fixed", "round_robin", 8, 0),
        RunSpec("pick", NONE, "random", 8, 1),
        RunSpec("pick", NONE, NONE, 0, 0, "zero_shot"),
        RunSpec("pick", "fixed", "round_robin", 3, 0, "quantile", bin=1),
        RunSpec("pick", "fixed", "round_robin", 3, 0, "quantile", bin=9),
        RunSpec("pick", "fixed", "doubly_greedy", 6, 0, "tokens"),
        RunSpec("pick", "fixed", "uot", 6, 0, "resample", draw=1),
    ]
    picks = [subsets.picks(fixed, spec).tolist() for spec in specs]
    bins = [subsets.distance_bin(np.arange(237), i, focus=f).tolist() for i in (0, 9) for f in (False, True)]
    return {"picks": picks, "bins": bins, "half": subsets.half_of(9, 3), "tokens": fixed.answer_tokens}


@golden(1e-3)
def run() -> Outputs:
    rows = study().run(
        [RunSpec("pick", "fixed", "round_robin", 8, 0), RunSpec("pick", NONE, NONE, 0, 0, "zero_shot")], jobs=1
    )
    return {"metrics": rows["metric"].tolist(), "status": rows["status"].tolist(), "values": rows["value"].to_numpy()}


# --- INSTA --------------------------------------------------------------------------------------------


def by_letters(texts: Any) -> np.ndarray:
    """A stand-in for an embedding model: how often each letter occurs, unit rows (U, 26)."""
    rows = np.array([[1 + text.lower().count(c) ** 2 for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float)
    rows -= rows.mean(axis=0)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@golden(1e-6)
def insta_scores() -> Outputs:
    prompts = [e.messages[0]["content"] for e in data().pool]
    rows = insta_score.embed_tasks({task: CARDS[task] for task in ("gcd", "lcm", "chain_sum", "products")}, by_letters)
    values = {how: insta_score.task_scores(rows["gcd"], list(rows.values()), how) for how in ("mean", "max")}
    labels = np.arange(30) % 5
    return {
        "wordings": [list(insta_score.wordings(prompts[i : i + 6])) for i in range(0, 36, 6)],
        **values,
        "top": insta_score.top_tasks(np.array([0.1, 0.30000001, 0.3, 0.7]), 3),
        "drawn": insta_score.draw_examples(labels, [2, 0, 1, 4, 3], 2, 16, 1),
    }


@golden(1e-3)
def alignment() -> Outputs:
    tasks = {task: CARDS[task] for task in sorted(CARDS)[:12]}
    pairs = insta_alignment.alignment_pairs(tasks, by_letters, seed=1)
    train, dev = insta_alignment.split_pairs(pairs, 0.2, 0)
    encoder = Embed("minilm", device="cpu", show_progress=False).encoder
    with tempfile.TemporaryDirectory() as folder:
        epochs = insta_alignment.align(encoder, pairs, Path(folder) / "model", learning_rate=2e-5, epochs=1)
    return {
        "pairs": [[p.first, p.second, p.label] for p in pairs],
        "train, dev": [[p.first for p in part] for part in (train, dev)],
        "pearson": epochs["pearson"].to_numpy(),
    }


@golden()
def task_cards() -> Outputs:
    return {"tasks": {task: len(texts) for task, texts in CARDS.items()}, "digest": digest(dict(CARDS))}


@golden(1e-4)
def insta() -> Outputs:
    fixed, names = study(), ("insta@2", "insta@1:cards", "insta@2:max", "insta@3:random")
    setting = insta_selector.Setting(2)
    return {name: insta_selector.picks(fixed, RunSpec("pick", NONE, name, 9, 1)) for name in names} | {
        "scores": insta_selector.target_scores(fixed, "words", setting),
        "align on": sorted(insta_selector.alignment_tasks(fixed)),
        "rate": insta_selector.RATE,
    }


@golden(1e-3)
def transfer() -> Outputs:
    rows = insta_transfer.matrix(study(), sources=["gcd", "pick/last"], seeds=[0])
    return {"tasks": rows[["source_task", "target_task"]], "losses": rows[["loss", "zero_shot_loss"]]}


# --- ILA ----------------------------------------------------------------------------------------------


@golden(1e-4)
def insta_rivals() -> Outputs:
    fixed, rng = study(), np.random.default_rng(5)
    names = ("transfer@2", "retrieval@2", "retrieval@1")
    return {name: insta_rival.picks(fixed, RunSpec("pick", NONE, name, 9, 1)) for name in names} | {
        "votes": insta_rival.votes(rng.uniform(-1, 1, (5, 12)), np.arange(12) % 4, 4)
    }


@golden(1e-6)
def coverage_depth() -> Outputs:
    rng = np.random.default_rng(0)
    rows, depths = rng.standard_normal((40, 6)), np.where(np.arange(40) % 9 == 4, np.nan, rng.normal(size=40).round(1))
    points = ila_map.project(rows, "pca")
    cells = ila_map.grid_cells(points, 5)
    order = ila_map.rounds(cells, depths, seed=3)
    return {
        "depth": ila_map.depth([3.0, 2.0, 5.0], [1.0, 2.5, 4.0], [4, 2, 0], [1, 2, 1]),
        "relative": ila_map.relative_depth(depths, np.arange(40) % 3),
        "points": points,
        "cells": cells,
        "clusters": ila_map.kmeans_cells(rows, 6, seed=1),
        "rounds": order,
        "deepest": ila_map.deepest(depths, 7),
        "coverage": ila_map.coverage(cells, order[:7]),
    }


@golden(1e-3)
def ila() -> Outputs:
    fixed = study()
    depths, tuning = ila_selector.absolute_depths(fixed)
    names = ("ila", "ila@depth", "ila@coverage", "ila@random", "ila@grid3+words", "ila@kmeans", "ila@pool20")
    picks = {name: ila_selector.picks(fixed, RunSpec("pick", NONE, name, 8, 1)) for name in names}
    return {"depths": depths, "tuning": tuning, **picks}


@golden()
def deita() -> Outputs:
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((60, 3)).round(2)
    scores = np.where(np.arange(60) % 11 == 3, np.nan, rng.random(60).round(1))
    kept = {f"tau {tau}": ila_deita.score_first(scores, rows, 20, tau=tau) for tau in (0.2, 0.9, 1)}
    return kept | {
        "default": ila_deita.TAU,
        "picks": ila_deita.picks(study(), RunSpec("pick", NONE, "deita@0.5", 8, 1)),
    }


@golden(1e-3)
def designed_subsets() -> Outputs:
    fixed = study()
    land = ila_selector.explore(fixed, ila_selector.Settings())
    plan = [list(row[:4]) for row in ila_subsets.plan(fixed, 2)]
    rows = ila_subsets.compute(fixed, [("designed", 0, 4, 0, ila_subsets.designed(land, 4, 0))])
    return {
        "plan": plan,
        "designed": [ila_subsets.designed(land, 6, draw).tolist() for draw in range(6)],
        "table": rows.drop(columns="name").to_numpy(dtype=float),
        "columns": list(rows.columns),
        "count": ila_subsets.DESIGNED,
    }


@golden()
def hybrids() -> Outputs:
    rng = np.random.default_rng(3)
    cells, ranks = rng.integers(0, 7, 40), rng.permutation(40)
    depths = np.where(np.arange(40) % 9 == 4, np.nan, rng.random(40).round(1))
    return {
        "nearest": mixed.targeted_rounds(cells, ranks, -ranks, 40),
        "deepest": mixed.targeted_rounds(cells, ranks, depths, 30),
        "tasks": mixed.deepest_of_tasks(cells, rng.permutation(7), 3, depths, 30),
        "picks": mixed.picks(study(), RunSpec("pick", NONE, "hybrid@insta@2:cards", 8, 1)),
    }


@golden(1e-3)
def languages() -> Outputs:
    few = ila_languages.puzzles(1)
    with mock.patch.object(ila_languages, "puzzles", return_value=few), mock.patch.object(ila_languages, "DRAWS", 1):
        rows = ila_languages.compute(study())
    texts = digest([[e.id, e.messages] for e in ila_languages.puzzles()])
    counts = [ila_languages.PROBLEMS, ila_languages.DRAWS]
    return {"texts": texts, "counts": counts, **{name: rows[name] for name in ("cell", "content", "form", "depth0")}}


@golden(1e-3)
def many_targets() -> Outputs:
    specs = [RunSpec("pick", NONE, "random", 6, 0)]
    table = measured.Measured("golden", lambda own: own, lambda own: specs, insta_transfer.target_tasks)
    rows = table.compute(study())
    maths = measured.MATHS_TOPICS
    return {"picks": rows["picks"].tolist(), "losses": rows[["words", "pick"]], "maths": list(maths)}


def plain(outputs: Outputs) -> Outputs:
    """Outputs as JSON reads them back; floats keep all their digits, NaN becomes null."""
    return {name: _plain(value) for name, value in outputs.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return _plain(value.detach().numpy())
    if hasattr(value, "to_numpy"):
        return _plain(value.to_numpy())
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
