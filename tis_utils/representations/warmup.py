"""LESS step 1: train LoRA on a little of the pool; keep weights and Adam moments after every epoch."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import get_linear_schedule_with_warmup

from tis_utils.errors import InputError, RunError
from tis_utils.examples.text import IGNORE, Encoded
from tis_utils.models.batching import Batch, batches, example_losses
from tis_utils.models.files import replace_folder
from tis_utils.representations.gradients import BETA1, BETA2, lora_parameters
from tis_utils.storage.keys import step
from tis_utils.storage.parallel import progress

VERSION = step("warmup", 1)

log = logging.getLogger(__name__)

ABOUT = "warmup.json"
PARTS = ("weight", "m", "v")
ADVICE = "Use a smaller lr, a dtype with a wider range, or look for texts the model cannot read."


@dataclass(frozen=True)
class Checkpoint:
    """State after one epoch; all tensors are keyed by parameter *name*."""

    weight: Mapping[str, Tensor]  # LoRA factors
    m: Mapping[str, Tensor]  # Adam's first moments
    v: Mapping[str, Tensor]  # and second moments
    lr: float  # mean over the steps of the epoch: the weight w_e of LESS before normalisation


@dataclass(frozen=True)
class Recipe:
    """How the warm-up trains; defaults in :class:`tis_utils.representations.LESS`."""

    epochs: int
    lr: float
    batch_size: int
    warmup_ratio: float
    batch_tokens: int
    seed: int
    token_loss: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "lr", "batch_size"):
            if getattr(self, name) <= 0:
                raise InputError(f"LESS warm-up: {name} must be positive, not {getattr(self, name)}.")


def train(
    model: PeftModel, encoded: Sequence[Encoded], recipe: Recipe, pad_id: int, show_progress: bool
) -> list[Checkpoint]:
    """Train the LoRA factors in place (AdamW, linear schedule); one checkpoint per epoch.

    A step's loss is the mean of its examples' mean token losses; examples without a finite one are left out and logged.
    With ``recipe.token_loss`` it is the mean over all tokens of the step, and the gradient's norm is clipped to 1.
    """
    factors = lora_parameters(model)
    model.requires_grad_(False)
    for p in factors.values():
        p.requires_grad_(True)
    optimizer = torch.optim.AdamW(list(factors.values()), lr=recipe.lr, betas=(BETA1, BETA2), weight_decay=0.0)
    per_epoch = math.ceil(len(encoded) / recipe.batch_size)
    total = per_epoch * recipe.epochs
    rising = min(math.ceil(recipe.warmup_ratio * total), total - 1)  # the first of these steps has rate 0
    schedule = get_linear_schedule_with_warmup(optimizer, rising, total)
    rng = np.random.default_rng(recipe.seed)
    checkpoints = []
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(recipe.seed)  # dropout
        for _ in progress(range(recipe.epochs), recipe.epochs, "LESS warm-up (epochs)", show_progress):
            rates = _epoch(model, encoded, rng, recipe, pad_id, optimizer, schedule)
            checkpoints.append(_snapshot(factors, optimizer, float(np.mean(rates))))
    return checkpoints


def _epoch(
    model: PeftModel,
    encoded: Sequence[Encoded],
    rng: np.random.Generator,
    recipe: Recipe,
    pad_id: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> list[float]:
    """Train for one shuffled pass over the examples; the learning rates used."""
    model.train()
    order, rates, used = rng.permutation(len(encoded)), [], 0
    for start in range(0, len(order), recipe.batch_size):
        chosen = [encoded[i] for i in order[start : start + recipe.batch_size]]
        optimizer.zero_grad()
        used += _accumulate(model, chosen, recipe, pad_id)
        if recipe.token_loss:
            torch.nn.utils.clip_grad_norm_(lora_parameters(model).values(), 1.0)
        rates.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    if not used:
        raise RunError(f"The LESS warm-up stopped: no example had a finite loss in an epoch. {ADVICE}")
    return rates


def _accumulate(model: PeftModel, chosen: Sequence[Encoded], recipe: Recipe, pad_id: int) -> int:
    """Add up the gradients of one step, in pieces that fit into memory; the number of examples used."""
    device, used = next(model.parameters()).device, 0
    total = sum(int((text.labels[1:] != IGNORE).sum()) for text in chosen) if recipe.token_loss else len(chosen)
    for batch in batches(chosen, pad_id, device, recipe.batch_tokens):
        losses = example_losses(model, batch)
        finite = torch.isfinite(losses)
        used += int(finite.sum())
        if finite.all():
            (_summed(losses, batch, recipe) / total).backward()
            continue
        log.warning("LESS warm-up: %d examples without a finite loss left out of a step.", (~finite).sum())
        kept = [chosen[i] for i in batch.index[finite.cpu().numpy()]]
        if kept:  # forward again without them: NaN times zero would still be NaN in the backward pass
            again = next(iter(batches(kept, pad_id, device, len(kept) * batch.ids.shape[1])))
            (_summed(example_losses(model, again), again, recipe) / total).backward()
    return used


def _summed(losses: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
    """Sum over the examples of a piece, or over their tokens."""
    return (losses * (batch.labels[:, 1:] != IGNORE).sum(1)).sum() if recipe.token_loss else losses.sum()


def _snapshot(factors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, lr: float) -> Checkpoint:
    state = {name: optimizer.state.get(p, {}) for name, p in factors.items()}
    if not all(torch.isfinite(p).all() for p in factors.values()):
        raise RunError(f"The LESS warm-up diverged: LoRA weights are no longer finite. {ADVICE}")
    parts = {
        key: {n: s[key].detach().clone() if s else torch.zeros_like(factors[n]) for n, s in state.items()}
        for key in ("exp_avg", "exp_avg_sq")
    }
    weight = {name: p.detach().clone() for name, p in factors.items()}
    return Checkpoint(weight, parts["exp_avg"], parts["exp_avg_sq"], lr)


def save(folder: Path, checkpoints: Sequence[Checkpoint], about: Mapping[str, Any]) -> None:
    """Write checkpoints as ``epoch-<e>.safetensors`` plus a JSON note; a killed call leaves nothing behind."""
    if folder.exists() and any(folder.iterdir()) and not (folder / ABOUT).is_file():
        raise InputError(f"{folder} exists and is not a LESS warm-up: choose a new folder.")
    note = {**about, "lr": [point.lr for point in checkpoints]}

    def fill(draft: Path) -> None:
        for epoch, point in enumerate(checkpoints, start=1):
            flat = {f"{part}/{n}": t.contiguous() for part in PARTS for n, t in getattr(point, part).items()}
            save_file(flat, draft / f"epoch-{epoch}.safetensors")
        (draft / ABOUT).write_text(json.dumps(note, indent=1), encoding="utf-8")

    replace_folder(folder, fill)


def load(folder: Path, factors: Mapping[str, Tensor]) -> tuple[list[Checkpoint], dict[str, Any]]:
    """Read what :func:`save` wrote and match it, by name and shape, to the LoRA factors of a model."""
    note = _read_note(folder)
    rates = note.pop("lr")
    files = [folder / f"epoch-{epoch}.safetensors" for epoch in range(1, len(rates) + 1)]
    return [_read_point(file, lr, factors) for file, lr in zip(files, rates, strict=True)], note


def _read_note(folder: Path) -> dict[str, Any]:
    try:
        note = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if not note["lr"] or not all(isinstance(lr, float) and lr >= 0 for lr in note["lr"]):
            raise ValueError("its learning rates make no sense")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} holds no readable LESS warm-up ({ABOUT}: {error}). Run warm_up() and save() first."
        ) from error
    return note


def _read_point(file: Path, lr: float, factors: Mapping[str, Tensor]) -> Checkpoint:
    try:
        flat = load_file(file)
    except (SafetensorError, OSError) as error:
        raise InputError(f"The checkpoint {file} is missing or damaged ({error}): warm up again.") from error
    target = {f"{part}/{name}": tuple(p.shape) for part in PARTS for name, p in factors.items()}
    shapes = {name: tuple(t.shape) for name, t in flat.items()}
    wrong = sorted(name for name in target.keys() | shapes.keys() if target.get(name) != shapes.get(name))
    if wrong:
        listed = "; ".join(f"{name}: model {target.get(name)}, checkpoint {shapes.get(name)}" for name in wrong[:5])
        raise InputError(
            f"The checkpoint {file} does not fit this model's LoRA factors. {len(wrong)} tensors differ: "
            f"{listed}{' …' if len(wrong) > 5 else ''}. Use the model, rank and targets of the warm-up."
        )
    parts = {part: {name: flat[f"{part}/{name}"] for name in factors} for part in PARTS}
    return Checkpoint(parts["weight"], parts["m"], parts["v"], lr)
