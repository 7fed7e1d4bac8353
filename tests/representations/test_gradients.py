from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

from tis_utils.errors import RunError
from tis_utils.examples.text import IGNORE, Encoded, Example, encode_all
from tis_utils.models.batching import Batch, collate, example_losses, length_batches
from tis_utils.models.load import LanguageModel, add_lora, shared_copy
from tis_utils.representations.gradients import adam_direction, example_gradients, lora_parameters


def lora_model(lm: LanguageModel, dropout: float = 0.0) -> PeftModel:
    model = add_lora(shared_copy(lm.model), r=3, alpha=6, dropout=dropout, targets="all-linear")
    torch.manual_seed(1)
    for p in lora_parameters(model).values():  # LoRA starts with B = 0, where half the gradients vanish
        p.data.normal_(0, 0.3)
    return model.eval()


def one_batch(lm: LanguageModel, encoded: Sequence[Encoded]) -> Batch:
    return collate(encoded, np.arange(len(encoded)), lm.pad_id, lm.device)


def hooked(model: PeftModel, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
    grads: dict[str, Tensor] = {}
    losses = example_gradients(model, batch, grads.__setitem__)
    return grads, losses


def one_by_one(model: PeftModel, encoded: Encoded) -> tuple[dict[str, Tensor], Tensor]:
    """The oracle: plain autograd on one unpadded example, METHODS' loss in the model's own precision."""
    factors = lora_parameters(model)
    model.requires_grad_(False)
    for p in factors.values():
        p.requires_grad_(True)
    scores = model(input_ids=torch.from_numpy(encoded.ids)[None]).logits[0].log_softmax(-1)
    learnt = [t for t in range(1, len(encoded.ids)) if encoded.labels[t] != IGNORE]
    loss = -sum(scores[t - 1, encoded.labels[t]] for t in learnt) / len(learnt)
    return dict(zip(factors, torch.autograd.grad(loss, list(factors.values())), strict=True)), loss


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_hooks_equal_one_by_one_autograd(
    make_lm: Callable[..., LanguageModel], examples: list[Example], family: str, dtype: torch.dtype, tolerance: float
) -> None:
    lm = make_lm(family, dtype)
    model = lora_model(lm)
    encoded = encode_all(examples, lm.tokenizer, 200)
    assert len({len(e.ids) for e in encoded}) > 4  # or padding would not be tested
    grads, losses = hooked(model, one_batch(lm, encoded))
    assert list(grads) != []
    assert set(grads) == set(lora_parameters(model))
    for b, e in enumerate(encoded):
        expected, loss = one_by_one(model, e)
        assert losses[b].item() == pytest.approx(loss.item(), rel=tolerance)
        for name, g in expected.items():
            assert g.abs().max() > 0
            assert (grads[name][b] - g).abs().max() <= tolerance * g.abs().max(), name


def test_losses_equal_those_of_transformers(
    make_lm: Callable[..., LanguageModel], examples: list[Example], family: str
) -> None:
    lm = make_lm(family)
    encoded = encode_all(examples, lm.tokenizer, 200)
    losses = example_losses(lm.model, one_batch(lm, encoded))
    for loss, e in zip(losses, encoded, strict=True):
        ids, labels = (torch.from_numpy(a)[None] for a in (e.ids, e.labels))
        assert loss.item() == pytest.approx(lm.model(input_ids=ids, labels=labels).loss.item(), rel=1e-5)


def test_all_linear_layers_are_covered(make_lm: Callable[..., LanguageModel], family: str) -> None:
    names = lora_parameters(lora_model(make_lm(family)))
    per_layer = {"llama": 7, "qwen": 7, "gpt2": 4}[family]
    assert len(names) == 2 * 2 * per_layer  # two factors, two layers


def test_dropout_is_off_and_no_grad_is_left(make_lm: Callable[..., LanguageModel], examples: list[Example]) -> None:
    lm = make_lm()
    batch = one_batch(lm, encode_all(examples[:4], lm.tokenizer, 200))
    plain, _ = hooked(lora_model(lm, 0.0), batch)
    model = lora_model(lm, 0.5).train()
    dropped, _ = hooked(model, batch)
    assert all(torch.equal(plain[name], dropped[name]) for name in plain)
    assert all(p.grad is None for p in model.parameters())


def test_hooks_are_gone_afterwards(make_lm: Callable[..., LanguageModel], examples: list[Example]) -> None:
    lm = make_lm()
    model = lora_model(lm)
    hooked(model, one_batch(lm, encode_all(examples[:2], lm.tokenizer, 200)))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("dropout", [False, True])
def test_the_adapter_does_what_peft_does_and_is_on_again_afterwards(
    make_lm: Callable[..., LanguageModel], examples: list[Example], family: str, dropout: bool
) -> None:
    lm = make_lm(family, torch.bfloat16)  # PEFT keeps the factors in float32
    model = lora_model(lm, 0.5)
    batch = one_batch(lm, encode_all(examples[:4], lm.tokenizer, 200))
    torch.manual_seed(0)
    losses = example_gradients(model, batch, lambda name, grad: None, dropout=dropout)
    torch.manual_seed(0)
    torch.testing.assert_close(losses, example_losses(model.train(dropout), batch), rtol=5e-3, atol=0)
    with model.disable_adapter():
        assert (losses - example_losses(model, batch)).abs().max() > 0.05
    model.requires_grad_(False)
    example_gradients(model, batch, lambda name, grad: None)
    assert not any(p.requires_grad for p in model.parameters())


def test_a_layer_used_twice_is_an_error(make_lm: Callable[..., LanguageModel], examples: list[Example]) -> None:
    lm = make_lm()
    model = lora_model(lm)
    layers = model.get_base_model().model.layers
    layers[1].mlp = layers[0].mlp  # shared weights: two calls per text
    with pytest.raises(RunError, match="once per text"):
        hooked(model, one_batch(lm, encode_all(examples[:2], lm.tokenizer, 200)))


def test_losses_agree_with_and_without_logits_to_keep(
    make_lm: Callable[..., LanguageModel], examples: list[Example]
) -> None:
    class AllLogits(nn.Module):
        """A model whose forward cannot choose positions."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> object:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask)

    lm = make_lm()
    batch = one_batch(lm, encode_all(examples, lm.tokenizer, 200))
    torch.testing.assert_close(example_losses(lm.model, batch), example_losses(AllLogits(lm.model), batch))


def test_adam_direction_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    g, m = rng.normal(size=(2, 5, 40))
    v = rng.random(40) ** 4
    m = m[0]
    v[:10] = g[:, :10] = 0.0  # parameters that never moved
    expected = (0.9 * m + 0.1 * g) / np.sqrt(0.999 * v + 0.001 * g**2 + 1e-8)
    got = adam_direction(*(torch.from_numpy(a) for a in (g, m, v)))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


def test_adam_direction_is_the_step_of_adamw_up_to_bias_correction() -> None:
    torch.manual_seed(0)
    p = nn.Parameter(torch.zeros(50, dtype=torch.float64))
    optimizer = torch.optim.AdamW([p], lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    for _ in range(7):
        p.grad = torch.randn(50, dtype=torch.float64)
        optimizer.step()
    m, v = (optimizer.state[p][key].clone() for key in ("exp_avg", "exp_avg_sq"))
    before, g = p.detach().clone(), torch.randn(50, dtype=torch.float64)
    p.grad = g.clone()
    optimizer.step()
    correction = np.sqrt(1 - 0.999**8) / (1 - 0.9**8)  # eighth step
    step = (before - p.detach()) / 0.01
    torch.testing.assert_close(step, correction * adam_direction(g, m, v), rtol=1e-4, atol=0.0)


def test_length_batches_cover_everything_once_within_the_limit() -> None:
    lengths = [int(n) for n in np.random.default_rng(3).integers(1, 60, 101)]
    groups = length_batches(lengths, 100)
    assert sorted(np.concatenate(groups).tolist()) == list(range(101))
    assert all(len(group) * max(lengths[i] for i in group) <= 100 for group in groups)
    assert len(length_batches([500, 3], 100)) == 2  # too long for the limit: alone
