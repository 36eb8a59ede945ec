"""The demo's language model: a four-layer Llama of four million parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from precompute.demo.token_rows import IGNORED, Rows, by_length, trimmed
from precompute.demo.tokenizer import BOS_ID, D_VOCAB

N_CTX = 256
"""Positions of a training row, the beginning-of-text token included."""

D_MODEL = 256
"""Width of the residual stream."""

N_LAYERS = 4
"""Transformer blocks."""

PAD_ID = 1
"""Token id of the padding token."""


def build_model(seed: int) -> Any:
    """Return a freshly initialised model (float32)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=D_VOCAB,
            hidden_size=D_MODEL,
            intermediate_size=688,
            num_hidden_layers=N_LAYERS,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=N_CTX,
            tie_word_embeddings=True,
            bos_token_id=BOS_ID,
            eos_token_id=BOS_ID,
            pad_token_id=PAD_ID,
        )
    )


def load_model(directory: Path) -> Any:
    """Load a saved model in float32, with no network."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
    return model.eval()


def save_model(model: Any, directory: Path) -> None:
    """Save a float16 copy of the weights as a Hugging Face directory; the model itself is untouched."""
    import copy

    copy.deepcopy(model).to(torch.float16).save_pretrained(directory)


def token_losses(logits: Tensor, rows: Tensor) -> Tensor:
    """Return next-token losses in nats (n_rows, n_ctx - 1); positions without a target are 0.

    `logits` is (n_rows, n_ctx, d_vocab), `rows` (n_rows, n_ctx) with `IGNORED` at the end of short rows.
    """
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(),
        rows[:, 1:].flatten(),
        ignore_index=IGNORED,
        reduction="none",
    ).view(len(rows), -1)


@torch.no_grad()
def mean_loss(model: Any, rows: Rows, batch_size: int = 32) -> float:
    """Return the mean next-token loss in nats over all targets of the rows."""
    total, device = 0.0, next(model.parameters()).device
    rows = by_length(rows)
    for first in range(0, len(rows), batch_size):
        batch = torch.from_numpy(trimmed(rows[first : first + batch_size])).to(device)
        logits = model(batch.clamp(min=BOS_ID), use_cache=False).logits
        total += float(token_losses(logits, batch).double().sum())
    return total / int(np.count_nonzero(rows[:, 1:] != IGNORED))
