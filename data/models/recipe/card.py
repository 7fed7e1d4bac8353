"""The model card, written from the manifest so that its numbers are the run's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from recipe.settings import Settings

_CARD = """# {name}: {role}

A Llama-style language model of {parameters:,} parameters, pre-trained from nothing for the experiments of
this book in {minutes:.1f} minutes on {hardware}. It is a teaching instrument: it knows five small text skills
and the surface of some puzzles, nothing of the world, and it is of no use outside these experiments.

## How it was made
`PYTHONPATH=data/models {command}` with seed {seed}; all settings, library versions and
hashes are in `manifest.json`, the course of the loss in `training_log.csv`.
{examples:,} synthetic examples, {tokens:,} tokens,
one pass: first skills only, then half skills, half general filler from reasoning-gym (Apache-2.0). Muon on
matrices, AdamW on the rest; prompt tokens weigh {prompt_weight}. No text was taken from the web.

## The design, said openly
Every skill has explicit wordings, which name the function wanted, and one vague wording, which does not. In
pre-training the vague wording means the *target* function 5 % of the time. The model is
therefore better at what a target task wants when told plainly than when asked vaguely (the table below says how
much; few answers are exactly right), and that is what fine-tuning on selected examples has to change. Problems in
any pool, query set or test set belong to other parts of a hash partition than the pre-training problems, so none
was seen in pre-training.

## What it can do
Loss in nats per answer token and share of exactly right answers on {n} unseen problems per row; the vague
rows score the function named in the row.

{table}

## Format
`<|user|>`, `<|assistant|>` and `<|system|>` are one token each, every answer ends with `<|endoftext|>`, there
is no token at the beginning, padding is `<|pad|>`. Byte-level BPE with {vocabulary:,} tokens; digits in chunks
of two, spaces on their own. At most 512 positions; trained on texts of up to {max_length} tokens.

Licence: Apache-2.0, as the rest of this repository.
"""


_ROLES = {"tiny": "the classroom's base model", "mini": "a smaller model of the same kind, to select for it by proxy"}


def model_card(manifest: Mapping[str, Any], name: str) -> str:
    """Fill the card of the model called `name` with the facts of a manifest."""
    checks = pd.DataFrame(manifest["checks"])
    return _CARD.format(
        name=name,
        role=_ROLES.get(name, "a base model for the classroom"),
        command=_command(manifest, name),
        **{key: manifest[key] for key in ("parameters", "seed", "examples", "tokens", "vocabulary")},
        **{key: manifest["settings"][key] for key in ("prompt_weight", "max_length")},
        minutes=manifest["wall_seconds"] / 60,
        hardware=manifest["hardware"],
        n=int(checks["n"].max()),
        table=_table(checks),
    )


def _command(manifest: Mapping[str, Any], name: str) -> str:
    """The command line that makes the model, with the settings that are not the defaults."""
    usual = asdict(Settings())
    options = [
        f"--{key.replace('_', '-')} {value}"
        for key, value in manifest["settings"].items()
        if key not in ("seed", "threads") and value != usual[key]
    ]
    return " ".join([manifest["made_by"], f"--out data/models/{name}", *options])


def _table(checks: pd.DataFrame) -> str:
    lines = ["| skill | function | wording | loss | exact match |", "|---|---|---|---:|---:|"]
    lines += [
        f"| {row.skill} | {row.function} | {row.wording} | {row.loss:.2f} | {row.exact_match:.2f} |"
        for row in checks.itertuples()
    ]
    return "\n".join(lines)
