"""What methods, tasks and metrics are called: one name each, in the whole book."""

import re
from collections.abc import Iterable

METHODS = {
    "embed": "EMBED",
    "rds": "RDS+",
    "less": "LESS",
    "less_proxy": "LESS by proxy",
    "lexical": "Lexical",
    "round_robin": "Round-robin",
    "doubly_greedy": "Doubly greedy",
    "knn_uniform": "KNN-Uniform",
    "knn_kde": "KNN-KDE",
    "knn_uniform@euclidean": "KNN-Uniform, Euclidean",
    "knn_kde@euclidean": "KNN-KDE, Euclidean",
    "uot": "UOT",
    "insta": "INSTA",
    "insta@5": "INSTA by prompts",
    "insta@5:cards": "INSTA by cards",
    "transfer": "Measured transfer",
    "retrieval": "Retrieved experts",
    "ila": "ILA",
    "ila@depth": "Depth alone",
    "ila@coverage": "Coverage alone",
    "deita": "Deita",
    "hybrid@nearest": "LESS over ILA's cells",
    "hybrid@deepest": "ILA, the target's cells first",
    "hybrid@insta@5": "INSTA by prompts, deepest",
    "hybrid@insta@5:cards": "INSTA by cards, deepest",
    "random": "Random",
    "zero_shot": "Zero-shot",
}
METRICS = {
    "query_loss": "Query loss",
    "test_loss": "Held-out loss",
    "exact_match": "Exact match",
    "acc": "Accuracy",
    "answer_probability": "Probability of the answer",
    "downstream": "Downstream metric",
}
TASKS = {
    "bbh": "BBH",
    "bfcl": "Function calls (BFCL)",
    "codex": "Codex (HumanEval)",
    "gsm8k": "GSM8K",
    "mmlu": "MMLU",
    "mmlu_pro": "MMLU-Pro",
    "tydiqa": "TyDiQA",
}
KINDS = ("clean", "other wording", "other function", "corrupted")  # of the classroom: the same colours on all pages


def in_order(kinds: Iterable[str]) -> list[str]:
    """Kinds of candidates, each once: the classroom's in their own order, then others alphabetically."""
    return sorted(set(kinds), key=lambda kind: _place(kind.replace("_", " "), KINDS))


def label(name: str) -> str:
    """Return the name of a method, metric or task as the book prints it; formulas between $ stay."""
    return (METHODS | METRICS | TASKS).get(name) or re.sub(r"(\$[^$]*\$)|_", lambda match: match[1] or " ", name)


def order(names: Iterable[str]) -> list[str]:
    """Sort method names as in :data:`METHODS`; unknown ones come last, by name."""
    return sorted(set(names), key=lambda name: _place(name, tuple(METHODS)))


def _place(name: str, known: tuple[str, ...]) -> tuple[int, str]:
    return known.index(name) if name in known else len(known), name
