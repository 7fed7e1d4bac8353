"""Keys of results: content of the inputs, settings, and the version of every step that was passed.

A step is a module whose code decides numbers: ``VERSION = step("embed", 1)``. Whoever changes what it computes raises
the number and stores its golden output anew (``tests/test_golden.py``); source text is in no key.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_TRAINING = ("text", "load", "batching", "fine_tuning")
_SELECT = ("select", "similarity")
_INSTA = ("text", "run_spec", "embed", "insta_scores", "alignment", "task_cards", "insta")
_ILA = (*_TRAINING, "run_spec", "coverage_depth", "ila")
# Which steps enter which key; tests/test_versions.py compares it with what the modules import.
STEPS: dict[str, tuple[str, ...]] = {
    "embed": ("text", "embed"),
    "rds": ("text", "load", "batching", "rds"),
    "less": ("text", "load", "batching", "gradients", "sketch", "warmup", "less"),
    "lexical": ("text", "sketch", "lexical"),
    "random": (*_SELECT, "random"),
    "round_robin": (*_SELECT, "greedy"),
    "doubly_greedy": (*_SELECT, "greedy"),
    "knn_uniform": (*_SELECT, "mass_order", "neighbours"),
    "knn_kde": (*_SELECT, "mass_order", "neighbours", "density"),
    "uot": (*_SELECT, "mass_order", "transport"),
    "subset": ("run_spec", "subset"),
    "run": (*_TRAINING, "evaluation", "run"),
    "downstream": ("text", "load", "batching", "evaluation", "downstream"),
    "insta": _INSTA,
    "insta_rivals": (*_TRAINING, "run_spec", "evaluation", "transfer", "insta_scores", "insta_rivals"),
    "transfer": (*_TRAINING, "evaluation", "transfer"),
    "ila": _ILA,
    "deita": (*_ILA, "deita"),
    "hybrids": (*_INSTA, *_ILA, "hybrids"),
    "languages": (*_ILA, "languages"),
    "many_targets": (*_INSTA, *_ILA, "evaluation", "transfer", "many_targets"),
    "designed_subsets": (*_ILA, "evaluation", "deita", "designed_subsets"),
}
_NUMBERS: dict[str, int] = {}


def step(name: str, version: int) -> int:
    """Announce a step that some key of `STEPS` names, and return its version, a whole number of at least 1."""
    known = {member for members in STEPS.values() for member in members}
    if name not in known or type(version) is not int or version < 1:
        raise ValueError(f"Step {name!r}, version {version!r}: name it in STEPS and give a whole number of at least 1.")
    _NUMBERS[name] = version
    return version


def versions(*keys: str) -> dict[str, int]:
    """Versions of the steps that enter the named keys, all together; their modules must have been imported."""
    return {name: _NUMBERS[name] for key in keys for name in STEPS.get(key, ())}


def plain(value: Any) -> Any:
    """Turn nested settings into JSON-able data; arrays and long lists of examples become digests."""
    if type(value) in (str, int, float, bool, type(None)):  # almost always
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in sorted(value.items(), key=lambda kv: str(kv[0]))}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        return "array:" + hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    return value


def digest(*parts: Any) -> str:
    """SHA-256 (hex) of any nesting of dataclasses, mappings, sequences, arrays and scalars."""
    text = json.dumps([plain(p) for p in parts], sort_keys=True, ensure_ascii=False, allow_nan=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of one file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
