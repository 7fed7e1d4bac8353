"""LoRA adapters as models: a folder with the factors only, which names the base model that they belong to."""

import json
import warnings
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from tis_utils.errors import InputError, RunError
from tis_utils.models.files import ADAPTER, ADAPTER_WEIGHTS, model_weights


def has_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, alone or beside a whole model."""
    return (folder / ADAPTER).is_file()


def base_of(folder: Path) -> str | None:
    """Name or folder of the model that an adapter belongs to; None where the model lies in the same folder."""
    about = _about(folder)
    if about.get("peft_type") != "LORA":
        raise InputError(
            f"The adapter in {folder} is of the kind {about.get('peft_type')!r}; only LoRA adapters can be merged into "
            "their base model. Merge it with the library that made it and give the whole model."
        )
    if model_weights(folder):
        return None
    base = about.get("base_model_name_or_path")
    if not base or not isinstance(base, str):
        raise InputError(
            f"The folder {folder} holds an adapter without its base model: {ADAPTER} names none. Write the base "
            "model's name or folder there (base_model_name_or_path), or merge both and give the whole model."
        )
    beside = folder / base  # a relative path means the place where training was started, or the adapter's folder
    return str(beside) if beside.is_dir() and not Path(base).is_dir() else base


def merged(base: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Add an adapter's update to the weights of its base model, which is changed in place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing factors are told below, as an error
            whole = PeftModel.from_pretrained(base, str(folder), use_safetensors=True)
            expected = get_peft_model_state_dict(whole, save_embedding_layers=False).keys()
        with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
            there = set(file.keys())
        lost = sorted(expected - there)
        if lost or not there:
            raise InputError(
                f"The adapter file in {folder} lacks factors that its configuration asks for: "
                f"{', '.join(lost[:4]) or 'all of them'}. Save it again with save_pretrained."
            )
        return whole.merge_and_unload()  # type: ignore[no-any-return,operator]
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        text = " ".join(str(error).split())
        raise RunError(
            f"The adapter in {folder} could not be put on its base model ({type(error).__name__}: {text:.300}). Check "
            f"that {ADAPTER} names the model that it was trained on."
        ) from error


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / ADAPTER} cannot be read ({error}): fetch the adapter again.") from error
    if not isinstance(about, dict):
        raise RunError(f"{folder / ADAPTER} holds no settings: fetch the adapter again.")
    return about
