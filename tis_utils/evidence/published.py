"""The paper's published figures as one tidy table (origin and licence: data/published/README.md)."""

import hashlib
from functools import cache
from pathlib import Path

import pandas as pd

from tis_utils.errors import RunError
from tis_utils.evidence.tables import RANDOM
from tis_utils.paths import DATA

FOLDER = DATA / "published"
FIGURE_KEYS = ("pool", "model", "experiment", "representation", "selector", "task", "budget", "bin", "metric")
FIGURE_COLUMNS = (*FIGURE_KEYS, "mean", "sd", "n")
POOLS = {"tulu": "Tulu", "dolci": "Dolci"}
MODELS = {
    "llama2-7b": "Llama 2 7B",
    "llama3.2-3b": "Llama 3.2 3B",
    "olmo3-7b": "Olmo 3 7B",
    "qwen3-4b-base": "Qwen3 4B",
    "smollm3-3b-base": "SmolLM3 3B",
}
TASKS = ("bbh", "codex", "gsm8k", "tydiqa", "mmlu_pro")
EMBED, RDS, LESS = "embed/round_robin", "rds/round_robin", "less/round_robin"
GREEDY = (LESS, "less/doubly_greedy")
TRANSPORT = ("less/knn_uniform", "less/knn_kde", "less/uot")
PAPER_METHODS = (RANDOM, EMBED, RDS, *GREEDY, *TRANSPORT)
DTYPES = dict.fromkeys(FIGURE_KEYS, "str") | {"budget": "Int64", "bin": "Int64"}
DTYPES |= {"mean": "float64", "sd": "float64", "n": "int64"}


def figures() -> pd.DataFrame:
    """Return every number behind the paper's figures; a fresh copy per call.

    Returns
    -------
    DataFrame
        11,100 rows, one per cell, with columns::

            pool            tulu, dolci
            model           the five base models in `MODELS`
            experiment      quantile (RR order of the pool in 10 bins), focus (bin 0 cut again; tulu/llama2-7b
                            only), budget, zero_shot (the untuned model; the same numbers under both pools)
            representation  embed, rds, less; none for Random and zero-shot
            selector        random, round_robin, doubly_greedy, knn_uniform, knn_kde, uot; none for zero-shot
            task            bbh, codex, gsm8k, tydiqa, mmlu_pro
            budget          examples trained on (Int64; missing for zero_shot)
            bin             0 nearest … 9 farthest (Int64; missing outside quantile and focus)
            metric          query_loss (on the query set), test_loss (on the test split), both in nats per label
                            token; downstream (per cent: exact match, pass@10 for codex, F1 for tydiqa)
            mean, sd, n     over seeds, four significant digits; sd with ddof 1, missing where n is 1

    Raises
    ------
    RunError
        If the file is missing or is not the one whose checksum is stored beside it.
    """
    return _table(FOLDER).copy()


def by_setting(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Published rows of each model and pool, by their printed names."""
    return {f"{MODELS[str(m)]}, {POOLS[str(p)]}": part for (p, m), part in rows.groupby(["pool", "model"])}


published_figures = figures  # its name outside this module


def independent_results() -> pd.DataFrame:
    """What others measured of the same methods (origin: data/published/README.md).

    Returns
    -------
    DataFrame
        Columns ``source`` (DATE-LM, bergson), ``model``, ``task``, ``measure`` (score in per cent; lds: linear
        datamodeling score), ``method`` and ``value``, as their authors published them.
    """
    return pd.read_csv(FOLDER / "independent.csv", encoding="utf-8")


@cache
def _table(folder: Path) -> pd.DataFrame:
    path = folder / "figures.csv"
    check(path)
    return pd.read_csv(path, dtype=DTYPES, encoding="utf-8", keep_default_na=False, na_values=[""])


def check(path: Path) -> None:
    """Raise RunError unless the file has the SHA-256 that is stored beside it (``<stem>.sha256``)."""
    try:
        checksum = hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        expected = path.with_suffix(".sha256").read_text(encoding="utf-8").split()[0]
    except OSError as error:
        raise RunError(
            f"{error.filename} cannot be read ({error.strerror}). It is part of the repository: run from a clone, "
            "with the package installed in editable mode, or restore the file with git."
        ) from error
    if checksum != expected:
        raise RunError(
            f"{path} has been changed: its SHA-256 is {checksum[:12]}…, expected {expected[:12]}…. "
            "Restore it with git, or make it again with data/published/build.py."
        )
