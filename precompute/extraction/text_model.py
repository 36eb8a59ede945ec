"""A language model with its tokenizer: what turns prompts into responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from precompute.models.language_model import (
    LanguageModel,
    chosen_device,
    load_tokenizer,
    load_weights,
    resolve_model_directory,
)
from precompute.models.tokens import vocabulary

if TYPE_CHECKING:
    from precompute.settings import Device


@dataclass(frozen=True, eq=False)
class TextModel:
    """Nothing in it is trained or random; its tokenizer's side of padding plays no part."""

    language_model: LanguageModel
    tokenizer: Any

    @staticmethod
    def load(
        model: str,
        revision: str | None = None,
        *,
        adapter: str | None = None,
        dtype: str = "float32",
        device: Device | str = "auto",
    ) -> TextModel:
        """Load a directory or hub id, an adapter merged in; raises ModelError for what is missing."""
        import torch

        from precompute.models.packed import pack_weights

        network = load_weights(resolve_model_directory(model, revision), getattr(torch, dtype))
        if adapter is not None:
            from precompute.models.adapter import merge_adapter

            network = merge_adapter(network, adapter)
        where = device if device not in ("auto", "cpu", "cuda") else chosen_device(device)
        network = network.eval().requires_grad_(False).to(where)
        pack_weights(network)
        loaded = LanguageModel(network, where)
        return TextModel(loaded, load_tokenizer(model, revision))

    @property
    def bos_token_id(self) -> int | None:
        """What texts begin with, where the tokenizer has it."""
        found = self.tokenizer.bos_token_id
        return None if found is None else int(found)

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a response: the tokenizer's, and those of the model's own generation settings."""
        named = getattr(getattr(self.language_model.model, "generation_config", None), "eos_token_id", None)
        several = named if isinstance(named, list) else [named]
        return frozenset(int(token) for token in (*several, self.tokenizer.eos_token_id) if token is not None)

    @cached_property
    def str_tokens(self) -> list[str]:
        """The text of every token id."""
        return vocabulary(self.tokenizer, int(self.language_model.config.vocab_size))

    def decode(self, responses: Sequence[Sequence[int]]) -> list[str]:
        """Responses as text, for people and judges; the token ids remain what counts."""
        return [
            self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
            for ids in responses
        ]
