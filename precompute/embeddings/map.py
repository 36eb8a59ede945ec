"""The map of a set: neighbour graph, places in the plane, clusters and their words; vectors are only read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import Manifest, describe_files, fingerprint
from precompute.density.weights import mean_distance
from precompute.embeddings.embedding_set import STEP, EmbeddingSet
from precompute.embeddings.freshness import STEPS, Freshness, input_entry
from precompute.embeddings.graph import (
    GRAPH,
    SCRATCH,
    Graph,
    Search,
    clear,
    have_length,
    read_graph,
    searched,
    write_graph,
)
from precompute.embeddings.sampled_layout import density_sample, join_neighbors, nearest_of
from precompute.embeddings.words import cluster_words
from precompute.errors import UsageError
from precompute.geometry.dense_regions import dense_regions
from precompute.geometry.knn import Neighbors
from precompute.geometry.layout import fuzzy_graph, lay_out, principal_plane
from precompute.progress import Progress, Silent

VERSION = 2
MAP = "map"
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
    """Seed of the layout, and of the sample."""
    largest: int = 500_000
    """Distinct texts that are laid out together; of more, a sample in which sparse regions keep more."""


def compute_map(
    embedded: EmbeddingSet,
    settings: MapSettings | None = None,
    workers: int = 1,
    force: bool = False,
    progress: Progress | None = None,
    *,
    began: Callable[[str], None] = lambda _step: None,
) -> list[str]:
    """Bring neighbour graph and map up to date with the embeddings; returns which of them were computed.

    `began` is told the name of each as its computation begins.

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
    how = Search(settings.neighbors, workers, progress)

    def graph(out: Path) -> None:
        began(GRAPH)
        write_graph(embedded, how, out)

    def plane(out: Path) -> None:
        began(MAP)
        _write_map(embedded, settings, how, out)

    if _bring_up(embedded, GRAPH, chosen, force, graph):
        done.append(GRAPH)
    if _bring_up(embedded, MAP, asdict(settings), force, plane):
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
        staging = shelf.stage(step, expected, resumable=True)
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


def _write_map(embedded: EmbeddingSet, settings: MapSettings, how: Search, out: Path) -> None:
    graph = read_graph(embedded.shelf.current(GRAPH))
    place = _places(embedded, graph, settings, how, out)
    metadata = embedded.metadata.select("row", "text", "duplicate_of").collect()
    first = metadata["duplicate_of"].fill_null(metadata["row"]).to_numpy()
    points = place[np.searchsorted(graph.rows, first)]
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
    embedded: EmbeddingSet, graph: Graph, settings: MapSettings, how: Search, out: Path
) -> Float32[np.ndarray, "n 2"]:
    """Each distinct text's place in the plane; NaN for a vector of norm zero, which has none."""
    points = np.full((len(graph.rows), 2), np.nan, dtype=np.float32)
    (present,) = np.nonzero(have_length(embedded, graph.rows))
    if not len(present):
        return points
    within = np.searchsorted(present, graph.index[present]).astype(np.int64)
    near = Neighbors(within, graph.cosine[present].astype(np.float64))
    rows = graph.rows[present]
    if len(present) <= settings.largest:
        points[present] = _laid_out(embedded.vectors[rows], near, settings, how.progress)
        return points
    chosen = density_sample(mean_distance(near.cosine), settings.largest, settings.seed)
    among = searched(embedded, rows[chosen], how, out / SCRATCH)
    clear(out / SCRATCH)
    sample = embedded.vectors[rows[chosen]].astype(np.float32)
    placed = np.full((len(present), 2), np.nan, dtype=np.float32)
    placed[chosen] = _laid_out(sample, among, settings, how.progress)
    points[present] = _joined(embedded, rows, placed, near, chosen)
    return points


def _laid_out(
    vectors: NDArray[np.floating], near: Neighbors, settings: MapSettings, progress: Progress
) -> Float32[np.ndarray, "n 2"]:
    progress.start(settings.epochs, "epochs")
    start, edges = principal_plane(vectors.astype(np.float32)), fuzzy_graph(near)
    return lay_out(start, edges, settings.epochs, settings.seed, progress.advance)


def _joined(
    embedded: EmbeddingSet,
    rows: Int64[np.ndarray, " n"],
    placed: Float32[np.ndarray, "n 2"],
    near: Neighbors,
    chosen: Int64[np.ndarray, " m"],
) -> Float32[np.ndarray, "n 2"]:
    """Places for those that were not drawn; where no neighbour leads to the sample, that of its nearest."""
    joined = join_neighbors(placed, near)
    (alone,) = np.nonzero(np.isnan(joined[:, 0]))
    if len(alone):
        vectors, sample = (embedded.vectors[rows[some]].astype(np.float32) for some in (alone, chosen))
        joined[alone] = placed[chosen[nearest_of(vectors, sample)]]
    return joined
