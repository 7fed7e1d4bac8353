"""A byte-level BPE tokenizer in which words, spaces and two-digit numbers stand apart."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tis_utils.examples.text import ROLES

EOS, PAD = "<|endoftext|>", "<|pad|>"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Learn merges from the texts.

    Numbers fall into chunks of two digits from the left, so a two-digit number is one token. A space is a
    token of its own, so a word is the same token wherever it stands, which a small model needs in order
    to copy. The role markers of the chat format are one token each. There is no token at the beginning of a text.

    Parameters
    ----------
    texts : iterable of str
        Training texts.
    vocabulary : int
        Upper bound for the number of tokens, special ones included; at least 261 (256 bytes and 5 others).
    """
    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(r"\d{1,2}| "), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    markers = [AddedToken(f"<|{role}|>", special=False, normalized=False) for role in ROLES]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(markers),
        special_tokens=[EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(markers)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD, clean_up_tokenization_spaces=False
    )
