from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tis_utils.errors import RunError
from tis_utils.examples.text import Encoded
from tis_utils.models.batching import Batch, each_batch

CPU = torch.device("cpu")


def texts(lengths: list[int]) -> list[Encoded]:
    return [Encoded(np.arange(n), np.arange(n)) for n in lengths]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 200), st.integers(1, 9))
def test_every_text_is_worked_on_once_however_little_fits(lengths: list[int], batch_tokens: int, room: int) -> None:
    done: list[int] = []

    def work(batch: Batch) -> None:
        if len(batch.index) > room:
            raise torch.OutOfMemoryError
        done.extend(batch.index.tolist())

    each_batch(work, texts(lengths), 0, CPU, batch_tokens)
    assert sorted(done) == list(range(len(lengths)))


def test_what_did_not_fit_once_is_not_tried_again() -> None:
    tried: list[int] = []

    def work(batch: Batch) -> None:
        tried.append(len(batch.index))
        if len(batch.index) > 2:
            raise torch.OutOfMemoryError

    each_batch(work, texts([5] * 16), 0, CPU, 40)
    assert tried == [8, 4, *[2] * 8]


def test_a_text_too_long_for_the_memory_is_an_error_with_advice() -> None:
    def work(batch: Batch) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(RunError, match=r"A single text of 7 tokens does not fit into the memory of cpu.*max_length"):
        each_batch(work, texts([7, 3]), 0, CPU, 64)


def test_short_texts_keep_large_batches_after_long_ones_did_not_fit() -> None:
    tried: list[int] = []

    def work(batch: Batch) -> None:
        tried.append(len(batch.index))
        if batch.ids.numel() > 20:
            raise torch.OutOfMemoryError

    each_batch(work, texts([10] * 4 + [1] * 40), 0, CPU, 40)
    assert tried == [4, 2, 2, 20, 20]
