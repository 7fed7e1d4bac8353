"""Which models and settings a selection from your own data uses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tis_utils.errors import InputError
from tis_utils.profiles import Profile, load_profile

PROFILE = "smollm2"  # a real language model; the classroom's knows its puzzles only
LONGEST = 2048  # tokens; the profile's texts are short ones


def settings_for(
    profile: str | None,
    representation: str,
    selector: str,
    model: str | None,
    *,
    less: Sequence[str] = (),
    **options: Any,
) -> Profile:
    """The profile, with `model` in the place of what this selection reads: the embedder or the language model.

    Parameters
    ----------
    profile : str or None
        None: SmolLM2, and texts of up to 2,048 tokens.
    representation, selector : str
    model : str or None
        None: as in the profile.
    less : sequence of str
        Settings of LESS that differ: ``KEY=VALUE``, or the name of a YAML file with several.
    **options
        Fields of the profile, for instance ``max_length``; None: as in the profile.
    """
    reads = "embedder" if representation == "embed" and not selector.startswith(("ila", "deita")) else "model"
    given = {reads: model, **options}
    if profile is None and given.get("max_length") is None:
        given["max_length"] = LONGEST
    if less:
        given["less"] = load_profile(profile or PROFILE).less.model_dump() | _less(less)
    return load_profile(profile or PROFILE, **given)


def _less(given: Sequence[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in given:
        key, sign, value = text.partition("=")
        settings |= {key.strip(): value.strip()} if sign else _from_file(Path(text))
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(
            f"--less {str(path)!r} is neither KEY=VALUE, as in rank=16, nor a YAML file that can be read ({error})."
        ) from error
    if not isinstance(settings, dict):
        raise InputError(f"--less {str(path)!r} must hold settings, one a line, as in `rank: 16`.")
    inner = settings.get("less", settings)  # a whole profile has them below this key
    return {str(key): value for key, value in (inner if isinstance(inner, dict) else settings).items()}
