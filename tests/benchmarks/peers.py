"""Seconds per 1,000 texts that bergson and dattri take for gradients of the same LoRA factors (a plain script).

Runs in the environment that ``peers.sh`` makes: ``peers.py FOLDER`` reads base model, adapter and texts that
``bench_representations.py`` left there, and prints CPU seconds as JSON. bergson projects each factor's gradient to
8 x 8 numbers; dattri's stay whole, so that neither pays for a dense projection; neither takes Adam's direction.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bergson import GradientProcessor, IndexConfig, collect_gradients
from bergson.data import allocate_batches
from datasets import Dataset, disable_progress_bars
from dattri.task import AttributionTask
from peft import PeftModel
from transformers import AutoModelForCausalLM

Texts = list[dict[str, list[int]]]


def bergson(model: PeftModel, texts: Texts, folder: Path) -> None:
    """Batches of 2,048 tokens, hooks on the factors, rows written to a file."""
    modules = {name for name, _ in model.base_model.named_modules() if ".lora_" in name}
    factors = {name for name in modules if ".lora_A." in name or ".lora_B." in name}
    batches = allocate_batches([len(text["input_ids"]) for text in texts], 2048)
    config = IndexConfig(run_path=str(folder / f"run-{time.time_ns()}"), projection_dim=8, loss_reduction="mean")
    processor = GradientProcessor(projection_dim=8)
    collect_gradients(model, Dataset.from_list(texts), processor, config, batches=batches, target_modules=factors)


def dattri(model: PeftModel, texts: Texts, folder: Path) -> None:
    """torch.func over padded batches of similar length, 2,048 tokens each."""
    factors = [name for name, _ in model.named_parameters() if ".lora_" in name]

    def loss(params: dict[str, torch.Tensor], data: tuple[torch.Tensor, ...]) -> torch.Tensor:
        ids, labels = (t[None] for t in data)  # padding on the right: causal attention needs no mask, vmap allows none
        out = torch.func.functional_call(model, params, (), {"input_ids": ids, "use_cache": False})
        return torch.nn.functional.cross_entropy(out.logits[0, :-1], labels[0, 1:], ignore_index=-100)

    task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
    params, _ = task.get_param(ckpt_idx=0, layer_name=factors)
    gradient = task.get_grad_loss_func(in_dims=(None, 0), layer_name=factors, ckpt_idx=0)
    rest = sorted(texts, key=lambda text: -len(text["input_ids"]))
    while rest:
        size = max(1, 2048 // len(rest[0]["input_ids"]))
        batch, rest = rest[:size], rest[size:]
        longest = len(batch[0]["input_ids"])
        columns = [
            torch.tensor([text[key] + [fill] * (longest - len(text[key])) for text in batch])
            for key, fill in (("input_ids", 0), ("labels", -100))
        ]
        gradient(params, tuple(columns))


def seconds(work: Callable[[PeftModel, Texts, Path], None], folder: Path, count: int) -> float | str:
    """Median CPU seconds of three runs per 1,000 texts, or why there is no figure."""
    texts = json.loads((folder / "texts.json").read_text())[:count]
    try:
        runs = []
        for _ in range(3):
            base = AutoModelForCausalLM.from_pretrained(folder / "base", attn_implementation="sdpa")
            model = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True).eval()
            start = time.process_time()
            work(model, texts, folder)
            runs.append((time.process_time() - start) / len(texts) * 1000)
        return sorted(runs)[1]
    except Exception as error:  # a peer that does not run here is no reason to leave the other out
        return f"{type(error).__name__}: {' '.join(str(error).split()):.160}"


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    logging.disable(logging.WARNING)
    disable_progress_bars()
    print(json.dumps({f.__name__: seconds(f, Path(sys.argv[1]), 120) for f in (bergson, dattri)}))
