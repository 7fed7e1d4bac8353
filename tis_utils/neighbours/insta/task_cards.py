"""Task cards of the classroom: what an author would write about each task, without showing an example.

INSTA takes for granted that somebody has written instructions. For the skill functions the explicit wordings play
that part; for the reasoning-gym families these sentences do. They were written for this book before any score was
looked at, and say what to do, not how the prompts of the family are phrased.
"""

from __future__ import annotations

from tis_utils.examples.classroom import SKILLS
from tis_utils.storage.keys import step

VERSION = step("task_cards", 1)

_FILLER: dict[str, tuple[str, ...]] = {
    "base_conversion": (
        "Rewrite a number in another base.",
        "Translate between binary, hexadecimal and other number systems.",
        "Change the radix of an integer.",
    ),
    "basic_arithmetic": (
        "Work out an expression with plus, minus, times and divide.",
        "Evaluate a short sum with brackets.",
        "Do the arithmetic and give the result.",
    ),
    "caesar_cipher": (
        "Decode a message whose letters were shifted along the alphabet.",
        "Break a simple substitution code.",
        "Recover the plain text from a shifted one.",
    ),
    "calendar_arithmetic": (
        "Answer a question about dates, weekdays and leap years.",
        "Count days or find the day of the week.",
        "Reason about the calendar.",
    ),
    "chain_sum": (
        "Add and subtract a row of whole numbers.",
        "Compute a running total.",
        "Give the value of a chain of additions and subtractions.",
    ),
    "complex_arithmetic": (
        "Compute with imaginary numbers.",
        "Combine two numbers that have a real and an imaginary part.",
        "Carry out an operation on complex values.",
    ),
    "count_bits": (
        "Say how many ones a number has when written in binary.",
        "Find the population count of an integer.",
        "Count the set bits.",
    ),
    "count_primes": (
        "Say how many primes lie in a range.",
        "Count the integers in an interval that have no divisors.",
        "Determine the number of primes between two limits.",
    ),
    "decimal_arithmetic": (
        "Evaluate an expression with decimal fractions and brackets.",
        "Compute with numbers that have a decimal point.",
        "Do precise decimal calculations.",
    ),
    "decimal_chain_sum": (
        "Add and subtract a row of decimal numbers.",
        "Give the total of several numbers with a decimal point.",
        "Sum up a chain of decimals.",
    ),
    "family_relationships": (
        "Say how two relatives are related.",
        "Read a family tree and name the relation of one person to another.",
        "Work out who is whose mother, uncle or grandchild.",
    ),
    "fraction_simplification": (
        "Reduce a fraction.",
        "Cancel common factors of numerator and denominator.",
        "Bring a ratio to its simplest form.",
    ),
    "gcd": (
        "Find the largest number that divides all given numbers.",
        "Compute the highest common factor.",
        "Determine the greatest shared divisor.",
    ),
    "lcm": (
        "Find the smallest number that is a multiple of all given numbers.",
        "Compute the lowest common multiple.",
        "Determine the least number that several integers divide.",
    ),
    "leg_counting": (
        "Add up the legs of a group of animals.",
        "Given some animals, count their legs.",
        "Compute how many legs a zoo has.",
    ),
    "letter_counting": (
        "Count how often a letter occurs in a sentence.",
        "Say how many times one character is in a text.",
        "Find the frequency of a letter.",
    ),
    "number_filtering": (
        "Remove from a list the numbers above or below a limit.",
        "Keep those numbers that pass a threshold.",
        "Filter a list of numbers by size.",
    ),
    "number_format": (
        "Choose the largest or smallest of numbers that are written in different ways.",
        "Compare numbers in scientific and ordinary notation.",
        "Find the extreme value among several numbers.",
    ),
    "power_function": (
        "Raise a number to a power.",
        "Compute an exponential and round it.",
        "Evaluate a base with an exponent.",
    ),
    "products": ("Multiply two numbers.", "Give the product of two integers.", "Do a multiplication."),
    "rotate_matrix": (
        "Turn a square grid of numbers by a multiple of ninety degrees.",
        "Rotate a table clockwise.",
        "Write down a matrix after turning it.",
    ),
    "sentence_reordering": (
        "Put shuffled words back into a sentence.",
        "Arrange jumbled words in their right order.",
        "Restore a scrambled sentence.",
    ),
    "simple_equations": (
        "Solve a linear equation with one unknown.",
        "Find the value of the variable.",
        "Work out x from an equation.",
    ),
    "simple_geometry": (
        "Find the missing angle of a polygon.",
        "Compute an interior angle from the others.",
        "Answer a question about the angles of a shape.",
    ),
    "spell_backward": (
        "Write a word from its last letter to its first.",
        "Reverse the letters of a word.",
        "Spell it the wrong way round.",
    ),
    "syllogism": (
        "Decide whether a conclusion follows from two premises.",
        "Judge a logical argument about all, some and none.",
        "Check if the inference is valid.",
    ),
    "time_intervals": (
        "Find how much time passed between two moments.",
        "Compute the duration from start to end.",
        "Subtract two dates or clock times.",
    ),
    "word_sequence_reversal": (
        "Write a list of words in the opposite order.",
        "Turn the order of the words around.",
        "List the words starting with the last.",
    ),
}


def _explicit(wordings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(" ".join(wording.replace("{}", "").split()).rstrip(" :") for wording in wordings)


CARDS: dict[str, tuple[str, ...]] = _FILLER | {
    f"{skill.name}/{function.name}": _explicit(function.wordings)
    for skill in SKILLS.values()
    for function in skill.functions
}
