"""Task cards of the classroom: what an author would write about each task, without showing an example.

INSTA takes for granted that somebody has written instructions. For the skill functions the explicit wordings play
that part; for the reasoning-gym families the sentences of ``task_cards.yaml`` do.
"""

from pathlib import Path

import yaml

from tis_utils.examples.classroom import SKILLS
from tis_utils.storage.keys import step

VERSION = step("task_cards", 1)


def _explicit(wording: str) -> str:
    """A wording without the place of the instance."""
    return " ".join(wording.replace("{}", "").split()).rstrip(" :")


_families = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
# Task -> wordings.
CARDS: dict[str, tuple[str, ...]] = {family: tuple(wordings) for family, wordings in _families.items()} | {
    f"{skill.name}/{function.name}": tuple(map(_explicit, function.wordings))
    for skill in SKILLS.values()
    for function in skill.functions
}
