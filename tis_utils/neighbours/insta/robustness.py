"""What INSTA's choice hangs on: the wording, the number of tasks, and what the chosen tasks hold."""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tis_utils.examples.kinds import view
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.experiments.study import Study
from tis_utils.labels import in_order
from tis_utils.neighbours.insta.pool_tasks import tasks_of
from tis_utils.neighbours.insta.scores import embed_tasks, task_scores, top_tasks
from tis_utils.neighbours.insta.selector import Setting, embedded, instructions, target_instruction, task_order
from tis_utils.selectors.overlap import jaccard


def first_tasks(study: Study, selector: str, task: str, seed: int = 0) -> list[str]:
    """Names of the tasks that a selector such as ``insta@5:cards`` chooses for one target, the nearest first."""
    order = task_order(study, RunSpec(task, NONE, selector, 1, seed))[: Setting.of(selector).k]
    return [tasks_of(study)[0][i] for i in order]


def mixtures(study: Study, selectors: Sequence[str], budget: int) -> pd.DataFrame:
    """What picks are made of: per cent of each kind of example, and how many examples the chosen tasks hold in all.

    One row per selector, one column per kind from the target's point of view and ``in the k tasks``; means over
    targets and seeds.
    """
    names, labels = tasks_of(study)
    size = dict(zip(names, np.bincount(labels), strict=True))
    runs = [(task, seed) for task in study.profile.tasks for seed in study.profile.seeds]
    lines = {}
    for selector in selectors:
        picks = [(t, i) for t, s in runs for i in study.picks(RunSpec(t, NONE, selector, budget, s))]
        kinds = pd.Series([view(study.data.pool[i], task) for task, i in picks])
        held = [sum(size[name] for name in first_tasks(study, selector, t, s)) for t, s in runs]
        lines[selector] = {**100 * kinds.value_counts(normalize=True), "in the k tasks": np.mean(held)}
    table = pd.DataFrame.from_dict(lines, orient="index").fillna(0.0)
    return table[[*in_order(table.columns.drop("in the k tasks")), "in the k tasks"]]


def one_wording_overlap(study: Study, *, cards: bool = False, k: int = 5, repeats: int = 10) -> float:
    """Mean Jaccard overlap of the k nearest tasks with those by one wording of every task, drawn at random."""
    known = instructions(study, cards=cards)
    texts = {f"target {task}": target_instruction(study, task, cards=cards) for task in study.profile.tasks}
    rows = embed_tasks(known | texts, functools.partial(embedded, study))  # unit rows (wordings, D) of each

    def nearest(task: str, rows: dict[str, np.ndarray]) -> np.ndarray:
        return top_tasks(task_scores(rows[f"target {task}"], [rows[name] for name in known]), k)

    values = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        one = {name: part[[rng.integers(len(part))]] for name, part in rows.items()}
        values += [jaccard(nearest(task, one), nearest(task, rows)) for task in study.profile.tasks]
    return float(np.mean(values))


def left_out_cost(rows: pd.DataFrame, selectors: Sequence[str], budget: int) -> float:
    """Per cent of held-out loss that a target pays for the selector that is best on all *other* targets.

    Against the best selector of each target, mean over targets; NaN with a single target. "Best on others" is the
    lowest mean of losses relative to each target's best.
    """
    rows = rows[(rows["metric"] == "test_loss") & (rows["budget"] == budget) & rows["selector"].isin(selectors)]
    loss = rows.pivot_table(index="task", columns="selector", values="value")[list(selectors)]
    relative = loss.div(loss.min(axis=1), axis=0)  # (T, K)
    if len(relative) < 2:
        return float("nan")
    paid = [relative.loc[task, relative.drop(index=task).mean().idxmin()] for task in relative.index]
    return float(100 * (np.mean(paid) - 1))


def worse_than_untuned(rows: pd.DataFrame) -> pd.DataFrame:
    """Negative transfer in the strict sense, by number of chosen tasks k.

    Of all combinations of target, selector ``insta@k…`` (random tasks left out) and budget, how many have a mean
    held-out loss above that of the untuned model (``worse``), of how many (``of``).
    """
    loss = rows[(rows["metric"] == "test_loss") & rows["value"].notna()]
    untuned = loss[loss["selector"] == NONE].groupby("task")["value"].first()
    chosen = loss[loss["selector"].str.contains("insta@") & ~loss["selector"].str.contains("random")]
    means = chosen.groupby(["task", "selector", "budget"], as_index=False)["value"].mean()
    k = means["selector"].str.extract(r"@(\d+)")[0].astype(int).rename("k")
    harmed = means["value"].astype(float) > means["task"].map(untuned).astype(float)  # no runs: columns of objects
    return harmed.groupby(k).agg(worse="sum", of="size")
