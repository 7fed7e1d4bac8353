"""What is suspicious about a pool, its queries and a selection: duplicates, contamination, too little of something."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tis_utils.examples.shared_text import runs, words
from tis_utils.examples.text import Example, Query, answer, as_query, request
from tis_utils.own_data.result import Selection
from tis_utils.representations.lexical import UNSPACED

FEW_QUERIES = 10
N_GRAM = 13  # words in a row that two texts share by accident only rarely


_UNIT = re.compile(rf"[{UNSPACED}]|[^{UNSPACED}]+")
CONTENT = ("image", "images", "video", "videos", "audio", "audios", "tools", "parts")  # what no text shows


def units(*texts: str) -> tuple[str, ...]:
    """Words and signs of texts; in scripts that put no space between words, characters."""
    pieces = words("\n".join(texts), signs=True)
    return tuple(unit for piece in pieces for unit in (_UNIT.findall(piece) if not piece.isascii() else [piece]))


def duplicates(pool: Sequence[Example]) -> list[list[int]]:
    """Groups of places whose turns have the same words, each sorted, at least two long.

    Two that differ in what is no text (images, tools), or in what is to be learnt, are not the same.
    """
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, example in enumerate(pool):
        besides = str([(key, example.meta[key]) for key in CONTENT if key in example.meta])
        turns = tuple((turn["role"], units(turn["content"]), turn.get("loss", True)) for turn in example.messages)
        groups[turns, besides].append(place)
    return [places for places in groups.values() if len(places) > 1]


def contaminated(pool: Sequence[Example], queries: Sequence[Query], n: int = N_GRAM) -> dict[int, int]:
    """Places of candidates that share `n` words (:func:`units`) in a row with a query, and of the first such query.

    A query of fewer words counts when its whole request is the candidate's.
    """
    known: dict[tuple[str, ...], int] = {}
    whole: dict[tuple[str, ...], int] = {}
    for place, query in enumerate(queries):
        text = units(request(query), query.label)
        for run in runs(text, n):
            known.setdefault(run, place)
        if len(text) < n:
            whole.setdefault(units(request(query)), place)
    matches = {}
    for place, example in enumerate(pool):
        hits = [known[run] for run in runs(units(request(example), answer(example)), n) & known.keys()]
        before = units(request(as_query(example, "")))
        if not hits and before in whole:
            hits = [whole[before]]
        if hits:
            matches[place] = min(hits)
    return matches


def _examples(count: int) -> str:
    return f"{count:,} example{'s' * (count != 1)}"


def warnings(result: Selection) -> list[str]:
    """Sentences on what a reader should look at before using the subset; an empty list if nothing stands out."""
    sentences = [*_about_sizes(result), *_about_texts(result), *aloud(result)]
    if result.by_chance and result.distance > np.mean(result.by_chance):
        sentences.append(
            "The subset is farther from the queries than random subsets are, measured as a whole: the method has "
            "gathered neighbours of some queries and left the others alone, or the pool has nothing close."
        )
    return sentences


def _about_sizes(result: Selection) -> Iterator[str]:
    queries, picks, share = len(result.queries), len(result.picks), 100 * len(result.picks) / len(result.pool)
    if 0 < queries < FEW_QUERIES:
        yield (
            f"Few queries: {queries}. A handful of examples shows a task poorly; with {FEW_QUERIES} or more the "
            "selection depends less on which ones they are."
        )
    if result.settings["selector"] == "round_robin" and picks < queries and not result.balanced:
        yield (
            f"Fewer picks than queries: round-robin serves the {queries} queries in the order of their file, so the "
            f"last {queries - picks} got no turn. Take at least {queries}, or fewer queries."
        )
    if share > 50:
        yield f"The budget takes {share:.0f} % of the pool: most methods then pick much the same."


def _about_texts(result: Selection) -> Iterator[str]:
    pool, queries, picks = result.pool, result.queries, set(result.picks.tolist())
    if groups := duplicates(pool):
        extra = sum(len(group) - 1 for group in groups)
        twice = sum(len(picks & set(group)) - 1 for group in groups if picks & set(group))
        yield (
            f"Repeated word for word: {_examples(extra)} of the pool (for instance "
            f"{' and '.join(pool[i].id for i in groups[0][:2])}), {twice} among the picks. Remove repetitions first."
        )
    if empty := [i for i, example in enumerate(pool) if not answer(example).strip()]:
        yield (
            f"Without an answer: {_examples(len(empty))} of the pool (for instance {pool[empty[0]].id}), "
            f"{len(picks & set(empty))} among the picks. There is nothing to learn from them: remove them."
        )
    if silent := [query.id for query in queries if not query.label.strip()]:
        yield (
            f"Without an answer: {len(silent)} of the queries (for instance {silent[0]}). Methods that read the answer "
            "see nothing of them: give each query a label."
        )
    if shared := contaminated(pool, queries):
        picked = sorted(picks & set(shared))
        first = picked[0] if picked else min(shared)
        yield (
            f"In the pool and in the queries: {_examples(len(shared))}, {len(picked)} among the picks (for instance "
            f"{pool[first].id} has {N_GRAM} words in a row, or the whole request, of {queries[shared[first]].id}). If "
            "the queries come from what you will test on, this is contamination: remove such examples."
        )


def about_cut(result: Selection) -> Iterator[str]:
    """How many answers lie behind the end of what is read of a text."""
    if any(result.cut):
        read = " and ".join(f"{n:,} {how}" for n, how in zip(result.cut, ("in part", "not at all"), strict=True) if n)
        yield (
            f"Answers cut away: {_examples(sum(result.cut))} of the pool longer than what is read of a text "
            f"({result.settings['longest text']}); their answers were read {read}. Allow longer texts, or remove such "
            "examples: they are judged by their beginning."
        )


def aloud(result: Selection) -> Iterator[str]:
    """What must not wait until somebody opens the report."""
    yield from (*_about_features(result), *about_cut(result))
    if result.settings["model"] in ("tiny", "mini"):
        yield (
            f"The model {result.settings['model']!r} is a teaching instrument that knows nothing of the world: on "
            "texts of your own its features mean little. Name the model you will fine-tune with --model."
        )


def _about_features(result: Selection) -> Iterator[str]:
    if result.mute:
        yield (
            f"Without a direction: {len(result.mute)} of the queries (for instance {result.mute[0]}) could not be "
            "represented, or are equally far from every candidate: their picks are those that come first in the pool. "
            "Leave them out."
        )
    if result.lost:
        yield (
            f"Could not be represented: {_examples(result.lost)} (no answer within the longest text, no word, or a "
            "loss that is not a number). They come last, whatever the method."
        )
    count = len(result.picks)
    if 1 < count < len(result.pool) and np.array_equal(result.picks, np.arange(count)):
        yield (
            f"The picks are the first {count} of the pool, in its order. That is what remains where a method cannot "
            "tell candidates apart; the methods of TSDS do not where the pool has fewer than some thousand."
        )
