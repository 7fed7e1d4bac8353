"""Profiles: YAML files in ``notebooks/profiles``, the one place where scale is decided."""

from __future__ import annotations

import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from tis_utils.errors import InputError
from tis_utils.profiles.files import names, read_profile
from tis_utils.profiles.metrics import check_metric

__all__ = ["Less", "Plan", "Profile", "Training", "load_profile", "names"]

Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy and PyTorch both take
Share = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(max_length=64, pattern=r"^\w[\w .+-]*$")]  # it becomes part of file names
ProfileName = Annotated[str, Field(max_length=64, pattern=r"^\w[\w .+-]*(/\w[\w .+-]*)?$")]  # paper/llama2-7b-tulu

Location = tuple[int | str, ...]  # of a fault
_LISTS = ("tasks", "budgets", "sweep_budgets", "task_counts", "seeds", "representations")
_MOST_FAULTS = 5  # of one profile that one message names


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `yes`, `on` and the like where a number belongs: Python would count them as 1."""
        expected = cls.model_fields[str(info.field_name)].annotation
        parts = value if isinstance(value, list | tuple) else [value]
        if expected is not bool and any(isinstance(part, bool) for part in parts):
            raise ValueError("expected a number or a text, not yes or no")
        return value


class Training(_Strict):
    """How a subset becomes a fine-tuned model.

    ``autocast``: matrix products in bfloat16, not weights, on devices with instructions for it. ``lora_rank``: train
    factors of this rank instead of all weights. ``gradient_checkpointing``: compute activations twice instead of
    keeping them; less memory, the same gradients, so it is in no key of results.
    """

    epochs: PositiveInt = 2
    learning_rate: PositiveFloat = 2e-5
    batch_size: PositiveInt = 128
    micro_batch_size: PositiveInt | None = None
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.03
    lora_rank: Annotated[int, Field(ge=0)] = 0
    autocast: bool = False
    gradient_checkpointing: bool = Field(default=False, exclude=True)

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> Training:
        if self.micro_batch_size and self.batch_size % min(self.micro_batch_size, self.batch_size):
            raise ValueError(f"micro_batch_size {self.micro_batch_size} must divide batch_size {self.batch_size}")
        return self


class Less(_Strict):
    """Settings of LESS; the defaults are the paper's. ``as_released``: see :class:`tis_utils.representations.LESS`."""

    rank: PositiveInt = 128
    alpha: PositiveInt = 512
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    targets: Literal["auto", "all-linear"] | tuple[str, ...] = "auto"
    epochs: PositiveInt = 4
    lr: PositiveFloat = 2e-5
    batch_size: PositiveInt = 128
    warmup_fraction: Share = 0.05
    dim: PositiveInt = 8192
    sketch: Literal["count", "rademacher"] = "rademacher"
    seed: Seed = 0
    as_released: tuple[Literal["dropout", "half", "token_loss"], ...] = ()

    @field_validator("targets", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Names of layers in one text, a comma between them, are a list."""
        return value if value in ("auto", "all-linear") or not isinstance(value, str) else value.split(",")


FORWARD, BACKWARD = 2, 4  # floating-point operations per parameter and token (Kaplan et al. 2020, table 1)


class Plan(_Strict):
    """What ``--dry-run`` assumes; throughputs of one device are in 10^12 operations per second.

    ``evaluated`` examples are scored per run, ``new_tokens`` written for each (all samples together).
    """

    parameters: PositiveFloat
    hidden_size: PositiveInt
    embedder_parameters: PositiveFloat = 1.1e8
    proxy_parameters: PositiveFloat = 1e9
    tokens_per_example: PositiveInt = 500
    evaluated: PositiveInt = 1000
    new_tokens: PositiveInt = 256
    training_tflops: PositiveFloat = 400
    writing_tflops: PositiveFloat = 40


class Profile(_Strict):
    """Everything that decides the size of a run.

    Files and folders that a profile names lie relative to the profile's file.

    ==================  ==============================================================================================
    model, embedder     language model and sentence-embedding model: a known name, a folder, or a Hub name
    embed_prompt        what EMBED puts in front of queries, a text or a name, or None for the embedder's own
    proxy               smaller language model whose LESS features select for `model`, or None
    pool                where candidates come from: ``classroom``, ``natural``, ``calls``, a JSONL file, or a Hub name
    warmup_set          what LESS warms up on, as `pool`, or None for a random share of the pool
    shuffled            natural pool in a seeded order instead of source by source
    held_out            ``{gsm8k: gsm_symbolic}`` holds GSM-Symbolic out for GSM8K and takes it out of the natural pool
    queries             where queries come from: ``classroom``, ``benchmarks`` (in installed wheels), or a Hub name
    pool_size           number of candidates
    n_queries, n_test   numbers of queries and of held-out examples per task
    metrics             target task -> downstream metric; exact match where none is named
    published           subsets of others to fine-tune on (grid ``published``): ``NAME``, ``NAME:CONFIGURATION`` of the
                        Hub, a folder or a file; ``{task}`` stands for the task
    budgets             numbers of selected examples, increasing
    sweep_budgets       those of the budget sweeps, or None for `budgets`
    task_counts         numbers of tasks that INSTA takes; five is always among them
    bin_budget          examples trained on in each distance quantile
    seeds               seeds of the fine-tuning runs (and of Random)
    representations     what the grids compare
    max_length          longest text in tokens
    batch_tokens        rows × tokens that RDS+ and LESS read at a time, or None; only speed and memory depend on it
    chat_template       how the language model is shown chats: ``tulu``, or ``model``, by its own template
    needs               what a machine must have: ``gpu``, ``hub``, an extra of the package
    plan                what a dry run assumes, or None
    ==================  ==============================================================================================
    """

    name: ProfileName
    description: str
    model: str
    proxy: str | None = None
    embedder: str = "minilm"
    embed_prompt: str | None = None
    pool: str = "classroom"
    warmup_set: str | None = None
    shuffled: bool = False
    held_out: dict[Literal["gsm8k"], Literal["gsm_symbolic"]] = {}
    queries: str = "classroom"
    pool_size: PositiveInt
    n_queries: PositiveInt
    n_test: PositiveInt
    tasks: tuple[Name, ...] = Field(min_length=1)
    metrics: dict[str, str] = {}
    published: tuple[str, ...] = ()
    budgets: tuple[PositiveInt, ...] = Field(min_length=1)
    sweep_budgets: tuple[PositiveInt, ...] | None = None
    task_counts: tuple[PositiveInt, ...] = (1, 2, 5, 10, 20)
    bin_budget: PositiveInt = 500
    seeds: tuple[Seed, ...] = Field(min_length=1)
    max_length: PositiveInt = 2048
    dtype: Literal["float32", "bfloat16"] = "float32"
    batch_tokens: PositiveInt | None = None
    chat_template: Literal["tulu", "model"] = "tulu"
    training: Training = Training()
    less: Less = Less()
    representations: tuple[Literal["embed", "rds", "less", "lexical"], ...] = Field(
        ("embed", "rds", "less", "lexical"), min_length=1
    )
    needs: tuple[str, ...] = ()
    plan: Plan | None = None

    def metric_of(self, task: str | None) -> str:
        """The metric of a task; exact match where none is named."""
        return self.metrics.get(task or "", "exact_match")

    @field_validator("tasks", "seeds", "budgets", "sweep_budgets", "representations")
    @classmethod
    def _once_each(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if values and (repeated := sorted({v for v in values if values.count(v) > 1})):
            raise ValueError(f"{repeated[0]!r} is repeated; name every value once")
        return values

    @field_validator("budgets", "sweep_budgets")
    @classmethod
    def _increasing(cls, values: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if values and list(values) != sorted(values):
            raise ValueError(f"budgets must be increasing, as in {sorted(values)}")
        return values

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, values: dict[str, str]) -> dict[str, str]:
        for metric in values.values():
            check_metric(metric)
        return values


def load_profile(profile: str | Path, **overrides: Any) -> Profile:
    """Read a profile by name or by file; overrides that are not None replace its values.

    Parameters
    ----------
    profile : str or Path
        ``smoke``, ``classroom``, ``smollm2``, ``paper``, ``paper/llama2-7b-tulu`` … (:func:`names`), or the path of a
        YAML file. A file may build on another profile: ``extends: paper``, then only what differs.
    **overrides
        Fields of :class:`Profile`; None means "as in the profile".

    Raises
    ------
    InputError
        For an unknown profile, unreadable YAML, a circle of ``extends``, an unknown key or an impossible value.
    """
    path, data = read_profile(profile)
    for key, value in overrides.items():
        if value is not None:  # one number or name is accepted where a profile has a list of them
            data[key] = [value] if key in _LISTS and isinstance(value, int | str) else value
    try:
        return Profile(**data)
    except ValidationError as error:
        given = ", ".join(key for key, value in overrides.items() if value is not None)
        changed = f" with other {given}" if given else ""
        raise InputError(f"Profile {path.name}{changed}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    """One sentence per fault; where no known key is near an unknown one, all known keys, once."""
    faults = error.errors()
    inner = {fault["loc"][:-1] for fault in faults}  # a list whose items are wrong is not too short as well
    faults = [fault for fault in faults if fault["loc"] not in inner]
    sentences = [_sentence(fault) for fault in faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        sentences.append(f"There are {len(faults) - _MOST_FAULTS} more such faults.")
    if lost := [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden" and not _nearest(fault["loc"])]:
        sentences.append(f"Known keys: {', '.join(_known_keys(lost[0]))}.")
    return " ".join(sentences)


def _sentence(fault: ErrorDetails) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return f"key {where!r} is missing."
    if fault["type"] == "extra_forbidden":
        near = _nearest(fault["loc"])
        return f"unknown key {where!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where} = {reprlib.repr(fault['input'])} is not possible: {message}."


def _nearest(location: Location) -> list[str]:
    return difflib.get_close_matches(str(location[-1]), _known_keys(location), n=1)


def _known_keys(location: Location) -> list[str]:
    """Keys of the part of a profile in which a fault lies."""
    model: Any = Profile
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation  # a model, or Plan | None
        model = next((kind for kind in get_args(annotation) if hasattr(kind, "model_fields")), annotation)
    return list(model.model_fields)
