"""The little language in which a profile names downstream metrics.

=====================================  ================================================================
``exact_match``                        greedy answer = label, on the held-out examples
``pass@10``                            share of HumanEval problems that one of 10 samples solves
``lm_eval:gsm8k_cot:exact_match``      a task (or group) of lm-eval and the metric to read from its report
``acc``                                share of multiple-choice questions whose right choice is the likeliest
``answer_probability``                 probability of the final answer, given the question and the worked steps
``none``                               nothing beyond the losses
=====================================  ================================================================

Options stand behind a last colon: ``pass@10:samples=10,top_p=0.95``, ``lm_eval:mmlu_pro:exact_match:shots=0,chat=1``.
"""

import re
from typing import Any

KNOWN_METRICS = (
    "exact_match, acc, answer_probability, none, pass@K (as pass@10), lm_eval:TASK:METRIC (as "
    "lm_eval:gsm8k_cot:exact_match), the last two with options behind a colon (pass@10:samples=10,top_p=0.95)"
)
METRIC = re.compile(
    r"exact_match|acc|answer_probability|none|(?:pass@[1-9]\d*|lm_eval:[^:]+:(?P<of_harness>[^:]+))(?::(?P<options>\w+=[\d.]+(?:,\w+=[\d.]+)*))?"
)
OPTIONS = {"pass": ("samples", "new_tokens", "temperature", "top_p"), "lm_eval": ("shots", "chat")}
_FRACTIONS = ("temperature", "top_p")


def check_metric(metric: str) -> None:
    """Raise ValueError for a metric that does not exist, or an option that it does not have."""
    if METRIC.fullmatch(metric) is None:
        raise ValueError(f"there is no metric {metric!r}; known: {KNOWN_METRICS}")
    options_of(metric)


def options_of(metric: str) -> dict[str, Any]:
    """Options of a known metric, ``{}`` where it says nothing; ValueError for a wrong one."""
    match = METRIC.fullmatch(metric)
    if match is None or match["options"] is None:
        return {}
    known = OPTIONS[re.split("[@:]", metric)[0]]
    pairs = dict(pair.split("=") for pair in match["options"].split(","))
    if unknown := [name for name in pairs if name not in known]:
        raise ValueError(f"the metric {metric!r} has no option {unknown[0]!r}; known: {', '.join(known)}")
    try:
        return {name: float(text) if name in _FRACTIONS else int(text) for name, text in pairs.items()}
    except ValueError as error:
        raise ValueError(f"an option of the metric {metric!r} is no number it can take: {error}") from error
