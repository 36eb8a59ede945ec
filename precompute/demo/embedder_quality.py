"""How well the demo's embedder finds a docstring's body by its summary, on packages it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float32

from precompute.embeddings.encoder import TextEncoder

MAX_TOKENS = 64
"""Tokens of a summary or a body that are read, as in training."""


@dataclass(frozen=True)
class Recall:
    """Share of summaries whose own body is among the nearest bodies."""

    at_1: float
    at_10: float
    n: int
    """Pairs: each summary is told from so many bodies."""


def recall(summaries: Float32[np.ndarray, "n d"], bodies: Float32[np.ndarray, "n d"]) -> Recall:
    """Recall of unit vectors; a body that ties with the own one counts as nearer."""
    scores = summaries @ bodies.T
    own = np.diagonal(scores)
    nearer = (scores >= own[:, None]).sum(axis=1) - 1
    return Recall(float((nearer < 1).mean()), float((nearer < 10).mean()), len(own))


def measure(model: Path, pairs: pl.DataFrame, device: str = "auto") -> Recall:
    """The recall of a model directory on pairs of summary and body."""
    encoder = TextEncoder.load(model, max_length=MAX_TOKENS, device=device)
    return recall(*(encoder.encode(pairs[side].to_list()) for side in ("summary", "body")))
