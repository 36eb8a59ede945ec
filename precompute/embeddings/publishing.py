"""What is published of an embedding set: vectors, metadata, the record of the set, and the manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from precompute.artifacts.manifest import Manifest, describe_files, fingerprint
from precompute.embeddings.embedding_set import INFO, METADATA, OUTPUTS, STEP
from precompute.embeddings.freshness import VERSION, Freshness

ROW_GROUP = 4096
"""Rows of metadata that are read together."""


def described(fresh: Freshness, n: int, d: int) -> dict[str, Any]:
    """What info.json says of a set, but for its counts."""
    embedded, settings = fresh.embedded, fresh.settings
    return {
        "n": n,
        "d": d,
        "dtype": settings.vectors_dtype,
        "model": Path(embedded.model).name,
        "encoder": fingerprint("encoder", 1, {}, fresh.encoder),
        "adapter": fresh.encoder["adapter"] is not None,
        "projection": fresh.encoder["projection"] is not None,
        "pooling": fresh.encoder["pooling"],
        "normalize": settings.normalize,
        "max_length": settings.max_length,
        "model_dtype": settings.dtype,
        "dataset": embedded.dataset(settings).name,
        "dataset_size": embedded.size,
        "imported": settings.imported,
    }


def metadata_of(table: pl.DataFrame, n_tokens: Any, is_cut: Any) -> pl.DataFrame:
    """The rows of metadata.parquet: ours, then the dataset's own."""
    rows = table.with_row_index("row")
    first = rows.group_by("text", maintain_order=True).agg(pl.col("row").first().alias("first"))
    joined = rows.join(first, on="text", how="left", maintain_order="left")
    duplicate = pl.when(pl.col("first") == pl.col("row")).then(None).otherwise(pl.col("first"))
    ours = joined.select(
        pl.col("row").cast(pl.UInt32),
        "text_id",
        "text",
        duplicate.cast(pl.UInt32).alias("duplicate_of"),
        pl.Series("n_tokens", n_tokens, dtype=pl.UInt32),
        pl.Series("is_cut", is_cut, dtype=pl.Boolean),
    )
    return ours.hstack(table.drop("text_id", "text"))


def publish(fresh: Freshness, staging: Path, metadata: pl.DataFrame, info: dict[str, Any]) -> None:
    """Put metadata and record beside the staged vectors of a set, and publish all of it."""
    metadata.write_parquet(staging / METADATA, compression="zstd", row_group_size=ROW_GROUP)
    text = json.dumps(info, indent=1, allow_nan=False, ensure_ascii=False)
    (staging / INFO).write_text(text + "\n", encoding="utf-8")
    manifest = Manifest(
        step=STEP,
        version=VERSION,
        fingerprint=fresh.expected,
        settings=fresh.chosen,
        inputs={},
        sources=fresh.sources,
        files=describe_files(staging),
    )
    fresh.embedded.shelf.publish(staging, manifest, OUTPUTS)
