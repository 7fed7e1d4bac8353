"""Downstream metrics beyond exact match, named by a short text in a profile's ``metrics``.

=====================================  ================================================================
``exact_match``                        greedy answer = label, on the held-out examples
``pass@10``                            share of HumanEval problems that one of 10 samples solves
``lm_eval:gsm8k_cot:exact_match``      a task (or group) of lm-eval and the metric to read from its report
``none``                               nothing beyond the losses
=====================================  ================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

from tis_utils.errors import InputError
from tis_utils.examples.text import Query
from tis_utils.models.evaluation import exact_match, padding
from tis_utils.models.harness import harness
from tis_utils.models.load import LanguageModel
from tis_utils.models.pass_at_k import pass_at_k
from tis_utils.profiles import KNOWN_METRICS, METRIC
from tis_utils.storage.keys import step

VERSION = step("downstream", 1)


def short_name(metric: str) -> str:
    """Name of a metric in result tables: ``lm_eval:gsm8k_cot:exact_match`` is an ``exact_match``."""
    match = METRIC.fullmatch(metric)
    if match is None:
        raise InputError(f"Unknown metric {metric!r}; known: {KNOWN_METRICS}.")
    return match["of_harness"] or metric


def measure(model: LanguageModel, metric: str, test: Sequence[Query], *, seed: int = 0) -> float:
    """Value of a metric, a share between 0 and 1; NaN for ``none``, and where there are no held-out examples."""
    name = short_name(metric)
    if metric.startswith("lm_eval:"):
        return harness(model, metric.split(":")[1], name)
    if name == "none" or not test:
        return float("nan")
    if name == "exact_match":
        return exact_match(padding(model), test)
    return pass_at_k(model, test, k=int(name.partition("@")[2]), seed=seed)
