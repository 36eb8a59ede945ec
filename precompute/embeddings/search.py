"""Search by meaning: the texts whose vectors lie nearest to a query's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from precompute.embeddings.embedding_set import EmbeddingSet
from precompute.embeddings.encoder import TextEncoder
from precompute.errors import ModelError, UsageError

BLOCK = 2**16
"""Vectors whose cosines are computed at once."""


@dataclass(frozen=True)
class Hits:
    """Rows of a set with their cosine to a query, greatest first; equal ones in order of row."""

    rows: Int64[np.ndarray, " k"]
    cosines: Float32[np.ndarray, " k"]

    def table(self, embedded: EmbeddingSet) -> pl.DataFrame:
        """rank, cosine, and the rows' metadata."""
        found = embedded.rows(self.rows.tolist())
        return found.insert_column(0, pl.Series("cosine", self.cosines)).with_row_index("rank")


def nearest_rows(vectors: NDArray[np.floating], query: Float32[np.ndarray, " d"], k: int) -> Hits:
    """The k rows of a matrix nearest to a vector by cosine, in blocks; rows of norm zero come last."""
    if k < 1:
        raise UsageError(f"k = {k}", "at least 1", "ask for more")
    cosines = np.empty(len(vectors), dtype=np.float32)
    unit = query / max(float(np.linalg.norm(query)), np.finfo(np.float32).tiny)
    for first in range(0, len(vectors), BLOCK):
        block = np.asarray(vectors[first : first + BLOCK], dtype=np.float32)
        norms = np.sqrt(np.einsum("ij,ij->i", block, block))
        cosines[first : first + BLOCK] = (block @ unit) / np.maximum(norms, np.finfo(np.float32).tiny)
    k = min(k, len(cosines))
    candidates = np.argpartition(-cosines, k - 1)[:k]
    # Whatever ties with the last one may belong before it.
    candidates = np.flatnonzero(cosines >= cosines[candidates].min())
    order = np.lexsort((candidates, -cosines[candidates]))[:k]
    return Hits(candidates[order], cosines[candidates[order]])


def query_encoder(embedded: EmbeddingSet, device: str = "auto") -> TextEncoder:
    """The encoder that made a set, loaded as it was then.

    Raises ModelError where the model has changed since: its vectors would not be comparable.
    """
    chosen = embedded.settings
    encoder = chosen.load_encoder(embedded.model, device)
    if embedded.info["encoder"] != encoder.fingerprint and not chosen.imported:
        raise ModelError(
            f"the model {embedded.model} with other weights or options than those of {embedded.directory}",
            "the model that made the embeddings",
            "compute the embeddings again",
        )
    if embedded.d != encoder.d:
        raise ModelError(f"vectors of width {embedded.d}", f"{encoder.d}, the model's", "compute them again")
    return encoder


def search(
    embedded: EmbeddingSet, text: str, k: int = 10, encoder: TextEncoder | None = None
) -> pl.DataFrame:
    """rank, cosine and metadata of the k texts nearest in meaning; `encoder` spares loading the model."""
    encoder = encoder or query_encoder(embedded)
    return nearest_rows(embedded.vectors, encoder.encode([text])[0], k).table(embedded)


def similar(embedded: EmbeddingSet, row: int, k: int = 10) -> pl.DataFrame:
    """rank, cosine and metadata of the k texts nearest to one of the set, itself left out."""
    embedded.rows([row])
    query = np.asarray(embedded.vectors[row], dtype=np.float32)
    hits = nearest_rows(embedded.vectors, query, k + 1)
    others = np.flatnonzero(hits.rows != row)[:k]
    return Hits(hits.rows[others], hits.cosines[others]).table(embedded)
