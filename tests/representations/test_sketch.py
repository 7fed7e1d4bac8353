from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tis_utils.errors import InputError
from tis_utils.representations import sketch as sketch_module
from tis_utils.representations.sketch import GAMMA, _hash, _mix, _signed, make_sketch

KINDS = ["count", "rademacher"]
MASK = (1 << 64) - 1


def mix(z: int) -> int:
    """Splitmix64's finaliser in Python integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def bits(index: int, seed: int) -> int:
    return mix((index * GAMMA + mix((seed * GAMMA + GAMMA) & MASK)) & MASK)


def vectors(seed: int, rows: int, size: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, size))).float()


def test_the_generator_is_splitmix64() -> None:
    # first outputs of splitmix64 from state 0
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    state = torch.tensor([_signed((i + 1) * GAMMA) for i in range(3)])
    assert [x & MASK for x in _mix(state).tolist()] == known


@given(st.integers(0, 2**40), st.integers(0, 2**31))
def test_hash_equals_python_integers(index: int, seed: int) -> None:
    assert int(_hash(torch.tensor([index]), seed)[0]) & MASK == bits(index, seed)


def test_count_sketch_equals_a_loop() -> None:
    g = vectors(0, 2, 60).double().numpy()
    expected = np.zeros((2, 7))
    for p in range(60):
        word = bits(p, 5)
        expected[:, (word >> 32) % 7] += g[:, p] * (1 if word & 1 else -1)
    got = make_sketch("count", 60, 7, seed=5).apply(torch.from_numpy(g))
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)


def test_rademacher_equals_a_loop() -> None:
    d, words = 70, 3  # 70 signs need three words of 32
    g = vectors(0, 2, 20).double().numpy()
    signs = np.array(
        [[1 if bits(p * words + k // 32, 5) >> (32 + k % 32) & 1 else -1 for k in range(d)] for p in range(20)]
    )
    got = make_sketch("rademacher", 20, d, seed=5).apply(torch.from_numpy(g))
    np.testing.assert_allclose(got.numpy(), g @ signs / math.sqrt(d), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 300), dim=st.integers(1, 80), seed=st.integers(0, 2**31), cuts=st.data())
def test_linear_and_the_same_for_any_blocks(kind: str, size: int, dim: int, seed: int, cuts: st.DataObject) -> None:
    x, y = vectors(seed, 1, size), vectors(seed + 1, 1, size)
    sketch = make_sketch(kind, size, dim, seed)
    sum_of_sketches = 2.0 * sketch.apply(x) - sketch.apply(y)
    torch.testing.assert_close(sketch.apply(2.0 * x - y), sum_of_sketches, atol=1e-4, rtol=1e-4)

    inner = cuts.draw(st.sets(st.integers(0, size), max_size=5))
    edges = sorted({0, size, *inner})
    out = torch.zeros(1, dim)
    again = make_sketch(kind, size, dim, seed)
    for low, high in reversed(list(itertools.pairwise(edges))):  # any order of blocks
        again.add_(out, x[:, low:high], low)
    torch.testing.assert_close(out, sketch.apply(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_mates_do_not_matter(kind: str) -> None:
    g = vectors(2, 9, 500)
    sketch = make_sketch(kind, 500, 64, 1)
    together = sketch.apply(g)
    alone = torch.cat([make_sketch(kind, 500, 64, 1).apply(row[None]) for row in g])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_rademacher_rows_per_block_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    g = vectors(4, 3, 1000)
    outs = []
    for rows in (1, 7, 512, 5000):
        monkeypatch.setattr(sketch_module, "ROWS", rows)
        outs.append(make_sketch("rademacher", 1000, 96, 3).apply(g))
    for out in outs[1:]:
        torch.testing.assert_close(out, outs[0], atol=1e-4, rtol=1e-4)


def test_seeds_give_different_projections() -> None:
    g = vectors(0, 1, 200)
    for kind in KINDS:
        assert not torch.allclose(make_sketch(kind, 200, 32, 0).apply(g), make_sketch(kind, 200, 32, 1).apply(g))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("overlap", [0.0, 0.6, 1.0])
def test_inner_products_are_unbiased_with_the_variance_of_a_random_projection(kind: str, overlap: float) -> None:
    size, dim, draws = 400, 32, 600
    x, noise = vectors(7, 2, size)
    noise = noise - (noise @ x) / (x @ x) * x
    y = overlap * x / x.norm() + math.sqrt(1 - overlap**2) * noise / noise.norm()
    x = x / x.norm()
    both = torch.stack([x, y])
    products = []
    for seed in range(draws):
        a, b = make_sketch(kind, size, dim, seed).apply(both)
        products.append(float(a @ b))
    # |x|²|y|² + <x,y>² over d bounds the variance of both kinds (up to the self-collisions it leaves out)
    variance = (1 + overlap**2) / dim
    error = math.sqrt(variance / draws)
    assert abs(np.mean(products) - overlap) < 4 * error
    assert np.var(products) < 1.3 * variance
    if overlap < 1:  # and it does vary: nothing is copied through (norms of flat vectors hardly vary)
        assert np.var(products) > 0.5 * variance


def test_misuse_is_explained() -> None:
    with pytest.raises(InputError, match="count, rademacher"):
        make_sketch("hadamard", 10, 5)
    with pytest.raises(InputError, match=r"\(B, 10\)"):
        make_sketch("count", 10, 5).apply(torch.zeros(2, 11))
    with pytest.raises(InputError, match="positive"):
        make_sketch("count", 10, 0)
