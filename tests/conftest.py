"""Shared fixtures: a random-weight model small enough to train in a blink, and hypothesis settings."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests_support import byte_tokenizer
from tis_utils.models.load import LanguageModel

torch.set_num_threads(1)
settings.register_profile(
    "tis", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("tis")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--store-golden", action="store_true", help="store golden outputs of steps whose VERSION is new")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture
def random_model(tokenizer: PreTrainedTokenizerFast) -> LanguageModel:
    """A Llama with random weights; a fresh copy for every test."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    return LanguageModel("random", LlamaForCausalLM(config).eval(), tokenizer, "random-weights")
