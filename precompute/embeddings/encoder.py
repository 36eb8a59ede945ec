"""The text encoder: e = normalise(W · pool(last hidden states of real tokens) + b), one vector a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float32

from precompute.artifacts.manifest import fingerprint
from precompute.embeddings.identity import encoder_identity
from precompute.embeddings.model_directory import POOLINGS, EmbedderFiles, Pooling, find_files
from precompute.embeddings.token_batches import TokenBatch, TokenLists, batches_of, padded
from precompute.embeddings.tokens import Tokenizer
from precompute.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: tuple[Dtype, ...] = ("auto", "float32", "bfloat16", "float16")
DEFAULT_MAX_LENGTH = 256
CPU_TOKENS = 1024
"""Tokens of a batch for each thread of a CPU: with more, what is computed leaves its caches."""
MOST_TOKENS = 2**18
"""Tokens of a batch at most."""


@dataclass(frozen=True)
class EncoderOptions:
    """What the user chooses of an encoder; each changes its vectors."""

    pooling: Pooling | None = None
    """How token states become one vector; None is the model's own, or else mean."""
    normalize: bool = True
    """Whether vectors have length 1."""
    max_length: int = DEFAULT_MAX_LENGTH
    """Tokens of a text at most, special ones included; longer texts are cut."""
    dtype: Dtype = "auto"
    """Type in which the model runs; auto is float32 on a CPU, and the model's own half precision on a GPU."""

    def __post_init__(self) -> None:
        if self.pooling not in (None, *POOLINGS):
            raise UsageError(
                f"pooling {self.pooling!r}", f"one of {', '.join(POOLINGS)}", "correct --pooling"
            )
        if self.dtype not in DTYPES:
            raise UsageError(f"dtype {self.dtype!r}", f"one of {', '.join(DTYPES)}", "correct --dtype")
        if self.max_length < 1:
            raise UsageError(f"--max-length {self.max_length}", "at least 1 token", "give another")


@dataclass
class TextEncoder:
    """A loaded embedding model; the adapter is merged in, nothing in it is random."""

    files: EmbedderFiles
    options: EncoderOptions
    network: Any
    """The transformers model; a causal one with its output layer."""
    tokenizer: Tokenizer
    projection: Any
    """A torch Linear in float32, or None."""
    device: str
    """Where it runs: cpu, cuda or cuda:N."""
    _most_tokens: int = field(default=MOST_TOKENS)
    """Lowered when memory runs out."""

    @classmethod
    def load(
        cls,
        directory: str | Path,
        *,
        revision: str | None = None,
        pooling: Pooling | None = None,
        normalize: bool = True,
        max_length: int = DEFAULT_MAX_LENGTH,
        dtype: Dtype = "auto",
        device: str = "auto",
        allow_legacy_weights: bool = False,
    ) -> TextEncoder:
        """Load a model directory or hub id. Raises ModelError for a part that is promised and missing.

        `pooling` None is the model's own, or else mean; "logits" gives vectors as wide as the vocabulary
        (the output layer at the mean state; the projection plays no part).
        """
        from precompute.embeddings.loading import load_encoder

        options = EncoderOptions(pooling, normalize, max_length, dtype)
        return load_encoder(find_files(directory, revision, allow_legacy_weights), options, device)

    @property
    def pooling(self) -> Pooling:
        """How token states become one vector."""
        return self.options.pooling or self.files.pooling

    @property
    def d(self) -> int:
        """Width of the vectors."""
        if self.pooling == "logits":
            return int(self.network.get_output_embeddings().weight.shape[0])
        if self.projection is not None:
            return int(self.projection.out_features)
        return int(self.network.config.get_text_config().hidden_size)

    @property
    def d_vocab(self) -> int:
        """Entries of the model's vocabulary."""
        return int(self.network.config.get_text_config().vocab_size)

    @property
    def d_model(self) -> int:
        """Width of its hidden states."""
        return int(self.network.config.get_text_config().hidden_size)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what determines a text's vector: weights, tokenizer, adapter, projection, options."""
        return fingerprint("encoder", 1, {}, encoder_identity(self.files, self.options))

    def encode(
        self,
        texts: Sequence[str],
        token_budget: int | None = None,
        batch_size: int | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> Float32[np.ndarray, "n d"]:
        """The vectors of texts, in their order.

        Equal texts are encoded once. Batches hold texts of like length, longest first, of `token_budget`
        tokens (None: what suits the device) or of `batch_size` texts. An empty text is read as its BOS token
        alone, so it has a vector like any other. `advance` is told the texts done.
        """
        firsts = {text: place for place, text in reversed(list(enumerate(texts)))}
        distinct = sorted(firsts.values())
        place_of = {texts[place]: number for number, place in enumerate(distinct)}
        tokens = self.tokenizer([texts[place] for place in distinct])
        vectors = self.encode_tokens(tokens, token_budget, batch_size, advance)
        if len(distinct) == len(texts):
            return vectors
        return vectors[[place_of[text] for text in texts]]

    def encode_tokens(
        self,
        tokens: TokenLists,
        token_budget: int | None = None,
        batch_size: int | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> Float32[np.ndarray, "n d"]:
        """The vectors of tokenised texts, in their order."""
        vectors = np.zeros((len(tokens), self.d), dtype=np.float32)
        budget = min(token_budget or self.automatic_budget(), self._most_tokens)
        for batch in batches_of(tokens, budget, batch_size):
            for part, found in self._survivors(tokens, batch):
                vectors[part.texts] = found
                if advance:
                    advance(len(part.texts))
        return vectors

    def _survivors(self, tokens: TokenLists, batch: TokenBatch) -> Iterator[tuple[TokenBatch, Any]]:
        """The vectors of a batch; halved and tried again where memory runs out, never dropped."""
        from precompute.models.memory import is_out_of_memory, release

        too_large = batch.token_ids.size > self._most_tokens and len(batch.texts) > 1
        if not too_large:
            try:
                yield batch, self._vectors(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch.texts) == 1:
                    raise self._too_long(batch) from error
                self._most_tokens = max(1, batch.token_ids.size // 2)
            else:
                return
            release(self.device)
        half = (len(batch.texts) + 1) // 2
        for part in (batch.texts[:half], batch.texts[half:]):
            yield from self._survivors(tokens, padded(tokens, part))

    def _too_long(self, batch: TokenBatch) -> ModelError:
        """The error for a text that does not fit in memory by itself."""
        return ModelError(
            f"one text of {batch.token_ids.shape[1]} tokens, for which memory does not suffice",
            f"free memory on {self.device}",
            "lower --max-length, choose a half --dtype, or free some",
        )

    def _vectors(self, batch: TokenBatch) -> Float32[np.ndarray, "n d"]:
        import torch

        with torch.inference_mode():
            found = self._pooled(batch)
            if self.projection is not None and self.pooling != "logits":
                found = self.projection(found)
            if self.options.normalize:
                found = torch.nn.functional.normalize(found, dim=-1, eps=1e-30)
        vectors: np.ndarray = found.cpu().numpy()
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"vectors that are not finite in {self.network.dtype}", "finite ones", "use --dtype float32"
            )
        return vectors

    def _pooled(self, batch: TokenBatch) -> torch.Tensor:
        """Pooled states of a batch: float32 [n_texts, d_model], or [n_texts, d_vocab] for logits."""
        import torch

        token_ids = torch.from_numpy(batch.token_ids).to(self.device)
        lengths = torch.from_numpy(batch.lengths).to(self.device)
        mask = torch.arange(token_ids.shape[1], device=self.device) < lengths[:, None]
        # Without padding no mask is needed, and attention is faster without one.
        given = None if bool((batch.lengths == token_ids.shape[1]).all()) else mask.long()
        trunk = getattr(self.network, self.network.base_model_prefix, self.network)
        states: torch.Tensor = trunk(
            input_ids=token_ids, attention_mask=given, **self._extra()
        ).last_hidden_state
        if self.pooling == "cls":
            return states[:, 0].float()
        if self.pooling == "last":
            return states[torch.arange(len(lengths), device=self.device), lengths - 1].float()
        mean: torch.Tensor = (
            (mask[:, None].to(torch.float32) @ states.float()) / lengths[:, None, None]
        ).squeeze(1)
        if self.pooling == "mean":
            return mean
        logits: torch.Tensor = self.network.get_output_embeddings()(mean.to(states.dtype))
        return logits.float()

    def _extra(self) -> dict[str, Any]:
        return {"use_cache": False} if hasattr(self.network.config.get_text_config(), "use_cache") else {}

    def automatic_budget(self) -> int:
        """Tokens of a batch that suit the device: on a GPU by free memory, a power of two."""
        import torch

        if not self.device.startswith("cuda"):
            return CPU_TOKENS * int(torch.get_num_threads())
        free, _ = torch.cuda.mem_get_info(self.device)
        config = self.network.config.get_text_config()
        inner = int(getattr(config, "intermediate_size", None) or 4 * self.d_model)
        # The widest layer's activations, the states in float32, and as much again for what is freed late.
        per_token = 2 * (3 * inner + 8 * self.d_model) * 4
        fitting = 2 ** int(np.log2(max(2, int(free) // 2 // per_token)))
        return int(max(1024, min(MOST_TOKENS, fitting)))
