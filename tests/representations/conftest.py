from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tis_utils.examples.text import Example, Query, chat_prompt
from tis_utils.models.load import LanguageModel

WORDS = ["red", "blue", "seven", "apples", "run", "fast", "over", "the", "quiet", "river", "and", "sing"]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level: every byte one token, so lengths are easy to reason about."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {"<eos>": 0, **{c: i + 1 for i, c in enumerate(alphabet)}}
    raw = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>")


def build(family: str, seed: int = 0) -> PreTrainedModel:
    """Random weights, large enough that gradients of different examples differ clearly."""
    torch.manual_seed(seed)
    shape = {
        "vocab_size": 257,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
    }
    ends: dict[str, Any] = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape, **ends, tie_word_embeddings=True)).eval()
    if family == "qwen":
        return Qwen3ForCausalLM(Qwen3Config(**shape, **ends, head_dim=8)).eval()
    config = GPT2Config(vocab_size=257, n_embd=24, n_layer=2, n_head=4, initializer_range=0.2, **ends)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture(params=["llama", "gpt2", "qwen"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def make_lm(tokenizer: PreTrainedTokenizerFast) -> Callable[..., LanguageModel]:
    def make(family: str = "llama", dtype: torch.dtype = torch.float32, seed: int = 0) -> LanguageModel:
        model = build(family, seed).to(dtype)
        return LanguageModel(family, model, tokenizer, f"{family}-{seed}")

    return make


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return [
        Example(
            f"c{i}",
            [
                {"role": "user", "content": " ".join(WORDS[i % 5 : i % 5 + 1 + i % 4])},
                {"role": "assistant", "content": " ".join(WORDS[i % 7 : i % 7 + 1 + (3 * i) % 5])},
            ],
            "toy",
        )
        for i in range(14)
    ]


@pytest.fixture(scope="session")
def queries() -> list[Query]:
    return [Query(f"q{i}", chat_prompt(WORDS[i]), WORDS[-1 - i], "toy") for i in range(4)]
