"""Profiles: YAML files in ``notebooks/profiles``, the one place where scale is decided."""

from __future__ import annotations

import difflib
import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
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
from tis_utils.paths import PROFILES

Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy and PyTorch both take
Share = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(max_length=64, pattern=r"^\w[\w .+-]*$")]  # it becomes part of file names

KNOWN_METRICS = "exact_match, none, pass@K (as pass@10), lm_eval:TASK:METRIC (as lm_eval:gsm8k_cot:exact_match)"
METRIC = re.compile(r"exact_match|none|pass@[1-9]\d*|lm_eval:[^:]+:(?P<of_harness>[^:]+)")
Location = tuple[int | str, ...]  # of a fault
_LISTS = ("tasks", "budgets", "sweep_budgets", "task_counts", "seeds")
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
    """How a subset becomes a fine-tuned model; ``autocast``: matrix products in bfloat16, not weights."""

    epochs: PositiveInt = 2
    learning_rate: PositiveFloat = 2e-5
    batch_size: PositiveInt = 128
    micro_batch_size: PositiveInt | None = None
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.03
    lora_rank: Annotated[int, Field(ge=0)] = 0
    autocast: bool = False

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> Training:
        if self.micro_batch_size and self.batch_size % min(self.micro_batch_size, self.batch_size):
            raise ValueError(f"micro_batch_size {self.micro_batch_size} must divide batch_size {self.batch_size}")
        return self


class Less(_Strict):
    """Settings of LESS; the defaults are the paper's."""

    rank: PositiveInt = 128
    alpha: PositiveInt = 512
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    targets: Literal["auto", "all-linear"] = "auto"
    epochs: PositiveInt = 4
    lr: PositiveFloat = 2e-5
    batch_size: PositiveInt = 128
    warmup_fraction: Share = 0.05
    dim: PositiveInt = 8192
    sketch: Literal["count", "rademacher"] = "rademacher"


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

    ==================  ==============================================================================================
    model, embedder     language model and sentence-embedding model: a known name, a folder, or a Hub name
    proxy               smaller language model whose LESS features select for `model`, or None
    pool                where candidates come from: ``classroom``, ``natural``, a JSONL file, or a Hub name
    queries             where queries come from: ``classroom``, ``benchmarks`` (in installed wheels), or a Hub name
    pool_size           number of candidates
    n_queries, n_test   numbers of queries and of held-out examples per task
    metrics             target task -> downstream metric; exact match where none is named
    budgets             numbers of selected examples, increasing
    sweep_budgets       those of the budget sweeps, or None for `budgets`
    task_counts         numbers of tasks that INSTA takes; five is always among them
    bin_budget          examples trained on in each distance quantile
    seeds               seeds of the fine-tuning runs (and of Random)
    max_length          longest text in tokens
    needs               what a machine must have: ``gpu``, ``hub``, an extra of the package
    plan                what a dry run assumes, or None
    ==================  ==============================================================================================
    """

    name: Name
    description: str
    model: str
    proxy: str | None = None
    embedder: str = "minilm"
    pool: str = "classroom"
    queries: str = "classroom"
    pool_size: PositiveInt
    n_queries: PositiveInt
    n_test: PositiveInt
    tasks: tuple[Name, ...] = Field(min_length=1)
    metrics: dict[str, str] = {}
    budgets: tuple[PositiveInt, ...] = Field(min_length=1)
    sweep_budgets: tuple[PositiveInt, ...] | None = None
    task_counts: tuple[PositiveInt, ...] = (1, 2, 5, 10, 20)
    bin_budget: PositiveInt = 500
    seeds: tuple[Seed, ...] = Field(min_length=1)
    max_length: PositiveInt = 2048
    dtype: Literal["float32", "bfloat16"] = "float32"
    training: Training = Training()
    less: Less = Less()
    needs: tuple[str, ...] = ()
    plan: Plan | None = None

    @field_validator("tasks", "seeds", "budgets", "sweep_budgets")
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
        if unknown := [metric for metric in values.values() if not METRIC.fullmatch(metric)]:
            raise ValueError(f"there is no metric {unknown[0]!r}; known: {KNOWN_METRICS}")
        return values


def names() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_profile(profile: str | Path, **overrides: Any) -> Profile:
    """Read a profile by name or by file; overrides that are not None replace its values.

    Parameters
    ----------
    profile : str or Path
        ``smoke``, ``classroom``, ``smollm2``, ``paper``, or the path of a YAML file.
    **overrides
        Fields of :class:`Profile`; None means "as in the profile".

    Raises
    ------
    InputError
        For an unknown profile, unreadable YAML, an unknown key or an impossible value.
    """
    path = _find(profile)
    data = _read(path)
    _check_metrics(path, data)
    for key, value in overrides.items():
        if value is not None:  # one number or name is accepted where a profile has a list of them
            data[key] = [value] if key in _LISTS and isinstance(value, int | str) else value
    try:
        return Profile(**data)
    except ValidationError as error:
        raise InputError(f"Profile {path.name}: {_explain(error)}") from error


class _Loader(yaml.SafeLoader):
    """Plain data only, like `yaml.safe_load`; a key that is given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    """The settings of a file as they are written there."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise InputError(f"Profile {path} is not valid YAML: {message}. Correct that place.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"Profile {path} is not UTF-8 ({error.reason}). Save it in UTF-8 encoding.") from error
    except RecursionError as error:
        raise InputError(f"Profile {path} is nested too deeply; a profile has two levels.") from error
    except ValueError as error:  # a number or a date that Python cannot hold
        raise InputError(f"Profile {path} holds a value that cannot be read: {error}.") from error
    except OSError as error:
        raise InputError(f"Profile {path} cannot be read: {error.strerror}. Check its permissions.") from error
    if not isinstance(data, dict):
        raise InputError(f"Profile {path} must be a mapping of settings, found {type(data).__name__}.")
    return {str(key): value for key, value in data.items()}


def _check_metrics(path: Path, data: dict[str, Any]) -> None:
    """Refuse metrics of tasks that the file does not have; overrides may leave tasks out later."""
    metrics, tasks = data.get("metrics"), data.get("tasks")
    if not (isinstance(metrics, dict) and isinstance(tasks, list) and tasks):
        return
    if stray := [task for task in metrics if task not in tasks]:
        raise InputError(
            f"Profile {path.name}: metrics names {stray[0]!r}, which is no task of the profile; its tasks are "
            f"{', '.join(map(str, tasks))}."
        )


def _find(profile: str | Path) -> Path:
    if not isinstance(profile, str | Path):
        raise InputError(f"A profile is given by its name or its file, not by {reprlib.repr(profile)}.")
    path, known = Path(profile), ", ".join(names())
    if path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"Profile file {path} {what}. Give the path of a .yaml file, or one of {known}.")
    if str(profile) not in names():
        raise InputError(f"There is no profile '{profile}'; choose one of {known}, or give the path of a .yaml file.")
    return PROFILES / f"{profile}.yaml"


def _explain(error: ValidationError) -> str:
    """One sentence per fault; where no known key is near an unknown one, all known keys, once."""
    faults = error.errors()
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
