from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from tests_support import example, query
from tis_utils.errors import InputError
from tis_utils.evaluation import answers, exact_match, mean_loss, query_losses
from tis_utils.examples import IGNORE, encode_query
from tis_utils.profiles import Training
from tis_utils.training import fine_tune, trainable, trainer_batch

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
    first, second, other = (
        fine_tune(random_model, subset, settings, seed=s, max_length=64) for s in (1, 1, 2)
    )
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


def test_one_step_is_one_adamw_step_on_the_mean_token_loss(random_model) -> None:
    """Oracle: PyTorch's own optimiser on the loss written out by hand."""
    import copy

    subset = [example("short", name="a"), example("a longer answer", name="b")]
    settings = Training(epochs=1, learning_rate=1e-3, batch_size=2, warmup_ratio=0.0)
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


def test_no_queries_is_an_error(random_model) -> None:
    with pytest.raises(InputError, match="no queries"):
        query_losses(random_model, [])
