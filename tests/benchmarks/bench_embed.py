"""EMBED against plain `SentenceTransformer.encode` on the same texts: `bench_embed.py [COUNT]`, 10,000 by default.

The texts are cut into parts, and each part is read by both, the other one first each time: what the machine does
besides then meets both. Seconds of the processor are counted beside those of the clock, for machines with other work.
"""

from __future__ import annotations

import statistics
import sys
from time import perf_counter, process_time

import numpy as np
from sentence_transformers import SentenceTransformer

from tis_utils.examples.text import Example, chat_text
from tis_utils.representations import Embed
from tis_utils.representations.embed import minilm_folder

PARTS = 5


def short_examples(count: int) -> list[Example]:
    """Candidates of some twenty words, each another one."""
    rng = np.random.default_rng(0)
    names, things = ["Ann", "Bo", "Cleo", "Dev", "Eli"], ["apples", "coins", "stamps", "books", "marbles"]
    made = []
    for number in range(count):
        name, thing, few, many = rng.choice(names), rng.choice(things), rng.integers(2, 90), rng.integers(90, 999)
        prompt = f"{name} has {many} {thing} and gives away {few}. How many {thing} are left for day {number}?"
        turns = (("user", prompt), ("assistant", f"There are {many - few} {thing} left."))
        made.append(Example(f"c{number}", [{"role": role, "content": text} for role, text in turns], "short"))
    return made


def main() -> None:
    """Print the seconds of both and the median of the ratios of the parts."""
    examples = short_examples(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    ours, plain = Embed(show_progress=False), SentenceTransformer(str(minilm_folder()), local_files_only=True)
    ways = {
        "EMBED": lambda part: ours.candidates(part),
        "encode": lambda part: plain.encode([chat_text(example) for example in part], normalize_embeddings=True),
    }
    for way in ways.values():
        way(examples[:200])  # warm
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number, part in enumerate(np.array_split(np.arange(len(examples)), PARTS)):
        rows = {}
        for name in list(ways)[:: 1 if number % 2 else -1]:
            wall, processor = perf_counter(), process_time()
            rows[name] = ways[name]([examples[i] for i in part])
            took[name].append((perf_counter() - wall, process_time() - processor))
        assert np.allclose(rows["EMBED"], rows["encode"], atol=1e-5)
    for clock, what in enumerate(("clock", "processor")):
        ours_s, plain_s = ([times[clock] for times in took[name]] for name in ("EMBED", "encode"))
        ratios = [a / b for a, b in zip(ours_s, plain_s, strict=True)]
        print(f"{len(examples)} texts, {what}: EMBED {sum(ours_s):.0f} s, encode {sum(plain_s):.0f} s,", end=" ")
        print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} in {PARTS} parts)")


if __name__ == "__main__":
    main()
