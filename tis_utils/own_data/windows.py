"""How much of the texts was read: the window of what read them, and the answers that lie behind its end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from tis_utils.examples.text import IGNORE, Example, chat_text, encode_example
from tis_utils.experiments.study import Study
from tis_utils.labels import label
from tis_utils.representations import Embed

ENDLESS = 1_000_000  # tokens that no text has
LONGEST_TOKEN = 100  # characters on average; a text with more per token of the window ends behind it


def cut_answers(pool: Sequence[Example], tokenizer: PreTrainedTokenizerBase, window: int) -> np.ndarray:
    """Whether the answer of each candidate is read whole (0), in part (1) or not at all (2), int64 (N,)."""
    return np.array([_cut(example, tokenizer, window) for example in pool], dtype=np.int64)


def _cut(example: Example, tokenizer: PreTrainedTokenizerBase, window: int) -> int:
    text = chat_text(example, tokenizer.eos_token or "")
    if len(text.encode()) <= window:  # no token is shorter than a byte
        return 0
    if len(text) > LONGEST_TOKEN * window:
        before = next((m for m in example.messages if m["role"] != "assistant"), {"content": ""})
        return 2 if len(before["content"]) > LONGEST_TOKEN * window else 1
    learnt = encode_example(example, tokenizer, ENDLESS).labels != IGNORE  # (T,)
    inside = int(learnt[:window].sum())
    return 0 if inside == learnt.sum() else 1 if inside else 2


@dataclass(frozen=True)
class Window:
    """What read the texts of a selection.

    Attributes
    ----------
    features, model, words : str
        For people: the features that the selector used, whose they are, and how long a text may be.
    tokenizer, size
        Tokens that are read of a text; None where there is no such limit.
    """

    features: str
    model: str
    words: str
    tokenizer: PreTrainedTokenizerBase | None = None
    size: int | None = None

    def cut(self, pool: Sequence[Example]) -> tuple[int, int]:
        """Candidates whose answer was read in part, and not at all."""
        if self.tokenizer is None or self.size is None:
            return 0, 0
        counts = np.bincount(cut_answers(pool, self.tokenizer, self.size), minlength=3)
        return int(counts[1]), int(counts[2])


def window_of(study: Study, representation: str, selector: str) -> Window:
    """What read the texts for a selector; `representation` is what the comparisons use, see `select_files`."""
    method = selector.partition("@")[0]
    settings = study.profile
    if method == "random":
        return Window("none: no text is looked at", "none", "no text was read to select")
    if method in ("ila", "deita", "transfer"):
        limit = study.model.longest(settings.max_length)
        also = {
            "ila": ", and a map of EMBED's features",
            "deita": ", and EMBED's features",
            "transfer": " on each task",
        }
        name = f"{label(method)}'s own: losses before and after tuning{also[method]}"
        return Window(name, settings.model, f"{limit} tokens", study.model.tokenizer, limit)
    if method == "insta":
        return Window("INSTA's own: instructions of whole tasks", settings.embedder, "what the embedder reads")
    if method == "retrieval":
        representation = "embed"
    if representation == "given":
        return Window("given", "none (features from files)", "not known (features from files)")
    if representation == "lexical":
        return Window("lexical", "none (words are compared)", "whole, whatever its length")
    reader = study.representation(representation)
    if isinstance(reader, Embed):
        size = reader.window
        return Window("embed", settings.embedder, f"{size} tokens", reader.encoder.tokenizer, size)
    size = study.model.longest(settings.max_length)
    return Window(representation, settings.model, f"{size} tokens", study.model.tokenizer, size)
