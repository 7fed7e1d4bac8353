"""Muon in float32: momentum updates of matrices, made orthogonal.

Own code because ``torch.optim.Muon`` computes in bfloat16, which is many times slower on a CPU, and one
matrix at a time; here matrices of the same shape go together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch

# Coefficients of the quintic Newton-Schulz iteration (Jordan et al. 2024, "Muon"): singular values of any
# matrix of norm at most 1 are driven into about [0.7, 1.2] within five rounds.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalise(matrices: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """Replace the singular values of each matrix by values near 1.

    Parameters
    ----------
    matrices : Tensor, shape (K, R, C), float32
    rounds : int
        Newton-Schulz iterations.

    Returns
    -------
    Tensor, shape (K, R, C)
    """
    if matrices.shape[-2] > matrices.shape[-1]:
        return orthogonalise(matrices.mT, rounds).mT
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # (K, R, C)
    for _ in range(rounds):
        gram = x @ x.mT  # (K, R, R)
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is orthogonalised before it is applied.

    Parameters
    ----------
    params : iterable of Tensor
        Two-dimensional parameters only.
    lr : float
        Learning rate; an update has a spectral norm of about ``lr · sqrt(max(1, rows / columns))``.
    momentum : float
        Share of the running sum kept at each step.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Apply one update to every parameter that has a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._update(parameters, group)
        return loss

    def _update(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        moved = torch.stack([self._momentum(parameter, group["momentum"]) for parameter in parameters])
        rows, columns = moved.shape[-2:]
        scale = max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(parameters, orthogonalise(moved), strict=True):
            parameter.add_(update, alpha=-group["lr"] * scale)

    def _momentum(self, parameter: torch.Tensor, momentum: float) -> torch.Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        average = state.setdefault("average", torch.zeros_like(gradient))
        average.lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)
