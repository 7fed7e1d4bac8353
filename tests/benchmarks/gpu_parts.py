"""Parts of the GPU kit that measure: equal numbers, speed, selection at full size, runs until a deadline."""

from __future__ import annotations

import copy
import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from bench_representations import bare, one_by_one
from scipy.stats import spearmanr
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

from tis_utils.examples.text import IGNORE, Data, Encoded, Example, Query
from tis_utils.experiments.run import RunTask, run_task
from tis_utils.experiments.study import Study
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.neighbours.insta import transfer
from tis_utils.profiles import Profile, load_profile
from tis_utils.representations import LESS, RDS, Embed
from tis_utils.representations.gradients import lora_parameters
from tis_utils.representations.warmup import Checkpoint
from tis_utils.selectors import SELECTORS, select
from tis_utils.selectors.similarity import similarity
from tis_utils.storage.manifests import write_table
from tis_utils.storage.parallel import run_all

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TEXT = 512  # tokens of a text in `speed`, half of them answer
SHAPES = {  # layers, hidden, feed-forward, heads, key-value heads, vocabulary; LoRA rank, texts, one by one, dense
    "135M": ((30, 576, 1536, 9, 3, 49152), 128, 512, 32, 4),
    "7B": ((32, 4096, 11008, 32, 32, 32000), 128, 64, 8, 1),
}
SMALL = {"rehearsal": ((2, 64, 128, 2, 2, 500), 4, 8, 2, 1)}


def sync() -> None:
    """Wait for the device, so that a clock tells the truth."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    sync()
    start = time.perf_counter()
    work()
    sync()
    return time.perf_counter() - start


# --- (a) the same numbers ---------------------------------------------------------------------------


def checks(profile: Profile, data: Data, rehearsal: bool) -> pd.DataFrame:
    """Features on the device against float32 on the CPU: largest difference, rank correlation, picks in common."""
    few = 16 if rehearsal else 96
    pool = data.pool[:few]
    queries = [query for task in profile.tasks for query in data.queries[task][:4]]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        embedder = _small_embedder(Path(scratch) / "embedder")
        reference = {}
        for device, dtype in (("cpu", "float32"), (DEVICE, "float32"), (DEVICE, "bfloat16")):
            lm = load_model(profile.model, device=device, dtype=dtype)
            makers = {"rds": partial(RDS, lm, max_length=256), "less": partial(_less, lm, profile, scratch, pool)}
            if dtype == "float32":
                makers["embed"] = partial(Embed, str(embedder), device=device)
            for name, make in makers.items():
                representation = make(show_progress=False)
                found = representation.candidates(pool), representation.queries(queries)
                reference.setdefault(name, found)
                if (device, dtype) != ("cpu", "float32") or rehearsal:
                    rows.append({"representation": name, "dtype": dtype, **_compared(reference[name], found)})
    return pd.DataFrame(rows)


def _less(lm: LanguageModel, profile: Profile, scratch: str, pool: Sequence, show_progress: bool) -> LESS:
    """LESS after one and the same warm-up, made by the first caller in float32 on the CPU."""
    less = LESS(lm, max_length=256, show_progress=show_progress, **profile.less.model_dump() | {"epochs": 2})
    folder = Path(scratch) / "warmup"
    if folder.exists():
        return less.load(folder)
    less.warm_up(pool[:16]).save(folder)
    return less


def _small_embedder(folder: Path) -> Path:
    """A sentence embedder of MiniLM's shape with random weights: the real one is 90 MB."""
    lm = load_model("tiny", device="cpu")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(lm.tokenizer),
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        pad_token_id=lm.pad_id,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = copy.deepcopy(lm.tokenizer)
    tokenizer.model_max_length = 256
    tokenizer.save_pretrained(folder)
    return folder


def _compared(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    before, after = similarity(a[1], a[0]), similarity(b[1], b[0])
    half = before.shape[1] // 4
    one, other = (set(select("round_robin", S, half).tolist()) for S in (before, after))
    return {
        "largest_difference": float(np.abs(before - after).max()),
        "rank_correlation": float(spearmanr(before.ravel(), after.ravel()).statistic),
        "jaccard": len(one & other) / len(one | other),
    }


# --- (b) speed --------------------------------------------------------------------------------------


def speed(rehearsal: bool, file: Path) -> pd.DataFrame:
    """Tokens a second of each way to features, on random weights of a real shape, and the share of the peak.

    Each measurement goes into `file` as soon as it is made: the last ones take minutes.
    """
    peak = _matmul_rate(rehearsal)
    rows: list[dict[str, object]] = []
    for dense in (False, True):
        for name, (shape, rank, texts, few, dense_texts) in (SMALL if rehearsal else SHAPES).items():
            lm = _random_llama(shape, torch.bfloat16)
            parameters = sum(p.numel() for p in lm.model.parameters())
            encoded = _texts(texts, shape[-1], 32 if rehearsal else TEXT)
            ways = _dense_way(lm, rank, encoded[:dense_texts]) if dense else _ways(lm, rank, encoded, few)
            for what, seconds, count, operations, memory in ways:
                tokens = sum(len(text.ids) for text in encoded[:count])
                rows.append(
                    {
                        "model": name,
                        "parameters": parameters,
                        "way": what,
                        "texts": count,
                        "seconds": seconds,
                        "tokens_per_second": tokens / seconds,
                        "share_of_peak": operations * parameters * tokens / seconds / peak,
                        "memory_gb": memory,
                        "peak_tflops": peak / 1e12,
                    }
                )
                write_table(file, pd.DataFrame(rows))
            del lm, ways
            free_memory()
    return pd.DataFrame(rows)


def _ways(lm: LanguageModel, rank: int, encoded: list[Encoded], few: int):
    """(what, seconds, texts, operations per parameter and token, peak memory in GB) of each way."""
    less, point = _random_less(lm, rank, "count")
    rds = RDS(lm, show_progress=False)
    rds._encode = lambda item: item  # they are encoded already
    batched = lambda: less._one_checkpoint(encoded, point, True, "")  # noqa: E731
    ways = {
        "RDS+": (lambda: rds._features(encoded), len(encoded), 2),
        "Base model, forward and backward": (lambda: bare(less, encoded), len(encoded), 4),
        "LESS, batched": (batched, len(encoded), 4),
        "LESS, one by one": (lambda: one_by_one(less, encoded[:few], point), few, 4),
    }
    for what, (work, count, operations) in ways.items():
        if DEVICE == "cuda":
            work()  # the first call compiles, allocates and finds the batch size
            torch.cuda.reset_peak_memory_stats()
        yield what, timed(work), count, operations, _memory()


def _dense_way(lm: LanguageModel, rank: int, encoded: list[Encoded]):
    less, point = _random_less(lm, rank, "rademacher")
    seconds = timed(lambda: one_by_one(less, encoded, point))
    yield "LESS, one by one, dense projection", seconds, len(encoded), 4, _memory()


def _random_less(lm: LanguageModel, rank: int, sketch: str) -> tuple[LESS, Checkpoint]:
    less = LESS(lm, sketch=sketch, rank=rank, alpha=4 * rank, epochs=1, max_length=TEXT, show_progress=False)
    return less, _point(less)


def _memory() -> float:
    return torch.cuda.max_memory_allocated() / 1e9 if DEVICE == "cuda" else float("nan")


def _point(less: LESS) -> Checkpoint:
    """A made-up checkpoint: training a random model would tell nothing."""
    factors = lora_parameters(less.model)
    generator = torch.Generator().manual_seed(0)
    weight = {n: 0.01 * torch.randn(p.shape, generator=generator).to(p) for n, p in factors.items()}
    m = {n: torch.zeros_like(p) for n, p in factors.items()}
    v = {n: torch.full_like(p, 1e-8) for n, p in factors.items()}
    return Checkpoint(weight, m, v, 1e-5)


def _random_llama(shape: tuple[int, ...], dtype: torch.dtype) -> LanguageModel:
    layers, hidden, feed_forward, heads, shared, words = shape
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=hidden,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        max_position_embeddings=2048,
        tie_word_embeddings=hidden < 1000,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(DEVICE):
            model = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=0)
    return LanguageModel("random", model, tokenizer, "random")  # type: ignore[arg-type]


def _texts(count: int, words: int, tokens: int) -> list[Encoded]:
    rng = np.random.default_rng(0)
    ids = rng.integers(1, words, (count, tokens))
    return [Encoded(row, np.where(np.arange(tokens) < tokens // 2, IGNORE, row)) for row in ids]


def _matmul_rate(rehearsal: bool) -> float:
    """Operations a second of a large bfloat16 matrix product: what this chip reaches at best."""
    size = 256 if rehearsal else 8192
    a, b = (torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    a @ b
    return 2 * size**3 * 10 / timed(lambda: [a @ b for _ in range(10)])


# --- (c) selection at the paper's size --------------------------------------------------------------


def selectors(rehearsal: bool) -> pd.DataFrame:
    """81 queries, 197,000 candidates, four checkpoints of 8,192: similarity on the device, then each selector."""
    queries, pool, width, budget = (8, 500, 64, 50) if rehearsal else (81, 197_000, 4 * 8192, 10_000)
    torch.manual_seed(0)
    Q = torch.nn.functional.normalize(torch.randn(queries, width, device=DEVICE), dim=1)
    C = torch.empty(pool, width, device=DEVICE, dtype=torch.bfloat16)
    for start in range(0, pool, 4096):  # a candidate leans towards some query
        block = torch.randn(min(4096, pool - start), width, device=DEVICE)
        lean = (
            Q[torch.randint(queries, (len(block),), device=DEVICE)]
            * width**0.5
            * torch.rand(len(block), 1, device=DEVICE)
        )
        C[start : start + len(block)] = torch.nn.functional.normalize(block + lean, dim=1).bfloat16()
    S = torch.empty(queries, pool, device=DEVICE)

    def products() -> None:
        for start in range(0, pool, 16384):
            S[:, start : start + 16384] = Q @ C[start : start + 16384].float().T

    products()
    rows = [{"step": "similarity on the device", "seconds": timed(products)}]
    held = S.clamp(-1, 1).cpu().numpy()
    # KNN-KDE compares candidates with each other: on the host, with the features of one checkpoint
    one = torch.nn.functional.normalize(C[:, : width // 4].float(), dim=1).cpu().numpy()
    for name in SELECTORS:
        options = {"candidates": one} if name == "knn_kde" else {}
        rows.append({"step": name, "seconds": timed(lambda n=name, o=options: select(n, held, budget, **o))})
    return pd.DataFrame(rows).assign(queries=queries, candidates=pool, width=width, budget=budget)


# --- (d) trainings ----------------------------------------------------------------------------------


def unpack(folder: Path) -> Data:
    """The data that were packed."""
    plain = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    queries, test = ({t: [Query(**q) for q in part] for t, part in plain[what].items()} for what in ("queries", "test"))
    return Data([Example(**example) for example in plain["pool"]], queries, test)


@lru_cache(maxsize=1)
def packed(folder: Path) -> Study:
    """The study that was packed: what one worker process needs for many trainings."""
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return Study(load_profile(expected["profile"]), data=unpack(folder))


def train_on(folder: Path, training: tuple[str, int]) -> None:
    """One training of measured transfer, (source task, seed), into the store."""
    source, seed = training
    try:
        transfer.matrix(packed(folder), sources=[source], seeds=[seed])
    except torch.OutOfMemoryError as error:  # beside the others: it is done again alone
        print(f"a training failed: {str(error)[:200]}", flush=True)
        free_memory()


def jobs_that_fit() -> int:
    """How many runs of SmolLM2 share the device: fourteen gigabytes each, a core each."""
    if DEVICE == "cpu":
        return 2
    memory = torch.cuda.get_device_properties(0).total_memory
    return max(1, min((os.cpu_count() or 2) - 2, memory // (14 * 10**9)))


def free_memory() -> None:
    """Give back what this process holds and does not use, for those beside it."""
    gc.collect()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()


def runs_until(tasks: Sequence[tuple[int, RunTask]], folder: Path, *, jobs: int, deadline: float) -> list[bool]:
    """Which runs were started before the deadline and done; their rows lie in ``folder/NUMBER.csv``."""
    return run_all(partial(_run, folder, deadline), tasks, jobs=jobs, what="fine-tuning")


def _run(folder: Path, deadline: float, numbered: tuple[int, RunTask]) -> bool:
    number, task = numbered
    if time.time() > deadline:
        return False
    try:
        write_table(folder / f"{number}.csv", run_task(task))
    except RuntimeError as error:  # out of memory beside the others: it counts as not done
        print(f"a run failed: {str(error)[:200]}", flush=True)
        free_memory()
        return False
    return True
