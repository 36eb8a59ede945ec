"""A model type's language model, SAE and tokenizer, loaded once to be asked about any text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from precompute.corpus.windows import cut_windows
from precompute.errors import UsageError
from precompute.models.encoding import SAEReader
from precompute.models.language_model import load_tokenizer
from precompute.models.preflight import FINAL_SITE
from precompute.models.tokenizing import bos_token_id, text_encoder
from precompute.models.tokens import vocabulary
from precompute.models.unembedding import effective_unembedding

if TYPE_CHECKING:
    from torch import Tensor

    from precompute.config import ModelType
    from precompute.settings import Device


@dataclass(frozen=True)
class Window:
    """One example: the tokens that the model reads at a time."""

    token_ids: tuple[int, ...]
    n_special: int
    """Leading special tokens; the positions after them are rows."""

    @property
    def n_tokens(self) -> int:
        """Tokens, special ones included."""
        return len(self.token_ids)

    @property
    def rows(self) -> range:
        """Positions that are rows."""
        return range(self.n_special, self.n_tokens)


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model and its SAE, in memory; questions about a text are functions of it."""

    reader: SAEReader
    tokenizer: Any
    n_ctx: int
    """Tokens in one window, special ones included."""
    acts_dtype: str
    """Type in which the activation store keeps activations."""
    bos_token_id: int | None
    """What windows begin with; None where they begin with their text."""

    @staticmethod
    def load(model_type: ModelType, device: Device = "auto") -> OpenedModel:
        """Load everything; raises UsageError for what is missing or does not fit together."""
        tokenizer = load_tokenizer(model_type.model, model_type.revision)
        return OpenedModel(
            reader=SAEReader.load(model_type, device),
            tokenizer=tokenizer,
            n_ctx=model_type.corpus.n_ctx,
            acts_dtype=model_type.acts_dtype,
            bos_token_id=bos_token_id(tokenizer, model_type),
        )

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.reader.sae.d_sae

    @cached_property
    def str_tokens(self) -> list[str]:
        """The text of every token id."""
        return vocabulary(self.tokenizer, int(self.reader.language_model.config.vocab_size))

    @cached_property
    def directions(self) -> Tensor:
        """What one unit of each feature adds before a row's own scale; float32 [d_sae, d_in]."""
        return self.reader.sae.decoder_directions()

    @cached_property
    def unembed(self) -> Tensor:
        """What takes a direction to its direct logit effect where 1/sigma of the final norm is 1.

        float32 [d_model, d_vocab]; raises NotApplicableError where there is no such effect.
        """
        import torch

        matrix = torch.from_numpy(effective_unembedding(self.reader, 1.0).matrix)
        return matrix.to(self.reader.language_model.device)

    @property
    def norm_lies_ahead(self) -> bool:
        """Whether the final norm is between the capture site and the logits."""
        return self.reader.site.hook_name != FINAL_SITE and self.reader.final_norm() is not None

    @cached_property
    def keeps_cache(self) -> bool:
        """Whether keys and values can be kept from token to token; tried once."""
        from precompute.models.generation import cache_is_right

        return cache_is_right(self)

    @property
    def longest(self) -> int:
        """Tokens that the model can read at a time, those that it writes included."""
        return int(getattr(self.reader.language_model.config, "max_position_embeddings", 0) or 2**31)

    def windows(self, text: str) -> tuple[Window, ...]:
        """The examples that the corpus step would cut from this text; none for one without tokens."""
        corpus = pl.DataFrame({"text": [text], "text_id": [""]})
        encode = text_encoder(self.tokenizer)
        cut = cut_windows(corpus, np.zeros(1, np.int64), encode, self.n_ctx, self.bos_token_id, None)
        return tuple(
            Window(tuple(ids), n) for ids, n in zip(cut["token_ids"].to_list(), cut["n_special"], strict=True)
        )

    def checked(self, window: Window) -> Window:
        """The window itself; raises UsageError for one that the model cannot read."""
        d_vocab = len(self.str_tokens)
        if any(not 0 <= token < d_vocab for token in window.token_ids):
            raise UsageError("a token id out of range", f"0 to {d_vocab - 1:,}", "give the model's own ids")
        if not 0 <= window.n_special < window.n_tokens <= self.longest:
            raise UsageError(
                f"{window.n_tokens} tokens, {window.n_special} of them special",
                f"1 to {self.longest:,} with one that is not special",
                "give another text",
            )
        return window

    def checked_row(self, window: Window, position: int) -> int:
        """The position itself; raises UsageError for one that is no row of the window."""
        if position not in self.checked(window).rows:
            raise UsageError(
                f"position {position}",
                f"{window.n_special} to {window.n_tokens - 1}, where the text's tokens are",
                "choose another token",
            )
        return position
