"""Downstream metrics beyond exact match, named as :mod:`tis_utils.profiles.metrics` says."""

from collections.abc import Sequence

from tis_utils.errors import InputError
from tis_utils.examples.text import Query
from tis_utils.models.evaluation import answer_probability, choice_accuracy, exact_match, padding
from tis_utils.models.harness import harness
from tis_utils.models.load import LanguageModel
from tis_utils.models.pass_at_k import pass_at_k
from tis_utils.profiles.metrics import KNOWN_METRICS, METRIC, options_of
from tis_utils.storage.keys import step

VERSION = step("downstream", 1)


def short_name(metric: str) -> str:
    """Name of a metric in result tables: ``lm_eval:gsm8k_cot:exact_match`` is an ``exact_match``."""
    match = METRIC.fullmatch(metric)
    if match is None:
        raise InputError(f"Unknown metric {metric!r}; known: {KNOWN_METRICS}.")
    return match["of_harness"] or metric.partition(":")[0]


def measure(
    model: LanguageModel, metric: str, test: Sequence[Query], *, seed: int = 0, max_length: int = 2048
) -> float:
    """Value of a metric, a share between 0 and 1; NaN for ``none``, and where there are no held-out examples."""
    name, options = short_name(metric), options_of(metric)
    if metric.startswith("lm_eval:"):
        return harness(model, metric.split(":")[1], name, **options)
    if name == "none" or not test:
        return float("nan")
    if name == "exact_match":
        return exact_match(padding(model), test)
    if name == "acc":
        return choice_accuracy(model, test, max_length=max_length)
    if name == "answer_probability":
        return answer_probability(model, test, max_length=max_length)
    return pass_at_k(model, test, k=int(name.partition("@")[2]), seed=seed, **options)
