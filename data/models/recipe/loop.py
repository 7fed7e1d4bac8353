"""The training loop: batches of similar length, weighted loss, two optimizers, a log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import LlamaForCausalLM

from recipe.muon import Muon
from recipe.settings import Settings
from tis_utils.examples.text import IGNORE, Encoded

Batch = tuple[torch.Tensor, torch.Tensor]
_NEIGHBOURHOOD = 32  # batches whose texts are sorted by length together, to pad little
_LOG_EVERY = 20


def batches(texts: Sequence[Encoded], size: int, pad: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Cut the texts into batches of similar length, all in random order.

    Yields
    ------
    ids, labels : int64 tensors of shape (b, T) with b <= size, padded on the right with `pad` and -100.
    """
    order = rng.permutation(len(texts))
    chunks = []
    for start in range(0, len(order), size * _NEIGHBOURHOOD):
        near = sorted(order[start : start + size * _NEIGHBOURHOOD], key=lambda i: len(texts[i].ids))
        chunks += [near[i : i + size] for i in range(0, len(near), size)]
    for chunk in rng.permutation(len(chunks)):
        yield pad_right([texts[i] for i in chunks[chunk]], pad)


def pad_right(texts: Sequence[Encoded], pad: int) -> Batch:
    """Stack texts to ids and labels, int64 of shape (B, T), filled up with `pad` and -100."""
    length = max(len(text.ids) for text in texts)
    ids = torch.full((len(texts), length), pad)
    labels = torch.full((len(texts), length), IGNORE)
    for row, text in enumerate(texts):
        ids[row, : len(text.ids)] = torch.from_numpy(text.ids)
        labels[row, : len(text.ids)] = torch.from_numpy(text.labels)
    return ids, labels


def weighted_loss(model: LlamaForCausalLM, batch: Batch, pad: int, prompt_weight: float) -> tuple[torch.Tensor, float]:
    """Mean next-token loss with a small weight on prompts, and the plain mean over answer tokens.

    Padding stands on the right and attention is causal, so no attention mask is needed.
    """
    ids, labels = batch  # (B, T)
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]  # (B, T-1, V)
    losses = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")  # (B·(T-1),)
    answer = (labels[:, 1:] != IGNORE).flatten().float()
    prompt = (ids[:, 1:] != pad).flatten().float() - answer
    weights = answer + prompt_weight * prompt
    loss = (losses * weights).sum() / weights.sum()
    return loss, float((losses.detach() * answer).sum() / answer.sum())


def optimizers(model: LlamaForCausalLM, settings: Settings) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        Muon(matrices, lr=settings.matrix_rate),
        torch.optim.AdamW(others, lr=settings.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(progress: float, warm_up: float) -> float:
    """Share of the peak learning rate at `progress` in [0, 1]: a linear rise, then a linear fall to 0."""
    return min(progress / warm_up if warm_up else 1.0, (1 - progress) / (1 - warm_up))


def train(model: LlamaForCausalLM, phases: Sequence[Sequence[Encoded]], pad: int, settings: Settings) -> pd.DataFrame:
    """Train in place, one pass over each phase in turn.

    Parameters
    ----------
    model : LlamaForCausalLM
        Changed in place.
    phases : sequence of sequences of Encoded
        Texts of each phase.
    pad : int
        Id of the padding token.
    settings : Settings
        Rates, batch size, seed.

    Returns
    -------
    DataFrame
        The log; columns step, phase, tokens, loss, answer_loss, rate, seconds. Losses in nats per token.
    """
    rng = np.random.default_rng(settings.seed)
    steps = sum(-(-len(texts) // settings.batch) for texts in phases)
    both = optimizers(model, settings)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(o, lambda step: rate((step + 1) / (steps + 1), settings.warm_up))
        for o in both
    ]
    stream = ((n, b) for n, texts in enumerate(phases) for b in batches(texts, settings.batch, pad, rng))
    rows, tokens, start = [], 0, time.perf_counter()
    model.train()
    for step, (phase, batch) in enumerate(tqdm(stream, total=steps, desc="pre-training", unit="step")):
        loss, answer_loss = weighted_loss(model, batch, pad, settings.prompt_weight)
        loss.backward()
        tokens += int((batch[0] != pad).sum())
        if step % _LOG_EVERY == 0 or step == steps - 1:
            seconds = round(time.perf_counter() - start, 1)
            rows.append((step, phase, tokens, loss.item(), answer_loss, schedules[0].get_last_lr()[0], seconds))
        for optimizer, schedule in zip(both, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    model.eval()
    return pd.DataFrame(rows, columns=["step", "phase", "tokens", "loss", "answer_loss", "rate", "seconds"])
