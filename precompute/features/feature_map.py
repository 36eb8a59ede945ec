"""Feature map: decoder directions in the plane, their clusters, and what each cluster is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int32, Int64

from precompute.features.cluster_labels import cluster_labels, votes
from precompute.geometry.clusters import OUTSIDE, find_clusters
from precompute.geometry.knn import Neighbors, nearest_on
from precompute.geometry.layout import fuzzy_graph, lay_out, principal_plane
from precompute.npy import open_npy
from precompute.pipeline.step import Step, StepContext


def neighbor_graph(context: StepContext, present: Int64[np.ndarray, " n_present"]) -> Neighbors:
    """The nearest among the present directions, numbered by their place in `present`.

    Read from neighbors.parquet if that lists as many as needed for all of them, else computed; the same
    either way, since both are exact and rounded to float32.
    """
    size = min(context.settings.map_neighbors, max(0, len(present) - 1))
    listed = context.table("neighbors").filter(pl.col("rank") < size)
    if listed.height == len(present) * size:
        shape = (len(present), size)
        index = np.searchsorted(present, listed["neighbor"].to_numpy()).reshape(shape)
        return Neighbors(index, listed["cosine"].to_numpy().astype(np.float64).reshape(shape))
    context.progress.start(len(present), "features")
    load = partial(present_directions, context.files["directions.npy"])
    found = nearest_on(context.executor, load, size, context.progress.advance, context.out)
    return Neighbors(found.index, found.cosine.astype(np.float32).astype(np.float64))


def has_direction(directions: Float32[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    """Which are not of norm zero."""
    found: Bool[np.ndarray, " n"] = np.any(directions != 0, axis=1)
    return found


def present_directions(path: Path) -> Float32[np.ndarray, "n_present d"]:
    """Those of a file that are not of norm zero."""
    directions: Float32[np.ndarray, "n d"] = open_npy(path)
    found: Float32[np.ndarray, "n_present d"] = directions[has_direction(directions)]
    return found


@dataclass(frozen=True)
class Drawn:
    """Where the features lie, and in which cluster."""

    points: Float32[np.ndarray, "d_sae 2"]
    """NaN for a direction of norm zero, which has no place."""
    clusters: Int32[np.ndarray, " d_sae"]
    """OUTSIDE for none."""


def draw_map(context: StepContext) -> Drawn:
    """Every feature's place in the plane, and its cluster; both from one neighbour graph."""
    settings, directions = context.settings, context.array("directions")
    present = np.flatnonzero(has_direction(directions))
    points = np.full((len(directions), 2), np.nan, dtype=np.float32)
    clusters = np.full(len(directions), OUTSIDE, dtype=np.int32)
    if not len(present):
        return Drawn(points, clusters)
    edges = fuzzy_graph(neighbor_graph(context, present))
    clusters[present] = find_clusters(edges, len(present), settings.cluster_min_size, settings.seed)
    start = principal_plane(directions[present])
    context.progress.start(settings.map_epochs, "epochs")
    points[present] = lay_out(start, edges, settings.map_epochs, settings.seed, context.progress.advance)
    return Drawn(points, clusters)


def run(context: StepContext) -> None:
    """Write feature_map.parquet."""
    drawn = draw_map(context)
    labels = cluster_labels(drawn.clusters, votes(context))
    table = pl.DataFrame(
        {
            "feature": pl.Series(range(len(drawn.points)), dtype=pl.UInt32),
            "x": pl.Series(drawn.points[:, 0], nan_to_null=True),
            "y": pl.Series(drawn.points[:, 1], nan_to_null=True),
            "cluster": drawn.clusters,
        }
    ).join(labels, on="cluster", how="left", maintain_order="left")
    listed = context.features(len(table))
    context.write_table("feature_map", table.slice(listed.start, len(listed)))


STEP = Step(
    name="feature_map",
    version=2,
    summary="A 2-D map of the decoder directions, their clusters, and the tokens that each is about.",
    outputs=("feature_map.parquet",),
    run=run,
    inputs=("corpus", "directions", "tfidf", "neighbors"),
    does_without=("tfidf",),
    settings=("map_neighbors", "map_epochs", "cluster_min_size", "seed", "features"),
    seconds_per_million=1.0,
)
