"""An embedding set for the dashboard's tests: vectors around a few centres, published as a command would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from dashboard.embedded import EmbeddedSets, OpenedSet
from precompute.artifacts.manifest import InputEntry, Manifest, describe_files, fingerprint
from precompute.corpus.texts import text_id
from precompute.embeddings.embedding_set import INFO, METADATA, OUTPUTS, STEP, VECTORS, EmbeddingSet
from precompute.embeddings.graph import FILES, GRAPH
from precompute.embeddings.map import MAP, MAP_FILES
from precompute.embeddings.named import SetName
from precompute.embeddings.publishing import ROW_GROUP

NAME = SetName("demo", "toy")
D, K, N_CLUSTERS = 8, 6, 14


def make_embeddings(
    data_dir: Path, texts: list[str], size: str = NAME.size, seed: int = 0, d: int = D
) -> OpenedSet:
    """Publish embeddings, neighbour graph and map of some texts, as the demo's set of that size."""
    sets = EmbeddedSets(data_dir)
    name = SetName(NAME.model, size)
    embedded = sets.embedding_set(name)
    draw, n = np.random.default_rng(seed), len(texts)
    metadata = metadata_of(texts)
    first = metadata["duplicate_of"].fill_null(metadata["row"]).to_numpy()
    kind = (first % (N_CLUSTERS + 2)).astype(np.int32) - 2
    centres = draw.normal(size=(N_CLUSTERS + 2, d)).astype(np.float32)
    vectors = centres[kind + 2] + 0.3 * draw.normal(size=(n, d)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[first]
    metadata = metadata.with_columns(source=pl.Series([f"source {i % 3}" for i in range(n)]))
    publish_vectors(embedded, vectors, metadata)
    rows = np.flatnonzero(first == np.arange(n))
    publish_graph(embedded, rows, vectors)
    publish_map(embedded, vectors[:, :2] * 10, np.maximum(kind, -1))
    return sets.open(name)


def metadata_of(texts: list[str]) -> pl.DataFrame:
    rows = pl.DataFrame({"text": texts}).with_row_index("row")
    first = rows.select(pl.col("row").min().over("text").alias("first"), "row")
    duplicate = pl.when(pl.col("first") == pl.col("row")).then(None).otherwise(pl.col("first"))
    ids = pl.Series("text_id", [text_id(text) for text in texts])
    counted = pl.Series("n_tokens", [1 + len(text.split()) for text in texts], dtype=pl.UInt32)
    return pl.DataFrame(
        [rows["row"], ids, rows["text"], first.select(duplicate.alias("duplicate_of")).to_series(), counted]
    )


def publish(embedded: EmbeddingSet, step: str, files: tuple[str, ...], inputs: tuple[str, ...]) -> None:
    staging = staged(embedded, step)
    manifests = [embedded.shelf.manifest(name) for name in inputs]
    entries = {m.step: InputEntry(fingerprint=m.fingerprint, digest=m.digest) for m in manifests if m}
    mark = fingerprint(step, 1, {}, {name: entry.model_dump() for name, entry in entries.items()})
    manifest = Manifest(
        step=step, version=1, fingerprint=mark, settings={}, inputs=entries, sources={},
        files=describe_files(staging),
    )  # fmt: skip
    embedded.shelf.publish(staging, manifest, files)


def staged(embedded: EmbeddingSet, step: str) -> Path:
    return embedded.shelf.stage(step, "0" * 64, resumable=True)


def publish_vectors(embedded: EmbeddingSet, vectors: np.ndarray, metadata: pl.DataFrame) -> None:
    out = staged(embedded, STEP)
    np.save(out / VECTORS, vectors)
    metadata.write_parquet(out / METADATA, row_group_size=ROW_GROUP)
    n_distinct = metadata["duplicate_of"].null_count()
    info = {"n": len(vectors), "d": vectors.shape[1], "dtype": "float32", "dataset": "made", "encoder": "0"}
    (out / INFO).write_text(json.dumps({**info, "n_distinct": n_distinct, "n_cut": 0}))
    publish(embedded, STEP, OUTPUTS, ())


def publish_graph(embedded: EmbeddingSet, rows: np.ndarray, vectors: np.ndarray, exact: int = 4000) -> None:
    """The nearest neighbours; of more rows than `exact`, the next ones stand for them."""
    out, n = staged(embedded, GRAPH), len(rows)
    k = min(K, n - 1)
    if n <= exact:
        cosine = vectors[rows] @ vectors[rows].T
        np.fill_diagonal(cosine, -2)
        index = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
        near = np.take_along_axis(cosine, index, axis=1)
    else:
        index = (np.arange(n)[:, None] + np.arange(1, k + 1)) % n
        near = np.einsum("id,ikd->ik", vectors[rows], vectors[rows[index]])
    arrays = (rows.astype(np.int64), index.astype(np.int32), near.astype(np.float32))
    for file, array in zip(FILES[:-1], arrays, strict=True):
        np.save(out / file, array)
    publish(embedded, GRAPH, (), (STEP,))


def publish_map(embedded: EmbeddingSet, places: np.ndarray, clusters: np.ndarray) -> None:
    out = staged(embedded, MAP)
    columns = {"row": np.arange(len(places), dtype=np.uint32), "x": places[:, 0], "y": places[:, 1]}
    table = pl.DataFrame({**columns, "cluster": clusters.astype(np.int32)})
    table.write_parquet(out / "map.parquet")
    sizes = table.filter(pl.col("cluster") >= 0).group_by("cluster").agg(n=pl.len()).sort("cluster")
    words = pl.format("word {} · <b>", "cluster")
    named = sizes.with_columns(label=words, words=pl.concat_list(words))
    named.write_parquet(out / "clusters.parquet")
    publish(embedded, MAP, MAP_FILES, (STEP, GRAPH))
