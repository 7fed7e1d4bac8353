"""Whether alignment helps on tasks it has not seen, asked by retrieval.

The wording that a family's prompts have in common must find the family's
card among all cards, and its nearest neighbour should be a family of the same topic. Families are dealt into folds,
so that each is judged by a selector that was aligned on the others.
"""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from reasoning_gym.factory import DATASETS

from tis_utils.evidence.statistics import Estimate, Floats, mean_estimate
from tis_utils.examples import benchmarks
from tis_utils.examples.text import request
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta.scores import embed_tasks, score_tasks, task_scores, top_tasks
from tis_utils.neighbours.insta.selector import embedded, instructions
from tis_utils.neighbours.insta.task_cards import CARDS

SHELF = 0.0  # learning rate of the model off the shelf


def topic(family: str) -> str:
    """Topic under which reasoning-gym files a family, such as arithmetic or logic; a skill function's group."""
    if family in DATASETS:
        return str(DATASETS[family][0].__module__).split(".")[1]
    return family.partition("/")[0]


def folds(families: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """Deal families into `count` parts of nearly equal size at random."""
    order = np.random.default_rng(seed).permutation(len(families))
    return [sorted(families[i] for i in order[part::count]) for part in range(count)]


def retrieval(study: Study, rates: Sequence[float], *, count: int = 2, seed: int = 0) -> pd.DataFrame:
    """Retrieve the card and a neighbour of every held-out family, off the shelf (rate 0) and aligned at each rate.

    One row per rate and family: ``rank`` of its own card among all cards, ``found`` (rank 1), ``neighbour`` (the
    nearest other card is of the same topic). Each of the `count` folds costs one alignment per rate.
    """
    by_prompts = instructions(study)
    families = [name for name in by_prompts if name in CARDS and "/" not in name]
    lines = []
    for held_out in folds(families, count, seed):
        seen = {name: CARDS[name] for name in families if name not in held_out}
        for rate in (SHELF, *rates):
            embed = functools.partial(embedded, study, align_on=seen if rate else None, rate=rate, seed=seed)
            lines += [(rate, *line) for line in _ranks(by_prompts, held_out, embed)]
    return pd.DataFrame(lines, columns=["rate", "family", "rank", "found", "neighbour"])


def _ranks(
    by_prompts: dict[str, tuple[str, ...]], held_out: Sequence[str], embed: functools.partial[Floats]
) -> list[tuple[str, int, int, int]]:
    names = list(CARDS)
    texts = {f"card {name}": CARDS[name] for name in names}
    rows = embed_tasks(texts | {name: by_prompts[name] for name in by_prompts if "/" not in name}, embed)
    cards = [rows[f"card {name}"] for name in names]
    lines = []
    for family in held_out:
        own = names.index(family)
        scores = task_scores(rows[family], cards)  # (cards,)
        others = np.delete(task_scores(cards[own], cards), own)
        nearest = [name for name in names if name != family][int(others.argmax())]
        rank = 1 + int((scores > scores[own]).sum())
        lines.append((family, rank, int(rank == 1), int(topic(nearest) == topic(family))))
    return lines


def accuracy(table: pd.DataFrame, column: str, rates: Sequence[float]) -> Estimate:
    """Mean of a 0/1 column of :func:`retrieval` in per cent, with a 95 % interval over families.

    With two rates, the mean of the second minus that of the first, over the same families.
    """
    wide = 100 * table.pivot(index="family", columns="rate", values=column)
    values = (wide[rates[-1]] - wide[rates[0]] if len(rates) == 2 else wide[rates[0]]).to_numpy(float)  # (F,)
    return mean_estimate(values)


def nearest(
    study: Study,
    asked: Mapping[str, Sequence[str]],
    known: Mapping[str, Sequence[str]],
    count: int,
    *,
    align_on: dict[str, tuple[str, ...]] | None = None,
) -> dict[str, list[str]]:
    """Names of the `count` tasks of `known` whose instructions are nearest to those of each asked one."""
    embed, names = functools.partial(embedded, study, align_on=align_on), list(known)
    table = score_tasks(asked, known, embed)  # known × asked
    return {name: [names[i] for i in top_tasks(table[name].to_numpy(), count)] for name in asked}


def mean_cosine(study: Study, texts: Mapping[str, Sequence[str]]) -> float:
    """Mean INSTA score over all pairs of two different tasks."""
    table = score_tasks(texts, texts, functools.partial(embedded, study)).to_numpy()
    return float(table[~np.eye(len(table), dtype=bool)].mean())


def benchmark_instructions(name: str) -> dict[str, tuple[str, ...]]:
    """Task descriptions that an installed benchmark carries: BBH's sub-tasks, MMLU's subjects.

    The description is the first paragraph of a worked example's prompt. BBH has several sub-tasks with one and the same
    description; the first of them stands for all.
    """
    first: dict[str, str] = {}  # description -> sub-task
    for query in benchmarks.queries(name):
        text = " ".join(request(query).partition("\n\n")[0].split())
        first.setdefault(text, str(query.meta["subject"]))
    return {subject: (text,) for text, subject in sorted(first.items(), key=lambda kv: kv[1])}
