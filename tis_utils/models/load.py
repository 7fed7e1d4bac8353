"""Load a causal language model by name, know exactly which one it is, attach LoRA to it.

Weights come from safetensors (or GGUF, converted once); nothing is unpickled, no code of a model repository is run.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from tis_utils.errors import InputError, RunError, check_choice
from tis_utils.models.files import find_folder, fingerprint, quiet, smollm2_file, unpacked_gguf
from tis_utils.storage.keys import file_digest, step

VERSION = step("load", 1)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
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
        """Token that fills batches. It is always masked, so any valid id will do."""
        known = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return int(next((token for token in known if token is not None), 0))


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
    model, tokenizer = _read_folder(folder, place, DTYPES[dtype])
    # a GGUF file is known by itself, so its fingerprint does not depend on who converted it
    return LanguageModel(name, model, tokenizer, file_digest(gguf) if gguf else fingerprint(folder))


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model without its weights; names and errors as for :func:`load_model`."""
    gguf = _gguf(str(name))
    with quiet():
        if gguf:
            return AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
        return AutoTokenizer.from_pretrained(find_folder(str(name)), trust_remote_code=False)


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
    try:
        # peft reads an attribute that transformers has renamed; nothing a reader could do about it
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        config = LoraConfig(
            r=r,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=modules,
            fan_in_fan_out=transposed,
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, config)
    except ValueError as error:
        raise InputError(
            f"LoRA could not be attached with r={r}, dropout={dropout}, targets={modules!r}: {error} "
            "Use targets='all-linear' or names of the model's linear layers, r >= 1 and 0 <= dropout < 1."
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


def _read_folder(
    folder: Path, device: torch.device, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    with quiet():  # without the explicit refusal of remote code, transformers would stop and ask
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, trust_remote_code=False
            )
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise RunError(
                f"The model files in {folder} could not be read ({type(error).__name__}: {error}). They may "
                "be incomplete or of an unknown kind: fetch or write them again."
            ) from error
    model.to(device)  # type: ignore[arg-type]  # transformers wraps `to` without its types
    return model.eval(), tokenizer
