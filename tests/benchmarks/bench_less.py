"""LESS beside the base model alone, one example at a time, bergson and dattri (a plain script, about four minutes).

Ratios of CPU seconds, medians of runs that alternate with the base model's forward and backward pass, batched, which
no batched method can go below. Three architectures have random weights and few layers of their models' width: the
vocabulary's share of the work is larger than in the whole model, so that a deep one's ratio may be higher.
``--store`` writes ``data/results/bench/less.csv``, which chapter 02 shows; for that the machine should do nothing else.
Nothing is asserted: clocks differ between machines.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from bench_representations import bare, clock, one_by_one, texts
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PretrainedConfig, Qwen2Config

from tis_utils.examples.text import Encoded
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.profiles import load_profile
from tis_utils.representations import LESS
from tis_utils.representations.gradients import lora_parameters, put_weights
from tis_utils.representations.warmup import Checkpoint
from tis_utils.storage.manifests import describe, write_table
from tis_utils.storage.stored_results import table_file

ALONE, BATCHED, SINGLE = "the model alone", "LESS, batched", "LESS, one by one"
LORA = {"rank": 16, "alpha": 32, "targets": "all-linear", "dim": 8192}
SHAPES: dict[str, PretrainedConfig] = {
    "Llama, 135M wide, 4 layers": LlamaConfig(
        vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=4, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True,
    ),
    "Qwen2, 0.5B wide, 2 layers": Qwen2Config(
        vocab_size=32_000, hidden_size=896, intermediate_size=4864, num_hidden_layers=2, num_attention_heads=14,
        num_key_value_heads=2, tie_word_embeddings=True,
    ),
    "GPT-2 small, 4 layers": GPT2Config(n_layer=4),
}  # fmt: skip


def models(dtype: torch.dtype) -> Iterator[tuple[str, LanguageModel, int]]:
    """Name, model and number of texts to time."""
    tiny = load_model("tiny")
    yield "tiny", replace(tiny, model=tiny.model.to(dtype)), 120
    for name, config in SHAPES.items():
        torch.manual_seed(0)
        yield name, replace(tiny, name=name, model=AutoModelForCausalLM.from_config(config, dtype=dtype).eval()), 6


def checkpoint(less: LESS) -> Checkpoint:
    """Small random factors and moments: a warm-up would take longer and cost the same to differentiate."""
    factors, generator = lora_parameters(less.model), torch.Generator().manual_seed(0)
    weight = {name: 0.01 * torch.randn(p.shape, generator=generator).to(p) for name, p in factors.items()}
    m = {name: torch.zeros_like(p) for name, p in factors.items()}
    v = {name: torch.full_like(p, 1e-8) for name, p in factors.items()}
    return Checkpoint(weight, m, v, 1e-5)


def paired(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median CPU seconds of `one`, and median ratio to `other`, of alternating runs after one that does not count."""
    pairs = [(clock(one)[0], clock(other)[0]) for _ in range(rounds + 1)][1:]
    return float(np.median([a for a, _ in pairs])), float(np.median([a / b for a, b in pairs]))


def measure(name: str, lm: LanguageModel, count: int, rounds: int, peers: bool) -> list[tuple[str, str, str, float]]:
    """Rows of model, dtype, method and ratio to the model alone."""
    by_length = sorted(texts(120, lm), key=lambda text: len(text.ids))
    encoded = by_length[60 - count // 2 :][:count]  # few of them would pad each other: the middle ones, alike in length
    options = load_profile("classroom").less.model_dump() if name == "tiny" else LORA
    less = LESS(lm, max_length=256, show_progress=False, **options)
    point, few = checkpoint(less), encoded[:: max(1, count // 10)]

    def batched() -> object:
        return less._one_checkpoint(encoded, point, True, "")

    took, ratio = paired(batched, lambda: bare(less, encoded), rounds)
    rows = {BATCHED: ratio}
    alone = took / ratio / count  # CPU seconds per text
    rows[SINGLE] = np.median([clock(lambda: one_by_one(less, few, point))[0] for _ in range(3)]) / len(few) / alone
    rows |= {
        peer: seconds / 1000 / alone for peer, seconds in (peers_of(less, encoded, point) if peers else {}).items()
    }
    dtype = str(lm.dtype).removeprefix("torch.")
    print(f"{name}, {dtype}: {alone * 1000:.1f} s per 1,000 texts alone; " + ", ".join(
        f"{method} {value:.2f} times" for method, value in rows.items()
    ))  # fmt: skip
    return [(name, dtype, method, value) for method, value in rows.items()]


def peers_of(less: LESS, encoded: list[Encoded], point: Checkpoint) -> dict[str, float]:
    """CPU seconds of bergson and dattri per 1,000 texts, for the same factors, in an environment of their own."""
    here = Path(__file__).parent
    python = here.parent.parent / "build" / "peers" / "bin" / "python"
    if not python.exists():
        print("bergson, dattri: no environment yet; sh tests/benchmarks/peers.sh makes it (minutes, 2 GB)")
        return {}
    put_weights(less.model, point.weight)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        less.lm.model.save_pretrained(folder / "base")
        less.model.save_pretrained(folder / "adapter")
        rows = [{"input_ids": e.ids.tolist(), "labels": e.labels.tolist()} for e in encoded]
        (folder / "texts.json").write_text(json.dumps(rows))
        command = [python, here / "peers.py", name, str(torch.get_num_threads())]
        ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        print(f"bergson, dattri: did not run ({ran.stderr.strip()[-200:]})")
        return {}
    took = json.loads(ran.stdout.splitlines()[-1])
    for peer, seconds in took.items():
        if isinstance(seconds, str):
            print(f"{peer}: {seconds}")
    return {peer: seconds for peer, seconds in took.items() if not isinstance(seconds, str)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="three times as many of the tiny model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--store", action="store_true", help="keep the table for chapter 02")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        for name, lm, count in models(dtype):
            tiny = name == "tiny"
            rows += measure(name, lm, count, args.rounds * (3 if tiny else 1), tiny and dtype == torch.float32)
    table = pd.DataFrame(rows, columns=["model", "dtype", "method", "ratio"]).round({"ratio": 3})
    if args.store:
        path = table_file("bench", "less")
        key = {"threads": args.threads, "rounds": args.rounds, "lora": LORA, "command": "make bench-store"}
        describe(path, write_table(path, table), {"key": key, "rows": len(table)})
