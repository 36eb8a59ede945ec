"""The map of a set: neighbour graph, places in the plane, clusters and their words; vectors are only read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import Manifest, describe_files, fingerprint
from precompute.embeddings.embedding_set import STEP, EmbeddingSet
from precompute.embeddings.freshness import STEPS, Freshness, input_entry
from precompute.embeddings.words import cluster_words
from precompute.errors import UsageError
from precompute.geometry.dense_regions import dense_regions
from precompute.geometry.knn import Neighbors, nearest
from precompute.geometry.layout import fuzzy_graph, lay_out, principal_plane
from precompute.progress import Progress, Silent

VERSION = 1
GRAPH, MAP = "neighbors", "map"
GRAPH_FILES = ("rows.npy", "index.npy", "cosine.npy")
MAP_FILES = ("map.parquet", "clusters.parquet")


@dataclass(frozen=True)
class MapSettings:
    """What a map depends on, besides the vectors."""

    neighbors: int = 15
    """Nearest vectors in the graph."""
    epochs: int = 200
    """Epochs of the layout."""
    min_cluster_size: int = 15
    """Texts of the smallest cluster."""
    seed: int = 0
    """Seed of the layout."""


def compute_map(
    embedded: EmbeddingSet,
    settings: MapSettings | None = None,
    workers: int = 1,
    force: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Bring neighbour graph and map up to date with the embeddings; returns which of them were computed.

    Raises UsageError where the embeddings are stale: their map would be of texts that are no more.
    """
    settings, progress = settings or MapSettings(), progress or Silent()
    embedded.manifest()
    status = Freshness(embedded).status(STEP)
    if status.state != "fresh":
        raise UsageError(
            f"embeddings that are {status.state} ({status.reason})",
            "fresh ones",
            "compute the embeddings first",
        )
    chosen = {"neighbors": settings.neighbors}
    done = []
    if _bring_up(
        embedded, GRAPH, chosen, force, lambda out: _write_graph(embedded, settings, workers, progress, out)
    ):
        done.append(GRAPH)
    if _bring_up(
        embedded, MAP, asdict(settings), force, lambda out: _write_map(embedded, settings, progress, out)
    ):
        done.append(MAP)
    embedded.shelf.collect_garbage(STEPS)
    return done


def _bring_up(
    embedded: EmbeddingSet, step: str, chosen: dict[str, Any], force: bool, write: Callable[[Path], None]
) -> bool:
    """Compute and publish one artifact unless it is fresh; says whether it was computed."""
    shelf = embedded.shelf
    with ArtifactLock(embedded.directory, step):
        inputs = {
            name: entry
            for name in list(STEPS)[: list(STEPS).index(step)]
            if (entry := input_entry(embedded, name)) is not None
        }
        named = {name: entry.model_dump() for name, entry in inputs.items()}
        expected = fingerprint(step, VERSION, chosen, named)
        status = Freshness(embedded).status(step)
        if not force and status.state != "corrupt" and status.fingerprint == expected:
            return False
        staging = shelf.stage(step, expected, resumable=False)
        write(staging)
        manifest = Manifest(
            step=step,
            version=VERSION,
            fingerprint=expected,
            settings=chosen,
            inputs=inputs,
            sources={},
            files=describe_files(staging),
        )
        shelf.publish(staging, manifest, MAP_FILES if step == MAP else ())
        return True


def _write_graph(
    embedded: EmbeddingSet, settings: MapSettings, workers: int, progress: Progress, out: Path
) -> None:
    """rows [n_distinct]: the row of each distinct text; index, cosine [n_distinct, k] of its nearest."""
    metadata = embedded.metadata.select("row", "duplicate_of").collect()
    rows = metadata.filter(pl.col("duplicate_of").is_null())["row"].to_numpy().astype(np.int64)
    progress.start(len(rows), "texts")
    found = nearest(np.asarray(embedded.vectors[rows]), settings.neighbors, workers, progress.advance)
    arrays: tuple[NDArray[Any], ...] = (rows, found.index.astype(np.int32), found.cosine.astype(np.float32))
    for name, array in zip(GRAPH_FILES, arrays, strict=True):
        np.save(out / name, array, allow_pickle=False)


def _write_map(embedded: EmbeddingSet, settings: MapSettings, progress: Progress, out: Path) -> None:
    graph = embedded.shelf.current(GRAPH)
    rows, index, cosine = (np.load(graph / name, allow_pickle=False) for name in GRAPH_FILES)
    place = _places(np.asarray(embedded.vectors[rows], dtype=np.float32), index, cosine, settings, progress)
    metadata = embedded.metadata.select("row", "text", "duplicate_of").collect()
    first = metadata["duplicate_of"].fill_null(metadata["row"]).to_numpy()
    points = place[np.searchsorted(rows, first)]
    clusters = np.full(len(points), -1, dtype=np.int32)
    placed = np.flatnonzero(np.isfinite(points[:, 0]))
    clusters[placed] = dense_regions(points[placed], settings.min_cluster_size)
    words = cluster_words(metadata["text"], clusters)
    table = pl.DataFrame(
        {
            "row": metadata["row"],
            "x": pl.Series(points[:, 0], nan_to_null=True),
            "y": pl.Series(points[:, 1], nan_to_null=True),
            "cluster": clusters,
        }
    )
    table.write_parquet(out / "map.parquet", compression="zstd")
    words.write_parquet(out / "clusters.parquet", compression="zstd")


def _places(
    vectors: NDArray[np.float32],
    index: NDArray[np.int32],
    cosine: NDArray[np.float32],
    settings: MapSettings,
    progress: Progress,
) -> NDArray[np.float32]:
    """Each distinct text's place in the plane; NaN for a vector of norm zero, which has none."""
    points = np.full((len(vectors), 2), np.nan, dtype=np.float32)
    present = np.flatnonzero(np.any(vectors != 0, axis=1))
    if not len(present):
        return points
    within = np.searchsorted(present, index[present]).astype(np.int64)
    graph = Neighbors(within, cosine[present].astype(np.float64))
    progress.start(settings.epochs, "epochs")
    start, edges = principal_plane(vectors[present]), fuzzy_graph(graph)
    points[present] = lay_out(start, edges, settings.epochs, settings.seed, progress.advance)
    return points
