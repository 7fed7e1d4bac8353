"""The neighbours on several models: stored runs, whether a lead shrinks, and what each model says to a question."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from scipy.stats import ttest_ind

from tis_utils.errors import InputError
from tis_utils.evidence.claims import SCORECARD_COLUMNS, graded, judged_tasks
from tis_utils.evidence.statistics import MIN_UNITS, Estimate, grade
from tis_utils.experiments.grids import GRIDS
from tis_utils.experiments.study import Study
from tis_utils.neighbours.leads import common_cube, of_larger, task_leads
from tis_utils.profiles import load_profile
from tis_utils.storage.stored_results import table_file

MODELS = ("classroom/mini", "classroom", "smollm2/gpu")  # profiles, the smallest model first
STORED = (
    "insta",
    "insta_rivals",
    "ila",
    "ila_rivals",
    "hybrids",
    "budgets",
)  # grids in which the neighbours meet their rivals
NOT_RUN = "not run"
TOGETHER = "all models"  # how the column is called that counts over them
NO_TABLE = "No table"  # how the reason of a claim begins whose table is not stored for a profile
NAMES = {"smollm2": "SmolLM2"}  # of models, where the book writes them otherwise


def stored_rows(study: Study) -> pd.DataFrame:
    """Those runs of INSTA, ILA and their rivals that came with the repository for a profile; nothing is trained."""
    profile = study.profile
    names = [name for name in STORED if table_file(profile.name, name).exists()]
    return study.stored(list(dict.fromkeys(spec for name in names for spec in GRIDS[name](profile))))


def at_lowest(rows: pd.DataFrame) -> pd.DataFrame:
    """The runs at the lowest budget, and the untuned model's."""
    return rows[rows["budget"] <= rows.loc[rows["budget"] > 0, "budget"].min()]


def studies(own: Study, compare: bool = True) -> dict[str, Study]:
    """Studies by profile that a page compares: those of ``MODELS`` if your own profile is one of them, else yours."""
    names = MODELS if compare and own.profile.name in MODELS else ()
    others = {name: Study(load_profile(name), compute=False) for name in names}
    return others | {own.profile.name: own}


def sized(study: Study) -> str:
    """A profile's model with its number of parameters, such as "tiny (0.75 M)"."""
    name, millions = study.profile.model, study.model.model.num_parameters() / 1e6
    return f"{NAMES.get(name, name)} ({millions:.{2 if millions < 10 else 0}f} M)"


# --- does a lead shrink -------------------------------------------------------------------------------


def shrinks(rows: Mapping[str, pd.DataFrame], method: str, over: str, claim: str) -> pd.DataFrame:
    """Judge on every model whether a method's lead over another is smaller than on the model before it.

    Parameters
    ----------
    rows : mapping of profile to DataFrame
        Runs, the smallest model first.
    method, over : str
        ``representation/selector``.
    claim : str
        What the rows of the result are called.

    Returns
    -------
    DataFrame
        Rows of a scorecard, in points of the lead in per cent of the larger loss. Where two models have the same
        tasks, these are compared one by one; else the means are (Welch's interval), and with the tasks the pool
        differs.
    """
    lines, smaller = [], pd.Series(dtype=float)
    for source, part in rows.items():
        line: dict[str, Any] = {"claim": claim, "statement": "", "source": source, "metric": "test_loss", "of": ""}
        try:
            data = common_cube(part, "test_loss", [method, over])
        except InputError as error:
            lines.append(line | _untested(str(error)))
            continue
        leads = pd.Series(of_larger(task_leads(data, method, over)), data.tasks)
        lines.append(line | (_fall(smaller, leads) if len(smaller) else _untested("no smaller model to compare with")))
        smaller = leads
    return pd.DataFrame(lines).reindex(columns=SCORECARD_COLUMNS).fillna({"k": 0, "n": 0}).astype({"k": int, "n": int})


def _fall(before: pd.Series, after: pd.Series) -> dict[str, Any]:
    """Estimate, interval and grade of how far leads by task have fallen."""
    if set(before.index) == set(after.index):
        return {"unit": "points of lead", **judged_tasks((before - after[before.index]).to_numpy(), "points of lead")}
    if min(len(before), len(after)) < MIN_UNITS:
        return _untested("other tasks, and too few")
    ends = ttest_ind(before, after, equal_var=False).confidence_interval()
    estimate = Estimate(float(before.mean() - after.mean()), float(ends.low), float(ends.high))
    graded_as = grade(estimate, 0, MIN_UNITS)  # no pairs to count: an interval with zero in it leaves it open
    graded_as = graded_as if graded_as in ("shown", "refuted") else "open"
    number = {"estimate": estimate.value, "low": estimate.low, "high": estimate.high}
    return number | {"unit": "points of lead, other tasks and pool", "grade": graded_as, "reason": ""}


def _untested(reason: str) -> dict[str, Any]:
    return {"unit": "points of lead", "grade": "not testable", "reason": reason}


# --- the table of questions ---------------------------------------------------------------------------


def verdicts(questions: Iterable[tuple[str, str, str]], card: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """What each model says to each open question.

    Parameters
    ----------
    questions : iterable of (question, experiment, claim)
        In the words of the page; the claim is one of `card`.
    card : DataFrame
        Rows of a scorecard.
    columns : mapping of source to printed name

    Returns
    -------
    DataFrame
        Index question, experiment with unit; columns as printed: with more than one model ``TOGETHER`` (see
        :func:`together`), then of each model grade, number, interval, counts, or ``NOT_RUN``.
    """
    questions = list(questions)
    order = [question for question, *_ in questions]
    questions.sort(key=lambda line: order.index(line[0]))  # one block per question, also where two tables ask it
    known = set(card["claim"])
    if unknown := [claim for *_, claim in questions if claim not in known]:
        raise InputError(f"The scorecard has no claim {unknown[0]!r}; it has {', '.join(sorted(known))}.")
    table, names = [], []
    for question, experiment, claim in questions:
        rows = card[card["claim"] == claim]
        names.append((question, f"{experiment} ({rows['unit'].iloc[0]})"))
        table.append([counted(card, claim, columns), *_answers(rows, columns)])
    index = pd.MultiIndex.from_tuples(names, names=["open question", "experiment"])
    all_columns = pd.DataFrame(table, index, [TOGETHER, *columns.values()])
    return all_columns if len(columns) > 1 else all_columns.drop(columns=TOGETHER)


def together(card: pd.DataFrame, claim: str, sources: Iterable[str]) -> tuple[int, int]:
    """In how many comparisons a claim is right, over all models, and how many there are; models may share tasks."""
    rows = card[(card["claim"] == claim) & card["source"].isin(list(sources))]
    return int(rows["k"].sum()), int(rows["n"].sum())


def counted(card: pd.DataFrame, claim: str, sources: Iterable[str]) -> str:
    """:func:`together` as text: "11 of 12", or nothing where nothing is counted."""
    right, of = together(card, claim, sources)
    return f"{right} of {of}" if of else ""


def _answers(rows: pd.DataFrame, columns: Mapping[str, str]) -> list[str]:
    by_source = {row.source: row for row in rows.itertuples()}
    return [_verdict(by_source.get(source), rows["unit"].iloc[0]) for source in columns]


def _verdict(row: Any, unit: str) -> str:
    return (
        NOT_RUN if row is None or row.reason.startswith(("No task", NO_TABLE)) else graded(row).replace(f" {unit}", "")
    )
