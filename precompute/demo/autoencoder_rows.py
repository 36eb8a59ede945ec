"""Training rows of the demo's text autoencoder: activations, each with the tokens that lead up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.demo.activations import N_CTX, open_activations, write_activations
from precompute.demo.token_rows import IGNORED, Ids, Rows, chunk_documents
from precompute.demo.tokenizer import BOS_ID


@dataclass(frozen=True)
class ActivationRows:
    """Activations and the windows of tokens that end at them, in corpus order."""

    activations: npt.NDArray[np.float16]
    """Residual stream at the site (n_rows, d_in), mapped from a file."""
    windows: npt.NDArray[np.uint16]
    """The tokens up to each row's own (n_rows, n_tokens); beginning-of-text before a text's start."""

    def __len__(self) -> int:
        return len(self.windows)


def windows_of(rows: Rows, n_tokens: int) -> npt.NDArray[np.uint16]:
    """Return the windows (n_positions, n_tokens) ending at each text position of `rows` (n_chunks, n_ctx)."""
    before = np.full((len(rows), n_tokens - 1), BOS_ID, dtype=np.int64)
    padded = np.concatenate([before, rows], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_tokens, axis=1)
    found: npt.NDArray[np.uint16] = windows[:, 1:][rows[:, 1:] != IGNORED].astype(np.uint16)
    return found


def choose_chunks(documents: Sequence[Ids], n_rows: int, seed: int) -> Rows:
    """Return chunks of randomly chosen texts, in random order, that hold about `n_rows` text positions."""
    order = np.random.default_rng(seed).permutation(len(documents))
    n_before = np.cumsum([len(documents[index]) for index in order])
    n_documents = int(np.searchsorted(n_before, n_rows)) + 1
    return chunk_documents([documents[index] for index in order[:n_documents]], N_CTX)


def collect_rows(trunk: Any, chunks: Rows, n_tokens: int, path: Path, bfloat16: bool) -> ActivationRows:
    """Capture the activations of the chunks into `path`, once, and pair them with their windows."""
    mapped = open_activations(path) if path.exists() else write_activations(trunk, chunks, path, bfloat16)
    return ActivationRows(mapped, windows_of(chunks, n_tokens))
