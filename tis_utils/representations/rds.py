"""RDS+: hidden states of the untuned model, averaged with weights that grow towards the end."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tis_utils.errors import InputError
from tis_utils.examples.text import IGNORE, Encoded, Example, Query, chat_text, encode_query, tokens
from tis_utils.models.batching import Batch, each_batch, unit
from tis_utils.models.load import LanguageModel, load_model
from tis_utils.models.soundness import check_ids, vocabulary
from tis_utils.storage.keys import step

VERSION = step("rds", 2)

log = logging.getLogger(__name__)

_NO_STATE = (
    "RDS+: %d of %d %s have no finite state under this model (the first is %s), so they have no place near anything. A "
    "dtype with a wider range (bfloat16 or float32 instead of float16) or a sound model file may help."
)


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
        """Features of candidates, float32 of shape (N, hidden size), rows of length 1 (zero where not finite)."""
        rows = self._features(examples)
        lost = [example.id for example, row in zip(examples, rows, strict=True) if not row.any()]
        if lost:
            log.warning(_NO_STATE, len(lost), len(examples), "candidates", lost[0])
        return rows

    def queries(self, queries: Sequence[Query]) -> np.ndarray:
        """Features of queries, float32 of shape (M, hidden size), rows of length 1.

        Raises
        ------
        InputError
            If a query has no finite state.
        """
        rows = self._features(queries)
        lost = [query.id for query, row in zip(queries, rows, strict=True) if not row.any()]
        if lost:
            raise InputError(_NO_STATE % (len(lost), len(queries), "queries", lost[0]))
        return rows

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
        if self.lm.own_template:
            return self.lm.encode([item], self.max_length)[0]
        tokenizer, longest = self.lm.tokenizer, self.lm.longest(self.max_length)
        if isinstance(item, Query):  # ends with its end-of-sequence token
            return encode_query(item, tokenizer, longest)
        text = chat_text(item, tokenizer.eos_token or "").removesuffix("\n")
        ids, _ = tokens(text, tokenizer, longest)
        return Encoded(ids, np.full(len(ids), IGNORE))

    @torch.no_grad()
    def _features(self, items: Sequence[Example] | Sequence[Query]) -> np.ndarray:
        encoded = [self._encode(item) for item in items]
        check_ids(self.lm.name, (text.ids for text in encoded), vocabulary(self.lm.model))
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        bar = ("RDS+", self.show_progress)
        # the body without the output head: its last hidden state is hidden_states[-1] of the whole model
        body = self.lm.model.base_model

        def keep(batch: Batch) -> None:
            hidden = body(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
            parts.append((batch.index, weighted_mean(hidden, batch.mask).cpu().numpy()))

        each_batch(keep, encoded, self.lm.pad_id, self.lm.device, self.batch_tokens, *bar)
        # states of some models have another width than the hidden size that the configuration names
        width = parts[0][1].shape[1] if parts else self.lm.model.config.get_text_config().hidden_size
        out = np.zeros((len(encoded), width), dtype=np.float32)  # (N, H)
        for index, rows in parts:
            out[index] = rows
        return np.where(np.isfinite(out).all(axis=1, keepdims=True), out, np.float32(0))


def weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Position-weighted mean of hidden states (B, T, H) over real tokens (padding on any side): unit rows (B, H)."""
    weight = (mask.cumsum(1) * mask).float()  # (B, T): 1, 2, …, T on real tokens, 0 on padding
    weight = weight / weight.sum(1, keepdim=True)
    # einsum would turn 0 · inf on padding into NaN, but padded states are finite: they see real tokens only
    pooled = torch.einsum("bt,bth->bh", weight, hidden.float())
    return unit(pooled)
