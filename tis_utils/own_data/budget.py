"""How much to select: a number of examples, a share of the pool, or as many as fit a number of tokens."""

import re
from collections.abc import Callable

import numpy as np

from tis_utils.errors import InputError

_SCALE = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000, "g": 1_000_000_000}


def examples(budget: int | str, pool: int) -> int:
    """Number of examples of a budget such as 500 or "5%"; a share is at least one example.

    Raises
    ------
    InputError
        If it is neither, or more than the pool.
    """
    text = str(budget).strip().replace("_", "")
    if share := re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*%", text):
        if not 0 < float(share[1]) <= 100:
            raise InputError(f"The budget {budget!r} must be more than 0 % and at most 100 % of the pool.")
        return max(1, round(pool * float(share[1]) / 100))
    if not re.fullmatch(r"[+-]?\d+", text):
        raise InputError(
            f"--budget {budget!r} is neither a number of examples, as in 500, nor a share of the pool, as in 5%. "
            "--tokens takes a number of tokens."
        )
    if int(text) < 1:
        raise InputError(f"The budget must be a positive number of examples; got {budget}.")
    if int(text) > pool:
        count = f"{pool} example{'s' * (pool != 1)}"
        raise InputError(f"Budget {budget} is larger than the pool, which holds {count}. Lower --budget.")
    return int(text)


def tokens(text: int | str) -> int:
    """Number of tokens, as in 200000, "200k" or "1.5M".

    Raises
    ------
    InputError
        If it is none, or less than one.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?)([kmbg]?)", str(text).strip().lower().replace("_", ""))
    count = round(float(match[1]) * _SCALE[match[2]]) if match else 0
    if count < 1:
        raise InputError(f"--tokens {text}: expected a number of tokens, as in 200000, 200k or 1.5M.")
    return count


def within(limit: int, sizes: np.ndarray, picks: Callable[[int], np.ndarray]) -> np.ndarray:
    """The most picks that hold at most `limit` tokens.

    Parameters
    ----------
    limit : int
    sizes : ndarray, shape (N,)
        Tokens of each candidate.
    picks : callable
        From a number of examples to that many indices, best first.

    Raises
    ------
    InputError
        If the first pick alone holds more, or the whole pool less.
    """
    if limit > sizes.sum():
        raise InputError(f"--tokens {limit} is more than the pool holds, {sizes.sum()} tokens. Lower --tokens.")
    low, high = 0, len(sizes)  # low fits; what is above high does not
    best = np.empty(0, dtype=np.int64)
    while low < high:
        middle = (low + high + 1) // 2
        chosen = picks(middle)
        if sizes[chosen].sum() <= limit:
            low, best = middle, chosen
        else:
            high = middle - 1
    if not len(best):
        first = int(sizes[picks(1)[0]])
        raise InputError(f"--tokens {limit}: the first pick alone holds {first} tokens. Allow more.")
    return best
