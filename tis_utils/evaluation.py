"""What a fine-tuned model is worth: loss on queries, loss on held-out examples, exact match."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from tis_utils.errors import InputError
from tis_utils.examples import IGNORE, Query, encode_query
from tis_utils.models import LanguageModel
from tis_utils.training import collate


def token_losses(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cross-entropy over label tokens and their number, per row.

    Parameters
    ----------
    logits : Tensor, shape (B, T, V)
    labels : Tensor, int64, shape (B, T)
        -100 where no loss is taken.

    Returns
    -------
    mean, count : Tensor, shape (B,)
        Mean in nats per token; NaN for a row without label tokens.
    """
    shifted = labels[:, 1:]  # (B, T-1): position t predicts token t+1
    losses = F.cross_entropy(
        logits[:, :-1].transpose(1, 2).float(), shifted, ignore_index=IGNORE, reduction="none"
    )
    count = (shifted != IGNORE).sum(1)  # (B,)
    return losses.sum(1) / count, count


@torch.no_grad()
def query_losses(
    model: LanguageModel, queries: Sequence[Query], *, max_length: int = 2048, batch_size: int = 32
) -> np.ndarray:
    """Mean answer-token cross-entropy of each query, in nats, float64 of shape (M,) (METHODS §4).

    Raises
    ------
    InputError
        If there are no queries.
    """
    if not queries:
        raise InputError("There are no queries to evaluate on; give at least one.")
    encoded = [encode_query(query, model.tokenizer, max_length) for query in queries]
    order = np.argsort(
        [len(text.ids) for text in encoded], kind="stable"
    )  # like lengths together: less padding
    result = np.empty(len(encoded))  # (M,)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = {
            key: value.to(model.model.device) for key, value in collate([encoded[r] for r in rows]).items()
        }
        labels = batch.pop("labels")
        result[rows] = token_losses(model.model(**batch).logits, labels)[0].double().cpu().numpy()
    return result


def mean_loss(model: LanguageModel, queries: Sequence[Query], *, max_length: int = 2048) -> float:
    """Mean over queries of each query's mean token loss: the *query loss* of METHODS §4, in nats."""
    return float(query_losses(model, queries, max_length=max_length).mean())


@torch.no_grad()
def answers(
    model: LanguageModel, queries: Sequence[Query], *, max_new_tokens: int = 64, batch_size: int = 50
) -> list[str]:
    """Greedy answers, without the prompt and special tokens, stripped."""
    tokenizer = model.tokenizer
    texts: list[str] = []
    for start in range(0, len(queries), batch_size):
        prompts = [query.prompt for query in queries[start : start + batch_size]]
        batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left").to(
            model.model.device
        )
        batch.pop("token_type_ids", None)
        out = model.model.generate(  # type: ignore[operator]  # a mixin method
            **batch,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        new = out[:, batch["input_ids"].shape[1] :]
        texts += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return texts


def exact_match(model: LanguageModel, queries: Sequence[Query], *, max_new_tokens: int = 64) -> float:
    """Share of queries whose greedy answer equals the label, up to surrounding white space."""
    given = answers(model, queries, max_new_tokens=max_new_tokens)
    return float(np.mean([text == query.label.strip() for text, query in zip(given, queries, strict=True)]))
