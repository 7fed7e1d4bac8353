"""The recommendation as a small page: five menus, a sentence, a table. It works from disk and by keyboard."""

import json
from collections.abc import Iterable
from typing import Any

from jinja2 import Environment, PackageLoader

from tis_utils.evidence.published import MODELS
from tis_utils.evidence.published_analysis import method_name, published_cube
from tis_utils.evidence.recommendation import (
    ANY,
    COMPUTE,
    GOALS,
    TASK_KINDS,
    Answer,
    share_below_untuned,
    strength_groups,
)
from tis_utils.evidence.tables import RANDOM, ZERO_SHOT

TEMPLATES = PackageLoader("tis_utils", "book")


class DecisionPage:
    """All answers of :func:`tis_utils.evidence.recommendation.answers`, for a notebook to show."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.answers = list(answers)

    def _repr_html_(self) -> str:
        goal, *_, compute = next(iter(GOALS)), *COMPUTE  # all methods in view
        asked = [a for a in self.answers if (a.goal, a.strength, a.kind, a.compute) == (goal, ANY, ANY, compute)]
        first = asked[len(asked) // 2]  # a middling budget
        data = json.dumps(_by_question(self.answers), separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
        environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=TEMPLATES)
        template = environment.get_template("decision_page.html")
        return template.render(
            first=first, menus=_menus(first), rows=_rows(first), data=data, below=share_below_untuned()
        )

    def __repr__(self) -> str:
        return f"Decision page with {len(self.answers)} answers"


def _menus(first: Answer) -> list[dict[str, Any]]:
    budgets = {str(b): f"{b:,}" for b in published_cube("downstream").budgets}
    compute = {key: text for key, (text, _) in COMPUTE.items()}
    menus = (
        ("I want", GOALS, first.goal),
        ("My model, by mean zero-shot score", _strengths(), first.strength),
        ("My task is like", TASK_KINDS, first.kind),
        ("Examples to train on", budgets, str(first.budget)),
        ("For selecting I can afford", compute, first.compute),
    )
    return [dict(zip(("title", "options", "chosen"), menu, strict=True)) for menu in menus]


def _strengths() -> dict[str, str]:
    """What the groups of models are, with the zero-shot score of each model."""
    data = published_cube("downstream")
    score = dict(zip(data.models, data.mean[:, :, 0, -1, 0].mean(axis=1), strict=True))
    texts = {
        group: f"{group}: like {' or '.join(f'{MODELS[m]} ({score[m]:.0f} %)' for m in models)}"
        for group, models in strength_groups(data).items()
    }
    return texts | {ANY: f"not sure: all {len(data.models)} models"}


def _rows(answer: Answer) -> list[tuple[str, str, str]]:
    return [
        (method_name(m), "—" if m == RANDOM else r.text(), "—" if m == ZERO_SHOT else z.text())
        for m, r, z in answer.evidence
    ]


def _by_question(answers: Iterable[Answer]) -> dict[str, Any]:
    """By question without compute: the rows of all methods, and the answer to each amount of compute.

    What a smaller amount can afford are the first rows of what a larger one can (see COMPUTE).
    """
    data: dict[str, Any] = {}
    for a in answers:
        entry = data.setdefault(f"{a.goal}|{a.strength}|{a.kind}|{a.budget}", {"unit": a.unit, "answers": {}})
        entry["answers"][a.compute] = (a.headline, a.reason, method_name(a.method), len(a.evidence))
        entry["rows"] = max(entry.get("rows", []), _rows(a), key=len)
    return data
