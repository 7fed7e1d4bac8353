"""Align INSTA's selector with a style of instructions (Lee et al. 2024, arXiv 2404.16418).

A sentence-embedding model is fine-tuned on pairs of wordings: of one task (cosine 1) and of two (cosine 0).
"""

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.neighbours.insta.scores import Embedder, Instructions, checked, embed_tasks
from tis_utils.storage.keys import step

VERSION = step("alignment", 1)
BEST_EPOCH: dict[str, Any] = {
    "eval_strategy": "epoch", "save_strategy": "epoch", "save_only_model": True, "save_total_limit": 1,
    "load_best_model_at_end": True, "metric_for_best_model": "eval_dev_pearson_cosine", "greater_is_better": True,
    "logging_strategy": "no", "report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": False,
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two wordings and what their cosine should be: 1 for one task, 0 for two."""

    first: str
    second: str
    label: float


def alignment_pairs(
    instructions: Instructions,
    embed: Embedder,
    *,
    share: float = 0.4,
    ceiling: float = 0.3,
    reuse: int = 4,
    seed: int = 0,
) -> list[Pair]:
    """Pairs to align a selector with.

    Positives are two wordings of one task, a random `share` of all such pairs. Each gets one negative, where one is
    left: its first wording beside a random wording of another task whose cosine by `embed` is below `ceiling`; a
    wording is the negative of at most `reuse` pairs.

    Raises
    ------
    InputError
        If no task has two wordings.
    """
    tidy, rows = checked(instructions), embed_tasks(instructions, embed)
    tasks = np.repeat(list(tidy), [len(texts) for texts in tidy.values()])  # (W,)
    texts, matrix = [text for texts in tidy.values() for text in texts], np.concatenate(list(rows.values()))
    same = [(i, j) for i, j in combinations(range(len(texts)), 2) if tasks[i] == tasks[j] and texts[i] != texts[j]]
    if not same:
        raise InputError("No task has two different wordings, so there is no positive pair to align with.")
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(same), max(1, round(share * len(same))), replace=False)
    far = (matrix @ matrix.T < ceiling) & (tasks[:, None] != tasks)  # (W, W)
    used, pairs = np.zeros(len(texts), dtype=int), []
    for i, j in (same[n] for n in sorted(drawn)):
        pairs.append(Pair(texts[i], texts[j], 1.0))
        free = np.flatnonzero(far[i] & (used < reuse))
        if len(free):
            other = int(rng.choice(free))
            used[other] += 1
            pairs.append(Pair(texts[i], texts[other], 0.0))
    return pairs


def align(
    encoder: Any,
    pairs: Sequence[Pair],
    folder: Path,
    *,
    learning_rate: float = 1e-6,
    epochs: int = 5,
    batch_size: int = 16,
    dev_share: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Fine-tune a copy of a SentenceTransformer on pairs; its best epoch is saved as a model folder.

    Cosine-similarity loss and the authors' settings. The best epoch has the highest Pearson correlation on the share of
    each kind of pair that is held back; the table has columns epoch (0: before training) and pearson.
    """
    from sentence_transformers import SentenceTransformerTrainingArguments  # here and below: seconds to import

    train, dev = split_pairs(pairs, dev_share, seed)
    model, evaluator = copy.deepcopy(encoder), _evaluator(dev)
    start = evaluator(model)["dev_pearson_cosine"]
    with tempfile.TemporaryDirectory() as scratch:
        arguments = SentenceTransformerTrainingArguments(
            scratch,
            num_train_epochs=epochs,
            learning_rate=learning_rate,
            per_device_train_batch_size=batch_size,
            use_cpu=model.device.type == "cpu",
            seed=seed,
            data_seed=seed,
            **BEST_EPOCH,
        )
        trainer = _trainer(model, arguments, train, evaluator)
        trainer.train()
        history = [log for log in trainer.state.log_history if "eval_dev_pearson_cosine" in log]
    model.eval().save_pretrained(str(folder), safe_serialization=True, create_model_card=False)
    lines = [(0, start), *((round(log["epoch"]), log["eval_dev_pearson_cosine"]) for log in history)]
    return pd.DataFrame(lines, columns=["epoch", "pearson"])


def split_pairs(pairs: Sequence[Pair], dev_share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Training and held-back pairs, both with positives and negatives."""
    rng, train, dev = np.random.default_rng(seed), [], []
    for label in (1.0, 0.0):
        kind = [pair for pair in pairs if pair.label == label]
        if len(kind) < 2:
            raise InputError(
                f"There are {len(kind)} pairs with label {label:g}; alignment needs two of each kind, one of them to "
                "choose the best epoch. Give more tasks or more wordings."
            )
        held = min(len(kind) - 1, max(1, round(dev_share * len(kind))))
        order = rng.permutation(len(kind))
        dev += [kind[i] for i in order[:held]]
        train += [kind[i] for i in order[held:]]
    return train, dev


def _evaluator(dev: Sequence[Pair]) -> Any:
    from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator

    firsts, seconds, labels = zip(*((p.first, p.second, p.label) for p in dev), strict=True)
    return EmbeddingSimilarityEvaluator(
        list(firsts), list(seconds), list(labels), name="dev", main_similarity="cosine", write_csv=False
    )


def _trainer(model: Any, arguments: Any, train: Sequence[Pair], evaluator: Any) -> Any:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer
    from sentence_transformers.losses import CosineSimilarityLoss
    from transformers import PrinterCallback

    columns = {
        "sentence1": [p.first for p in train],
        "sentence2": [p.second for p in train],
        "label": [p.label for p in train],
    }
    trainer = SentenceTransformerTrainer(
        model, arguments, Dataset.from_dict(columns), evaluator=evaluator, loss=CosineSimilarityLoss(model)
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
