"""Random projections from P gradient coordinates to d numbers with E<sketch(x), sketch(y)> = <x, y>.

Every random choice is a hash of (seed, coordinate): nothing need be stored, and any block of coordinates can be
projected on its own, in any order and on any device.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from tis_utils.errors import InputError, check_choice
from tis_utils.storage.keys import step

VERSION = step("sketch", 1)

GAMMA = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, the step of the splitmix64 generator
WORD = 32  # signs taken from one hash
KEPT = 2**24  # a count sketch of at most so many coordinates keeps their hashes: 16 bytes each
ROWS = 512  # of a dense matrix at a time: 4 · ROWS · d bytes; the result does not depend on it


class Sketch(ABC):
    """A linear random projection from `dim_in` (P) to `dim_out` (d) numbers; same seed, same projection."""

    def __init__(self, dim_in: int, dim_out: int, seed: int = 0) -> None:
        if dim_in < 1 or dim_out < 1:
            raise InputError(f"A sketch needs positive sizes, not {dim_in} -> {dim_out}.")
        self.dim_in, self.dim_out, self.seed = dim_in, dim_out, seed
        self._kept: dict[tuple[int, int, torch.device], tuple[Tensor, Tensor]] = {}

    def apply(self, g: Tensor) -> Tensor:
        """Project whole vectors, (B, P) -> (B, d) float32."""
        if g.ndim != 2 or g.shape[1] != self.dim_in:
            raise InputError(f"Expected vectors of shape (B, {self.dim_in}), got {tuple(g.shape)}.")
        out = torch.zeros(len(g), self.dim_out, device=g.device)
        self.add_(out, g, 0)
        return out

    @abstractmethod
    def add_(self, out: Tensor, block: Tensor, start: int) -> None:
        """Add the projection of coordinates start … start + R - 1, given as (B, R), to `out` (B, d)."""


class CountSketch(Sketch):
    """Each coordinate is added, with a random sign, to one random bucket (Charikar et al. 2002).

    Inner products vary by at most (|x|²|y|² + <x, y>²) / d, as for a dense projection, at P instead of P·d operations.
    """

    def add_(self, out: Tensor, block: Tensor, start: int) -> None:
        """Scatter a block of coordinates into the buckets of `out`."""
        key = start, block.shape[1], out.device
        bucket, sign = self._kept.get(key) or self.places(*key)
        if self.dim_in <= KEPT:
            self._kept[key] = bucket, sign
        out.index_add_(1, bucket, block.to(out.dtype) * sign.to(out.dtype))

    def places(self, start: int, count: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
        """Bucket and sign (1 or -1) of `count` coordinates from `start` on, int64 (R,) each."""
        bits = _hash(torch.arange(start, start + count, device=device), self.seed)
        return _shift(bits, 32) % self.dim_out, (bits & 1) * 2 - 1


class Rademacher(Sketch):
    """A dense ±1/sqrt(d) matrix made in blocks of `ROWS` rows and never held together."""

    def add_(self, out: Tensor, block: Tensor, start: int) -> None:
        """Multiply a block of coordinates by its rows of the matrix."""
        block = block.to(out.dtype)
        for low in range(0, block.shape[1], ROWS):
            piece = block[:, low : low + ROWS]  # (B, R)
            out += piece @ self._signs(start + low, piece.shape[1], out)
        # the scale sits in _signs, so that blocks simply add up

    def _signs(self, start: int, count: int, like: Tensor) -> Tensor:
        """Rows `start` … of the matrix, (count, d)."""
        words = math.ceil(self.dim_out / WORD)
        index = torch.arange(start * words, (start + count) * words, device=like.device)
        word = _shift(_hash(index, self.seed), 32).to(torch.int32)[:, None]  # (count · words, 1)
        bits = (word >> torch.arange(WORD, device=like.device, dtype=torch.int32)) & 1  # (count · words, 32)
        scale = torch.tensor(1 / math.sqrt(self.dim_out), device=like.device, dtype=like.dtype)
        return torch.where(bits == 1, scale, -scale).reshape(count, -1)[:, : self.dim_out]


SKETCHES: dict[str, type[Sketch]] = {"count": CountSketch, "rademacher": Rademacher}


def make_sketch(kind: str, dim_in: int, dim_out: int, seed: int = 0) -> Sketch:
    """Make a projection: ``"count"`` is fast, ``"rademacher"`` the dense one of LESS (Xia et al. 2024)."""
    check_choice("sketch", kind, SKETCHES)
    return SKETCHES[kind](dim_in, dim_out, seed)


def _hash(index: Tensor, seed: int) -> Tensor:
    """Splitmix64 (Steele et al. 2014) of each index: 64 well-mixed bits, equal on every device."""
    key = _mix(torch.tensor([_signed(seed * GAMMA + GAMMA)], device=index.device))
    return _mix(index * _signed(GAMMA) + key)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift (PyTorch's own keeps the sign)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(x: int) -> int:
    """Read 64 bits as a signed integer; int64 products wrap around, which is what the hash wants."""
    x &= (1 << 64) - 1
    return x - (1 << 64) if x >> 63 else x
