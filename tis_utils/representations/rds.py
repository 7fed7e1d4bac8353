"""RDS+: hidden states of the untuned model, averaged with weights that grow towards the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tis_utils.examples.text import IGNORE, Encoded, Example, Query, chat_text, encode_query
from tis_utils.models.batching import Batch, each_batch
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.storage.keys import step

VERSION = step("rds", 2)


class RDS:
    """Position-weighted mean of the last hidden layer of an untuned model (RDS+; Ivison et al. 2025).

    For a text with hidden states h_1 … h_T (prompt and answer), Σ_t t·h_t / (1 + … + T), scaled to length 1. "Last
    hidden layer" is the output of the final layer *after* the final norm, what the output head reads. The line break
    behind a chat's last turn is left out, as in the authors' code: it would be a candidate's heaviest token.

    Parameters
    ----------
    model : str or LanguageModel
        The untuned base model, or its name for :func:`tis_utils.models.load.load_model`.
    max_length : int
        Texts are cut to this many tokens (2,048 for Tulu, 4,096 for Dolci).
    batch_tokens : int, optional
        Upper limit of rows × tokens per batch, by default 8,192 on the CPU and 65,536 on a GPU; only speed and memory
        depend on it. A batch that does not fit into the GPU's memory is halved.
    """

    def __init__(
        self,
        model: str | LanguageModel,
        *,
        max_length: int = 2048,
        batch_tokens: int | None = None,
        show_progress: bool = True,
    ) -> None:
        self.lm = model if isinstance(model, LanguageModel) else load_model(model)
        self.batch_tokens = batch_tokens or (8192 if self.lm.device.type == "cpu" else 65536)
        self.max_length, self.show_progress = max_length, show_progress

    def candidates(self, examples: Sequence[Example]) -> np.ndarray:
        """Features of candidates, float32 of shape (N, hidden size), rows of length 1."""
        return self._features(examples)

    def queries(self, queries: Sequence[Query]) -> np.ndarray:
        """Features of queries, float32 of shape (M, hidden size), rows of length 1."""
        return self._features(queries)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything the features depend on besides the texts, ready for JSON (a cache key)."""
        return {
            "representation": "rds",
            "model": self.lm.fingerprint,
            "dtype": str(self.lm.dtype),
            "max_length": self.max_length,
        }

    def _encode(self, item: Example | Query) -> Encoded:
        tokenizer = self.lm.tokenizer
        if isinstance(item, Query):  # ends with its end-of-sequence token
            return encode_query(item, tokenizer, self.max_length)
        text = chat_text(item, tokenizer.eos_token or "").removesuffix("\n")
        ids = np.asarray(tokenizer(text, truncation=True, max_length=self.max_length)["input_ids"], dtype=np.int64)
        return Encoded(ids, np.full(len(ids), IGNORE))

    @torch.no_grad()
    def _features(self, items: Sequence[Example] | Sequence[Query]) -> np.ndarray:
        encoded = [self._encode(item) for item in items]
        out = np.zeros((len(encoded), self.lm.model.config.hidden_size), dtype=np.float32)  # (N, H)
        bar = ("RDS+", self.show_progress)
        # the body without the output head: its last hidden state is hidden_states[-1] of the whole model
        body = self.lm.model.base_model

        def keep(batch: Batch) -> None:
            hidden = body(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
            out[batch.index] = weighted_mean(hidden, batch.mask).cpu().numpy()

        each_batch(keep, encoded, self.lm.pad_id, self.lm.device, self.batch_tokens, *bar)
        return out


def weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Position-weighted mean of hidden states (B, T, H) over real tokens (padding on any side): unit rows (B, H)."""
    weight = (mask.cumsum(1) * mask).float()  # (B, T): 1, 2, …, T on real tokens, 0 on padding
    weight = weight / weight.sum(1, keepdim=True)
    # einsum would turn 0 · inf on padding into NaN, but padded states are finite: they see real tokens only
    pooled = torch.einsum("bt,bth->bh", weight, hidden.float())
    return torch.nn.functional.normalize(pooled, dim=1)
