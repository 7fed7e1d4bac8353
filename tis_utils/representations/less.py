"""LESS: what an example would do to the parameters (Xia et al., ICML 2024, arXiv 2402.04333)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor

from tis_utils.errors import InputError, check_choice
from tis_utils.examples.text import Encoded, Example, Query
from tis_utils.models.batching import Batch, each_batch, unit
from tis_utils.models.load import LanguageModel, add_lora, load_model, shared_copy
from tis_utils.representations import gradients, warmup
from tis_utils.representations.gradients import lora_parameters
from tis_utils.representations.sketch import Sketch, make_sketch
from tis_utils.representations.warmup import Checkpoint, Recipe
from tis_utils.storage.keys import step

VERSION = step("less", 1)

AS_RELEASED = ("dropout", "half", "token_loss")

Direction = Callable[[str, Tensor], Tensor]  # factor name, gradients (B, R) -> features (B, R)


class LESS:
    r"""Projected low-rank gradients at several checkpoints of a short warm-up training.

    At checkpoint e a candidate is :math:`\hat c_e`, the unit-length sketch of its Adam direction
    (:func:`~tis_utils.representations.gradients.adam_direction`), a query :math:`\hat q_e`, that of its plain gradient,
    both for the LoRA factors and with dropout off. A row is the concatenation of :math:`\sqrt{w_e}\,\hat c_e`, where
    :math:`w_e` is the mean learning rate of epoch e, normalised to sum 1: it has length 1, and inner products are
    :math:`\sum_e w_e \langle \hat q_e, \hat c_e \rangle`, the influence score of the paper.

    Parameters
    ----------
    model : str or LanguageModel
        The base model, or its name for :func:`tis_utils.models.load.load_model`. It is never modified.
    rank, alpha, dropout, targets : int, int, float, str or names
        LoRA, see :func:`tis_utils.models.load.add_lora`.
    epochs, lr, batch_size, warmup_ratio : int, float, int, float
        Warm-up training; `warmup_ratio` is the share of steps in which the learning rate rises.
    warmup_fraction : float
        Share of the candidates that the warm-up uses when :meth:`warm_up` was not called before.
    dim, sketch, seed : int, {"count", "rademacher"}, int
        Length and kind of each checkpoint's projection (:mod:`~tis_utils.representations.sketch`); seed of projection,
        LoRA initialisation, warm-up order and warm-up choice.
    candidate_gradient : {"adam", "sgd"}
        ``"sgd"`` gives candidates plain gradients as well.
    checkpoints : {"all", "last"}
        ``"last"`` uses the final checkpoint only.
    as_released : sequence of {"dropout", "half", "token_loss"}
        What the code released with the paper does: dropout stays on while gradients are taken; gradients are rounded
        to half precision before projection; a warm-up step's loss is the mean over tokens, its gradient clipped to 1.
    max_length, batch_tokens : int, int
        Tokens per text; rows × tokens per batch (by default 2,048 on the CPU, 32,768 on a GPU). A
        batch that does not fit into the GPU's memory is halved.

    Attributes
    ----------
    skipped : dict of str to str
        Candidates of the last call that have no usable gradient, id -> reason. Their rows are zero.
    history : list of Checkpoint
        Empty before the warm-up.
    warmup_ids : list of str
        Ids of the examples that the warm-up trained on.

    Notes
    -----
    The defaults are the paper's, but for the projection: a count sketch keeps inner products as well as a dense one and
    is hundreds of times faster. There is no gradient clipping in the warm-up.
    """

    def __init__(
        self,
        model: str | LanguageModel,
        *,
        rank: int = 128,
        alpha: int = 512,
        dropout: float = 0.1,
        targets: str | Sequence[str] = "auto",
        epochs: int = 4,
        lr: float = 2e-5,
        batch_size: int = 128,
        warmup_ratio: float = 0.03,
        warmup_fraction: float = 0.05,
        dim: int = 8192,
        sketch: str = "count",
        seed: int = 0,
        candidate_gradient: str = "adam",
        checkpoints: str = "all",
        as_released: Sequence[str] = (),
        max_length: int = 2048,
        batch_tokens: int | None = None,
        show_progress: bool = True,
    ) -> None:
        check_choice("candidate_gradient", candidate_gradient, ("adam", "sgd"))
        check_choice("checkpoints", checkpoints, ("all", "last"))
        for name in as_released:
            check_choice("as_released", name, AS_RELEASED)
        if not 0 < warmup_fraction <= 1:
            raise InputError(f"warmup_fraction must lie in (0, 1], not {warmup_fraction}.")
        self.lm = model if isinstance(model, LanguageModel) else load_model(model)
        self.batch_tokens = batch_tokens or (2048 if self.lm.device.type == "cpu" else 32768)
        self.as_released = sorted(as_released)
        few = min(self.batch_tokens, 8192)  # of a step's gradients; they are added up
        self.recipe = Recipe(epochs, lr, batch_size, warmup_ratio, few, seed, "token_loss" in as_released)
        self.lora: dict[str, Any] = {"r": rank, "alpha": alpha, "dropout": dropout, "targets": targets}
        self.model = self._attach()
        self.sketch: Sketch = make_sketch(sketch, self.parameters, dim, seed)
        self.candidate_gradient, self.checkpoints = candidate_gradient, checkpoints
        self.warmup_fraction, self.max_length = warmup_fraction, max_length
        self.seed, self.show_progress = seed, show_progress
        self.history: list[Checkpoint] = []
        self.warmup_ids: list[str] = []
        self.skipped: dict[str, str] = {}

    @property
    def parameters(self) -> int:
        """Number of LoRA parameters, the length P of a gradient before projection."""
        return sum(p.numel() for p in lora_parameters(self.model).values())

    @property
    def weights(self) -> np.ndarray:
        """Weight w_e of each checkpoint used, float64 of shape (E,), sum 1."""
        rates = np.array([point.lr for point in self._used()])
        return rates / rates.sum()

    @property
    def settings(self) -> dict[str, Any]:
        """Everything the features depend on besides the texts and the warm-up examples, ready for JSON."""
        recipe = {k: v for k, v in asdict(self.recipe).items() if k not in ("batch_tokens", "token_loss")}
        targets = self.lora["targets"]
        return {
            "representation": "less",
            "model": self.lm.fingerprint,
            "dtype": str(self.lm.dtype),
            "max_length": self.max_length,
            "lora": {**self.lora, "targets": targets if isinstance(targets, str) else list(targets)},
            "warm_up": {**recipe, "fraction": self.warmup_fraction},
            "sketch": [type(self.sketch).__name__, self.sketch.dim_out, self.sketch.seed],
            "candidate_gradient": self.candidate_gradient,
            "checkpoints": self.checkpoints,
            **({"as_released": self.as_released} if self.as_released else {}),
        }

    def warm_up(self, examples: Sequence[Example]) -> LESS:
        """Train LoRA from its seeded start on all `examples` with an answer; replaces an earlier warm-up."""
        encoded = self.lm.encode(examples, self.max_length)
        kept = [(example, e) for example, e in zip(examples, encoded, strict=True) if e.trainable]
        if len(kept) < len(encoded):
            _warn(f"LESS warm-up: {len(encoded) - len(kept)} of {len(encoded)} examples have no label token.")
        if not kept:
            raise InputError("LESS warm-up: none of the examples has a label token within max_length.")
        self.model = self._attach()
        data = [e for _, e in kept]
        self.history = warmup.train(self.model, data, self.recipe, self.lm.pad_id, self.show_progress)
        self.warmup_ids = [example.id for example, _ in kept]
        return self

    def candidates(self, examples: Sequence[Example]) -> np.ndarray:
        """Features of candidates, float32 of shape (N, E · dim), rows of length 1 (zero where `skipped`).

        Without an earlier :meth:`warm_up` or :meth:`load`, a random `warmup_fraction` of `examples` is used for it.
        Shards of one pool must share a warm-up: call one of the two first.
        """
        if not self.history:
            self.warm_up(self.warmup_choice(examples))
        encoded = self.lm.encode(examples, self.max_length)
        rows, reasons = self._features(encoded, self.candidate_gradient == "adam", "candidates")
        self.skipped = {examples[i].id: reason for i, reason in sorted(reasons.items())}
        if self.skipped:
            _warn(f"LESS: {len(self.skipped)} of {len(examples)} candidates get a zero row: {_listed(self.skipped)}.")
        return rows

    def queries(self, queries: Sequence[Query]) -> np.ndarray:
        """Features of queries, float32 of shape (M, E · dim), rows of length 1.

        Raises
        ------
        InputError
            Before any warm-up, or if a query has no usable gradient.
        """
        if not self.history:
            raise InputError(
                "LESS has no checkpoint yet: call warm_up(examples), load(folder) or candidates(examples) first."
            )
        encoded = self.lm.encode(queries, self.max_length)
        rows, reasons = self._features(encoded, False, "queries")
        if reasons:
            named = _listed({queries[i].id: reason for i, reason in sorted(reasons.items())})
            raise InputError(f"LESS: {len(reasons)} of {len(queries)} queries have no usable gradient: {named}.")
        return rows

    def save(self, folder: str | Path) -> None:
        """Write the warm-up (LoRA weights, Adam moments, learning rates) as safetensors and JSON."""
        if not self.history:
            raise InputError("LESS has no checkpoint to save yet: call warm_up(examples) first.")
        warmup.save(Path(folder), self.history, {**self._origin(), "warmup_ids": self.warmup_ids})

    def load(self, folder: str | Path) -> LESS:
        """Read a warm-up written by :meth:`save`, if it was made with the same base model, LoRA and seed."""
        history, about = warmup.load(Path(folder), lora_parameters(self.model))
        for what, value in self._origin().items():
            if about.get(what) != value:
                raise InputError(
                    f"The warm-up in {folder} was made with {what} {about.get(what)!r}, this LESS has {what} "
                    f"{value!r}: its gradients would not be those of the trained model. Use the same {what}, or "
                    "warm up again."
                )
        self.history, self.warmup_ids = history, list(about.get("warmup_ids", []))
        return self

    def _origin(self) -> dict[str, Any]:
        """What a warm-up cannot be moved away from; names and shapes of the factors are compared one by one."""
        token_loss = {"token_loss": True} if self.recipe.token_loss else {}
        return {"model": self.lm.fingerprint, "alpha": self.lora["alpha"], "seed": self.seed, **token_loss}

    def _attach(self) -> PeftModel:
        """Put LoRA on a copy that shares the base weights, always from the same random start."""
        with torch.random.fork_rng():
            torch.manual_seed(self.recipe.seed)
            return add_lora(shared_copy(self.lm.model), **self.lora)

    def warmup_choice(self, examples: Sequence[Example]) -> list[Example]:
        """Draw the seeded random `warmup_fraction` of `examples` (at least one), in their order."""
        count = min(len(examples), max(1, round(self.warmup_fraction * len(examples))))
        chosen = np.random.default_rng(self.seed).choice(len(examples), count, replace=False)
        return [examples[i] for i in np.sort(chosen)]

    def _used(self) -> list[Checkpoint]:
        return self.history if self.checkpoints == "all" else self.history[-1:]

    def _features(self, encoded: Sequence[Encoded], adam: bool, what: str) -> tuple[np.ndarray, dict[int, str]]:
        """Rows of all checkpoints side by side, and the rows that had to stay zero with the reason."""
        points, dim = self._used(), self.sketch.dim_out
        rows = np.zeros((len(encoded), len(points) * dim), dtype=np.float32)  # (N, E d)
        reasons = {i: "no label token" for i, e in enumerate(encoded) if not e.trainable}
        usable = np.array([i for i, e in enumerate(encoded) if e.trainable], dtype=np.int64)
        data = [encoded[i] for i in usable]
        for e, (point, weight) in enumerate(zip(points, self.weights, strict=True)):
            part = self._one_checkpoint(data, point, adam, f"LESS {what}, checkpoint {e + 1}/{len(points)}")
            rows[usable, e * dim : (e + 1) * dim] = np.sqrt(weight) * part
        norms = np.einsum("nd,nd->n", rows, rows)
        bad = ~np.isfinite(norms) | (norms == 0)
        reasons |= {int(i): "loss or gradient is NaN, infinite or zero" for i in usable[bad[usable]]}
        rows[bad] = 0
        return rows, reasons

    def _one_checkpoint(self, data: Sequence[Encoded], point: Checkpoint, adam: bool, what: str) -> np.ndarray:
        """Unit-length sketches at one checkpoint, (N, d); NaN rows where the loss is not finite."""
        gradients.put_weights(self.model, point.weight)
        direction, starts = _direction(point, adam, self.lm.device), gradients.factor_starts(self.model)
        out = np.zeros((len(data), self.sketch.dim_out), dtype=np.float32)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)  # of dropout, where it is on

            def keep(batch: Batch) -> None:
                out[batch.index] = self._sketch_batch(batch, direction, starts).cpu().numpy()

            each_batch(keep, data, self.lm.pad_id, self.lm.device, self.batch_tokens, what, self.show_progress)
        return out

    def _sketch_batch(self, batch: Batch, direction: Direction, starts: Mapping[str, int]) -> Tensor:
        out = torch.zeros(len(batch.index), self.sketch.dim_out, device=self.lm.device)  # (B, d)

        def sink(name: str, grad: Tensor) -> None:
            # the projection is linear, so it takes one factor after the other: (B, P) never exists
            moved = direction(name, grad.flatten(1))
            moved = moved.half().to(moved.dtype) if "half" in self.as_released else moved
            self.sketch.add_(out, moved, starts[name])

        losses = gradients.example_gradients(self.model, batch, sink, dropout="dropout" in self.as_released)
        return torch.where(torch.isfinite(losses)[:, None], unit(out), torch.nan)


def _direction(point: Checkpoint, adam: bool, device: torch.device) -> Direction:
    """Candidates move as Adam would from this checkpoint; queries (and "sgd") keep the plain gradient."""
    if not adam:
        return lambda name, grad: grad
    m = {name: t.to(device).flatten() for name, t in point.m.items()}
    v = {name: t.to(device).flatten() for name, t in point.v.items()}
    return lambda name, grad: gradients.adam_direction(grad, m[name], v[name])


def _listed(reasons: Mapping[str, str]) -> str:
    first = ", ".join(f"{key} ({reason})" for key, reason in list(reasons.items())[:5])
    return first + (" …" if len(reasons) > 5 else "")


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=3)
