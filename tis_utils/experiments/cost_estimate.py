"""What a run would cost before it is started: every job of a grid with estimated hours and disk.

Operations are 2 per parameter and token forward, 4 backward (Kaplan et al. 2020, table 1). Hours are those of one
device: a GPU, or one core of a processor, as runs use them.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tis_utils.errors import InputError
from tis_utils.experiments.run_spec import NONE, RunSpec
from tis_utils.profiles import BACKWARD, FORWARD, Plan, Profile
from tis_utils.storage.manifests import write_table

JOB_COLUMNS = ["job", "task", "representation", "selector", "budget", "bin", "seed", "device_hours", "disk_gb"]
SCORED = {"acc": 4, "answer_probability": 1}  # metrics that write nothing: texts scored for each held-out example
EMBED_WIDTH, LEXICAL_WIDTH, BYTES = 768, 4096, 4
_HOUR, _GB = 3600, 1e9


def plan(profile: Profile, specs: Sequence[RunSpec]) -> pd.DataFrame:
    """One row per job: features that the runs need, then the runs; InputError if the profile has no ``plan``."""
    if profile.plan is None:
        raise InputError(
            f"Profile {profile.name!r} has no `plan`, so nothing can be estimated. Add parameters, tokens and "
            "throughput, as notebooks/profiles/paper.yaml does, or have them timed: `tis grid … --dry-run`."
        )
    names = dict.fromkeys(spec.representation for spec in specs if spec.representation != NONE)
    rows = [_features(profile, profile.plan, name) for name in names]
    rows += [_run(profile, profile.plan, spec) for spec in dict.fromkeys(specs)]
    return pd.DataFrame(rows, columns=JOB_COLUMNS)


def _features(profile: Profile, sizes: Plan, name: str) -> dict[str, object]:
    texts = profile.pool_size + len(profile.tasks) * profile.n_queries
    tokens, less = texts * sizes.tokens_per_example, profile.less
    if name == "embed":
        operations, width = FORWARD * sizes.embedder_parameters * tokens, EMBED_WIDTH
    elif name == "lexical":
        operations, width = 0, LEXICAL_WIDTH
    elif name == "rds":
        operations, width = FORWARD * sizes.parameters * tokens, sizes.hidden_size
    else:
        parameters = sizes.proxy_parameters if name == "less_proxy" else sizes.parameters
        warm_up = less.warmup_fraction * profile.pool_size * sizes.tokens_per_example * less.epochs
        # frozen weights get no gradient of their own: half of the backward pass is saved
        operations = (FORWARD + BACKWARD / 2) * parameters * (warm_up + less.epochs * tokens)
        width = less.dim * less.epochs
    hours = operations / (sizes.training_tflops * 1e12) / _HOUR
    return {"job": "features", "representation": name, "device_hours": hours, "disk_gb": texts * width * BYTES / _GB}


def _run(profile: Profile, sizes: Plan, spec: RunSpec) -> dict[str, object]:
    training = profile.training.epochs * spec.budget * sizes.tokens_per_example * (FORWARD + BACKWARD)
    metric = profile.metric_of(spec.task)
    passes = profile.n_queries + sizes.evaluated * (1 + SCORED.get(metric, 0))
    losses = FORWARD * passes * sizes.tokens_per_example
    writing = 0 if metric == "none" or metric in SCORED else FORWARD * sizes.evaluated * sizes.new_tokens
    seconds = sizes.parameters * ((training + losses) / sizes.training_tflops + writing / sizes.writing_tflops) / 1e12
    shown = {"task": spec.task, "representation": spec.representation, "selector": spec.selector, "seed": spec.seed}
    shown |= {"budget": spec.budget, "bin": spec.bin if spec.bin >= 0 else pd.NA}
    return {"job": spec.experiment, **shown, "device_hours": seconds / _HOUR, "disk_gb": 1e-6}  # a few rows of text


def report(profile: Profile, specs: Sequence[RunSpec], output: Path | None = None) -> str:
    """The plan as text, every job a line; with `output` the jobs go to that CSV file instead.

    What a profile without ``plan`` does not say is timed on this machine.
    """
    if profile.plan is None:
        from tis_utils.experiments.timed_sizes import timed_sizes  # loads the model

        profile = profile.model_copy(update={"plan": timed_sizes(profile)})
    jobs = plan(profile, specs)
    if output:
        write_table(output, jobs)
        return f"{summary(jobs, profile)}\nEvery job is in {output}"
    table = jobs.round({"device_hours": 2, "disk_gb": 1}).to_string(index=False, na_rep="")
    return f"{table}\n\n{summary(jobs, profile)}"


def summary(jobs: pd.DataFrame, profile: Profile) -> str:
    """The plan in a few lines: kinds of jobs, totals, assumptions."""
    names = jobs["representation"].where(jobs["job"] == "features", "")
    table = jobs.assign(job=(jobs["job"] + " " + names).str.strip()).groupby("job", sort=False)
    lines = table.agg(jobs=("job", "size"), device_hours=("device_hours", "sum"), disk_gb=("disk_gb", "sum"))
    lines.loc["together"] = lines.sum()
    text = lines.assign(jobs=lines["jobs"].astype(int)).round({"device_hours": 2, "disk_gb": 1}).to_string()
    assumed = ", ".join(f"{name} = {value:g}" for name, value in dict(profile.plan or ()).items())
    return f"{text}\nAssumed: {assumed}. The model itself and the data need disk as well."
