"""Turn skills into examples and queries: draw problems of one split, phrase them, answer them."""

from random import Random

from tis_utils.examples.classroom.skills import Function, Items, Skill
from tis_utils.examples.classroom.splits import digest, split_of
from tis_utils.examples.text import Example, Query, chat_prompt, exchange

VAGUE = "vague"


def draw_problem(skill: Skill, split: str, rng: Random, taken: set[str]) -> Items:
    """Draw items that belong to `split` and were not taken before; mark them as taken."""
    while True:
        items = skill.draw_clear(rng)
        problem = " ".join(items)
        if split_of(problem) == split and problem not in taken:
            taken.add(problem)
            return items


def phrase(skill: Skill, function: Function, items: Items, wording: str) -> str:
    """Write the request in a wording: "vague", "explicit-1" or "explicit-2"."""
    if wording == VAGUE:
        return skill.vague.format(" ".join(items))
    return function.wordings[int(wording.removeprefix("explicit-")) - 1].format(" ".join(items))


def explicit(function: Function, rng: Random) -> str:
    """Choose one of the explicit wordings."""
    return f"explicit-{rng.randint(1, len(function.wordings))}"


def skill_example(
    skill: Skill, function: Function, items: Items, wording: str, kind: str, seed: int, answer: str | None = None
) -> Example:
    """One candidate; `answer` replaces the right answer (corrupted examples)."""
    request = phrase(skill, function, items, wording)
    reply = function.apply(items) if answer is None else answer
    name, meta = f"{skill.name}-{kind}-{digest(request, reply)}", _meta(skill, function, wording, kind, seed)
    return Example(name, exchange(request, reply), f"skills/{skill.name}", meta)


def skill_query(skill: Skill, items: Items, split: str, seed: int) -> Query:
    """One query or test example: the vague wording, answered with the target function."""
    request = phrase(skill, skill.target, items, VAGUE)
    name, meta = f"{skill.name}-{split}-{digest(request)}", _meta(skill, skill.target, VAGUE, split, seed)
    return Query(name, chat_prompt(request), skill.target.apply(items), skill.name, meta)


def _meta(skill: Skill, function: Function, wording: str, kind: str, seed: int) -> dict[str, str | int]:
    task = {"group": skill.name, "family": f"{skill.name}/{function.name}", "function": function.name}
    return {**task, "wording": wording, "kind": kind, "seed": seed}
