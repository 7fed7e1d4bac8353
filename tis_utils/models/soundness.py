"""Whether a model folder is what it is taken for: a causal language model, whole, with its own tokenizer.

Loading libraries do not insist on that. They fill weights that a file lacks with random numbers and give an encoder an
output head of random numbers; features come out of both, and they mean nothing.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PretrainedConfig, PreTrainedModel

from tis_utils.errors import InputError

NAMED = 4  # weights that a message lists
UNUSED = ("pooler.",)  # heads that some encoders carry and no representation reads


def causal_config(folder: Path) -> PretrainedConfig:
    """Configuration of a model folder, if it is that of a causal language model that needs no foreign code."""
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = str(raw.get("model_type", "none"))
    if kind not in transformers.CONFIG_MAPPING:
        raise InputError(_unknown_kind(folder, kind, "auto_map" in raw))
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    seq2seq = getattr(config, "is_encoder_decoder", False)
    if seq2seq or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        what = "an encoder-decoder model" if seq2seq else "no language model"
        raise InputError(
            f"The model in {folder} is {what} (its model type is {kind!r}). RDS+, LESS and fine-tuning need a causal "
            "language model, one that predicts the next token, such as 'smollm2' or a Llama, Qwen or Gemma model. A "
            "sentence-embedding model belongs to the representation embed."
        )
    return config


def _unknown_kind(folder: Path, kind: str, has_code: bool) -> str:
    text = f"The model in {folder} has the type {kind!r}, which transformers {transformers.__version__} does not know."
    if has_code:
        return (
            f"{text} It would need Python code of its own to be run, which is never done here. Take a model that "
            "transformers knows by itself, or compute features with its code and give them with --features."
        )
    return f"{text} A newer version of transformers may know it; or take a model of another type."


def check_weights(name: str | Path, info: Mapping[str, Any], unused: tuple[str, ...] = ()) -> None:
    """Refuse a model of whose weights some were not in its file; `info` is what transformers says of the loading."""
    lost = sorted(str(key) for key in info["missing_keys"] if not str(key).startswith(unused))
    lost += sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])
    if lost:
        more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        encoder = (
            "" if unused else " An encoder such as BERT is no language model: it belongs to the representation embed."
        )
        raise InputError(
            f"The model file in {name} lacks weights that its configuration asks for: {', '.join(lost[:NAMED])}{more}. "
            "Random numbers would take their place, so it is not used. Save the whole model with save_pretrained, or "
            f"take another one.{encoder}"
        )


@torch.no_grad()
def check_causal(name: str | Path, model: PreTrainedModel) -> None:
    """Refuse a model whose first state depends on later tokens: an encoder that was given a language model's head."""
    ids = torch.tensor([[2, 3, 4], [2, 5, 6]]).clamp(max=vocabulary(model) - 1)
    states = model(input_ids=ids.to(model.device), use_cache=False).logits[:, 0].float()
    if torch.isfinite(states).all() and not torch.allclose(states[0], states[1], rtol=1e-3, atol=1e-4):
        raise InputError(
            f"The model in {name} ({type(model).__name__}) looks at the tokens that follow: it is an encoder, not a "
            "causal language model. Give a model that predicts the next token, or use it with the representation embed."
        )


def vocabulary(model: PreTrainedModel) -> int:
    """Number of tokens that a model has an embedding for."""
    weight: Any = model.get_input_embeddings().weight
    return int(weight.shape[0])


def positions(model: PreTrainedModel) -> int | None:
    """Tokens that a model can tell the places of, None where its configuration names no limit."""
    count = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return count if isinstance(count, int) and count > 0 else None


def check_ids(name: str, ids: Iterable[Any], rows: int) -> None:
    """Refuse token ids for which a model has no embedding."""
    highest = max((int(row.max()) for row in ids if len(row)), default=-1)
    if highest >= rows:
        raise InputError(
            f"The tokenizer of {name} makes the token {highest}, but the model has embeddings for the tokens 0 to "
            f"{rows - 1} only: they do not belong together. Give the model its own tokenizer, or, if tokens were added "
            "and trained, save the model after resize_token_embeddings."
        )
