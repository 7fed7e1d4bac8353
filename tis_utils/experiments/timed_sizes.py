"""What a dry run assumes where a profile does not say it: read from its model and texts, and timed on this machine."""

import time
from collections.abc import Callable

import numpy as np
import torch

from tis_utils.examples.load import load_data
from tis_utils.examples.text import Encoded, Example, Query
from tis_utils.models.batching import collate, example_losses
from tis_utils.models.evaluation import answers, padding
from tis_utils.models.fine_tuning import autocast
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.profiles import BACKWARD, FORWARD, Plan, Profile

TOKENS = 2048  # of the timed batch, unless training takes smaller ones
WRITERS, WRITTEN = 50, 64  # answers written side by side, and tokens of each: as exact match does
LONG = 2.0  # seconds after which nothing is timed again
EMBEDDERS = {"minilm": 2.3e7}  # parameters of those that come as packages


def timed_sizes(profile: Profile) -> Plan:
    """Parameters and tokens of the profile's model and texts; speed of training and writing, on one core or the GPU."""
    model, data = load_model(profile.model, dtype=profile.dtype), load_data(profile)
    queries, test = ([query for task in profile.tasks for query in part[task]] for part in (data.queries, data.test))
    texts: list[Example | Query] = [*data.pool, *queries, *test]
    encoded = sorted(model.encode(texts, profile.max_length), key=lambda text: len(text.ids))
    known = {"embedder_parameters": EMBEDDERS[profile.embedder]} if profile.embedder in EMBEDDERS else {}
    if profile.proxy:
        known["proxy_parameters"] = load_model(profile.proxy).model.num_parameters()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a run
    try:
        known["training_tflops"] = _training(profile, model, encoded)
        known["writing_tflops"] = known["training_tflops"] / 10
        if any(profile.metric_of(task) == "exact_match" for task in profile.tasks):
            known["writing_tflops"] = _writing(model, test[:WRITERS])
    finally:
        torch.set_num_threads(threads)
    return Plan(
        parameters=model.model.num_parameters(),
        hidden_size=model.model.config.hidden_size,
        tokens_per_example=round(np.mean([len(text.ids) for text in encoded])),
        evaluated=max(1, round(len(test) / len(profile.tasks))),
        new_tokens=WRITTEN,
        **known,
    )


def _training(profile: Profile, model: LanguageModel, texts: list[Encoded]) -> float:
    """10^12 operations per second of a forward and backward pass over the middle of `texts`, ordered by length."""
    longest = max(1, len(texts[len(texts) // 2].ids))
    rows = min(profile.training.micro_batch_size or profile.training.batch_size, max(1, TOKENS // longest))
    start = max(0, min(len(texts) // 2, len(texts) - rows))
    batch = collate(texts[start : start + rows], np.arange(min(rows, len(texts))), model.pad_id, model.device)

    def step() -> None:
        with autocast(model, profile.training):
            example_losses(model.model, batch).mean().backward()
        model.model.zero_grad()

    return (FORWARD + BACKWARD) * model.model.num_parameters() * batch.ids.numel() / _shortest(step) / 1e12


def _writing(model: LanguageModel, queries: list[Query]) -> float:
    """10^12 operations per second of answers to `queries`, as if each were as long as it may be."""
    seconds = _shortest(lambda: answers(padding(model), queries, max_new_tokens=WRITTEN))
    return FORWARD * model.model.num_parameters() * len(queries) * WRITTEN / seconds / 1e12


def _shortest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of up to three calls."""
    seconds: list[float] = []
    while len(seconds) < 3 and sum(seconds) < LONG:
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
