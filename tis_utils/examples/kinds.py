"""What a candidate is: the part of a pool it belongs to, and its kind from the point of view of a task."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tis_utils.examples.text import IGNORE, Encoded, Example
from tis_utils.labels import in_order

# Which target each family of the natural pool was put there for: a person's judgement, not a measurement.
_MEANT_FOR: Mapping[str, str] = {
    "near GSM8K": "gsm_symbolic chain_sum leg_counting simple_equations products fraction_simplification "
    "calendar_arithmetic time_intervals basic_arithmetic gcd",
    "near BBH": "syllogism knights_knaves propositional_logic family_relationships word_sorting coin_flip "
    "letter_counting color_cube_rotation self_reference aiw",
    "near code": "string_manipulation string_splitting bitwise_arithmetic base_conversion",
    "general": "number_sorting spell_backward sentence_reordering word_sequence_reversal",
}
NEAR: Mapping[str, str] = {family: name for name, families in _MEANT_FOR.items() for family in families.split()}
_BENCHMARKS = {"bfcl": "function calls", "codex": "HumanEval", "mmlu": "MMLU"}
# Group of the natural pool that was put there for a benchmark task.
MEANT_FOR: Mapping[str, str] = {
    "gsm8k": "near GSM8K",
    "codex": "HumanEval",
    "bbh": "near BBH",
    "mmlu": "MMLU",
    "bfcl": "function calls",
}


def group(example: Example) -> str:
    """Part of the pool: skill group or "general"; benchmark or target it was chosen for; else the source."""
    if example.meta.get("kind") == "natural":
        family = str(example.meta.get("family"))
        return _BENCHMARKS.get(example.source) or NEAR.get(family, "other puzzles")
    return str(example.meta.get("group", example.source))


def view(example: Example, task: str) -> str:
    """What an example is *to a task*: its kind in the task's own group, "other skills", "filler"; else its group."""
    kind = str(example.meta.get("kind", "unknown")).replace("_", " ")
    if kind in ("natural", "unknown"):
        return group(example)
    if kind == "filler":
        return kind
    return kind if example.meta.get("group") == task else "other skills"


def contrasts(pool: Sequence[Example], task: str) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places of candidates that suit a task and of others, by name; empty where nothing is known of the pool.

    Classroom: the clean ones against each other kind. Natural pool: the task's own group against all others.
    """
    kinds = np.array([view(example, task) for example in pool])
    at = {kind: np.flatnonzero(kinds == kind) for kind in in_order(kinds)}
    if "clean" in at:
        return {f"clean vs {kind}": (at["clean"], places) for kind, places in at.items() if kind != "clean"}
    own = MEANT_FOR.get(task, "")
    return {"own group vs the rest": (at[own], np.flatnonzero(kinds != own))} if own in at else {}


def pool_frame(pool: Sequence[Example], encoded: Sequence[Encoded]) -> pd.DataFrame:
    """One row per candidate: id, source, group, kind, prompt_tokens, answer_tokens (those that carry loss)."""
    rows = []
    for example, tokens in zip(pool, encoded, strict=True):
        answer = int((tokens.labels != IGNORE).sum())
        kind = str(example.meta.get("kind", "unknown")).replace("_", " ")
        rows.append((example.id, example.source, group(example), kind, len(tokens.ids) - answer, answer))
    return pd.DataFrame(rows, columns=["id", "source", "group", "kind", "prompt_tokens", "answer_tokens"])
