"""What a fine-tuned model is worth: loss on queries, loss on held-out examples, exact match."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tis_utils.errors import InputError
from tis_utils.examples.benchmarks import choices_of
from tis_utils.examples.text import IGNORE, Encoded, Query, encode_query
from tis_utils.models.batching import Batch, each_batch, example_losses
from tis_utils.models.load import LanguageModel
from tis_utils.storage.keys import step

VERSION = step("evaluation", 1)

ANSWER = "The answer is"  # how the worked examples of MMLU and BBH introduce their choice


@torch.no_grad()
def query_losses(
    model: LanguageModel, queries: Sequence[Query], *, max_length: int = 2048, batch_tokens: int | None = None
) -> np.ndarray:
    """Mean answer-token cross-entropy of each query, in nats, float64 of shape (M,); NaN without answer tokens.

    Parameters
    ----------
    max_length : int
        Longest text in tokens.
    batch_tokens : int, optional
        Limit of rows × tokens per batch; by default 1,024 on a CPU, where larger batches are slower, else 16,384.

    Raises
    ------
    InputError
        If there are no queries.
    """
    if not queries:
        raise InputError("There are no queries to evaluate on; give at least one.")
    return _losses(model, model.encode(queries, max_length), batch_tokens)


def mean_loss(model: LanguageModel, queries: Sequence[Query], *, max_length: int = 2048) -> float:
    """The *query loss*: mean over queries of each query's mean token loss, in nats."""
    return float(query_losses(model, queries, max_length=max_length).mean())


def padding(model: LanguageModel) -> LanguageModel:
    """The model with a tokenizer that can fill batches; some, like Llama 2's, name no padding token."""
    if model.tokenizer.pad_token_id is not None:
        return model
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.pad_token_id = model.pad_id
    return replace(model, tokenizer=tokenizer)


@torch.no_grad()
def answers(
    model: LanguageModel, queries: Sequence[Query], *, max_new_tokens: int = 64, batch_size: int = 50, **sampling: Any
) -> list[str]:
    """Answers without the prompt and special tokens, white space at the end removed.

    Greedy by default; `sampling` goes to transformers' ``generate``, for example ``do_sample=True, temperature=0.8``.
    """
    tokenizer = model.tokenizer
    texts: list[str] = []
    for start in range(0, len(queries), batch_size):
        prompts = [query.prompt for query in queries[start : start + batch_size]]
        batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left").to(model.model.device)
        batch.pop("token_type_ids", None)
        out = model.model.generate(  # type: ignore[operator]  # a mixin method
            **batch,
            max_new_tokens=max_new_tokens,
            **{"do_sample": False} | sampling,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        new = out[:, batch["input_ids"].shape[1] :]
        texts += [text.rstrip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return texts


def exact_match(model: LanguageModel, queries: Sequence[Query], *, max_new_tokens: int = 64) -> float:
    """Share of queries whose greedy answer equals the label, up to surrounding white space."""
    given = answers(model, queries, max_new_tokens=max_new_tokens)
    return float(np.mean([text.strip() == query.label.strip() for text, query in zip(given, queries, strict=True)]))


@torch.no_grad()
def choice_accuracy(model: LanguageModel, queries: Sequence[Query], *, max_length: int = 2048) -> float:
    """Share of multiple-choice questions whose right choice has the highest log-likelihood (lm-eval's ``acc``).

    Each choice is scored as the continuation of the prompt and "The answer is". NaN where no query is such a question,
    see :func:`tis_utils.examples.benchmarks.choices_of`.
    """
    asked = [(query, *found) for query in queries if (found := choices_of(query))]
    if not asked:
        return float("nan")
    texts = [_choice(query, choice, model, max_length) for query, choices, _ in asked for choice in choices]
    scores = -_losses(model, texts) * [(text.labels[1:] != IGNORE).sum() for text in texts]
    ends = np.cumsum([len(choices) for _, choices, _ in asked])
    likeliest = [int(part.argmax()) for part in np.split(scores, ends[:-1])]
    return float(np.mean([best == right for best, (_, _, right) in zip(likeliest, asked, strict=True)]))


@torch.no_grad()
def answer_probability(model: LanguageModel, queries: Sequence[Query], *, max_length: int = 2048) -> float:
    """Mean probability of the final answer of worked problems, given the question and the worked steps.

    The answer is what stands behind the last "The answer is" of a label; its probability is the geometric mean over its
    tokens, so long numbers are not at a disadvantage. NaN where no label has such an end.
    """
    parts = [(query, *query.label.rpartition(ANSWER)) for query in queries]
    worked = [
        (replace(query, prompt=query.prompt + steps), end.strip(" .")) for query, steps, found, end in parts if found
    ]
    if not worked:
        return float("nan")
    return float(np.exp(-_losses(model, [_choice(query, end, model, max_length) for query, end in worked])).mean())


def _losses(model: LanguageModel, texts: Sequence[Encoded], batch_tokens: int | None = None) -> np.ndarray:
    """Mean loss of each text's labels, nats per token, float64 (N,)."""
    losses = np.empty(len(texts))

    def keep(batch: Batch) -> None:
        losses[batch.index] = example_losses(model.model, batch).double().cpu().numpy()

    usual = 1024 if model.device.type == "cpu" else 16384  # rows × tokens: on a CPU larger batches are slower
    each_batch(keep, texts, model.pad_id, model.device, batch_tokens or usual)
    return losses


def _choice(query: Query, choice: str, model: LanguageModel, max_length: int) -> Encoded:
    """One choice with the loss on its tokens only; a prompt that is too long loses its start."""
    asked = replace(query, prompt=f"{query.prompt}{ANSWER}", label=f" {choice}")
    end = int(model.tokenizer.eos_token_id is not None)
    whole = encode_query(asked, model.tokenizer, model.longest(max_length) + end)
    kept = slice(len(whole.ids) - end)  # without the EOS: lm-eval scores the choice alone
    return Encoded(whole.ids[kept], whole.labels[kept])
