"""Load a causal language model by name, know exactly which one it is, attach LoRA to it.

Weights come from safetensors (or GGUF, converted once); nothing is unpickled, no code of a model repository is run.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from tis_utils.errors import InputError, RunError, TisError, check_choice, is_exhausted
from tis_utils.examples.text import Encoded, Example, Query, encode_all
from tis_utils.models import adapters, soundness, templates
from tis_utils.models.files import (
    TOKENIZER_FILES,
    find_folder,
    fingerprint,
    model_weights,
    quiet,
    smollm2_file,
    unpacked_gguf,
)
from tis_utils.storage.keys import digest, file_digest, step

VERSION = step("load", 1)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
log = logging.getLogger(__name__)

LLAMA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A loaded model, in evaluation mode on its device and never trained itself, with its tokenizer and its identity.

    `fingerprint` is the SHA-256 (hex) over weights, configuration and tokenizer files; keys of results hold it.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    own_template: bool = False  # chats are written by the tokenizer's template

    def with_own_template(self) -> LanguageModel:
        """The model, shown chats as its own template writes them; the template is part of its fingerprint."""
        templates.check_template(self.name, self.tokenizer)
        return replace(self, own_template=True, fingerprint=digest(self.fingerprint, self.tokenizer.chat_template))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.model.parameters()).dtype

    @property
    def pad_id(self) -> int:
        """Token that fills batches. It is always masked, so any that has an embedding will do."""
        rows = soundness.vocabulary(self.model)
        known = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return int(next((token for token in known if token is not None and token < rows), 0))

    def longest(self, max_length: int) -> int:
        """`max_length`, or the number of positions that the model knows, if that is smaller."""
        return min(max_length, soundness.positions(self.model) or max_length)

    def encode(self, items: Iterable[Example | Query], max_length: int) -> list[Encoded]:
        """Tokenise candidates or queries, in order, to at most `max_length` tokens and no more than the model knows.

        Raises
        ------
        InputError
            If the tokenizer makes a token that the model has no embedding for.
        """
        longest = self.longest(max_length)
        if self.own_template:
            encoded = [templates.encode_by_template(item, self.tokenizer, longest) for item in items]
        else:
            encoded = encode_all(items, self.tokenizer, longest)
        soundness.check_ids(self.name, (text.ids for text in encoded), soundness.vocabulary(self.model))
        return encoded


def load_model(name: str | Path, *, device: str = "auto", dtype: str = "float32") -> LanguageModel:
    """Load a causal language model and its tokenizer.

    Parameters
    ----------
    name : str or Path
        ``"tiny"``, ``"mini"``, ``"smollm2"`` (the *Instruct* variant: already tuned), a folder written by
        ``save_pretrained``, a ``.gguf`` file, or a Hub repository such as ``"HuggingFaceTB/SmolLM2-135M"``.
    device : str
        ``"auto"`` (CUDA when there is one, else the CPU) or a PyTorch device name.
    dtype : {"float32", "bfloat16", "float16", "float64"}
        Type of the weights in memory.

    Returns
    -------
    LanguageModel

    Raises
    ------
    InputError
        If the name, device or dtype is unknown, or files are missing; the text says what was looked for.
    RunError
        If files are there but cannot be read.
    """
    place, name = _device(device), str(name)
    check_choice("dtype", dtype, DTYPES)
    gguf = _gguf(name)
    folder = unpacked_gguf(gguf) if gguf else find_folder(name)
    # a GGUF file is known by itself, so its fingerprint does not depend on who converted it
    with _readable(folder):
        mark = file_digest(gguf) if gguf else fingerprint(folder)
    if not adapters.has_adapter(folder):
        return LanguageModel(name, _read_model(folder, place, DTYPES[dtype]), _read_tokenizer(folder), mark)
    return _with_adapter(name, folder, place, dtype, mark)


def _with_adapter(name: str, folder: Path, device: torch.device, dtype: str, mark: str) -> LanguageModel:
    """A LoRA adapter merged into its base model, whose tokenizer is used where the adapter brings none."""
    base = adapters.base_of(folder)
    if base is None:
        lm = LanguageModel(name, _read_model(folder, device, DTYPES[dtype]), _read_tokenizer(folder), "")
    else:
        log.warning("%s is a LoRA adapter: it is merged into its base model, %s.", name, base)
        lm = load_model(base, device=str(device), dtype=dtype)
    tokenizer = _read_tokenizer(folder) if (folder / "tokenizer_config.json").is_file() else lm.tokenizer
    settings = (folder / adapters.ADAPTER).read_text(encoding="utf-8")
    model = adapters.merged(lm.model, folder).eval()
    return LanguageModel(name, model, tokenizer, digest(lm.fingerprint, mark, settings))


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model without its weights; names and errors as for :func:`load_model`."""
    gguf = _gguf(str(name))
    if gguf:
        with quiet():
            return AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
    folder = find_folder(str(name))
    base = adapters.base_of(folder) if adapters.has_adapter(folder) else None
    if base and not (folder / "tokenizer_config.json").is_file():
        return load_tokenizer(base)
    return _read_tokenizer(folder)


def _gguf(name: str) -> Path | None:
    return smollm2_file() if name == "smollm2" else Path(name) if name.endswith(".gguf") else None


def shared_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Copy a model's modules but share its tensors, frozen: only *added* parameters may be trained."""
    memo: dict[int, object] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    memo.update({id(b): b for b in model.buffers()})
    return copy.deepcopy(model, memo)


def add_lora(
    model: PreTrainedModel, r: int = 128, alpha: int = 512, dropout: float = 0.1, targets: str | Sequence[str] = "auto"
) -> PeftModel:
    """Attach trainable low-rank factors to a model **in place** and freeze the rest; the update is scaled by alpha / r.

    ``"auto"``: the attention projections of Llama models, all linear layers of other families (Xia et al. 2024).
    """
    if targets == "auto":
        targets = LLAMA_TARGETS if model.config.model_type == "llama" else "all-linear"
    modules = targets if isinstance(targets, str) else list(targets)
    transposed = any(isinstance(m, Conv1D) for m in model.modules())  # GPT-2 keeps weights as (in, out)
    linear = sorted({n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D)})
    try:
        # peft reads an attribute that transformers has renamed; nothing a reader could do about it
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        shape: dict[str, Any] = {"r": r, "lora_alpha": alpha, "lora_dropout": dropout, "target_modules": modules}
        return get_peft_model(model, LoraConfig(**shape, fan_in_fan_out=transposed, task_type="CAUSAL_LM"))
    except ValueError as error:
        remedy = (
            "Set dropout to 0 (--less.dropout 0), or name layers that take it as targets"
            if "dropout" in str(error) and 0 < dropout < 1
            else "Use targets='all-linear' or names of the model's linear layers, r >= 1 and 0 <= dropout < 1"
        )
        raise InputError(
            f"LoRA could not be attached with r={r}, dropout={dropout}, targets={modules!r}: {error} {remedy}. Linear "
            f"layers of this model: {', '.join(linear) or 'none'}."
        ) from error


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(
            f"Unknown device {name!r}: use 'auto', 'cpu', or a PyTorch device such as 'cuda:0'."
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"Device {name!r} was asked for, but PyTorch sees no CUDA GPU here: use 'cpu'.")
    return device


def _read_model(folder: Path, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """A whole, causal model in evaluation mode; without the refusal of remote code, transformers would stop and ask."""
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "trust_remote_code": False}
    source: Path | None = folder
    with quiet(), _readable(folder):
        config = soundness.causal_config(folder)
        if adapters.has_adapter(folder):  # transformers would put it on by itself, and not merge it
            weights = [load_file(path) for path in model_weights(folder)]
            source, options["state_dict"] = None, {name: t for part in weights for name, t in part.items()}
        kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
        model, info = kind.from_pretrained(source, config=config, output_loading_info=True, **options)
        soundness.check_weights(folder, info)
        _move(model, device, folder)
        soundness.check_causal(folder, model)
    return model.eval()


def _move(model: PreTrainedModel, device: torch.device, folder: Path) -> None:
    """Put the weights where they shall be; say so where the device has no room for them, or not their type."""
    size = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e9
    if model.dtype == torch.bfloat16 and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise InputError(f"The device {device} has no bfloat16: take dtype float16 or float32.")
    try:
        model.to(device)  # type: ignore[arg-type]  # transformers wraps `to` without its types
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"The model in {folder} is too large for {device}: its weights alone take {size:.1f} GB in {model.dtype}. "
            "Take dtype bfloat16, a smaller model, or device 'cpu'."
        ) from error


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    if not any(path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)):
        raise InputError(f"There is no tokenizer in {folder}: write it there with its save_pretrained.")
    with quiet(), _readable(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise InputError(
            f"The tokenizer in {folder} ({type(tokenizer).__name__}) cannot say which characters a token stands for: "
            "answers could not be told from requests. Save it with a tokenizer.json; AutoTokenizer converts most."
        )
    if tokenizer.eos_token_id is None:
        log.warning("The tokenizer in %s names no end-of-text token (EOS): answers end without one.", folder)
    return tokenizer


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn what transformers raises while it reads a folder into one sentence."""
    try:
        yield
    except TisError:
        raise
    except ImportError as error:  # quantised weights, sentencepiece, …
        raise InputError(
            f"The model in {folder} needs a package that is not installed here: {_brief(error)} Install it, or give "
            "the model in a form that does without (weights that are not quantised, a tokenizer.json)."
        ) from error
    except Exception as error:  # the kinds are many and differ from version to version
        if is_exhausted(error):
            raise
        raise RunError(
            f"The model files in {folder} could not be read ({type(error).__name__}: {_brief(error)}). They may be "
            "incomplete, damaged, or of a kind that cannot be used here: fetch or write them again."
        ) from error


def _brief(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.300}"
