from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tis_utils.errors import RunError
from tis_utils.examples.text import IGNORE, Example, encode_all
from tis_utils.models.load import LanguageModel, add_lora, shared_copy
from tis_utils.representations.gradients import lora_parameters
from tis_utils.representations.warmup import Checkpoint, Recipe, train

MakeLM = Callable[..., LanguageModel]


def trained(lm: LanguageModel, examples: list[Example], dropout: float = 0.0, **changes: Any) -> list[Checkpoint]:
    options = {"epochs": 4, "lr": 3e-3, "batch_size": 4, "warmup_ratio": 0.03, "batch_tokens": 10_000, "seed": 0}
    torch.manual_seed(2)
    model = add_lora(shared_copy(lm.model), 2, 4, dropout, "all-linear")
    return train(model, encode_all(examples, lm.tokenizer, 200), Recipe(**{**options, **changes}), lm.pad_id, False)


def test_learning_rates_follow_the_linear_schedule(make_lm: MakeLM, examples: list[Example]) -> None:
    points = trained(make_lm(), examples, batch_size=1, warmup_ratio=0.1)
    per_epoch, total = len(examples), 4 * len(examples)
    rising = math.ceil(0.1 * total)
    rates = [3e-3 * (k / rising if k < rising else (total - k) / (total - rising)) for k in range(total)]
    for e, point in enumerate(points):
        mean = sum(rates[e * per_epoch : (e + 1) * per_epoch]) / per_epoch
        assert point.lr == pytest.approx(mean, rel=1e-9)


def test_one_step_is_adamw_on_the_mean_of_mean_losses(make_lm: MakeLM, examples: list[Example]) -> None:
    lm = make_lm(dtype=torch.float64)
    (point,) = trained(lm, examples, epochs=1, batch_size=100)
    torch.manual_seed(2)
    model = add_lora(shared_copy(lm.model), 2, 4, 0.0, "all-linear").train()
    factors = lora_parameters(model)
    losses = []
    for e in encode_all(examples, lm.tokenizer, 200):
        scores = model(input_ids=torch.from_numpy(e.ids)[None]).logits[0].log_softmax(-1)
        learnt = [t for t in range(1, len(e.ids)) if e.labels[t] != IGNORE]
        losses.append(-sum(scores[t - 1, e.labels[t]] for t in learnt) / len(learnt))
    grads = torch.autograd.grad(sum(losses) / len(losses), list(factors.values()))
    for (name, p), g in zip(factors.items(), grads, strict=True):
        torch.testing.assert_close(point.m[name], 0.1 * g)
        torch.testing.assert_close(point.v[name], 0.001 * g**2)
        torch.testing.assert_close(point.weight[name], p.detach() - 3e-3 * g / (g.abs() + 1e-8))


def test_pieces_of_a_step_add_up(make_lm: MakeLM, examples: list[Example]) -> None:
    lm = make_lm(dtype=torch.float64)
    whole, pieces = trained(lm, examples), trained(lm, examples, batch_tokens=1)
    for name, weight in whole[-1].weight.items():
        torch.testing.assert_close(pieces[-1].weight[name], weight)


def test_training_lowers_the_loss_and_checkpoints_differ(make_lm: MakeLM, examples: list[Example]) -> None:
    lm = make_lm()
    points = trained(lm, examples, epochs=6, lr=2e-2)
    assert len(points) == 6
    for earlier, later in itertools.pairwise(points):
        assert any(not torch.equal(earlier.weight[n], later.weight[n]) for n in later.weight)
        assert any(not torch.equal(earlier.m[n], later.m[n]) for n in later.m)

    def loss(point: Checkpoint | None) -> float:
        model = add_lora(shared_copy(lm.model), 2, 4, 0.0, "all-linear").eval()
        for name, p in lora_parameters(model).items():
            p.data.copy_(point.weight[name] if point else torch.zeros_like(p))
        encoded = encode_all(examples, lm.tokenizer, 200)
        with torch.no_grad():
            return sum(
                float(model(torch.from_numpy(e.ids)[None], labels=torch.from_numpy(e.labels)[None]).loss)
                for e in encoded
            )

    assert loss(points[-1]) < 0.8 * loss(None)


def test_dropout_is_on_and_seeded(make_lm: MakeLM, examples: list[Example]) -> None:
    lm = make_lm()
    plain, first, second = (trained(lm, examples, dropout) for dropout in (0.0, 0.5, 0.5))
    names = list(plain[0].weight)
    assert all(torch.equal(first[-1].weight[n], second[-1].weight[n]) for n in names)
    assert not all(torch.equal(first[-1].weight[n], plain[-1].weight[n]) for n in names)


def test_divergence_is_an_error(make_lm: MakeLM, examples: list[Example]) -> None:
    with pytest.raises(RunError, match="smaller lr"):
        trained(make_lm(), examples, lr=1e30)
