"""What INSTA's authors claim, judged by this book's runs: one statistic each, positive where the claim is right.

The rules are those of :mod:`tis_utils.evidence.claims`.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tis_utils.errors import InputError
from tis_utils.evidence.claims import SCORECARD_COLUMNS, judged_tasks
from tis_utils.evidence.cube import lead_estimate
from tis_utils.evidence.statistics import Estimate
from tis_utils.evidence.tables import RANDOM, ZERO_SHOT
from tis_utils.experiments.grids import FEW_COUNTS
from tis_utils.experiments.run_spec import NONE
from tis_utils.experiments.study import Study
from tis_utils.neighbours.insta.pool_tasks import tasks_of
from tis_utils.neighbours.insta.task_cards import CARDS
from tis_utils.neighbours.insta.transfer import gains
from tis_utils.neighbours.insta.transfer_correlation import KINDS as TARGETS
from tis_utils.neighbours.insta.transfer_correlation import scores_by, transfer_correlations
from tis_utils.neighbours.leads import UNIT, common_cube, judged_leads, of_larger, task_leads
from tis_utils.neighbours.models import at_lowest, shrinks

ONE_TASK, FEW_TASKS, MANY_TASKS = (f"{NONE}/insta@{k}" for k in FEW_COUNTS)
KINDS = {"prompts": "", "cards": ":cards"}  # of instructions, and how a run spec writes them
ALIGNED = "alignment helps"  # run at the largest budget only
# Name, statement, and two methods: the claim is that the first has a lower held-out loss. Judged by prompts and cards.
CLAIMS = (
    ("few tasks beat all", "Five chosen tasks train better than all tasks.", FEW_TASKS + "{}", RANDOM),
    (
        "chosen tasks beat random tasks",
        "Five chosen tasks train better than five random ones.",
        FEW_TASKS + "{}",
        f"{FEW_TASKS}:random",
    ),
    (
        "chosen tasks beat measured transfer",
        "Five chosen tasks train better than the five that transferred best.",
        FEW_TASKS + "{}",
        f"{NONE}/transfer@5",
    ),
    (
        "chosen tasks beat retrieved experts",
        "Five chosen tasks train better than the five that nearest examples name.",
        FEW_TASKS + "{}",
        f"{NONE}/retrieval@5",
    ),
    ("one task helps", "One chosen task trains better than no training.", ONE_TASK + "{}", ZERO_SHOT),
    ("five tasks help", "Five chosen tasks train better than no training.", FEW_TASKS + "{}", ZERO_SHOT),
    ("twenty tasks help", "Twenty chosen tasks train better than no training.", MANY_TASKS + "{}", ZERO_SHOT),
    ("fewer tasks, less harm", "Five chosen tasks train better than twenty.", FEW_TASKS + "{}", MANY_TASKS + "{}"),
    (
        "no samples needed",
        "Instructions do as well as samples read by the same model.",
        FEW_TASKS + "{}",
        "embed/round_robin",
    ),
    (
        "no samples needed, LESS",
        "Instructions do as well as gradients of samples.",
        FEW_TASKS + "{}",
        "less/round_robin",
    ),
    (ALIGNED, "The aligned selector's tasks train better.", FEW_TASKS + "{}:aligned", FEW_TASKS + "{}"),
)
PREDICTS = "score predicts transfer, "
GAP = "the gap to all tasks shrinks with the model, by {}"
# What is open for the authors, how this book asks it, and the claim that answers; see neighbours.models.verdicts.
QUESTIONS = (
    ("Decoder-only models, as all here are", "5 tasks by cards, over all tasks", "few tasks beat all, by cards"),
    ("Decoder-only models, as all here are", "5 tasks by prompts, over all tasks", "few tasks beat all, by prompts"),
    ("Larger models: does that lead shrink?", "by cards, the smaller model's less this one's", GAP.format("cards")),
    ("Larger models: does that lead shrink?", "by prompts, the smaller model's less this one's", GAP.format("prompts")),
    ("Its rivals", "5 tasks by cards, over measured transfer", "chosen tasks beat measured transfer, by cards"),
    ("Its rivals", "by prompts, over measured transfer", "chosen tasks beat measured transfer, by prompts"),
    ("Its rivals", "by cards, over retrieved experts", "chosen tasks beat retrieved experts, by cards"),
    ("Its rivals", "by prompts, over retrieved experts", "chosen tasks beat retrieved experts, by prompts"),
    ("Its rivals", "by cards, over random tasks", "chosen tasks beat random tasks, by cards"),
    ("Its rivals", "by prompts, over random tasks", "chosen tasks beat random tasks, by prompts"),
    ("Do wrong or many tasks harm?", "1 task by cards, over no training", "one task helps, by cards"),
    ("Do wrong or many tasks harm?", "1 task by prompts, over no training", "one task helps, by prompts"),
    ("Do wrong or many tasks harm?", "5 tasks by prompts, over no training", "five tasks help, by prompts"),
    ("Do wrong or many tasks harm?", "20 tasks by prompts, over no training", "twenty tasks help, by prompts"),
    ("Do wrong or many tasks harm?", "5 tasks by prompts, over 20", "fewer tasks, less harm, by prompts"),
    ("Are samples needed?", "5 tasks by prompts, over EMBED", "no samples needed, by prompts"),
    ("Are samples needed?", "5 tasks by prompts, over LESS", "no samples needed, LESS, by prompts"),
    ("Does alignment help?", "5 tasks by cards", f"{ALIGNED}, by cards"),
    ("Does alignment help?", "5 tasks by prompts", f"{ALIGNED}, by prompts"),
)


def lead(rows: pd.DataFrame, better: str, worse: str, *, budget: int | None = None) -> Estimate:
    """How far one method's held-out loss lies below another's, per cent, mean over tasks, with a 95 % interval.

    Parameters
    ----------
    rows : DataFrame
        What :meth:`tis_utils.experiments.study.Study.run` returns.
    better, worse : str
        ``representation/selector``.
    budget : int, optional
        Default: the mean over all budgets that both methods have.

    Raises
    ------
    InputError
        If the methods have no task and budget in common.
    """
    rows = rows if budget is None else rows[rows["budget"] == budget]
    return lead_estimate(common_cube(rows, "test_loss", [better, worse]), worse, better)


def leads(rows: pd.DataFrame, methods: Iterable[str], over: str, budgets: Iterable[int]) -> pd.DataFrame:
    """:func:`lead` of several methods over one: columns budget, method, value, low, high."""
    lines = [(budget, m, *lead(rows, m, over, budget=budget)) for budget in budgets for m in methods]
    return pd.DataFrame(lines, columns=["budget", "method", "value", "low", "high"])


# How the figure of rivals names what stands before and after the number of tasks.
CHOICES = {
    ("insta", ""): "INSTA by prompts",
    ("insta", ":cards"): "INSTA by cards",
    ("insta", ":random"): "random tasks",
    ("retrieval", ""): "retrieved experts",
    ("transfer", ""): "measured transfer",
}


def by_count(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lead over all tasks of every way to choose k tasks, at the budgets that `rows` have, in ``UNIT``.

    Returns
    -------
    leads : DataFrame
        Columns choice, k, value, low, high: mean over targets, interval over targets.
    seeds : DataFrame
        Columns choice, k, seed, value: the runs of one seed that has all tasks, against the mean of all runs of Random.
    """
    loss = rows[(rows["metric"] == "test_loss") & rows["value"].notna()]
    every = loss[loss["selector"] == "random"].groupby(["task", "budget"])["value"].mean()
    parts = loss["selector"].astype(str).str.extract(r"^(\w+)@(\d+)(:\w+)?$").fillna("")
    named = [CHOICES.get((name, option)) for name, option in zip(parts[0], parts[2], strict=True)]
    choice = pd.Series(named, loss.index, dtype=object)
    loss = loss.assign(choice=choice, k=parts[1]).join(every.rename("all"), on=["task", "budget"])
    loss = loss.dropna(subset=["choice", "all"]).astype({"k": int})
    leads, seeds = [], []
    for (name, k), part in loss.groupby(["choice", "k"], sort=False):
        means = part.groupby(["task", "budget"]).agg({"value": "mean", "all": "first"})
        line = judged_leads(_log(means).groupby("task").mean().to_numpy())
        leads.append((name, k, line["estimate"], line.get("low", np.nan), line.get("high", np.nan)))
        met = part.groupby("seed")["task"].transform("nunique") == part["task"].nunique()
        by_seed = _log(part[met]).groupby(part["seed"]).mean()
        seeds += [(name, k, seed, of_larger(lead)) for seed, lead in by_seed.items()]
    return (
        pd.DataFrame(leads, columns=["choice", "k", "value", "low", "high"]),
        pd.DataFrame(seeds, columns=["choice", "k", "seed", "value"]).astype({"value": float}),
    )


def _log(losses: pd.DataFrame) -> pd.Series:
    return np.log(losses["all"]).sub(np.log(losses["value"]))


def judge(rows: pd.DataFrame, *, source: str = "classroom") -> pd.DataFrame:
    """Judge every claim that `rows`, runs of the grids ``insta`` and ``budgets``, can judge, at the budgets they have.

    Columns of :func:`tis_utils.evidence.claims.scorecard`; "not testable" where a method is missing or there are fewer
    than three tasks.
    """
    lines = []
    for kind, option in KINDS.items():
        for name, statement, better, worse in CLAIMS:
            methods = [better.format(option), worse.format(option)]
            line = {"claim": f"{name}, by {kind}", "statement": statement, "metric": "test_loss", "unit": UNIT}
            try:
                data = common_cube(rows, "test_loss", methods)
            except InputError as error:
                lines.append(line | {"k": 0, "n": 0, "grade": "not testable", "reason": str(error)})
                continue
            lines.append(line | judged_leads(task_leads(data, *methods)))
    return pd.DataFrame(lines, columns=SCORECARD_COLUMNS).assign(source=source)


def gaps(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Whether the gap between five chosen tasks and all tasks shrinks from model to model, at the lowest budgets.

    `rows`, result: see :func:`tis_utils.neighbours.models.shrinks`.
    """
    low = {source: at_lowest(part) for source, part in rows.items()}
    return pd.concat([shrinks(low, FEW_TASKS + option, RANDOM, GAP.format(kind)) for kind, option in KINDS.items()])


def judge_models(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """:func:`judge` of every model at its lowest budget (alignment: its largest), and :func:`gaps`."""
    parts = []
    for source, part in rows.items():
        for runs, aligned in ((at_lowest(part), False), (part, True)):
            line = judge(runs, source=source)
            parts.append(line[line["claim"].str.startswith(ALIGNED) == aligned])
    return pd.concat([*parts, gaps(rows)], ignore_index=True)


def judged(claim: str, values: ArrayLike, unit: str, *, source: str = "classroom") -> pd.DataFrame:
    """One more row of :func:`judge` from one number per target, (T,), positive where the claim is right."""
    line: dict[str, object] = {"claim": claim, "statement": "", "metric": "", "unit": unit}
    line |= judged_tasks(np.asarray(values, dtype=float), unit)
    return pd.DataFrame([line], columns=SCORECARD_COLUMNS).assign(source=source)


def judge_transfer(study: Study, matrix: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Whether a score goes with a measured transfer, for each kind of target: rank correlation over sources.

    Scores are by cards, or by prompts where the pool's tasks have none. `matrix` is one of
    :mod:`tis_utils.neighbours.insta.transfer`.
    """
    saved = gains(matrix)
    scorer = "by cards" if CARDS.keys() >= set(tasks_of(study)[0]) else "by prompts"
    table = transfer_correlations(study, saved, scores_by(study, scorer, list(map(str, saved))))
    parts = table.groupby("kind")["rho"]
    return pd.concat([judged(PREDICTS + TARGETS[str(k)], rho, "Spearman", source=source) for k, rho in parts])
