"""Profile files: found by name or path, read as plain data, one building on another (``extends:``)."""

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tis_utils.errors import InputError
from tis_utils.paths import PROFILES, exists

PLACES = ("model", "proxy", "embedder", "pool", "warmup_set", "queries", "published")  # settings that may be paths
BUILT_IN = ("tiny", "mini", "smollm2", "minilm", "classroom", "natural", "calls", "benchmarks")
RELATIVE = ("./", "../", "~/", ".\\", "..\\")


def names() -> list[str]:
    """Names of the shipped profiles, those in a folder with its name: ``paper/qwen3-4b-dolci``."""
    return sorted(path.relative_to(PROFILES).with_suffix("").as_posix() for path in PROFILES.rglob("*.yaml"))


def read_profile(profile: str | Path) -> tuple[Path, dict[str, Any]]:
    """File of a profile, and its settings laid over those of the profiles that it extends."""
    path = _find(profile)
    return path, _settings(path, {path.resolve(): str(profile)})


def _located(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file with what they name beside it as absolute paths; a built-in name stays one."""

    def absolute(value: Any) -> Any:
        if isinstance(value, list):
            return [absolute(each) for each in value]
        if not isinstance(value, str) or value in BUILT_IN or not value:
            return value
        beside = path.parent / Path(value).expanduser()
        if value.startswith(RELATIVE) or exists(beside):
            return os.path.normpath(beside.absolute())
        return value

    return {key: absolute(value) if key in PLACES else value for key, value in data.items()}


def _settings(path: Path, chain: Mapping[Path, str]) -> dict[str, Any]:
    """Settings of a file with those below it; `chain` holds the files passed on the way, as they were called."""
    data = _located(path, _read(path))
    base = data.pop("extends", None)
    merged = data if base is None else _merged(_settings_below(path, base, chain), data)
    _check_metrics(path, data, merged)
    return merged


def _settings_below(path: Path, base: Any, chain: Mapping[Path, str]) -> dict[str, Any]:
    if not isinstance(base, str):
        raise InputError(f"Profile {path.name}: extends = {reprlib.repr(base)} is not possible. Name one profile.")
    steps = " → ".join((*chain.values(), base))
    try:
        below = _find(base, path.parent)
    except InputError as error:
        raise InputError(f"Profile {path.name} extends a profile that is missing ({steps}). {error}") from error
    if below.resolve() in chain:
        raise InputError(f"Profile {path.name} extends itself ({steps}). Take one `extends` of the circle out.")
    return _settings(below, {**chain, below.resolve(): base})


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The base with what the change says: mappings are merged, lists and single values replaced."""
    both = {
        key: _merged(base[key], value)
        for key, value in change.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **change, **both}


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


def _check_metrics(path: Path, data: Mapping[str, Any], merged: Mapping[str, Any]) -> None:
    """Refuse metrics that a file gives to tasks it does not have; overrides may leave tasks out later."""
    metrics, tasks = data.get("metrics"), merged.get("tasks")
    if not (isinstance(metrics, dict) and isinstance(tasks, list) and tasks):
        return
    if stray := [task for task in metrics if task not in tasks]:
        raise InputError(
            f"Profile {path.name}: metrics names {stray[0]!r}, which is no task of the profile; its tasks are "
            f"{', '.join(map(str, tasks))}."
        )


def _find(profile: str | Path, folder: Path = Path()) -> Path:
    """File of a profile; a relative path starts in `folder`."""
    if not isinstance(profile, str | Path):
        raise InputError(f"A profile is given by its name or its file, not by {reprlib.repr(profile)}.")
    path, known = folder / profile, ", ".join(names())
    if path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"Profile file {path} {what}. Give the path of a .yaml file, or one of {known}.")
    if str(profile) not in names():
        raise InputError(f"There is no profile '{profile}'; choose one of {known}, or give the path of a .yaml file.")
    return PROFILES / f"{profile}.yaml"
