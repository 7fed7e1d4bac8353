"""Fine-tune a base model on a selected subset, through the transformers Trainer."""

import copy
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainingArguments

from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Encoded, Example
from tis_utils.models.batching import Batch, collate, example_losses
from tis_utils.models.load import LanguageModel, add_lora
from tis_utils.profiles import Training
from tis_utils.storage.keys import step

VERSION = step("fine_tuning", 1)

log = logging.getLogger(__name__)


class AnswerTrainer(Trainer):
    """Makes logits only where something is learnt, and micro-batches of similar lengths; the gradients are the same."""

    def _get_train_sampler(self, *_: Any) -> Sampler[int]:
        lengths = [len(text.ids) for text in self.train_dataset]  # type: ignore[union-attr]
        effective = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        return Shuffled(lengths, effective, self.args.seed)

    def compute_loss(  # type: ignore[override]
        self, model: nn.Module, inputs: dict[str, torch.Tensor], *_: Any, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Sum of the answer tokens' cross-entropies over their number in the effective batch."""
        ids, mask, labels = (inputs[name] for name in ("input_ids", "attention_mask", "labels"))
        counts = (labels[:, 1:] != IGNORE).sum(1)  # (B,)
        means = example_losses(model, Batch(np.arange(len(ids)), ids, mask, labels))  # (B,)
        # the Trainer counts the tokens of all devices and then averages the gradients over the devices
        return (means * counts).sum() * self.accelerator.num_processes / num_items_in_batch


class Shuffled(Sampler[int]):
    """A new order of all examples in every epoch; within each effective batch the longest come first."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch = np.asarray(lengths), batch
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = self.rng.permutation(len(self.lengths))
        for start in range(0, len(order), self.batch):
            part = order[start : start + self.batch]
            yield from part[np.argsort(-self.lengths[part], kind="stable")].tolist()


def trainer_batch(texts: Sequence[Encoded], pad_id: int) -> dict[str, torch.Tensor]:
    """What the Trainer feeds a model: input_ids, attention_mask and labels, each int64 (B, T)."""
    batch = collate(texts, np.arange(len(texts)), pad_id, torch.device("cpu"))
    return {"input_ids": batch.ids, "attention_mask": batch.mask, "labels": batch.labels}


def trainable(examples: Sequence[Example], model: LanguageModel, max_length: int) -> list[Encoded]:
    """Tokenise candidates and drop those without a single label token, saying how many."""
    encoded = [text for text in model.encode(examples, max_length) if text.trainable]
    dropped = len(examples) - len(encoded)
    if dropped:
        log.warning("%d of %d examples have no answer within %d tokens: dropped.", dropped, len(examples), max_length)
    if not encoded:
        raise InputError(
            f"None of the {len(examples)} selected examples has an answer within {max_length} tokens, so there is "
            "nothing to train on. Raise max_length or check that the examples have assistant turns."
        )
    return encoded


def fine_tune(
    base: LanguageModel, examples: Sequence[Example], settings: Training, *, seed: int = 0, max_length: int = 2048
) -> LanguageModel:
    """Train a copy of `base` on `examples`; the base model is left as it was.

    AdamW without weight decay, linear schedule with warm-up, loss = mean cross-entropy over the answer tokens of each
    effective batch. Full parameters, or LoRA when ``settings.lora_rank`` is positive.

    Parameters
    ----------
    base : LanguageModel
    examples : sequence of Example
        The selected subset.
    settings : Training
    seed : int
        Of the order of the examples and of LoRA's factors.
    max_length : int
        Longest text in tokens.

    Returns
    -------
    LanguageModel
        In evaluation mode.

    Raises
    ------
    InputError
        If no example has a label token.
    """
    encoded = trainable(examples, base, max_length)
    bare: PreTrainedModel = copy.deepcopy(base.model)
    if settings.gradient_checkpointing:
        _checkpointing(bare, "enable")({"use_reentrant": False})  # works with frozen weights below LoRA's factors
    model = bare
    if settings.lora_rank:
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # of the factors; the Trainer seeds what comes after
            model = add_lora(model, r=settings.lora_rank, alpha=2 * settings.lora_rank, dropout=0.0)  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as scratch:  # the Trainer insists on a folder
        trainer = AnswerTrainer(
            model=model,
            args=_arguments(settings, len(encoded), seed, scratch, base),
            train_dataset=encoded,  # type: ignore[arg-type]  # any sized, indexable collection works
            data_collator=partial(trainer_batch, pad_id=base.pad_id),  # type: ignore[arg-type]
        )
        trainer.remove_callback(PrinterCallback)  # it prints a line per run
        trainer.train()
    _checkpointing(bare, "disable")()
    return replace(base, model=model.eval(), fingerprint=f"{base.fingerprint}+tuned")


def _checkpointing(model: PreTrainedModel, what: str) -> Callable[..., None]:
    """The method that switches it on or off; transformers has renamed it on the way from 5 to 6."""
    return getattr(model, f"activation_checkpointing_{what}", None) or getattr(model, f"gradient_checkpointing_{what}")


def autocast(model: LanguageModel, settings: Training) -> torch.autocast:
    """The context in which a fine-tuned model is evaluated: matrix products as in its training."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=rounds(model, settings))


def rounds(model: LanguageModel, settings: Training) -> bool:
    """Whether matrix products are in bfloat16: asked for, and the device has instructions for it.

    A processor without takes fifteen times as long as in float32: it converts each number to and fro.
    """
    device = model.device.type
    if device == "cuda":
        return settings.autocast and torch.cuda.is_bf16_supported(including_emulation=False)
    has_instructions = any(on for name, on in _instructions().items() if "bf16" in name)
    return settings.autocast and (device != "cpu" or has_instructions)


def _instructions() -> dict[str, bool]:
    """What this processor can, as far as this version of PyTorch tells."""
    return getattr(torch.cpu, "get_capabilities", dict)()


def _arguments(settings: Training, examples: int, seed: int, folder: str, base: LanguageModel) -> TrainingArguments:
    micro = min(settings.micro_batch_size or settings.batch_size, settings.batch_size)
    on_cpu = base.model.device.type == "cpu"
    steps = settings.epochs * math.ceil(examples / settings.batch_size)
    warm_up = min(math.ceil(settings.warmup_ratio * steps), steps - 1)  # its first step has rate 0
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=warm_up,
        weight_decay=0.0,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=max(1, settings.batch_size // micro),
        bf16=rounds(base, settings) or (base.model.dtype == torch.bfloat16 and not on_cpu),
        use_cpu=on_cpu,
        seed=seed,
        data_seed=seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
