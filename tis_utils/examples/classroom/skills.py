"""The skill groups of the classroom: small text transformations that a tiny model can learn.

Every function of a skill has two *explicit* wordings that name it; the *vague* wording of the skill does not say which
is meant. Two candidates with the same wording and different functions look alike and teach different things.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Items = tuple[str, ...]
_Row = tuple[str, Callable[[Items], str], str, str]  # a function and its two explicit wordings


def _listed(text: str) -> Items:
    return tuple(text.split())


NOUNS = _listed(
    "apple bag ball bank bed bell bird boat book box bread bridge brush bus cake camp car cat chair clock cloud "
    "coat coin cow cup desk dish dog door dress drum duck egg farm fire fish flag floor fork frog garden gate "
    "glass goat gold hall hat hill horse house ice island jar key king kite knife lake lamp leaf lemon lion map "
    "milk mirror moon mouse nest nose nut ocean onion oven owl paper park pear pen piano plate pond pot queen "
    "rain ring river road rock roof root rope rose salt sand school sea seed sheep ship shoe shop silk sky snow "
    "soap sock song spoon star stone street sun table tail tent tiger tooth tower train tree truck wall watch "
    "water wheel wind window wolf wood wool"
)
NAMES = _listed(
    "Adam Alice Anna Ben Carl Clara Dora Emma Eric Eva Felix Fred Grace Hans Helen Hugo Ida Igor Jack Jane John "
    "Julia Karl Kate Laura Leo Lily Lisa Lucy Marco Maria Mark Max Mia Nina Nora Oscar Paul Peter Rita Rosa Ruth "
    "Sam Sara Simon Theo Tina Tom Vera Zoe"
)
COLOURS = _listed(
    "amber beige black blue brown coral cream cyan green grey khaki lilac mint olive orange pink red teal"
)


@dataclass(frozen=True)
class Function:
    """What to do with the items, and the explicit wordings that say so."""

    name: str
    apply: Callable[[Items], str]
    wordings: tuple[str, ...]


@dataclass(frozen=True)
class Skill:
    """A skill group; the first function is the *target*: what the queries mean by the vague wording."""

    name: str
    draw: Callable[[Random], Items]
    vague: str
    functions: tuple[Function, ...]

    @property
    def target(self) -> Function:
        """The function that the queries of this group want."""
        return self.functions[0]

    def answers(self, items: Items) -> list[str]:
        """The answer of every function, in order."""
        return [function.apply(items) for function in self.functions]

    def draw_clear(self, rng: Random) -> Items:
        """Draw items on which all functions disagree, so every answer shows which function made it."""
        while True:
            items = self.draw(rng)
            if len(set(self.answers(items))) == len(self.functions):
                return items


def _words(low: int, high: int) -> Callable[[Random], Items]:
    return lambda rng: tuple(rng.sample(NOUNS, rng.randint(low, high)))


def _numbers(rng: Random) -> Items:
    return tuple(str(number) for number in rng.sample(range(11, 99), rng.randint(4, 6)))


def _mixture(rng: Random) -> Items:
    """Two or three nouns, names and numbers each, shuffled."""
    kinds = (NOUNS, NAMES, [str(number) for number in range(11, 99)])
    items = [item for kind in kinds for item in rng.sample(kind, rng.randint(2, 3))]
    rng.shuffle(items)
    return tuple(items)


def _pairs(rng: Random) -> Items:
    count = rng.randint(3, 4)
    return tuple(f"{a}={b}" for a, b in zip(rng.sample(NAMES, count), rng.sample(COLOURS, count), strict=True))


def _join(order: Callable[[Items], Items]) -> Callable[[Items], str]:
    return lambda items: " ".join(order(items))


def _each(change: Callable[[str], str]) -> Callable[[Items], str]:
    return lambda items: " ".join(change(item) for item in items)


def _keep(test: Callable[[str], bool]) -> Callable[[Items], str]:
    return lambda items: " ".join(item for item in items if test(item))


def _side(index: int) -> Callable[[str], str]:
    return lambda pair: pair.split("=")[index]


def _skill(name: str, draw: Callable[[Random], Items], vague: str, *functions: _Row) -> Skill:
    return Skill(name, draw, vague, tuple(Function(key, apply, (one, two)) for key, apply, one, two in functions))


# Each function: its name, what it does, its two explicit wordings. The first function is the target.
WORDS = _skill(
    "words", _words(4, 6), "Rearrange the words: {}",
    ("reverse", _join(lambda items: items[::-1]),
     "Reverse the order of the words: {}", "Write from last to first: {}"),
    ("rotate", _join(lambda items: (*items[1:], items[0])),
     "Move the first word to the end: {}", "Rotate one step to the left: {}"),
    ("swap_ends", _join(lambda items: (items[-1], *items[1:-1], items[0])),
     "Swap the first and the last word: {}", "Exchange the two outer words: {}"),
    ("copy", _join(lambda items: items),
     "Copy the words unchanged: {}", "Repeat this as it is: {}"),
)  # fmt: skip
NUMBERS = _skill(
    "numbers", _numbers, "Change the numbers: {}",
    ("last_digits", _each(lambda number: number[1]),
     "Keep the last digit of every number: {}", "Write only the ones: {}"),
    ("first_digits", _each(lambda number: number[0]),
     "Keep the first digit of every number: {}", "Write only the tens: {}"),
    ("add_one", _each(lambda number: str(int(number) + 1)),
     "Add one to every number: {}", "Count each number up by one: {}"),
    ("copy", _join(lambda items: items),
     "Copy the numbers unchanged: {}", "Repeat the numbers as they are: {}"),
)  # fmt: skip
FILTER = _skill(
    "filter", _mixture, "Filter the list: {}",
    ("keep_numbers", _keep(str.isdigit),
     "Keep only the numbers: {}", "Write out the items made of digits: {}"),
    ("keep_names", _keep(str.istitle),
     "Keep only the names: {}", "Write out the items with a capital letter: {}"),
    ("keep_nouns", _keep(str.islower),
     "Keep only the things: {}", "Write out the items in small letters: {}"),
    ("drop_numbers", _keep(str.isalpha),
     "Drop the numbers: {}", "Leave out the items made of digits: {}"),
)  # fmt: skip
PICK = _skill(
    "pick", _words(5, 7), "Pick one word: {}",
    ("last", lambda items: items[-1],
     "Say the last word: {}", "Which word ends the list? {}"),
    ("first", lambda items: items[0],
     "Say the first word: {}", "Which word opens the list? {}"),
    ("second", lambda items: items[1],
     "Say the second word: {}", "Which word follows the first one? {}"),
    ("second_last", lambda items: items[-2],
     "Say the last word but one: {}", "Which word comes before the last one? {}"),
)  # fmt: skip
PAIRS = _skill(
    "pairs", _pairs, "Read the pairs: {}",
    ("values", _each(_side(1)),
     "List what stands right of the signs: {}", "Write the colours: {}"),
    ("keys", _each(_side(0)),
     "List what stands left of the signs: {}", "Write the people: {}"),
    ("swap_sides", _each(lambda pair: f"{_side(1)(pair)}={_side(0)(pair)}"),
     "Turn every pair around: {}", "Swap left and right: {}"),
    ("last_pair", lambda items: items[-1],
     "Give the final pair: {}", "Copy the pair at the end: {}"),
)  # fmt: skip

SKILLS: dict[str, Skill] = {skill.name: skill for skill in (WORDS, NUMBERS, FILTER, PICK, PAIRS)}
