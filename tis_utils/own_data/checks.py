"""What is suspicious about a pool, its queries and a selection: duplicates, contamination, too little of something."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from tis_utils.examples.text import Example, Query, answer, as_query, request
from tis_utils.own_data.result import Selection

FEW_QUERIES = 10
N_GRAM = 13  # words in a row that two texts share by accident only rarely


def words(text: str) -> tuple[str, ...]:
    """Lower-case words, numbers and signs of a text, without white space and a sentence's punctuation.

    Signs count: in code, arithmetic and bracket puzzles they are what differs.
    """
    return tuple(re.findall(r"\w+|[^\w\s.,;:!?'\"]", text.lower()))


def duplicates(pool: Sequence[Example]) -> list[list[int]]:
    """Groups of places whose request and answer have the same words, each sorted, at least two long."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = defaultdict(list)
    for place, example in enumerate(pool):
        groups[words(request(example)), words(answer(example))].append(place)
    return [places for places in groups.values() if len(places) > 1]


def contaminated(pool: Sequence[Example], queries: Sequence[Query], n: int = N_GRAM) -> dict[int, int]:
    """Candidates that share a run of `n` words with a query (request and answer together).

    A query of fewer words counts when its whole request is the candidate's.

    Returns
    -------
    dict of int to int
        Place of the candidate -> place of the first such query.
    """
    runs: dict[tuple[str, ...], int] = {}
    whole: dict[tuple[str, ...], int] = {}
    for place, query in enumerate(queries):
        text = words(request(query)) + words(query.label)
        for run in _runs(text, n):
            runs.setdefault(run, place)
        if len(text) < n:
            whole.setdefault(words(request(query)), place)
    matches = {}
    for place, example in enumerate(pool):
        text = words(request(example)) + words(answer(example))
        hits = [runs[run] for run in _runs(text, n) if run in runs]
        before = words(request(as_query(example, "")))
        if not hits and before in whole:
            hits = [whole[before]]
        if hits:
            matches[place] = min(hits)
    return matches


def _runs(text: tuple[str, ...], n: int) -> Iterable[tuple[str, ...]]:
    return (text[i : i + n] for i in range(len(text) - n + 1))


def _examples(count: int) -> str:
    return f"{count:,} example{'s' * (count != 1)}"


def _among_picks(result: Selection, places: Iterable[int]) -> int:
    return len(set(result.picks.tolist()) & set(places))


def few_queries(result: Selection) -> str | None:
    """Too few queries to show a task."""
    if not 0 < len(result.queries) < FEW_QUERIES:
        return None
    return (
        f"Few queries: {len(result.queries)}. A handful of examples shows a task poorly; with {FEW_QUERIES} or more "
        "the selection depends less on which ones they are."
    )


def queries_without_a_turn(result: Selection) -> str | None:
    """Round-robin with fewer picks than queries."""
    queries, picks = len(result.queries), len(result.picks)
    if result.settings["selector"] != "round_robin" or picks >= queries:
        return None
    return (
        f"Fewer picks than queries: round-robin serves the {queries} queries in the order of their file, so the last "
        f"{queries - picks} got no turn. Take at least {queries}, or fewer queries."
    )


def large_budget(result: Selection) -> str | None:
    """More than half of the pool."""
    share = len(result.picks) / len(result.pool)
    return (
        f"The budget takes {100 * share:.0f} % of the pool: most methods then pick much the same."
        if share > 0.5
        else None
    )


def repetitions(result: Selection) -> str | None:
    """Candidates that are there twice."""
    groups = duplicates(result.pool)
    if not groups:
        return None
    extra = sum(len(group) - 1 for group in groups)
    twice = sum(max(0, _among_picks(result, group) - 1) for group in groups)
    return (
        f"Repeated word for word: {_examples(extra)} of the pool (for instance "
        f"{' and '.join(result.pool[i].id for i in groups[0][:2])}), {twice} among the picks. Remove repetitions first."
    )


def candidates_without_answer(result: Selection) -> str | None:
    """Candidates that nothing can be learnt from."""
    empty = [i for i, example in enumerate(result.pool) if not answer(example).strip()]
    if not empty:
        return None
    return (
        f"Without an answer: {_examples(len(empty))} of the pool (for instance {result.pool[empty[0]].id}), "
        f"{_among_picks(result, empty)} among the picks. There is nothing to learn from them: remove them."
    )


def queries_without_answer(result: Selection) -> str | None:
    """Queries of which methods that read answers see nothing."""
    silent = [query.id for query in result.queries if not query.label.strip()]
    if not silent:
        return None
    return (
        f"Without an answer: {len(silent)} of the queries (for instance {silent[0]}). Methods that read the answer see "
        "nothing of them: give each query a label."
    )


def contamination(result: Selection) -> str | None:
    """Queries that stand in the pool."""
    shared = contaminated(result.pool, result.queries)
    if not shared:
        return None
    picked = sorted(set(result.picks.tolist()) & set(shared))
    first = picked[0] if picked else min(shared)
    return (
        f"In the pool and in the queries: {_examples(len(shared))}, {len(picked)} among the picks (for instance "
        f"{result.pool[first].id} has {N_GRAM} words in a row, or the whole request, of "
        f"{result.queries[shared[first]].id}). If the queries come from what you will test on, this is contamination: "
        "remove such examples."
    )


def unrepresented(result: Selection) -> str | None:
    """Candidates without features."""
    if not result.lost:
        return None
    return (
        f"Could not be represented: {_examples(result.lost)} (no answer within the longest text, or a loss that is not "
        "a number). They come last, whatever the method."
    )


def teaching_model(result: Selection) -> str | None:
    """Features of a model that has read nothing."""
    if result.settings["model"] not in ("tiny", "mini"):
        return None
    return (
        f"The model {result.settings['model']!r} is a teaching instrument that knows nothing of the world: on texts of "
        "your own its features mean little. Name the model you will fine-tune with --model."
    )


def farther_than_chance(result: Selection) -> str | None:
    """A subset that lies farther from the queries than random ones do."""
    if not result.by_chance or result.distance <= np.mean(result.by_chance):
        return None
    return (
        "The subset is farther from the queries than random subsets are, measured as a whole: the method has gathered "
        "neighbours of some queries and left the others alone, or the pool has nothing close."
    )


CHECKS = (
    few_queries, queries_without_a_turn, large_budget, repetitions, candidates_without_answer, queries_without_answer,
    contamination, unrepresented, teaching_model, farther_than_chance,
)  # fmt: skip


def warnings(result: Selection) -> list[str]:
    """Sentences on what a reader should look at before using the subset; an empty list if nothing stands out."""
    return [sentence for check in CHECKS if (sentence := check(result))]
