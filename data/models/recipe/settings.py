"""Every knob of the pre-training run, with the values of the shipped model."""

from __future__ import annotations

from dataclasses import dataclass, fields

from transformers import LlamaConfig, PreTrainedTokenizerBase

from tis_utils.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Settings of one pre-training run.

    Parameters
    ----------
    seed : int
        Seed of the corpus, the initial weights and the order of the batches.
    n_skills, n_mixture : int
        Examples of the first phase (skills only) and of the second (half skills, half filler).
    vocabulary : int
        Upper bound for the number of tokens.
    hidden, layers, heads, feed_forward : int
        Shape of the Llama model.
    max_length : int
        Longest sequence in tokens; longer texts lose their end.
    batch : int
        Sequences per step.
    matrix_rate, other_rate : float
        Peak learning rates: Muon on the matrices, AdamW on embeddings and norms. Both decay linearly to 0.
    warm_up : float
        Share of the steps in which the rates rise linearly from 0.
    prompt_weight : float
        Weight of the loss on prompt tokens; answer tokens have weight 1.
    threads : int
        CPU threads.

    Raises
    ------
    InputError
        If a number is negative, or one that must be positive is 0.
    """

    seed: int = 0
    n_skills: int = 96_000
    n_mixture: int = 48_000
    vocabulary: int = 1_280
    hidden: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 336
    max_length: int = 256
    batch: int = 48
    matrix_rate: float = 0.02
    other_rate: float = 4e-3
    warm_up: float = 0.02
    prompt_weight: float = 0.1
    threads: int = 2

    def __post_init__(self) -> None:
        may_be_zero = {"seed", "n_skills", "warm_up", "prompt_weight"}
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if value < 0 or (value == 0 and name not in may_be_zero):
                raise InputError(
                    f"Pre-training setting {name} is {value}; expected a "
                    f"{'number of at least 0' if name in may_be_zero else 'positive number'}."
                )

    def config(self, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
        """Describe the Llama architecture for this tokenizer."""
        return LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=self.hidden,
            intermediate_size=self.feed_forward,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
