"""Cards of all tasks."""

from __future__ import annotations

from tis_utils.examples.classroom import FAMILIES, SKILLS
from tis_utils.neighbours.insta.task_cards import CARDS


def test_every_task_of_the_classroom_has_a_card_in_plain_words() -> None:
    functions = {f"{skill.name}/{function.name}" for skill in SKILLS.values() for function in skill.functions}
    assert set(CARDS) == {*FAMILIES, *functions}
    for texts in CARDS.values():
        assert len(set(texts)) == len(texts) >= 2
        assert not any("{" in text or ":" in text for text in texts)
