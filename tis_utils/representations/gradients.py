"""Per-example gradients of LoRA factors for a whole batch in one forward and one backward pass.

A factor is a linear map z = W x at every token; the gradient of the summed loss is Σ_b Σ_t (dL/dz)_{bt} x_{bt}ᵀ, and
keeping the sum over b open gives each example's own, because its loss depends on its own tokens only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from peft import PeftModel
from torch import Tensor, nn

from tis_utils.errors import RunError
from tis_utils.models.batching import Batch, example_losses
from tis_utils.storage.keys import step

VERSION = step("gradients", 1)

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
Sink = Callable[[str, Tensor], None]


def lora_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """LoRA factors by parameter name, in the model's order."""
    return {name: p for name, p in model.named_parameters() if ".lora_A." in name or ".lora_B." in name}


def factor_starts(model: nn.Module) -> dict[str, int]:
    """Position of each factor's first coordinate in the flat gradient of length P."""
    starts, total = {}, 0
    for name, p in lora_parameters(model).items():
        starts[name] = total
        total += p.numel()
    return starts


@torch.no_grad()
def put_weights(model: nn.Module, weight: Mapping[str, Tensor]) -> None:
    """Set the LoRA factors, matched by name."""
    for name, p in lora_parameters(model).items():
        p.copy_(weight[name])


def adam_direction(g: Tensor, m: Tensor, v: Tensor) -> Tensor:
    """Direction in which Adam, with moments `m` and `v`, would move after `g` (Xia et al. 2024, arXiv 2402.04333).

    m' = 0.9 m + 0.1 g, v' = 0.999 v + 0.001 g², direction = m' / sqrt(v' + 1e-8), without bias correction.
    """
    first = torch.add(BETA1 * m, g, alpha=1 - BETA1)
    second = torch.addcmul(BETA2 * v + EPS, g, g, value=1 - BETA2)  # v' + eps
    return first * second.rsqrt()


def example_gradients(model: PeftModel, batch: Batch, sink: Sink, *, dropout: bool = False) -> Tensor:
    """Hand each LoRA factor's gradients (B, *weight.shape) to `sink`, once, last factor first; return the losses (B,).

    Every example needs a label token; dropout is off unless asked for, every parameter is frozen and NaN stays within
    its own row.
    """
    model.train(dropout)
    model.requires_grad_(False)
    calls: Counter[str] = Counter()
    with _hooked(model, sink, calls) as root, torch.enable_grad():
        losses = example_losses(model, batch)
        torch.autograd.grad(losses.sum(), root)  # the hooks do the work, this result is not needed
    odd = [name for name in lora_parameters(model) if calls[name] != 1]
    if odd:
        raise RunError(
            f"Per-example gradients need every LoRA factor to be used once per text, but {odd[0]} was used "
            f"{calls[odd[0]]} times. Choose LoRA targets outside shared or expert layers, for instance the attention "
            "projections (--less.targets q_proj,k_proj,v_proj)."
        )
    return losses.detach()


@contextmanager
def _hooked(model: PeftModel, sink: Sink, calls: Counter[str]) -> Iterator[list[Tensor]]:
    """Watch all LoRA factors; the list receives the embeddings, from which the backward pass is driven."""
    root: list[Tensor] = []
    modules = dict(model.named_modules())
    # frozen weights give a graph only if something before them asks for a gradient: the embeddings
    embedding = model.get_input_embeddings()
    handles = [embedding.register_forward_hook(lambda module, args, out: root.append(out.requires_grad_()))]
    for name in lora_parameters(model):
        hook = partial(_watch, name=name, sink=sink, calls=calls)
        handles.append(modules[name.removesuffix(".weight")].register_forward_hook(hook))
    try:
        yield root
    finally:
        for handle in handles:
            handle.remove()


def _watch(
    module: nn.Module, args: tuple[Tensor, ...], out: Tensor, *, name: str, sink: Sink, calls: Counter[str]
) -> None:
    """Forward hook of one factor: when the gradient of its output arrives, form the per-example gradients."""
    x = args[0].detach()  # (B, T, in)
    calls[name] += 1 if x.ndim == 3 else 2  # flattened tokens cannot be told apart: reported as misuse
    if x.ndim == 3:
        out.register_hook(lambda grad: sink(name, torch.einsum("bto,bti->boi", grad, x)))
