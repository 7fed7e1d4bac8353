"""INSTA: choose whole tasks by what their instructions say (Lee et al. 2024, arXiv 2404.16418).

A task is a name and several wordings of its instruction. No example of the target is looked at: two tasks are as
near as the sentence embeddings of their wordings. :mod:`tis_utils.neighbours.insta.alignment` adapts the embedding
model to a style of instructions.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from tis_utils.errors import InputError
from tis_utils.storage.keys import step

VERSION = step("insta_scores", 1)

Instructions = Mapping[str, Sequence[str]]
Embedder = Callable[[Sequence[str]], np.ndarray]
How = Literal["mean", "max"]
SHARE = 0.2  # of a task's prompts that must hold a word for it to belong to the instruction
LEAST = 5  # and prompts, where a task has so many
MOST = 4  # wordings kept of a task
DECIMALS = 6  # two scores that agree so far are a tie


def wordings(prompts: Sequence[str], *, share: float = SHARE, most: int = MOST) -> tuple[str, ...]:
    """Instruction templates of one task, its prompts with the instance masked; the most common first, at most `most`.

    A word stays where it is if it occurs in at least `share` of the prompts (and in five of them, or all where there
    are fewer), has a letter and no digit. What many instances share by chance stays in, too. Empty when the prompts
    have nothing in common.
    """
    split = [prompt.split() for prompt in prompts]
    seen = Counter(word for words in split for word in set(words))
    least = max(min(LEAST, len(prompts)), share * len(prompts))
    kept = {word for word, n in seen.items() if n >= least and _is_word(word)}
    masked = Counter(" ".join(word for word in words if word in kept) for words in split)
    masked.pop("", None)
    return tuple(text for text, _ in masked.most_common(most))


def _is_word(text: str) -> bool:
    return any(c.isalpha() for c in text) and not any(c.isdigit() for c in text)


def checked(instructions: Instructions) -> dict[str, tuple[str, ...]]:
    """Instructions with white space tidied; an InputError where there is no task, or a task has an empty wording."""
    tidy = {
        task: tuple(" ".join(text.split()) for text in texts if isinstance(text, str))
        for task, texts in instructions.items()
    }
    if not tidy:
        raise InputError("There are no tasks to choose from; give at least one task with its instruction.")
    silent = [task for task, texts in tidy.items() if not texts or not all(texts)]
    if silent:
        raise InputError(
            f"{len(silent)} of {len(tidy)} tasks have no instruction: {', '.join(map(repr, silent[:5]))}. INSTA "
            "compares instructions, so every task needs at least one wording: write one, or leave the task out."
        )
    return tidy


def encode(encoder: Any, texts: Sequence[str]) -> np.ndarray:
    """Embeddings of a SentenceTransformer, float32 unit rows (U, D)."""
    rows = encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(rows, dtype=np.float32)


def embed_tasks(instructions: Instructions, embed: Embedder) -> dict[str, np.ndarray]:
    """Embeddings of every task's wordings, unit rows (T, D) each; `embed` gets each of the U distinct texts once."""
    tidy = checked(instructions)
    unique = sorted({text for texts in tidy.values() for text in texts})
    rows = dict(zip(unique, embed(unique), strict=True))  # (D,) each
    return {task: np.stack([rows[text] for text in texts]) for task, texts in tidy.items()}


def task_scores(target: np.ndarray, candidates: Sequence[np.ndarray], how: How = "mean") -> np.ndarray:
    """How near K candidate tasks are to the target, (K,), from unit rows of their wordings, (P, D) and (Q, D) each.

    The mean cosine over all pairs of wordings, or the largest ("max", max-of-max).
    """
    if how not in ("mean", "max"):
        raise InputError(f"how = {how!r}; pairs of wordings are combined by 'mean' or 'max'.")
    if not len(target) or not all(len(rows) for rows in candidates):
        raise InputError("A task without a wording has no score; give every task at least one.")
    reduce = np.mean if how == "mean" else np.max
    return np.array([reduce(target.astype(float) @ rows.astype(float).T) for rows in candidates])


def score_tasks(targets: Instructions, candidates: Instructions, embed: Embedder) -> pd.DataFrame:
    """Mean-cosine score of every candidate task for every target, candidates × targets; texts are embedded at once."""
    texts = {f"target {name}": part for name, part in targets.items()}
    rows = embed_tasks(texts | {f"candidate {name}": part for name, part in candidates.items()}, embed)
    known = [rows[f"candidate {name}"] for name in candidates]
    return pd.DataFrame({name: task_scores(rows[f"target {name}"], known) for name in targets}, index=list(candidates))


def top_tasks(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the `k` highest scores, best first, int64 (k,); ties go to the lower index.

    Raises
    ------
    InputError
        If `k` is not between 1 and the number of tasks, or a score is not finite.
    """
    scores = np.asarray(scores, dtype=float)
    if not np.isfinite(scores).all():
        raise InputError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} task scores are not finite.")
    if not 1 <= k <= len(scores):
        raise InputError(
            f"Asked for the {k} nearest tasks, and there are {len(scores)}: ask for fewer, as `insta@1` does, or give "
            "the candidates a key `family` or `source` that names their task."
        )
    return np.argsort(-np.round(scores, DECIMALS), kind="stable")[:k].astype(np.int64)


def draw_examples(labels: np.ndarray, order: Sequence[int], k: int, budget: int, seed: int) -> np.ndarray:
    """Draw distinct candidates at random from the first `k` tasks of an order, then from the next, int64 (B,)."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(np.isin(labels, order[:k])), *(np.flatnonzero(labels == t) for t in order[k:])]
    return np.concatenate([rng.permutation(group) for group in groups])[:budget].astype(np.int64)
