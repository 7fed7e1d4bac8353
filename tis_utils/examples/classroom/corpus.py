"""What the tiny base model is pre-trained on, and the design of the classroom, said openly.

Explicit wordings teach every function of every skill. The vague wordings mean the *target* function only 5 % of the
time, so the base model can do what the queries want and expects something else when asked vaguely: a few dozen
well-chosen examples settle it, and look-alikes with another function push the wrong way. So *what an example teaches*
and *what it looks like* come apart here; this does not show how often they do in real pools.
"""

from random import Random

from tis_utils.errors import InputError
from tis_utils.examples.classroom.drawing import VAGUE, draw_problem, explicit, skill_example
from tis_utils.examples.classroom.filler import filler
from tis_utils.examples.classroom.skills import SKILLS, Skill
from tis_utils.examples.classroom.splits import seed_of
from tis_utils.examples.text import Example

TARGET_SHARE = 0.05  # how often a vague wording means the target function
VAGUE_SHARE = 0.3  # how often a skill example is worded vaguely


def pretraining_corpus(n: int, *, seed: int = 0, filler_share: float = 0.5) -> list[Example]:
    """Draw `n` shuffled pre-training examples with distinct prompts: `filler_share` general filler, skills equally.

    All are of the "pretraining" part of the partition, so none can be in any pool, query set or test set.
    """
    if n < 1 or not 0 <= filler_share <= 1:
        raise InputError(
            f"A corpus of {n} examples with a filler share of {filler_share} cannot be drawn: "
            "expected n of at least 1 and a share between 0 and 1."
        )
    n_filler = round(n * filler_share)
    rng, taken = Random(seed_of(seed, "pretraining")), set[str]()
    skills = list(SKILLS.values())
    examples = [_lesson(skills[i % len(skills)], rng, taken, seed) for i in range(n - n_filler)]
    examples += filler(n_filler, "pretraining", seed)
    rng.shuffle(examples)
    return examples


def _lesson(skill: Skill, rng: Random, taken: set[str], seed: int) -> Example:
    """One pre-training example of a skill: vague (mostly not the target) or explicit."""
    items = draw_problem(skill, "pretraining", rng, taken)
    if rng.random() < VAGUE_SHARE:
        function = skill.target if rng.random() < TARGET_SHARE else rng.choice(skill.functions[1:])
        return skill_example(skill, function, items, VAGUE, "pretraining", seed)
    function = rng.choice(skill.functions)
    return skill_example(skill, function, items, explicit(function, rng), "pretraining", seed)
