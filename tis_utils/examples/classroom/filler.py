"""General filler: short reasoning-gym families, the bulk of the pool that no target task needs."""

from collections.abc import Iterator
from itertools import count

from tis_utils.errors import InputError
from tis_utils.examples.classroom.splits import digest, seed_of, split_of
from tis_utils.examples.text import Example, exchange

FAMILIES = (
    "base_conversion", "basic_arithmetic", "caesar_cipher", "calendar_arithmetic", "chain_sum",
    "complex_arithmetic", "count_bits", "count_primes", "decimal_arithmetic", "decimal_chain_sum",
    "family_relationships", "fraction_simplification", "gcd", "lcm", "leg_counting", "letter_counting",
    "number_filtering", "number_format", "power_function", "products", "rotate_matrix", "sentence_reordering",
    "simple_equations", "simple_geometry", "spell_backward", "syllogism", "time_intervals",
    "word_sequence_reversal",
)  # fmt: skip
MAX_CHARACTERS = 320  # question and answer together; longer ones would only cost time
_PATIENCE = 500  # draws in a row without a new prompt after which a family counts as used up


def filler(n: int, split: str, seed: int) -> list[Example]:
    """Draw `n` examples with distinct prompts that belong to `split`, families in turn until they are used up."""
    taken: set[str] = set()
    streams = [_stream(family, split, seed, taken) for family in FAMILIES]
    examples: list[Example] = []
    while len(examples) < n:
        drawn = [(stream, next(stream, None)) for stream in streams[: n - len(examples)]]
        streams = [stream for stream, example in drawn if example] + streams[len(drawn) :]
        examples += [example for _, example in drawn if example]
        if not streams:
            raise InputError(
                f"The filler families have {len(examples)} distinct prompts for the {split} split; {n} were asked "
                "for. Ask for a smaller pool."
            )
    return examples


def _stream(family: str, split: str, seed: int, taken: set[str]) -> Iterator[Example]:
    """Yield new examples of one family until `_PATIENCE` draws in a row bring none."""
    from reasoning_gym.factory import create_dataset  # takes seconds to import

    family_seed = seed_of(seed, split, family)
    dataset = create_dataset(family, seed=family_seed, size=2**31)
    last = 0
    for index in count():
        if index - last > _PATIENCE:
            return
        entry = dataset[index]
        question, answer = entry["question"].strip(), str(entry["answer"]).strip()
        if question in taken or split_of(question) != split or len(question) + len(answer) > MAX_CHARACTERS:
            continue
        taken.add(question)
        last = index
        yield _example(family, question, answer, family_seed + index)


def _example(family: str, question: str, answer: str, seed: int) -> Example:
    task = {"group": "general", "family": family, "function": family}
    meta = {**task, "wording": "reasoning-gym", "kind": "filler", "seed": seed}
    name = f"{family}-{digest(question, answer)}"
    return Example(name, exchange(question, answer), f"reasoning-gym/{family}", meta)
