"""Speed and memory of the representations, as ratios within one run (a plain script).

Prints batched LESS against one example at a time, count sketch against the dense block projection (with the
error of cosines), and the peak memory of each part. Seconds are CPU seconds over all threads, so that busy
neighbours distort less; wall time is given too. Nothing is asserted: clocks differ between machines.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tis_utils.examples import IGNORE, Encoded
from tis_utils.models import LanguageModel
from tis_utils.representations import LESS
from tis_utils.representations.gradients import adam_direction, lora_parameters, put_weights
from tis_utils.representations.sketch import make_sketch
from tis_utils.representations.warmup import Checkpoint, train


def tiny_like() -> LanguageModel:
    """Random weights in the shape of the shipped tiny model."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1280,
        hidden_size=128,
        intermediate_size=336,
        num_hidden_layers=3,
        num_attention_heads=4,
        tie_word_embeddings=True,
    )
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=0)
    return LanguageModel("tiny-like", LlamaForCausalLM(config).eval(), tokenizer, "none")  # type: ignore[arg-type]


def texts(count: int) -> list[Encoded]:
    """Random ids: 40 to 120 tokens, the last 5 to 30 of them the answer."""
    rng = np.random.default_rng(0)
    out = []
    for _ in range(count):
        ids = rng.integers(0, 1280, rng.integers(40, 120))
        labels = ids.copy()
        labels[: -rng.integers(5, 30)] = IGNORE
        out.append(Encoded(ids, labels))
    return out


def clock(work: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds and result; prints nothing."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def peak() -> float:
    """Peak resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one_by_one(less: LESS, encoded: list[Encoded], point: Checkpoint) -> np.ndarray:
    """The baseline: plain autograd, one example at a time, same features."""
    model = less.model.eval().requires_grad_(False)
    put_weights(model, point.weight)
    factors = lora_parameters(model)
    for p in factors.values():
        p.requires_grad_(True)
    m, v = (torch.cat([part[name].flatten() for name in factors]) for part in (point.m, point.v))
    rows = []
    for e in encoded:
        ids, labels = (torch.from_numpy(a)[None] for a in (e.ids, e.labels))
        grads = torch.autograd.grad(model(input_ids=ids, labels=labels).loss, list(factors.values()))
        flat = torch.cat([g.flatten() for g in grads])[None]
        rows.append(
            torch.nn.functional.normalize(less.sketch.apply(adam_direction(flat, m, v)), dim=1)[0].numpy()
        )
    return np.stack(rows)


def bench_less(count: int) -> None:
    """Batched against one by one; only a tenth of the texts goes one by one."""
    encoded = texts(count)
    less = LESS(
        tiny_like(),
        rank=8,
        alpha=16,
        lr=2e-3,
        batch_size=8,
        epochs=1,
        targets="all-linear",
        show_progress=False,
    )
    warm, (point,) = clock(lambda: train(less.model, encoded[:200], less.recipe, 0, False))  # type: ignore[misc]
    wall = time.perf_counter()
    batched, rows = clock(lambda: less._one_checkpoint(encoded, point, True, ""))
    wall = (time.perf_counter() - wall) / count * 1000
    few = encoded[:: max(1, count // 100)]
    single, expected = clock(lambda: one_by_one(less, few, point))
    gap = np.abs(np.asarray(rows)[:: max(1, count // 100)] - expected).max()
    per_thousand, baseline = batched / count * 1000, single / len(few) * 1000
    print(
        f"LESS, {less.parameters} LoRA parameters, {torch.get_num_threads()} thread(s), d = {less.sketch.dim_out}"
    )
    print(f"  warm-up, 200 texts x 1 epoch: {warm:.1f} s")
    print(f"  batched: {per_thousand:.1f} s per 1,000 texts and checkpoint, wall {wall:.1f} s")
    print(f"  one by one: {baseline:.1f} s per 1,000 texts and checkpoint")
    print(f"  ratio one by one / batched: {baseline / per_thousand:.1f}; largest difference {gap:.1e}")
    print(f"  peak memory so far: {peak():.0f} MiB")


def bench_sketch(size: int, rows: int, dim: int) -> None:
    """Count sketch against the dense projection made in blocks, and how well cosines survive."""
    rng = np.random.default_rng(1)
    common = rng.normal(size=(1, size))
    g = torch.from_numpy(rng.normal(size=(rows, size)) + rng.uniform(0, 2, (rows, 1)) * common).float()
    exact = torch.nn.functional.normalize(g, dim=1)
    upper = np.triu_indices(rows, 1)
    true = (exact @ exact.T).numpy()[upper]
    print(f"Projection of {rows} vectors, {size} -> {dim}")
    seconds = {}
    for kind in ("count", "rademacher"):
        sketch = make_sketch(kind, size, dim, 0)
        seconds[kind], out = clock(lambda s=sketch: torch.nn.functional.normalize(s.apply(g), dim=1))  # type: ignore[misc]
        error = np.sqrt(np.mean(((out @ out.T).numpy()[upper] - true) ** 2))
        print(
            f"  {kind}: {seconds[kind] * 1000:.1f} ms, cosine RMSE {error:.4f}, peak so far {peak():.0f} MiB"
        )
    print(f"  ratio dense / count: {seconds['rademacher'] / seconds['count']:.0f}")
    print(f"  the whole dense matrix would take {size * dim * 4 / 2**20:.0f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    bench_sketch(57_984, 32, 8192)
    bench_less(args.texts)
