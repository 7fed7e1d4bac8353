"""A fixed partition of all possible problems by a hash of the problem itself: none can appear in two splits."""

from hashlib import blake2b

# Twentieths of the space of problems: most of it for pre-training and the pool, which need the most.
_SHARES = ("pretraining",) * 10 + ("pool",) * 6 + ("query",) + ("test",) * 2 + ("check",)


def digest(*parts: object) -> str:
    """Hash the parts to 16 hexadecimal digits, the same on every machine."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def split_of(problem: str) -> str:
    """Name the split that owns this problem text: pretraining, pool, query, test or check."""
    return _SHARES[int(digest("split", problem), 16) % len(_SHARES)]


def seed_of(*parts: object) -> int:
    """A seed in [0, 2**31) that depends on all parts: independent streams from one base seed."""
    return int(digest("seed", *parts), 16) % 2**31
