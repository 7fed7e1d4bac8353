"""What the tiny base model is pre-trained on, and the open secret of its design.

**The design, said openly.** The classroom is built so that a target task is *almost* known to the base
model and yet undecided. In pre-training, the explicit wordings teach every function of every skill. The
vague wordings occur as well, but mean the *target* function only 5 % of the time; the other functions of
the skill share the rest equally. So the base model can do what the queries want, and expects something
else when asked vaguely. Fine-tuning on a few dozen well-chosen examples only has to settle what the
vague wording means, which is why tens of examples move the loss of a model this small. Candidates with
the right wording and another function push the wrong way though they look alike as texts. This makes the
classroom a place where *what an example teaches* and *what it looks like* come apart; it does not show
how often they do in real pools.
"""

from __future__ import annotations

from random import Random

from tis_utils.errors import InputError
from tis_utils.examples.classroom.drawing import VAGUE, draw_problem, explicit, skill_example
from tis_utils.examples.classroom.filler import filler
from tis_utils.examples.classroom.skills import SKILLS, Function, Skill
from tis_utils.examples.classroom.splits import seed_of
from tis_utils.examples.text import Example

TARGET_SHARE = 0.05  # how often a vague wording means the target function
VAGUE_SHARE = 0.3  # how often a skill example is worded vaguely


def pretraining_corpus(n: int, *, seed: int = 0, filler_share: float = 0.5) -> list[Example]:
    """Draw pre-training examples: skills (explicit and vague wordings) and general filler, shuffled.

    All problems come from the "pretraining" part of the partition, so none of them can be in any pool,
    query set or test set. See the module's description for what the vague wordings mean here.

    Parameters
    ----------
    n : int
        Number of examples, at least 1, all with distinct prompts.
    seed : int
        Seed of everything drawn.
    filler_share : float
        Share of filler in [0, 1]; the skills share the rest equally.

    Raises
    ------
    InputError
        If `n` or `filler_share` is out of range, or the filler families are used up.
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
        return skill_example(skill, _vague_function(skill, rng), items, VAGUE, "pretraining", seed)
    function = rng.choice(skill.functions)
    return skill_example(skill, function, items, explicit(function, rng), "pretraining", seed)


def _vague_function(skill: Skill, rng: Random) -> Function:
    """The function that a vague wording means this time."""
    return skill.target if rng.random() < TARGET_SHARE else rng.choice(skill.functions[1:])
