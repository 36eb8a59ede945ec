"""Embeddings of texts: encoded once, kept as checked artifacts, mapped, clustered and searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precompute.embeddings.embedding_set import EmbeddingSet


def open_embeddings(
    model: str | Path | None = None, size: str = "toy", data_dir: Path | str | None = None
) -> EmbeddingSet:
    """The embeddings of a dataset by a model directory (None: the embedded demo's); nothing is computed.

    `data_dir` where they were computed with `--data-dir`.
    """
    from precompute.embeddings.embedding_set import EmbeddingSet
    from precompute.embeddings.model_directory import DEFAULT_MODEL

    return EmbeddingSet(str(model or DEFAULT_MODEL), size, data_dir)
