"""From the published numbers to a recommendation: one rule, its evidence, and a small page to ask it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tis_utils.evidence import statistics as stats
from tis_utils.evidence.claim_statistics import EMBED, METHODS, RANDOM, RDS
from tis_utils.evidence.published_analysis import MODELS, ZERO_SHOT, Cube, Estimate, cube, name
from tis_utils.evidence.statistics import Floats

ANY = "any"
COMPUTE = {
    "nothing": ("no compute for selecting", (RANDOM,)),
    "forward": ("one forward pass over the pool", (RANDOM, EMBED, RDS)),
    "gradients": ("warm-up training and a gradient per candidate", METHODS),
}
KINDS = {
    ANY: "none of these: all five tasks",
    "bbh": "reasoning puzzles (BBH)",
    "codex": "code (HumanEval)",
    "gsm8k": "maths word problems (GSM8K)",
    "tydiqa": "questions in many languages (TyDiQA)",
    "mmlu_pro": "exam knowledge (MMLU-Pro)",
}
CLASSES = ("no", "open", "yes")  # whether fine-tuning beats the untuned model
FEW = {1: "one model", 2: "two models"}  # are not resampled, see stats.bootstrap
GOALS = {
    "downstream": "a better score",
    "test_loss": "a lower loss on new examples",
    "query_loss": "a lower loss on the queries themselves",
}


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


class Leads(NamedTuple):
    """Leads of every method over Random and over zero-shot, (K, S), and their draws, (R, K, S)."""

    random: Floats
    random_draws: Floats
    zero_shot: Floats
    zero_shot_draws: Floats
    units: tuple[int, ...] = ()  # models and tasks behind the draws
    ceiling: float | None = None  # of the leads, see stats.interval

    def at(self, s: int) -> Leads:
        """The same at one budget: (K,) and (R, K)."""
        random, random_draws, zero_shot, zero_shot_draws = (values[..., s] for values in self[:4])
        return Leads(random, random_draws, zero_shot, zero_shot_draws, self.units, self.ceiling)


def leads(data: Cube, draws: int, seed: int) -> Leads:
    """Mean leads over all models, tasks and pools of `data`, with bootstrap draws."""
    cloud = data.draws(draws, seed)  # (R, M·T, L, K, S)
    over = (RANDOM, ZERO_SHOT)
    random, zero_shot = (data.lead(data.mean, other).mean(axis=(0, 1, 2)) for other in over)
    random_draws, zero_shot_draws = (data.lead(cloud, other).mean(axis=(1, 2)) for other in over)
    ceiling = stats.WHOLE if data.relative else None
    return Leads(random, random_draws, zero_shot, zero_shot_draws, data.mean.shape[:2], ceiling)


def choose(leads: Leads, methods: Sequence[int], random: int) -> Choice:
    """Apply the rule at one budget.

    The affordable method with the largest mean lead over Random is taken if its interval, widened for having
    looked at that many methods (Bonferroni), lies above zero; otherwise Random. If Random is then not shown to
    beat the untuned model, the method with the largest lead over *that* replaces it, provided that its
    interval, widened likewise, puts it in a better class: above zero, or around zero where Random is below.

    Parameters
    ----------
    leads : Leads
        At one budget, see :meth:`Leads.at`.
    methods : sequence of int
        What is affordable, including Random.
    random : int
        Index of Random.
    """
    order = (*METHODS, ZERO_SHOT)
    rivals = [k for k in methods if k != random]
    best = max(rivals, key=lambda k: leads.random[k], default=random)
    lead = _over_random(leads, best, looks=len(rivals))
    if lead.low > 0:
        over_zero = _over_zero_shot(leads, best)
        return Choice(order[best], lead, over_zero, order[best], lead)
    over_zero = _over_zero_shot(leads, random)
    plain = Choice(RANDOM, Estimate(0.0, 0.0, 0.0), over_zero, order[best], lead)
    other = max([random, *rivals], key=lambda k: leads.zero_shot[k])
    if plain.worth == "yes" or other == random:
        return plain
    over_zero = _over_zero_shot(leads, other, looks=len(methods))
    over_random = _over_random(leads, other)
    second = Choice(order[other], over_random, over_zero, order[best], lead, second_look=True)
    if CLASSES.index(second.worth) > CLASSES.index(plain.worth):
        return second
    return plain._replace(other=order[other], other_lead=over_zero)


def _over_random(leads: Leads, k: int, looks: int = 1) -> Estimate:
    """Lead of method number k over Random, its interval widened for having looked at `looks` methods."""
    level = 1 - (1 - stats.LEVEL) / max(1, looks)
    ends = stats.interval(leads.random_draws[:, k], level, leads.units, leads.ceiling)
    return Estimate(float(leads.random[k]), *ends)


def _over_zero_shot(leads: Leads, k: int, looks: int = 1) -> Estimate:
    """The same over the untuned model."""
    return _over_random(leads._replace(random=leads.zero_shot, random_draws=leads.zero_shot_draws), k, looks)


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
        method = "Random" if self.choice.method == RANDOM else name(self.choice.method)
        seen = f" (seen on {FEW[self.models]} only)" if self.models in FEW else ""
        if self.choice.worth == "no":
            return f"Do not fine-tune{seen}"
        if self.choice.worth == "open":
            return f"Fine-tuning is not shown to help; if you must: {method}"
        return f"Just use Random{seen}" if self.choice.method == RANDOM else f"Use {method}{seen}"

    @property
    def reason(self) -> str:
        """The evidence in a few sentences."""
        pick, text, looks = self.choice.method, [], len(self.evidence)
        change = f"{self.choice.over_zero_shot.text()} {self.unit}"
        if self.choice.second_look:
            text.append(f"No method is shown to beat Random, and Random is {self._random_is()}.")
            verb = "does" if self.choice.worth == "yes" else "might"
            gain = f"{name(pick)} {verb}: {change}{_widened(looks)}"
            text.append(f"{gain}. Its lead over Random is {self.choice.over_random.text()}.")
        else:
            if pick != RANDOM:
                lead = f"{self.choice.over_random.text()} {self.unit}"
                text.append(f"{name(pick)} beats Random by {lead}{_widened(looks - 1)}.")
            elif self.choice.best != RANDOM:
                text.append(f"{self._no_lead()}{_widened(looks - 1)}.")
            text.append(f"Against the untuned model, {name(pick)} gains {change}.")
            if self.choice.other:
                rest = self.choice.other_lead
                verdict = "worse too" if rest.high < 0 else "not shown to help either"
                told = f"{rest.text()} {self.unit}{_widened(looks)}"
                text.append(f"The best at that, {name(self.choice.other)}, gains {told}: {verdict}.")
        basis = FEW.get(self.models, f"{self.models} models")
        text.append(f"Basis: {basis}, {'five tasks' if self.kind == ANY else 'one task'}, two pools, three seeds.")
        text.append(self._held())
        return " ".join(text)

    def _held(self) -> str:
        """Say what the intervals hold: too few models, or one task, say nothing about others."""
        known = {"task": self.kind == ANY, "model": self.models not in FEW}
        *first, last = ["seeds", *(f"{what}s" for what, there in known.items() if there)]
        inside = f"{', '.join(first)} and {last}" if first else last
        missing = " or ".join(what for what, there in known.items() if not there)
        return f"The intervals hold differences between {inside}" + (
            f", not what another {missing} would bring." if missing else "."
        )

    def _random_is(self) -> str:
        """Say how Random compares with the untuned model, where it is not shown to beat it."""
        (zero,) = (zero for method, _, zero in self.evidence if method == RANDOM)
        verdict = "worse than the untuned model" if zero.high < 0 else "not shown to beat the untuned model"
        return f"{verdict} ({zero.text()})"

    def _no_lead(self) -> str:
        """Say what became of the best method that is not shown to beat Random."""
        best, lead = name(self.choice.best), self.choice.best_lead
        told = f"{lead.text()} {self.unit}"
        if lead.high < 0:
            return f"All others are worse than Random: the best of them, {best}, has a lead of {told}"
        if lead.value <= 0:
            return f"None of the others leads Random on average: the best of them, {best}, has a lead of {told}"
        return f"The best of the others, {best}, leads Random by {told}, an interval that includes zero"


def _widened(looks: int) -> str:
    return f" (interval widened for a look at {looks} methods)" if looks > 1 else ""


def answers(draws: int, seed: int = 0) -> list[Answer]:
    """Ask the rule about every goal, model strength, kind of task, budget and amount of compute."""
    groups, found = strength_groups(cube("downstream")), []
    for goal, (strength, models), kind in product(GOALS, groups.items(), KINDS):
        data = cube(goal).part(models, None if kind == ANY else [kind])
        every = leads(data, draws, seed)
        for s, budget in enumerate(data.budgets):
            here = every.at(s)
            evidence = [_evidence(here, k, method) for k, method in enumerate(METHODS)]
            for compute, (_, allowed) in COMPUTE.items():
                methods = [data.methods.index(m) for m in allowed]
                choice = choose(here, methods, data.methods.index(RANDOM))
                rows = tuple(evidence[k] for k in methods)
                found.append(Answer(goal, strength, kind, budget, compute, data.unit, len(models), choice, rows))
    return found


def _evidence(leads: Leads, k: int, method: str) -> tuple[str, Estimate, Estimate]:
    return method, _over_random(leads, k), _over_zero_shot(leads, k)


# --- the page ---------------------------------------------------------------------------------------

CSS = """
.tis-advice{color:#1F2430;width:100%!important}
.tis-advice .ask{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:.6rem 1.2rem}
.tis-advice label{display:flex;flex-direction:column;font-weight:600;font-size:.9rem;min-width:0}
.tis-advice select{font:inherit;font-weight:400;padding:.3rem;border:1px solid #6A707C;border-radius:.3rem;
width:100%;min-width:0;background:#fff;color:#1F2430}
.tis-advice .say{margin:1rem 0;padding:.6rem .9rem;border-left:4px solid #332288;background:#F3F2F8}
.tis-advice .say strong{display:block;font-size:1.2rem}
.tis-advice table{border-collapse:collapse;font-size:.88rem;width:100%;color:#1F2430}
.tis-advice :is(td,th){padding:.2rem .5rem;text-align:left;border-bottom:1px solid #E4E6EA;min-width:0!important;
background:#fff;color:#1F2430}
.tis-advice tr.pick :is(td,th){background:#E8E6EF;font-weight:600}
"""
SCRIPT = """
(() => {
  const here = document.currentScript;
  const root = here ? here.closest("figure") : [...document.querySelectorAll("figure.tis-advice")].pop();
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const selects = [...root.querySelectorAll("select")];
  const cell = (row, tag, text) => { const c = row.appendChild(document.createElement(tag)); c.textContent = text;
    if (tag === "th") c.scope = "row"; };
  function answer() {
    const values = selects.map((s) => s.value);
    const compute = values.pop();
    const found = data[values.join("|")];
    const [headline, reason, pick, count] = found.answers[compute];
    root.querySelector(".say strong").textContent = headline;
    root.querySelector(".say span").textContent = reason;
    const body = root.querySelector("tbody");
    body.replaceChildren();
    for (const [method, random, zero] of found.rows.slice(0, count)) {
      const row = body.appendChild(document.createElement("tr"));
      if (method === pick) row.className = "pick";
      cell(row, "th", method); cell(row, "td", random); cell(row, "td", zero);
    }
    root.querySelector(".unit").textContent = found.unit;
  }
  // The question in the address, #advice=goal/model/task/budget/compute, so that an answer can be sent to others.
  function fromHash() {
    if (!location.hash.startsWith("#advice=")) return;
    const values = location.hash.slice(8).split("/").map(decodeURIComponent);
    const known = (s, value) => [...s.options].some((o) => o.value === value);
    selects.forEach((s, i) => { if (known(s, values[i])) s.value = values[i]; });
    answer();
    root.scrollIntoView();
  }
  selects.forEach((s) => s.addEventListener("change", () => {
    history.replaceState(null, "", "#advice=" + selects.map((s) => encodeURIComponent(s.value)).join("/"));
    answer();
  }));
  addEventListener("hashchange", fromHash);
  answer();
  fromHash();
})();
"""


def _rows(answer: Answer) -> list[tuple[str, str, str]]:
    return [(name(m), "—" if m == RANDOM else r.text(), z.text()) for m, r, z in answer.evidence]


def _select(title: str, options: dict[str, str], chosen: str) -> str:
    items = "".join(
        f'<option value="{html.escape(k)}"{" selected" * (k == chosen)}>{html.escape(v)}</option>'
        for k, v in options.items()
    )
    return f"<label>{html.escape(title)}<select>{items}</select></label>"


class DecisionPage:
    """The answers as a static page: four menus, a sentence, a table. Works from disk and by keyboard."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.answers = list(answers)

    def _menus(self, first: Answer) -> str:
        data = cube("downstream")
        groups = strength_groups(data)
        score = dict(zip(data.models, data.mean[:, :, 0, -1, 0].mean(axis=1), strict=True))
        about = {
            g: f"{g}: like {' or '.join(f'{MODELS[m]} ({score[m]:.0f} %)' for m in models)}"
            for g, models in groups.items()
        }
        about[ANY] = f"not sure: all {len(data.models)} models"
        return (
            _select("I want", GOALS, first.goal)
            + _select("My model, by mean zero-shot score", about, first.strength)
            + _select("My task is like", KINDS, first.kind)
            + _select("Examples to train on", {str(b): f"{b:,}" for b in data.budgets}, str(first.budget))
            + _select("For selecting I can afford", {k: text for k, (text, _) in COMPUTE.items()}, first.compute)
        )

    def _data(self) -> dict[str, Any]:
        """By question without compute: the rows of all methods, and the answer to each amount of compute.

        What a smaller amount can afford are the first rows of what a larger one can (see COMPUTE).
        """
        data: dict[str, Any] = {}
        for a in self.answers:
            entry = data.setdefault(f"{a.goal}|{a.strength}|{a.kind}|{a.budget}", {"unit": a.unit, "answers": {}})
            pick = "" if a.choice.worth == "no" else name(a.choice.method)
            entry["answers"][a.compute] = (a.headline, a.reason, pick, len(a.evidence))
            entry["rows"] = max(entry.get("rows", []), _rows(a), key=len)
        return data

    def _repr_html_(self) -> str:
        first = max(self.answers[: len(COMPUTE)], key=lambda a: len(a.evidence))  # all methods in view
        payload = json.dumps(self._data(), separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(m)}</th><td>{r}</td><td>{z}</td></tr>" for m, r, z in _rows(first)
        )
        return (
            f'<figure class="tis-figure tis-advice"><style>{CSS}</style><div class="ask">{self._menus(first)}</div>'
            f'<div class="say" role="status"><strong>{html.escape(first.headline)}</strong>'
            f"<span>{html.escape(first.reason)}</span></div>"
            f'<table><thead><tr><th scope="col">Method</th><th scope="col">lead over Random</th>'
            f'<th scope="col">lead over no fine-tuning</th></tr></thead><tbody>{rows}</tbody></table>'
            f'<figcaption>In <span class="unit">{first.unit}</span>, positive is better, with 95 % intervals '
            f"of what the text above names; not widened for several looks, for whoever looks at one row."
            f"<noscript> The menus need JavaScript; the main answers are also in the table below."
            f"</noscript></figcaption>"
            f'<script type="application/json">{payload}</script><script>{SCRIPT}</script></figure>'
        )

    def __repr__(self) -> str:
        return f"Decision page with {len(self.answers)} answers"
