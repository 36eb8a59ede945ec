"""Texts to token ids, for the corpus and for a text that a person writes alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from precompute.corpus.windows import Encode
from precompute.errors import ModelError
from precompute.models.sae.registry import read_header

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from precompute.config import ModelType


def text_encoder(tokenizer: PreTrainedTokenizerBase) -> Encode:
    """Encode texts as they are: what looks like a special token in a text is text."""

    def encode(texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return ids

    return encode


def bos_token_id(tokenizer: PreTrainedTokenizerBase, model_type: ModelType) -> int | None:
    """The token that examples of this model type begin with; None where they begin with their text."""
    chosen = model_type.corpus.prepend_bos
    wanted = read_header(model_type.sae).prepend_bos if chosen is None else chosen
    if not wanted:
        return None
    if tokenizer.bos_token_id is None:
        raise ModelError(
            "a tokenizer without a BOS token", "one, since examples begin with BOS", "set prepend_bos = false"
        )
    return int(tokenizer.bos_token_id)
