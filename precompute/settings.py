"""What a person may choose: scientific settings, which change results, apart from operational ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["fast", "parallel"]
Device = Literal["auto", "cpu", "cuda"]


class Settings(BaseModel):
    """Scientific settings: each changes a result, so each step's own are part of its fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_k: int = Field(50, ge=1)
    """Tokens kept each way for a feature, and features each way for a token."""
    n_bins: int = Field(50, ge=1, le=10_000)
    """Bins of the activation histograms and of the logit-effect histograms."""
    n_top_examples: int = Field(20, ge=1)
    """Examples of the strongest activations kept a feature, one a text."""
    n_bands: int = Field(5, ge=1)
    """Quantile bands, and value bands, from which further examples are drawn."""
    n_band_examples: int = Field(5, ge=0)
    """Examples kept a band."""
    n_near_misses: int = Field(5, ge=0)
    """Examples kept that resemble the top ones and on which the feature is silent."""
    tfidf_window: int = Field(5, ge=0)
    """Tokens each side of an active row that count as its window."""
    tfidf_max_rows: int = Field(2000, ge=1)
    """Active rows of a feature, drawn by seed, whose windows are counted."""
    n_tfidf: int = Field(20, ge=1)
    """Tokens kept a feature by TF-IDF."""
    n_contexts: int = Field(20, ge=1)
    """n-grams kept a feature and length."""
    n_token_features: int = Field(20, ge=1)
    """Features kept a token, by mean activation on it."""
    n_neighbors: int = Field(20, ge=1)
    """Nearest decoder directions kept a feature."""
    n_coactivations: int = Field(20, ge=1)
    """Co-activating features kept a feature."""
    coactivation_max_rows: int = Field(1_000_000, ge=1)
    """Rows used for co-activations; more are sampled by seed, and the standard error is stated."""
    map_neighbors: int = Field(15, ge=2)
    """Neighbours in the graph that the feature map is drawn from."""
    map_epochs: int = Field(100, ge=1)
    """Epochs of the map's layout."""
    cluster_min_size: int = Field(10, ge=2)
    """Features in the smallest cluster of the map."""
    quality_max_rows: int = Field(30_000, ge=1)
    """Held-out rows on which the SAE's quality is measured."""
    seed: int = 0
    """Seed of every draw."""
    features: tuple[int, int] | None = None
    """Only features from the first number up to, not including, the second; None is all."""


MEMORY_LIMIT = 1_500_000_000


@dataclass(frozen=True)
class Operations:
    """Operational settings: none changes a result, none is in a fingerprint."""

    device: Device = "auto"
    """Where the model runs; auto takes a GPU where there is one."""
    workers: int = os.cpu_count() or 1
    """Shards or blocks worked on at the same time."""
    batch_size: int | None = None
    """Examples in one forward pass; None is what suits the device."""
    chunk_size: int = 256
    """Features whose effects on all tokens are held in memory at once."""
    method: Method = "parallel"
    """How histograms are counted: one pass over rows (fast), or over blocks of features (parallel)."""
    memory_limit: int = MEMORY_LIMIT
    """Bytes of the entries that `transpose` holds at once, in all workers of a machine together."""
