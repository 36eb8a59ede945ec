"""Texts to token ids for an encoder: special tokens as the tokenizer adds them, long texts cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from precompute.embeddings.token_batches import TokenLists, token_lists

TEXTS_AT_ONCE = 4096
UNLIMITED = 10**9
"""Tokenizers that know no limit name a larger one."""


@dataclass(frozen=True)
class Tokenizer:
    """A model's tokenizer, as the encoder uses it."""

    tokenizer: Any
    max_length: int
    """Tokens of a text at most, special ones included."""
    empty_id: int
    """The one token of a text that gives none."""

    def __call__(self, texts: Sequence[str]) -> TokenLists:
        """Token ids of each text. What looks like a special token in a text is text."""
        lists: list[list[int]] = []
        is_cut: list[bool] = []
        for first in range(0, len(texts), TEXTS_AT_ONCE):
            part = self._encode(list(texts[first : first + TEXTS_AT_ONCE]))
            is_cut += [cut for _, cut in part]
            lists += [ids or [self.empty_id] for ids, _ in part]
        return token_lists(lists, np.array(is_cut, dtype=bool))

    def _encode(self, texts: list[str]) -> list[tuple[list[int], bool]]:
        encoded = self.tokenizer(
            texts,
            truncation=True,
            max_length=self.max_length,
            split_special_tokens=True,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        encodings = encoded.encodings
        ids: list[list[int]] = encoded["input_ids"]
        cut = [bool(each.overflowing) for each in encodings] if encodings else [False] * len(ids)
        return list(zip(ids, cut, strict=True))


def prepared(tokenizer: Any, max_length: int, n_positions: int | None) -> Tokenizer:
    """The tokenizer with a limit that the model can bear."""
    own = getattr(tokenizer, "model_max_length", None) or UNLIMITED
    limit = min(max_length, own if own < UNLIMITED else max_length, n_positions or max_length)
    tokenizer.truncation_side = "right"
    named = ("bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id", "pad_token_id")
    known = (getattr(tokenizer, name, None) for name in named)
    return Tokenizer(tokenizer, int(limit), next((int(i) for i in known if i is not None), 0))
