"""Per-example gradients of LoRA factors for a whole batch in one forward and one backward pass.

The base model runs with its adapters off, and one autograd function per layer adds what the adapter would. A factor is
a linear map z = W x at every token; the gradient of the summed loss is Σ_b Σ_t (dL/dz)_{bt} x_{bt}ᵀ, and keeping the
sum over b open gives each example's own, because its loss depends on its own tokens only.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
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
    return first.mul_(second.rsqrt_())


def example_gradients(model: PeftModel, batch: Batch, sink: Sink, *, dropout: bool = False) -> Tensor:
    """Hand each LoRA factor's gradients (B, *weight.shape) to `sink`, once, last layer first; return the losses (B,).

    Every example needs a label token; dropout is off unless asked for, every parameter is frozen and NaN stays within
    its own row.
    """
    model.train(dropout)
    model.requires_grad_(False)
    calls: Counter[str] = Counter()
    with _hooked(model, sink, calls) as root, torch.enable_grad():
        losses = example_losses(model, batch)
        torch.autograd.grad(losses.sum(), root)  # the branches do the work, this result is not needed
    odd = [name for name, count in calls.items() if count != 1]
    if odd:
        raise RunError(
            f"Per-example gradients need every LoRA factor to be used once per text, but {odd[0]} was used "
            f"{calls[odd[0]]} times. Choose LoRA targets outside shared or expert layers, for instance the attention "
            "projections (--less.targets q_proj,k_proj,v_proj)."
        )
    return losses.detach()


@contextmanager
def _hooked(model: PeftModel, sink: Sink, calls: Counter[str]) -> Iterator[list[Tensor]]:
    """Let `_Branch` stand in for every adapter; the list receives the embeddings, where the backward pass ends."""
    root: list[Tensor] = []
    # frozen weights give a graph only if something before them asks for a gradient: the embeddings
    embedding = model.get_input_embeddings()
    handles = [embedding.register_forward_hook(lambda module, args, out: root.append(out.requires_grad_()))]
    layers: dict[str, Any] = {n: m for n, m in model.named_modules() if isinstance(m, LoraLayer) and m.lora_A}
    try:
        for name, layer in layers.items():
            layer.enable_adapters(False)
            names = [f"{name}.lora_{factor}.{layer.active_adapters[0]}.weight" for factor in "AB"]
            calls.update(dict.fromkeys(names, 0))
            handles.append(layer.register_forward_hook(partial(_add_branch, names=names, sink=sink, calls=calls)))
        yield root
    finally:
        for handle in handles:
            handle.remove()
        for layer in layers.values():
            layer.enable_adapters(True)
            layer.requires_grad_(False)  # which PEFT has just undone


def _add_branch(
    layer: Any, args: tuple[Tensor, ...], out: Tensor, *, names: list[str], sink: Sink, calls: Counter[str]
) -> Tensor:
    """Forward hook of a layer whose adapter is off: add to the base layer's output what the adapter would."""
    x, adapter = args[0], layer.active_adapters[0]
    calls.update(names if x.ndim == 3 else 2 * names)  # flattened tokens cannot be told apart: reported as misuse
    if x.ndim != 3:
        return out
    a, b = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
    x = layer.lora_dropout[adapter](x.to(a.dtype))
    return _Branch.apply(out, x, a, b, layer.scaling[adapter], lambda *grads: [*map(sink, names, grads)])


class _Branch(torch.autograd.Function):
    """out + s B A x at every token; the backward pass also hands over each example's gradients of A and B.

    A thin factor stands on the left of each product: with it on the right, BLAS takes two to thirteen times as long.
    """

    @staticmethod
    def forward(ctx: Any, out: Tensor, x: Tensor, a: Tensor, b: Tensor, scale: float, give: Callable) -> Tensor:
        z = (a @ x.flatten(0, 1).T).mul_(scale)  # (r, B T)
        ctx.save_for_backward(x, z, a, b)
        ctx.scale, ctx.give = scale, give
        ctx.mark_dirty(out)
        if out.dtype == z.dtype:
            out.view(-1, len(b)).addmm_(z.T, b.T)  # a new tensor would cost as much as the product
        else:
            out.add_((z.T @ b.T).view(out.shape))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, z, a, b = ctx.saved_tensors
        wide = grad.to(b.dtype)  # (B, T, out)
        u = (b.T @ wide.flatten(0, 1).T).mul_(ctx.scale)  # (r, B T), as z
        left, right = (t.view(-1, *x.shape[:2]).transpose(0, 1) for t in (u, z))  # (B, r, T)
        ctx.give(left @ x, (right @ wide).mT)
        return grad, (u.T @ a).view(x.shape), None, None, None, None
