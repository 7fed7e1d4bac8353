"""Padded batches of similar length, and the mean loss of each example in a batch."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn

from tis_utils.errors import InputError, RunError
from tis_utils.examples.text import IGNORE, Encoded
from tis_utils.storage.keys import step
from tis_utils.storage.parallel import progress

VERSION = step("batching", 1)


@dataclass(frozen=True)
class Batch:
    """Right-padded texts: `ids`, `mask` (1 = real token) and `labels`, all int64 of shape (B, T)."""

    index: np.ndarray  # (B,) positions in the list that was batched
    ids: Tensor
    mask: Tensor
    labels: Tensor


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[np.ndarray]:
    """Group texts of similar length, rows × longest row <= `batch_tokens` (a longer text is alone), longest first."""
    if batch_tokens < 1:
        raise InputError(f"batch_tokens must be a positive number of tokens, not {batch_tokens}.")
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches, start = [], 0
    while start < len(order):
        rows = max(1, batch_tokens // max(1, lengths[order[start]]))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def collate(encoded: Sequence[Encoded], index: np.ndarray, pad_id: int, device: torch.device) -> Batch:
    """Pad the chosen texts on the right; padding is masked and carries no label."""
    rows = [encoded[i] for i in index]
    longest = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    labels = np.full_like(ids, IGNORE)
    mask = np.zeros_like(ids)
    for b, row in enumerate(rows):
        ids[b, : len(row.ids)], labels[b, : len(row.ids)], mask[b, : len(row.ids)] = row.ids, row.labels, 1
    return Batch(index, *(torch.from_numpy(a).to(device) for a in (ids, mask, labels)))


def batches(
    encoded: Sequence[Encoded],
    pad_id: int,
    device: torch.device,
    batch_tokens: int,
    what: str = "",
    show_progress: bool = False,
) -> Iterator[Batch]:
    """All texts in padded batches of similar length; `what` is the name of the bar."""
    groups = length_batches([len(e.ids) for e in encoded], batch_tokens)
    for index in progress(groups, len(groups), what, show_progress):
        yield collate(encoded, index, pad_id, device)


def each_batch(
    work: Callable[[Batch], None],
    encoded: Sequence[Encoded],
    pad_id: int,
    device: torch.device,
    batch_tokens: int,
    what: str = "",
    show_progress: bool = False,
) -> None:
    """Hand every batch of :func:`batches` to `work`; where the device has no memory for one, this and later are halved.

    RunError if a single text does not fit.
    """
    lengths = [len(e.ids) for e in encoded]
    groups, room = length_batches(lengths, batch_tokens), batch_tokens  # rows × longest row that fit
    for group in progress(groups, len(groups), what, show_progress):
        waiting = [group]
        while waiting:
            index = waiting.pop(0)
            longest = max(1, lengths[index[0]])
            rows = max(1, room // longest)
            if len(index) > rows:
                waiting[:0] = [index[:rows], index[rows:]]
                continue
            try:
                work(collate(encoded, index, pad_id, device))
            except torch.OutOfMemoryError as error:
                if len(index) == 1:
                    raise RunError(
                        f"A single text of {longest} tokens does not fit into the memory of "
                        f"{device}. Lower max_length, take dtype bfloat16 or a smaller model."
                    ) from error
                room = len(index) * longest // 2
                waiting.insert(0, index)
            if waiting and waiting[0] is index:
                torch.cuda.empty_cache()  # outside the handler, which keeps the failed call's tensors alive


def example_losses(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy over the label tokens of each example, (B,), in float32 or better."""
    targets = batch.labels[:, 1:]  # token t is predicted from position t - 1
    keep = (targets != IGNORE).any(0).nonzero()[:, 0]  # (K,)
    options = {"logits_to_keep": keep} if _takes_logits_to_keep(model) else {}
    logits = model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False, **options).logits
    logits = logits if options else logits[:, keep]  # (B, K, V)
    targets = targets[:, keep]  # (B, K)
    wide = logits.flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32))
    loss = nn.functional.cross_entropy(wide, targets.flatten(), ignore_index=IGNORE, reduction="none")
    return loss.view(targets.shape).sum(1) / (targets != IGNORE).sum(1)


def unit(rows: Tensor) -> Tensor:
    """Rows (B, D) scaled to length 1; rows of zeros stay zero, NaN and infinity become NaN.

    Where squares would leave the range of the type, a row is divided by its largest entry first, in double precision.
    """
    length = rows.norm(dim=1, keepdim=True)
    odd = ~((length > 1e-10) & torch.isfinite(length))[:, 0]
    out = nn.functional.normalize(rows, dim=1)
    if odd.any():
        wide = rows[odd].double()
        largest = wide.abs().amax(dim=1, keepdim=True)
        wide = wide / torch.where(largest == 0, 1, largest)
        out[odd] = nn.functional.normalize(wide, dim=1).to(rows.dtype)
    return out


def _takes_logits_to_keep(model: nn.Module) -> bool:
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    forward: Callable = base.forward
    return "logits_to_keep" in inspect.signature(forward).parameters
