from __future__ import annotations

import copy
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from tests_support import example, query
from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Encoded, encode_query
from tis_utils.models import evaluation
from tis_utils.models import fine_tuning as training
from tis_utils.models.evaluation import answers, exact_match, mean_loss, query_losses
from tis_utils.models.fine_tuning import Shuffled, fine_tune, trainable, trainer_batch
from tis_utils.models.load import add_lora
from tis_utils.profiles import Training

FAST = Training(epochs=20, learning_rate=1e-2, batch_size=4, warmup_ratio=0.05)


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.model.parameters()])


def test_fine_tuning_learns_the_answer_and_leaves_the_base_alone(random_model) -> None:
    before = weights(random_model).clone()
    subset = [example("yes", prompt=f"q{i}", name=str(i)) for i in range(8)]
    tuned = fine_tune(random_model, subset, FAST, seed=0, max_length=64)
    assert torch.equal(before, weights(random_model))
    queries = [query("yes", prompt="q3"), query("yes", prompt="q9")]
    assert mean_loss(tuned, queries) < 0.5 * mean_loss(random_model, queries)
    assert not tuned.model.training


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not(random_model) -> None:
    subset = [example(f"answer {i}", name=str(i)) for i in range(9)]
    settings = FAST.model_copy(update={"epochs": 1})
    first, second, other = (fine_tune(random_model, subset, settings, seed=s, max_length=64) for s in (1, 1, 2))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


@pytest.mark.parametrize("micro", [None, 1, 2])
def test_one_step_is_one_adamw_step_on_the_mean_token_loss(random_model, micro: int | None) -> None:
    """Oracle: PyTorch's own optimiser on the loss written out by hand; every token counts alike."""
    subset = [example(answer, name=answer) for answer in ("short", "a longer answer", "x", "x" * 40)]
    settings = Training(epochs=1, learning_rate=1e-3, batch_size=4, micro_batch_size=micro, warmup_ratio=0.0)
    tuned = fine_tune(random_model, subset, settings, max_length=64)
    reference = copy.deepcopy(random_model.model).train()
    optimiser = torch.optim.AdamW(reference.parameters(), lr=1e-3, weight_decay=0.0)
    batch = trainer_batch(trainable(subset, random_model, 64), pad_id=0)
    logits = reference(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    picked = batch["labels"][:, 1:] != IGNORE
    log_p = torch.log_softmax(logits[:, :-1], -1)[picked]
    loss = -log_p[torch.arange(len(log_p)), batch["labels"][:, 1:][picked]].mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
    optimiser.step()
    expected = torch.cat([p.detach().flatten() for p in reference.parameters()])
    torch.testing.assert_close(weights(tuned), expected, rtol=1e-4, atol=1e-6)


def by_hand(model: PreTrainedModel, texts: list[Encoded], settings: Training, rates: list[float], seed: int) -> None:
    """Fine-tune in place as METHODS §4 has it, without the Trainer: `rates` are the shares of the learning rate."""
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learnt, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    draw, steps = np.random.default_rng(seed), iter(rates)
    for _ in range(settings.epochs):
        order = draw.permutation(len(texts))
        for start in range(0, len(order), settings.batch_size):
            optimiser.param_groups[0]["lr"] = settings.learning_rate * next(steps)
            losses = []
            for i in order[start : start + settings.batch_size]:
                ids, labels = (torch.from_numpy(part)[None] for part in (texts[i].ids, texts[i].labels))
                logits = model.train()(input_ids=ids).logits[0, :-1]
                losses.append(torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="none"))
                losses[-1] = losses[-1][labels[0, 1:] != IGNORE]
            optimiser.zero_grad()
            torch.cat(losses).mean().backward()
            torch.nn.utils.clip_grad_norm_(learnt, 1.0)
            optimiser.step()
    assert next(steps, None) is None, "more rates than steps"


@pytest.mark.parametrize(
    ("warmup_ratio", "rates"),
    [
        (0.0, [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        (0.01, [0, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5]),  # rounded up to one step
        (0.34, [0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
    ],
)
@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_whole_run_is_adamw_on_a_linear_schedule(
    random_model, monkeypatch, warmup_ratio: float, rates: list[float], lora_rank: int
) -> None:
    """Oracle: a plain loop, in double precision. Three batches an epoch, the last of two examples."""
    exact = replace(random_model, model=random_model.model.double())
    settings = Training(
        epochs=2, learning_rate=2e-2, batch_size=4, micro_batch_size=2, warmup_ratio=warmup_ratio, lora_rank=lora_rank
    )
    starts = [copy.deepcopy(exact.model)]

    def attached(*given, **options):
        starts.append(copy.deepcopy(add_lora(*given, **options)))
        return copy.deepcopy(starts[-1])

    monkeypatch.setattr(training, "add_lora", attached)
    tuned = fine_tune(exact, mixed(10), settings, seed=3, max_length=64)
    by_hand(starts[-1], trainable(mixed(10), exact, 64), settings, rates, seed=3)
    ours, plain = dict(tuned.model.named_parameters()), dict(starts[-1].named_parameters())
    assert ours.keys() == plain.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], plain[name], rtol=0, atol=1e-7, msg=name)


def test_lora_has_twice_its_rank_as_scale_and_sits_on_all_projections_of_attention(random_model) -> None:
    settings = Training(epochs=1, batch_size=4, lora_rank=8)
    tuned = fine_tune(random_model, mixed(4), settings, seed=0, max_length=64).model
    config = tuned.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias) == (8, 16, 0.0, "none")
    factors = {
        name.split(".lora_A")[0].rpartition(".")[2]: p.shape for name, p in tuned.named_parameters() if "lora_A" in name
    }
    assert set(factors) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert set(factors.values()) == {(8, 32)}


def test_equal_seeds_give_equal_lora_factors(random_model) -> None:
    settings = Training(epochs=1, batch_size=4, lora_rank=4, learning_rate=1e-3)
    first, again, other = (fine_tune(random_model, mixed(4), settings, seed=s, max_length=64) for s in (1, 1, 2))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def mixed(count: int) -> list:
    """Examples of very different lengths."""
    return [example("ab" * (1 + 7 * i % 23), prompt="q" * (3 * i % 11), name=str(i)) for i in range(count)]


def test_micro_batches_do_not_change_the_weights(random_model) -> None:
    """Ten examples in effective batches of four: the last one of each epoch is not full."""
    settings = Training(epochs=2, learning_rate=1e-3, batch_size=4)
    whole, *others = (
        weights(
            fine_tune(
                random_model, mixed(10), settings.model_copy(update={"micro_batch_size": micro}), seed=3, max_length=64
            )
        )
        for micro in (None, 1, 2, 4, 99)
    )
    assert not torch.allclose(whole, weights(random_model), atol=1e-4)
    for other in others:
        torch.testing.assert_close(other, whole, rtol=1e-4, atol=2e-6)


def test_effective_batches_hold_the_same_examples_for_every_micro_size(random_model, monkeypatch) -> None:
    seen: list[list[bytes]] = []

    def recorded(texts, pad_id):
        seen[-1] += [text.ids.tobytes() for text in texts]
        return trainer_batch(texts, pad_id)

    monkeypatch.setattr(training, "trainer_batch", recorded)
    everything = {text.ids.tobytes() for text in trainable(mixed(10), random_model, 64)}
    for micro in (None, 1, 2):
        seen.append([])
        settings = Training(epochs=2, learning_rate=1e-3, batch_size=4, micro_batch_size=micro)
        fine_tune(random_model, mixed(10), settings, seed=3, max_length=64)
    assert len(everything) == 10
    for order in seen:
        assert set(order[:10]) == set(order[10:]) == everything
        assert order[:10] != order[10:]
    cuts = [(0, 4), (4, 8), (8, 10), (10, 14), (14, 18), (18, 20)]
    first, *others = ([set(order[a:b]) for a, b in cuts] for order in seen)
    assert all(other == first for other in others)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 12), st.integers(0, 3))
def test_every_epoch_is_a_new_order_of_all_examples(lengths: list[int], batch: int, seed: int) -> None:
    sampler = Shuffled(lengths, batch, seed)
    plain = np.random.default_rng(seed)
    for _ in range(3):
        order, shuffled = list(sampler), plain.permutation(len(lengths))
        assert len(sampler) == len(order)
        for start in range(0, len(lengths), batch):
            part = order[start : start + batch]
            assert sorted(part) == sorted(shuffled[start : start + batch])
            assert [lengths[i] for i in part] == sorted((lengths[i] for i in part), reverse=True)


def test_autocast_trains_nearly_as_in_full_precision(random_model, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True})
    settings = Training(epochs=6, learning_rate=3e-3, batch_size=4, micro_batch_size=2)
    half = settings.model_copy(update={"autocast": True})
    exact, rounded = (fine_tune(random_model, mixed(10), chosen, max_length=64) for chosen in (settings, half))
    assert {p.dtype for p in rounded.model.parameters()} == {torch.float32}
    assert torch.isfinite(weights(rounded)).all()
    assert not torch.equal(weights(exact), weights(rounded))
    queries = [query("abab"), query("ab", prompt="qqq")]
    gained = mean_loss(random_model, queries) - mean_loss(exact, queries)
    assert gained > 0.2
    assert mean_loss(rounded, queries) == pytest.approx(mean_loss(exact, queries), abs=0.1 * gained)


def test_a_processor_without_bfloat16_computes_in_float32(random_model, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    settings = Training(epochs=1, learning_rate=3e-3, batch_size=4)
    half = settings.model_copy(update={"autocast": True})
    exact, same = (fine_tune(random_model, mixed(10), chosen, max_length=64) for chosen in (settings, half))
    assert torch.equal(weights(exact), weights(same))
    with training.autocast(random_model, half):
        assert not torch.is_autocast_enabled("cpu")


def test_even_a_single_step_trains(random_model) -> None:
    """A schedule whose only step is its warm-up would have learning rate 0."""
    settings = Training(epochs=1, learning_rate=1e-3, batch_size=8, warmup_ratio=0.05)
    tuned = fine_tune(random_model, [example("yes", name=str(i)) for i in range(8)], settings, max_length=64)
    assert not torch.equal(weights(tuned), weights(random_model))


def test_lora_training_changes_predictions_but_not_the_base(random_model) -> None:
    before = weights(random_model).clone()
    settings = FAST.model_copy(update={"lora_rank": 8, "learning_rate": 1e-1})
    tuned = fine_tune(random_model, [example("yes", name=str(i)) for i in range(4)], settings, max_length=64)
    assert torch.equal(before, weights(random_model))
    assert mean_loss(tuned, [query("yes")]) < mean_loss(random_model, [query("yes")]) - 0.2
    learnt = {name for name, p in tuned.model.named_parameters() if p.requires_grad}
    assert learnt
    assert all("lora_" in name for name in learnt)


def test_examples_without_an_answer_are_dropped_with_a_count(random_model, caplog) -> None:
    subset = [example("yes", name="a"), example("yes", prompt="x" * 100, name="b")]
    with caplog.at_level(logging.WARNING):
        assert len(trainable(subset, random_model, 50)) == 1
    assert "1 of 2 examples have no answer within 50 tokens" in caplog.text
    with pytest.raises(InputError, match="None of the 1 selected examples"):
        trainable(subset[1:], random_model, 50)


def test_query_loss_is_the_mean_over_queries_of_mean_token_losses(random_model) -> None:
    queries = [query("a"), query("a much longer answer", prompt="other"), query("mid")]
    by_hand = []
    for item in queries:
        text = encode_query(item, random_model.tokenizer, 256)
        with torch.no_grad():
            log_p = torch.log_softmax(random_model.model(torch.from_numpy(text.ids)[None]).logits[0], -1)
        places = [t for t in range(1, len(text.ids)) if text.labels[t] != IGNORE]
        by_hand.append(-np.mean([log_p[t - 1, text.ids[t]].item() for t in places]))
    np.testing.assert_allclose(query_losses(random_model, queries, batch_tokens=40), by_hand, rtol=1e-5)
    assert mean_loss(random_model, queries) == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_losses_do_not_depend_on_batch_mates(random_model) -> None:
    queries = [query("x" * n, name=str(n)) for n in (1, 30, 7, 19)]
    alone = [query_losses(random_model, [q])[0] for q in queries]
    np.testing.assert_allclose(query_losses(random_model, queries), alone, rtol=1e-5)


def test_exact_match_compares_greedy_answers_with_labels(random_model) -> None:
    settings = FAST.model_copy(update={"epochs": 60})
    tuned = fine_tune(random_model, [example("yes", name=str(i)) for i in range(4)], settings, max_length=64)
    queries = [query("yes"), query("no")]
    assert answers(tuned, queries, max_new_tokens=8) == ["yes", "yes"]
    assert exact_match(tuned, queries, max_new_tokens=8) == 0.5


def test_exact_match_is_exact_but_for_white_space_around(random_model, monkeypatch) -> None:
    given = ["Paris", " Paris\n", "paris", "PARIS", "Paris.", "Pa ris", "the Paris", "", "Paris Paris"]
    monkeypatch.setattr(evaluation, "answers", lambda *_, **__: given)
    assert exact_match(random_model, [query(" Paris ", name=str(i)) for i in range(len(given))]) == 2 / len(given)


def test_no_queries_is_an_error(random_model) -> None:
    with pytest.raises(InputError, match="no queries"):
        query_losses(random_model, [])


@pytest.mark.parametrize("rank", [0, 2])
def test_gradient_checkpointing_gives_the_same_weights(random_model, rank: int) -> None:
    texts = mixed(4)
    settings = Training(epochs=1, learning_rate=1e-2, batch_size=2, lora_rank=rank)
    frugal = settings.model_copy(update={"gradient_checkpointing": True})
    plain, saved = (fine_tune(random_model, texts, chosen) for chosen in (settings, frugal))
    assert torch.equal(weights(plain), weights(saved))
    assert not any(getattr(module, "gradient_checkpointing", False) for module in saved.model.modules())
    assert not torch.equal(weights(saved), weights(random_model)) or rank
