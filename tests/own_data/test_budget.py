from __future__ import annotations

import numpy as np
import pytest

from tis_utils.errors import InputError
from tis_utils.own_data import budget


@pytest.mark.parametrize(
    ("text", "count"), [(7, 7), ("7", 7), ("1_000", 1000), ("5%", 60), ("0.5 %", 6), (".01%", 1), ("100%", 1200)]
)
def test_budgets_in_examples(text: int | str, count: int) -> None:
    assert budget.examples(text, 1200) == count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1201", "Budget 1201 is larger than the pool, which holds 1200 examples"),
        ("0", "positive number of examples; got 0"),
        ("-3", "positive number"),
        ("0%", "more than 0 %"),
        ("120%", "at most 100 %"),
        ("5.5", "neither a number of examples"),
        ("200k", "--tokens takes"),
        ("nan%", "neither"),
    ],
)
def test_budgets_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        budget.examples(text, 1200)


def test_numbers_of_tokens() -> None:
    assert [budget.tokens(text) for text in (200, "200k", "1.5M", "2_000", "1B")] == [
        200,
        200_000,
        1_500_000,
        2000,
        10**9,
    ]
    for text in ("", "0", "k", "-5", "5%", "0.1"):
        with pytest.raises(InputError, match="expected a number of tokens"):
            budget.tokens(text)


def test_the_most_picks_within_a_number_of_tokens() -> None:
    rng = np.random.default_rng(0)
    sizes, order = rng.integers(1, 50, 200), rng.permutation(200)
    for limit in (50, 333, 2_000, sizes.sum()):
        chosen = budget.within(limit, sizes, lambda count: order[:count])
        assert sizes[chosen].sum() <= limit
        assert len(chosen) == 200 or sizes[order[: len(chosen) + 1]].sum() > limit
    with pytest.raises(InputError, match="more than the pool holds"):
        budget.within(sizes.sum() + 1, sizes, lambda count: order[:count])
    with pytest.raises(InputError, match="the first pick alone holds"):
        budget.within(1, sizes + 1, lambda count: order[:count])
