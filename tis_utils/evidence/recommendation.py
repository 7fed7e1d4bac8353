"""From the published numbers to a recommendation: one rule, and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from tis_utils.evidence import statistics as stats
from tis_utils.evidence.cube import Cube, Leads
from tis_utils.evidence.published import EMBED, PAPER_METHODS, RDS
from tis_utils.evidence.published_analysis import method_name, published_cube
from tis_utils.evidence.statistics import Estimate
from tis_utils.evidence.tables import RANDOM, ZERO_SHOT

ANY = "any"
COMPUTE = {
    "nothing": ("no compute for selecting", (RANDOM,)),
    "forward": ("one forward pass over the pool", (RANDOM, EMBED, RDS)),
    "gradients": ("warm-up training and a gradient per candidate", PAPER_METHODS),
}
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
CLASSES = ("no", "open", "yes")  # whether fine-tuning beats the untuned model


class Choice(NamedTuple):
    """What the rule says: the method, its lead over Random, its lead over not fine-tuning."""

    method: str
    over_random: Estimate
    over_zero_shot: Estimate
    best: str  # largest lead over Random among the affordable methods, shown or not
    best_lead: Estimate
    second_look: bool = False  # Random did not beat the untuned model, so all methods were compared with that
    other: str = ""  # the best of that comparison, if it changed nothing
    other_lead: Estimate = Estimate(0.0, 0.0, 0.0)

    @property
    def worth(self) -> str:
        """Whether fine-tuning beats the untuned model, one of ``CLASSES``."""
        if self.over_zero_shot.low > 0:
            return "yes"
        return "no" if self.over_zero_shot.high < 0 else "open"


def strength_groups(data: Cube) -> dict[str, tuple[str, ...]]:
    """Models in three groups by their zero-shot score (mean over tasks), and all of them as "any"."""
    score = data.mean[:, :, 0, data.methods.index(ZERO_SHOT), 0].mean(axis=1)  # (M,)
    thirds = np.array_split(np.argsort(score, kind="stable"), 3)
    groups = zip(("weak", "middle", "strong"), thirds, strict=True)
    return {ANY: data.models} | {g: tuple(data.models[int(i)] for i in third) for g, third in groups}


def both_leads(data: Cube, draws: int, seed: int) -> tuple[Leads, Leads]:
    """Mean leads over Random and over the untuned model, from the same bootstrap draws."""
    cloud = data.draws(draws, seed)  # (R, M·T, L, K, S)
    return Leads.of(data, RANDOM, cloud), Leads.of(data, ZERO_SHOT, cloud)


def choose(over_random: Leads, over_zero_shot: Leads, methods: Sequence[int]) -> Choice:
    """Apply the rule to the leads at one budget; `methods` are numbers in ``PAPER_METHODS``, Random among them.

    The largest lead over Random wins if its interval (Bonferroni) lies above zero; else Random, unless it is not shown
    to beat the untuned model and the best at *that* is in a better class of ``CLASSES``.
    """
    random = PAPER_METHODS.index(RANDOM)
    rivals = [k for k in methods if k != random]
    best = max(rivals, key=lambda k: over_random.value[k], default=random)
    lead = over_random.estimate(best, looks=len(rivals))
    if lead.low > 0:
        name = PAPER_METHODS[best]
        return Choice(name, lead, over_zero_shot.estimate(best), name, lead)
    no_lead = Estimate(0.0, 0.0, 0.0)
    plain = Choice(RANDOM, no_lead, over_zero_shot.estimate(random), PAPER_METHODS[best], lead)
    other = max([random, *rivals], key=lambda k: over_zero_shot.value[k])
    if plain.worth == "yes" or other == random:
        return plain
    gain = over_zero_shot.estimate(other, looks=len(methods))
    second = Choice(PAPER_METHODS[other], over_random.estimate(other), gain, plain.best, lead, second_look=True)
    if CLASSES.index(second.worth) > CLASSES.index(plain.worth):
        return second
    return plain._replace(other=second.method, other_lead=gain)


@dataclass(frozen=True)
class Answer:
    """A row of the decision page: the question, the choice, and the evidence for every affordable method."""

    goal: str
    strength: str
    kind: str
    budget: int
    compute: str
    unit: str
    models: int
    choice: Choice
    evidence: tuple[tuple[str, Estimate, Estimate], ...]  # method, over Random, over zero-shot

    @property
    def headline(self) -> str:
        """The recommendation in a few words."""
        method, few = method_name(self.choice.method), self.models < stats.MIN_UNITS
        seen = f" (seen on {self._models()} only)" if few else ""
        if self.choice.worth == "no":
            return f"Do not fine-tune{seen}"
        if self.choice.worth == "open":
            return f"Fine-tuning is not shown to help; if you must: {method}"
        return f"Just use Random{seen}" if self.choice.method == RANDOM else f"Use {method}{seen}"

    @property
    def reason(self) -> str:
        """The evidence in a few sentences."""
        sentences = self._second_look() if self.choice.second_look else self._first_look()
        tasks = "five tasks" if self.kind == ANY else "one task"
        basis = f"Basis: {self._models()}, {tasks}, two pools, three seeds."
        return " ".join([*sentences, basis, self._covered()])

    def _models(self) -> str:
        return {1: "one model", 2: "two models"}.get(self.models, f"{self.models} models")

    def _first_look(self) -> list[str]:
        choice, looks = self.choice, len(self.evidence)
        method, sentences = method_name(choice.method), []
        if choice.method != RANDOM:
            lead = f"{choice.over_random.text()} {self.unit}"
            sentences.append(f"{method} beats Random by {lead}{_widened(looks - 1)}.")
        elif choice.best != RANDOM:
            sentences.append(f"{self._no_lead()}{_widened(looks - 1)}.")
        gain = f"{choice.over_zero_shot.text()} {self.unit}"
        sentences.append(f"Against the untuned model, {method} gains {gain}.")
        if choice.other:
            verdict = "worse too" if choice.other_lead.high < 0 else "not shown to help either"
            gain = f"{choice.other_lead.text()} {self.unit}{_widened(looks)}"
            sentences.append(f"The best at that, {method_name(choice.other)}, gains {gain}: {verdict}.")
        return sentences

    def _second_look(self) -> list[str]:
        choice = self.choice
        (random,) = (zero for method, _, zero in self.evidence if method == RANDOM)
        verdict = "worse than the untuned model" if random.high < 0 else "not shown to beat the untuned model"
        verb = "does" if choice.worth == "yes" else "might"
        gain = f"{choice.over_zero_shot.text()} {self.unit}{_widened(len(self.evidence))}"
        return [
            f"No method is shown to beat Random, and Random is {verdict} ({random.text()}).",
            f"{method_name(choice.method)} {verb}: {gain}. Its lead over Random is {choice.over_random.text()}.",
        ]

    def _no_lead(self) -> str:
        """What became of the best method that is not shown to beat Random."""
        best, lead = method_name(self.choice.best), self.choice.best_lead
        amount = f"{lead.text()} {self.unit}"
        if lead.high < 0:
            return f"All others are worse than Random: the best of them, {best}, has a lead of {amount}"
        if lead.value <= 0:
            return f"None of the others leads Random on average: the best of them, {best}, has a lead of {amount}"
        return f"The best of the others, {best}, leads Random by {amount}, an interval that includes zero"

    def _covered(self) -> str:
        """What the intervals hold: too few models, or one task, say nothing about others."""
        covered = {"task": self.kind == ANY, "model": self.models >= stats.MIN_UNITS}
        *first, last = ["seeds", *(f"{what}s" for what, inside in covered.items() if inside)]
        inside = f"{', '.join(first)} and {last}" if first else last
        missing = " or ".join(what for what, inside in covered.items() if not inside)
        rest = f", not what another {missing} would bring." if missing else "."
        return f"The intervals hold differences between {inside}{rest}"


def _widened(looks: int) -> str:
    return f" (interval widened for a look at {looks} methods)" if looks > 1 else ""


def answers(draws: int, seed: int = 0) -> list[Answer]:
    """Ask the rule about every goal, model strength, kind of task, budget and amount of compute."""
    groups, rows = strength_groups(published_cube("downstream")), []
    for goal, (strength, models), kind in product(GOALS, groups.items(), TASK_KINDS):
        data = published_cube(goal).part(models, None if kind == ANY else [kind])
        pair = both_leads(data, draws, seed)
        for s, budget in enumerate(data.budgets):
            random, zero_shot = (leads.at(s) for leads in pair)
            evidence = [(m, random.estimate(k), zero_shot.estimate(k)) for k, m in enumerate(PAPER_METHODS)]
            for compute, (_, affordable) in COMPUTE.items():
                methods = [PAPER_METHODS.index(method) for method in affordable]
                choice, shown = choose(random, zero_shot, methods), tuple(evidence[k] for k in methods)
                rows.append(Answer(goal, strength, kind, budget, compute, data.unit, len(models), choice, shown))
    return rows
