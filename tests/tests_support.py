"""Small pieces that several test modules share."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tis_utils.examples.text import Example, Query, chat_prompt


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, plus end-of-sequence and padding: nothing merges, so every count is predictable."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*alphabet, "<eos>", "<pad>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")


def example(answer: str, *, prompt: str = "say it", name: str = "e0") -> Example:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return Example(name, messages, "test")


def query(answer: str, *, prompt: str = "say it", name: str = "q0") -> Query:
    return Query(name, chat_prompt(prompt), answer, "test")
