from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tis_utils.examples.text import Example, Query, encode_example, encode_query
from tis_utils.models.load import LanguageModel
from tis_utils.representations import RDS
from tis_utils.representations.rds import weighted_mean


def naive(lm: LanguageModel, ids: np.ndarray) -> np.ndarray:
    """METHODS in a loop: hidden_states[-1] of one text, weight of token t is t / (1 + … + T)."""
    with torch.no_grad():
        states = lm.model(torch.from_numpy(ids)[None], output_hidden_states=True).hidden_states[-1][0]
    total = np.zeros(states.shape[1])
    for t, state in enumerate(states.double().numpy(), start=1):
        total += t / (len(ids) * (len(ids) + 1) / 2) * state
    return total / np.sqrt((total**2).sum())


def up_to_the_end(lm: LanguageModel, example: Example) -> np.ndarray:
    """Tokens of a chat that ends with an answer, without the line break behind the last end of sequence."""
    ids = encode_example(example, lm.tokenizer, 2048).ids
    return ids[: 1 + int(np.flatnonzero(ids == lm.tokenizer.eos_token_id)[-1])]


def test_equals_a_naive_loop(
    make_lm: Callable[..., LanguageModel], examples: list[Example], queries: list[Query], family: str
) -> None:
    lm = make_lm(family)
    rds = RDS(lm, batch_tokens=300)
    got = rds.candidates(examples)
    expected = np.stack([naive(lm, up_to_the_end(lm, e)) for e in examples])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)
    expected = np.stack([naive(lm, encode_query(q, lm.tokenizer, 2048).ids) for q in queries])
    np.testing.assert_allclose(rds.queries(queries), expected, atol=1e-5)


def test_batch_mates_and_order_do_not_matter(
    make_lm: Callable[..., LanguageModel], examples: list[Example], family: str
) -> None:
    lm = make_lm(family)
    alone = RDS(lm, batch_tokens=1).candidates(examples)
    together = RDS(lm, batch_tokens=10_000).candidates(examples[::-1])[::-1]
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_max_length_cuts_the_text(make_lm: Callable[..., LanguageModel], examples: list[Example]) -> None:
    lm = make_lm()
    got = RDS(lm, max_length=12).candidates(examples[:1])[0]
    ids = encode_example(examples[0], lm.tokenizer, 2048).ids
    assert len(ids) > 12
    np.testing.assert_allclose(got, naive(lm, ids[:12]), atol=1e-5)


def test_the_line_break_behind_the_last_turn_is_left_out(
    make_lm: Callable[..., LanguageModel], examples: list[Example]
) -> None:
    lm = make_lm()
    chat = Example("two turns", [*examples[0].messages, *examples[1].messages, *examples[2].messages[:1]], "toy")
    for example in (examples[0], chat):
        whole = encode_example(example, lm.tokenizer, 2048).ids
        assert lm.tokenizer.decode(whole[-1]) == "\n"
        rows = RDS(lm).candidates([example]), RDS(lm, max_length=len(whole) - 1).candidates([example])
        np.testing.assert_allclose(rows[0][0], naive(lm, whole[:-1]), atol=1e-5)  # only the last line break
        np.testing.assert_array_equal(*rows)
    assert encode_query(Query("q", "p", "a", "toy"), lm.tokenizer, 99).ids[-1] == lm.tokenizer.eos_token_id


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_side_does_not_matter(side: str) -> None:
    torch.manual_seed(0)
    hidden, padding = torch.randn(2, 5, 8), torch.full((2, 3, 8), 1e3)
    ones, zeros = torch.ones(2, 5, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64)
    parts = (padding, hidden), (zeros, ones)
    states, mask = (torch.cat(p if side == "left" else p[::-1], 1) for p in parts)
    torch.testing.assert_close(weighted_mean(states, mask), weighted_mean(hidden, ones))


def test_no_texts_no_rows(make_lm: Callable[..., LanguageModel]) -> None:
    assert RDS(make_lm()).candidates([]).shape == (0, 24)
