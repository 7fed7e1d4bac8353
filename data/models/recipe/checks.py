"""What the pre-trained model can do: loss and exact match on problems it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from recipe.loop import pad_right
from recipe.settings import Settings
from tis_utils.examples.classroom.drawing import VAGUE, draw_problem, phrase
from tis_utils.examples.classroom.skills import SKILLS, Function, Skill
from tis_utils.examples.classroom.splits import seed_of
from tis_utils.examples.text import IGNORE, Encoded, Query, chat_prompt, encode_all

_PER_FUNCTION = 50


@torch.no_grad()
def answer_scores(model: LlamaForCausalLM, texts: Sequence[Encoded], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Score answers: mean loss per answer token, and whether greedy decoding would write exactly this answer.

    Returns
    -------
    losses : float32 array of shape (B,), nats
    matches : bool array of shape (B,)
    """
    ids, labels = pad_right(texts, pad)  # (B, T)
    logits, labels = (model(input_ids=ids, use_cache=False).logits[:, :-1], labels[:, 1:])  # (B, T-1, V), (B, T-1)
    losses = cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORE, reduction="none")  # (B, T-1)
    answer = labels != IGNORE
    matches = ((logits.argmax(dim=-1) == labels) | ~answer).all(dim=1)
    return (losses.sum(dim=1) / answer.sum(dim=1)).numpy(), matches.numpy()


def check_skills(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, settings: Settings) -> pd.DataFrame:
    """Ask for every function of every skill, explicitly and vaguely, on problems outside all other splits.

    Returns
    -------
    DataFrame
        Columns skill, function, wording, loss (nats per answer token), exact_match (share), n. In the
        rows of the vague wording, the answer scored is that of the function named in the row.
    """
    rows = []
    for skill in SKILLS.values():
        for function in skill.functions:
            for wording in ("explicit-1", "explicit-2", VAGUE):
                queries = _questions(skill, function, wording, settings.seed)
                texts = encode_all(queries, tokenizer, settings.max_length)
                losses, matches = answer_scores(model, texts, tokenizer.pad_token_id)
                scores = round(float(losses.mean()), 4), float(matches.mean())
                rows.append((skill.name, function.name, wording, *scores, len(texts)))
    return pd.DataFrame(rows, columns=["skill", "function", "wording", "loss", "exact_match", "n"])


def _questions(skill: Skill, function: Function, wording: str, seed: int) -> list[Query]:
    """Draw problems of the "check" split, which nothing else uses."""
    rng, taken = Random(seed_of(seed, "check", skill.name, function.name, wording)), set[str]()
    drawn = [draw_problem(skill, "check", rng, taken) for _ in range(_PER_FUNCTION)]
    return [
        Query(
            id=f"{skill.name}-check-{n}",
            prompt=chat_prompt(phrase(skill, function, items, wording)),
            label=function.apply(items),
            task=skill.name,
        )
        for n, items in enumerate(drawn)
    ]
