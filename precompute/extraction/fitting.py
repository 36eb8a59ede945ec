"""How many rows of a batch fit in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from precompute.models.language_model import LanguageModel

SHARE = 0.5
"""Of the free memory that a batch may take; the rest is for what is estimated too low."""
MOST_ON_CPU, MOST_ON_GPU = 32, 512
"""Rows of an automatic batch at most: with more, a processor gains nothing."""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that generation takes beside the weights."""

    per_row: int
    """One row of the batch at its full length."""
    free: int
    """Free on the device now."""

    @property
    def n_rows(self) -> int:
        """Rows that fit."""
        return max(1, int(SHARE * self.free) // self.per_row)


def memory_need(model: LanguageModel, n_tokens: int, n_captured: int = 0) -> MemoryNeed:
    """What rows of n tokens take: keys and values, the widest layer, logits, and n captured numbers."""
    config, width = model.config, model.model.dtype.itemsize
    heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    head_width = int(getattr(config, "head_dim", None) or model.d_model // config.num_attention_heads)
    # Buffers grow by half, the old ones are there while the new are made, and prompts are read ahead.
    cache = 2 * int(config.num_hidden_layers) * heads * head_width * n_tokens * width * 4
    inner = int(getattr(config, "intermediate_size", None) or 4 * model.d_model)
    prompt = (3 * inner + 8 * model.d_model) * n_tokens * 4
    return MemoryNeed(cache + prompt + 16 * int(config.vocab_size) + 8 * n_captured, _free(model.device))


def fitting_batch(model: LanguageModel, n_tokens: int, n_captured: int = 0) -> int:
    """Rows of an automatic batch: a power of two."""
    most = MOST_ON_GPU if model.device.startswith("cuda") else MOST_ON_CPU
    n = min(most, memory_need(model, n_tokens, n_captured).n_rows)
    return int(2 ** (n.bit_length() - 1))


def _free(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)
