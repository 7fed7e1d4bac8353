"""From the published numbers to a recommendation: one rule, what it rests on, and its test on models left out.

The rule: among what you can afford, and not fine-tuning at all, take what was best on the same task (on all five, if
yours is like none of them), on published models like yours. The selector is always round-robin: no other is shown to
be better, and a rule that may choose among all of them gains no more on models left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import Cube, cube, lead_estimates
from tis_utils.evidence.published import EMBED, LESS, RDS
from tis_utils.evidence.published_analysis import below_zero_shot, method_name, published_cube
from tis_utils.evidence.ranks import leave_one_out
from tis_utils.evidence.statistics import Estimate, Floats
from tis_utils.evidence.tables import LOSSES, RANDOM, ZERO_SHOT

ANY = "any"
COMPUTE = {
    "nothing": ("no compute for selecting", (RANDOM,)),
    "forward": ("one forward pass over the pool", (RANDOM, EMBED, RDS)),
    "gradients": ("warm-up training and a gradient per candidate", (RANDOM, EMBED, RDS, LESS)),
}
OPTIONS = (ZERO_SHOT, *COMPUTE["gradients"][1])  # what the rule chooses from where all is affordable
TASK_KINDS = {
    ANY: "none of these: all five tasks",
    "bbh": "reasoning puzzles (BBH)",
    "codex": "code (HumanEval)",
    "gsm8k": "maths word problems (GSM8K)",
    "tydiqa": "questions in many languages (TyDiQA)",
    "mmlu_pro": "exam knowledge (MMLU-Pro)",
}
GOALS = {
    "downstream": "a better score",
    "test_loss": "a lower loss on new examples",
    "query_loss": "a lower loss on the queries themselves",
}
STRENGTHS = {
    "strong": "its lead over Random is shown: zero is outside the 95 % interval over models",
    "leaning": "ahead of Random on average and in at least three of four cases (model, task, pool)",
    "unknown": "best on average, but neither of these: another model may well decide otherwise",
}


def strength_groups(data: Cube) -> dict[str, tuple[str, ...]]:
    """Models in three groups by their zero-shot score (mean over tasks), and all of them as "any"."""
    score = data.mean[:, :, 0, data.methods.index(ZERO_SHOT), 0].mean(axis=1)  # (M,)
    thirds = np.array_split(np.argsort(score, kind="stable"), 3)
    groups = zip(("weak", "middle", "strong"), thirds, strict=True)
    return {ANY: data.models} | {g: tuple(data.models[int(i)] for i in third) for g, third in groups}


@dataclass(frozen=True)
class Answer:
    """A row of the decision page: the question, the method, and the evidence for every affordable method."""

    goal: str
    strength: str
    kind: str
    budget: int
    compute: str
    unit: str
    models: int
    method: str
    grade: str  # one of STRENGTHS
    ahead: int  # of `cells`: where the method beats Random
    cells: int
    below: float  # share of the cells in which it is worse than the untuned model
    evidence: tuple[tuple[str, Estimate, Estimate], ...]  # method, lead over Random, lead over the untuned model

    @property
    def headline(self) -> str:
        """The recommendation in a few words."""
        name = "no fine-tuning" if self.method == ZERO_SHOT else method_name(self.method)
        verb = {"strong": "Use", "leaning": "Lean towards", "unknown": "Unknown; best on average:"}[self.grade]
        return f"{verb} {name}"

    @property
    def surer(self) -> tuple[str, Estimate] | None:
        """Where the method is not sure: the best of the others whose lead over Random is, and that lead."""
        if self.grade == "strong" or self.models < stats.MIN_UNITS:
            return None
        sure = [(method, random) for method, random, _ in self.evidence if random.low > 0]
        return max(sure, key=lambda pair: pair[1].value, default=None)

    @property
    def reason(self) -> str:
        """What it rests on, in two or three sentences."""
        random, zero_shot = next((r, z) for method, r, z in self.evidence if method == self.method)
        ahead = (
            f"Lead over Random {random.text()} {self.unit}, in {self.ahead} of {self.cells} cases (model, task, pool)."
        )
        if self.method == RANDOM:
            ahead = "Nothing that you can afford was better than Random on average."
        worth = f"Lead over the untuned model {zero_shot.text()} {self.unit}, worse in {self.below:.0%} of the cases."
        parts = [ahead] if self.method == ZERO_SHOT else [ahead, worth]
        if self.surer:
            parts.append(f"Less on average, but sure: {method_name(self.surer[0])}, {self.surer[1].text()}.")
        return " ".join(parts)


def answers() -> list[Answer]:
    """Ask the rule about every goal, model strength, kind of task, budget and amount of compute."""
    groups, rows = strength_groups(published_cube("downstream")), []
    for goal, (strength, models), kind in product(GOALS, groups.items(), TASK_KINDS):
        data = published_cube(goal).part(models, None if kind == ANY else [kind])
        for s, budget in enumerate(data.budgets):
            place = _Place(data, s)
            rows += [
                _answer(place, affordable, (goal, strength, kind, budget, compute))
                for compute, (_, affordable) in COMPUTE.items()
            ]
    return rows


class _Place:
    """One budget of a cube: leads of every method over Random and over the untuned model, and both cell by cell."""

    def __init__(self, data: Cube, s: int) -> None:
        self.data, self.leads, self.cells = data, {}, {}
        for over in (RANDOM, ZERO_SHOT):
            self.leads[over] = lead_estimates(data, over, [s])
            gain = data.gain(over)[..., s].reshape(-1, len(data.methods))  # (cells, K)
            self.cells[over] = dict(zip(data.methods, gain.T, strict=True))


def _answer(place: _Place, affordable: Sequence[str], question: tuple[str, str, str, int, str]) -> Answer:
    data, gains, names = place.data, place.cells[RANDOM], [ZERO_SHOT, *affordable]
    method = max(names, key=lambda name: gains[name].mean())
    ahead, cells = int((gains[method] > 0).sum()), len(gains[method])
    grade = stats.grade(place.leads[RANDOM][method], ahead, cells)
    few = len(data.models) < stats.MIN_UNITS  # then no interval says what another model would do
    strength = {"shown": "leaning" if few else "strong", "leaning": "leaning"}.get(grade, "unknown")
    evidence = tuple((name, place.leads[RANDOM][name], place.leads[ZERO_SHOT][name]) for name in names)
    below = float((place.cells[ZERO_SHOT][method] < 0).mean())
    return Answer(*question, data.unit, len(data.models), method, strength, ahead, cells, below, evidence)


# --- the rule and its rivals on models left out ------------------------------------------------------


def policies(goal: str) -> dict[str, Floats]:
    """What simple rules gain over Random on models that they have not seen, each (M, T, L, S).

    In numbers that add up (:meth:`tis_utils.evidence.cube.Cube.gain`). "Best, same task" is the rule of this page with
    everything affordable; the oracle takes the best method in every single cell, noise included.
    """
    data = published_cube(goal)
    gain = data.gain(RANDOM)  # (M, T, L, K, S)
    options = gain[..., [data.methods.index(method) for method in OPTIONS], :]

    def always(method: str) -> Floats:
        return gain[..., data.methods.index(method), :]

    low = np.array(data.budgets) <= 1000  # the paper: round-robin there, transport above
    return {
        "Always Random": always(RANDOM),
        "Never fine-tune": always(ZERO_SHOT),
        "Always EMBED, RR": always(EMBED),
        "Always RDS+, RR": always(RDS),
        "Always LESS, RR": always(LESS),
        "LESS: RR, then UOT": np.where(low, always(LESS), always("less/uot")),
        "Best on others": best_on_others(options),
        "Best, same task": best_on_same_task(options),
        "Same task, any selector": best_on_same_task(gain),
        "Oracle": gain.max(axis=3),
    }


def best_on_others(gain: Floats) -> Floats:
    """What the method that was best on the other models gains here, by budget: (M, T, L, K, S) -> (M, T, L, S)."""
    models, methods = len(gain), gain.shape[3]
    paid = np.empty_like(gain[..., 0, :])
    for s in range(gain.shape[-1]):
        cost, _ = leave_one_out(-gain[..., s].reshape(models, -1, methods))
        paid[..., s] = -cost.reshape(paid.shape[:-1])
    return paid


def best_on_same_task(gain: Floats) -> Floats:
    """:func:`best_on_others`, task by task."""
    return np.concatenate([best_on_others(gain[:, [t]]) for t in range(gain.shape[1])], axis=1)


def policy_table(goal: str) -> pd.DataFrame:
    """Mean gain of :func:`policies` over always Random, points or per cent of loss; intervals over models left out.

    Columns label, value, low, high, without Random itself.
    """
    rows = []
    for name, won in policies(goal).items():
        gain = stats.mean_estimate(won.mean(axis=(1, 2, 3)))
        rows.append((name, *(gain if published_cube(goal).is_score else gain.per_cent())))
    return pd.DataFrame(rows[1:], columns=["label", "value", "low", "high"])


def share_below_untuned() -> pd.Series:
    """Share of the fine-tuned cells (model, task, pool, method) that score below the untuned model, by budget."""
    data = published_cube("downstream")
    return pd.Series(below_zero_shot(data).mean(axis=(0, 1, 2, 3)), data.budgets, name="share below untuned")


# --- the same rules on runs of your own, with one model ----------------------------------------------

TASK_RULES = {  # what a rule always says
    "Never fine-tune": ZERO_SHOT,
    "Always EMBED, RR": EMBED,
    "Always RDS+, RR": RDS,
    "Always LESS, RR": LESS,
    "Always LESS, UOT": "less/uot",
}


def task_policies(rows: pd.DataFrame, metric: str = "test_loss") -> dict[str, Floats]:
    """What rules gain over Random in runs of one model, each (T, S), in numbers that add up.

    "Best on other tasks" takes, by budget, the option that was best on the tasks which it is not paid for.
    """
    data = cube(rows, metric, "both", [RANDOM, *TASK_RULES.values()])
    gain = data.gain(RANDOM)  # (T, K, S)
    options = gain[:, None, None, [data.methods.index(method) for method in OPTIONS]]
    won = {rule: gain[:, data.methods.index(method)] for rule, method in TASK_RULES.items()}
    return won | {"Best on other tasks": best_on_others(options)[:, 0, 0], "Oracle": gain.max(axis=1)}


def task_policy_table(rows: pd.DataFrame, metric: str = "test_loss") -> pd.DataFrame:
    """Mean of :func:`task_policies`, per cent of loss or points, with intervals over tasks: label, value, low, high."""
    won = task_policies(rows, metric)
    means = {rule: stats.mean_estimate(gain.mean(axis=1)) for rule, gain in won.items()}
    means = {rule: mean.per_cent() if metric in LOSSES else mean for rule, mean in means.items()}
    return pd.DataFrame([(rule, *mean) for rule, mean in means.items()], columns=["label", "value", "low", "high"])
