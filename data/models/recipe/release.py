"""The whole run: corpus, tokenizer, training, checks, and a folder that transformers can load."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from recipe.card import model_card
from recipe.checks import check_skills
from recipe.loop import train
from recipe.settings import Settings
from recipe.tokenizer import train_tokenizer
from tis_utils.errors import InputError
from tis_utils.examples.classroom import pretraining_corpus
from tis_utils.examples.text import Example, chat_text, encode_all

_LIBRARIES = ("torch", "transformers", "tokenizers", "reasoning-gym", "numpy")
MANIFEST = "manifest.json"


def pretrain(out: str | Path, settings: Settings | None = None) -> dict[str, Any]:
    """Pre-train the tiny model and write it to a folder.

    The folder gets config.json, model.safetensors, the tokenizer, training_log.csv, README.md (the model
    card) and, last, manifest.json. Files are finished elsewhere and moved, so a killed run leaves no
    half-written file.

    Parameters
    ----------
    out : path
        A new or empty folder, or one that an earlier run wrote.
    settings : Settings, optional
        Defaults to the settings of the shipped model.

    Returns
    -------
    dict
        The manifest: seed, settings, versions, hardware, corpus hash, sha256 of the weights, checks, wall time.

    Raises
    ------
    InputError
        If `out` holds files that are not an earlier run's.
    """
    settings, out = settings or Settings(), Path(out)
    _check_target(out)
    start = time.perf_counter()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    phases = corpus(settings)
    tokenizer = train_tokenizer((chat_text(e) for phase in phases for e in phase), settings.vocabulary)
    model = LlamaForCausalLM(settings.config(tokenizer))
    texts = [encode_all(phase, tokenizer, settings.max_length) for phase in phases]
    log = train(model, texts, tokenizer.pad_token_id, settings)
    facts = {
        **_provenance(settings, phases),
        "examples": sum(map(len, phases)),
        "tokens": int(log["tokens"].iloc[-1]),
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(tokenizer),
        "checks": check_skills(model, tokenizer, settings).to_dict(orient="records"),
        "wall_seconds": round(time.perf_counter() - start, 1),
    }
    return _write(out, model, tokenizer, log, facts)


def corpus(settings: Settings) -> list[list[Example]]:
    """Draw both phases: skills only, then half skills and half filler."""
    skills, mixture = settings.n_skills, settings.n_mixture
    first = [pretraining_corpus(skills, seed=settings.seed, filler_share=0.0)] if skills else []
    return [*first, pretraining_corpus(mixture, seed=settings.seed + 1, filler_share=0.5)]


def _provenance(settings: Settings, phases: Sequence[Sequence[Example]]) -> dict[str, Any]:
    texts = hashlib.sha256()
    for phase in phases:
        for example in phase:
            texts.update(chat_text(example, "\x1e").encode())
    return {
        "made_by": "python -m recipe",
        "seed": settings.seed,
        "settings": asdict(settings),
        "libraries": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "hardware": f"{platform.machine()}, {settings.threads} CPU threads",
        "corpus_sha256": texts.hexdigest(),
    }


def _check_target(out: Path) -> None:
    strangers = out.exists() and (not out.is_dir() or any(out.iterdir())) and not (out / MANIFEST).is_file()
    if strangers:
        raise InputError(
            f"{out} holds files that no earlier pre-training run wrote (there is no {MANIFEST}). "
            "Name a new or empty folder with --out."
        )


def _write(
    out: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, log: pd.DataFrame, facts: dict[str, Any]
) -> dict[str, Any]:
    """Save everything next to `out`, then move file by file, the manifest last."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=out.parent) as name:
        partial = Path(name)
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        log.to_csv(partial / "training_log.csv", index=False, float_format="%.6g")
        weights = (partial / "model.safetensors").read_bytes()
        manifest = {**facts, "weights_sha256": hashlib.sha256(weights).hexdigest(), "weights_bytes": len(weights)}
        (partial / "README.md").write_text(model_card(manifest, out.name), encoding="utf-8")
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        out.mkdir(exist_ok=True)
        for file in sorted(partial.iterdir(), key=lambda file: file.name == MANIFEST):
            file.chmod(0o644)  # safetensors writes files that only their owner can read
            file.replace(out / file.name)
    return manifest
