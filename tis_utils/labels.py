"""What methods, tasks and metrics are called: one name each, in the whole book."""

from __future__ import annotations

from collections.abc import Iterable

METHODS = {
    "embed": "EMBED",
    "rds": "RDS+",
    "less": "LESS",
    "less_proxy": "LESS by proxy",
    "round_robin": "Round-robin",
    "doubly_greedy": "Doubly greedy",
    "knn_uniform": "KNN-Uniform",
    "knn_kde": "KNN-KDE",
    "uot": "UOT",
    "insta": "INSTA",
    "ila": "ILA",
    "ila@depth": "Depth alone",
    "ila@coverage": "Coverage alone",
    "random": "Random",
    "zero_shot": "Zero-shot",
}
METRICS = {
    "query_loss": "Query loss",
    "test_loss": "Held-out loss",
    "exact_match": "Exact match",
    "downstream": "Downstream metric",
}
TASKS = {
    "bbh": "BBH",
    "codex": "Codex (HumanEval)",
    "gsm8k": "GSM8K",
    "mmlu": "MMLU",
    "mmlu_pro": "MMLU-Pro",
    "tydiqa": "TyDiQA",
}
KINDS = ("clean", "other wording", "other function", "corrupted")  # of the classroom: the same colours on all pages


def in_order(kinds: Iterable[str]) -> list[str]:
    """Kinds of candidates, each once: the classroom's in their own order, then others alphabetically."""
    places = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(set(kinds), key=lambda kind: (places.get(kind.replace("_", " "), len(KINDS)), kind))


def label(name: str) -> str:
    """Return the name of a method, metric or task as the book prints it."""
    return (METHODS | METRICS | TASKS).get(name, name.replace("_", " "))


def order(names: Iterable[str]) -> list[str]:
    """Sort method names as in :data:`METHODS`; unknown ones come last, by name."""
    known = list(METHODS)
    return sorted(set(names), key=lambda n: (known.index(n) if n in known else len(known), n))
