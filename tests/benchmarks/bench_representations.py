"""Speed and memory of the representations, as ratios within one run (a plain script).

Prints batched LESS against one example at a time (plain autograd, with the same sketch and with the dense
projection), count sketch against the dense block projection (with the error of cosines), and the peak memory of
each part. CPU seconds count all threads, so that busy neighbours distort less; wall time is given too. Nothing is
asserted: clocks differ between machines.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch

from tis_utils.examples.load import load_data
from tis_utils.examples.text import Encoded, encode_all
from tis_utils.models.batching import Batch, each_batch, example_losses
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.profiles import load_profile
from tis_utils.representations import LESS
from tis_utils.representations.gradients import adam_direction, lora_parameters, put_weights
from tis_utils.representations.sketch import make_sketch
from tis_utils.representations.warmup import Checkpoint, train


def texts(count: int, lm: LanguageModel) -> list[Encoded]:
    """The first candidates of the classroom pool."""
    return encode_all(load_data(load_profile("classroom")).pool[:count], lm.tokenizer, 256)


def clock(work: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds and result; prints nothing."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def both_clocks(work: Callable[[], object]) -> tuple[float, float, object]:
    """CPU seconds, wall seconds and result."""
    start = time.perf_counter()
    cpu, result = clock(work)
    return cpu, time.perf_counter() - start, result


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
        ids, labels = (torch.from_numpy(a)[None].to(less.lm.device) for a in (e.ids, e.labels))
        grads = torch.autograd.grad(model(input_ids=ids, labels=labels).loss, list(factors.values()))
        flat = torch.cat([g.flatten() for g in grads])[None]
        rows.append(
            torch.nn.functional.normalize(less.sketch.apply(adam_direction(flat, m, v)), dim=1)[0].cpu().numpy()
        )
    return np.stack(rows)


def bare(less: LESS, encoded: list[Encoded]) -> None:
    """Forward and backward of the base model alone, batched: what no batched method can go below."""
    model = less.model.eval().requires_grad_(False)

    def work(batch: Batch) -> None:
        root: list[torch.Tensor] = []
        hook = model.get_input_embeddings().register_forward_hook(
            lambda module, args, out: root.append(out.requires_grad_())
        )
        try:
            torch.autograd.grad(example_losses(model, batch).sum(), root)
        finally:
            hook.remove()

    with model.disable_adapter():
        each_batch(work, encoded, less.lm.pad_id, less.lm.device, less.batch_tokens)


def bench_less(count: int) -> None:
    """Batched against one by one on the tiny model; only a tenth of the texts goes one by one."""
    lm = load_model("tiny")
    encoded = texts(count, lm)
    settings = load_profile("classroom").less.model_dump() | {"epochs": 1}
    less = LESS(lm, max_length=256, show_progress=False, **settings)
    warm, (point,) = clock(lambda: train(less.model, encoded[:150], less.recipe, 0, False))  # type: ignore[misc]
    batched, batched_wall, rows = both_clocks(lambda: less._one_checkpoint(encoded, point, True, ""))
    few = encoded[:: max(1, count // 100)]
    single, single_wall, expected = both_clocks(lambda: one_by_one(less, few, point))
    floor, floor_wall, _ = both_clocks(lambda: bare(less, encoded))
    dense = LESS(lm, max_length=256, show_progress=False, **settings | {"sketch": "rademacher"})
    slow, slow_wall, _ = both_clocks(lambda: one_by_one(dense, few[:10], point))
    gap = np.abs(np.asarray(rows)[:: max(1, count // 100)] - np.asarray(expected)).max()
    print(
        f"LESS on the tiny model, {less.parameters} LoRA parameters, {torch.get_num_threads()} thread(s), "
        f"d = {less.sketch.dim_out}, {np.mean([len(e.ids) for e in encoded]):.0f} tokens a text"
    )
    print(f"  warm-up, 150 texts x 1 epoch: {warm:.1f} s")
    print(f"  {'per 1,000 texts and checkpoint':<44}{'CPU':>9}{'wall':>9}")
    for what, cpu, wall, n in (
        ("batched, count sketch", batched, batched_wall, count),
        ("the base model alone, batched", floor, floor_wall, count),
        ("one by one, count sketch", single, single_wall, len(few)),
        ("one by one, dense projection", slow, slow_wall, 10),
    ):
        print(f"  {what:<44}{cpu / n * 1000:>7.1f} s{wall / n * 1000:>7.1f} s")
    ratios = (single / len(few) / batched * count, single_wall / len(few) / batched_wall * count)
    print(f"  ratio one by one / batched, same sketch: CPU {ratios[0]:.1f}, wall {ratios[1]:.1f}; ", end="")
    print(f"largest difference {gap:.1e}")
    print(f"  ratio one by one with the dense projection / batched: wall {slow_wall / 10 / batched_wall * count:.0f}")
    most = (single / len(few) / floor * count, single_wall / len(few) / floor_wall * count)
    print(f"  no batched method can beat one by one / base model alone: CPU {most[0]:.1f}, wall {most[1]:.1f}")
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
        print(f"  {kind}: {seconds[kind] * 1000:.1f} ms, cosine RMSE {error:.4f}, peak so far {peak():.0f} MiB")
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
