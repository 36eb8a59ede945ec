"""Feature map: decoder directions in the plane, their clusters, and what each cluster is about."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float32, Int32, Int64

from precompute.geometry.clusters import OUTSIDE, class_tfidf, find_clusters
from precompute.geometry.knn import Neighbors, nearest
from precompute.geometry.layout import fuzzy_graph, lay_out, principal_plane
from precompute.pipeline.step import Step, StepContext

N_LABEL_TOKENS = 3
"""Tokens in a cluster's label."""
SEPARATOR = " · "
"""Between the tokens of a label."""


def neighbor_graph(
    context: StepContext, directions: Float32[np.ndarray, "n d"], present: Int64[np.ndarray, " n_present"]
) -> Neighbors:
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
    found = nearest(directions[present], size, context.operations.workers, context.progress.advance)
    return Neighbors(found.index, found.cosine.astype(np.float32).astype(np.float64))


def draw_map(context: StepContext) -> Float32[np.ndarray, "d_sae 2"]:
    """Every feature's place in the plane; NaN for a direction of norm zero, which has none."""
    settings, directions = context.settings, context.array("directions")
    present = np.flatnonzero(np.any(directions != 0, axis=1))
    points = np.full((len(directions), 2), np.nan, dtype=np.float32)
    if not len(present):
        return points
    graph = neighbor_graph(context, directions, present)
    context.progress.start(settings.map_epochs, "epochs")
    points[present] = lay_out(
        principal_plane(directions[present]),
        fuzzy_graph(graph),
        settings.map_epochs,
        settings.seed,
        context.progress.advance,
    )
    return points


def cluster_labels(clusters: Int32[np.ndarray, " d_sae"], tfidf: pl.DataFrame) -> pl.DataFrame:
    """cluster, label: the tokens that set each cluster apart from the others, by class TF-IDF.

    From the TF-IDF tokens of the cluster's features rather than the tokens they promote, because every
    subject has those. Every feature has one vote, shared among its tokens in proportion to their TF-IDF.
    Tokens that differ only in case or surrounding space count as one, in lower case; blank ones are left
    out. A cluster without tokens is not listed.
    """
    form = pl.col("token").str.strip_chars().str.to_lowercase()
    listed = tfidf.select("feature", "tfidf", form=form).filter(pl.col("form") != "", pl.col("tfidf") > 0)
    feature, score = listed["feature"].to_numpy(), listed["tfidf"].to_numpy()
    vote = score / np.bincount(feature, weights=score)[feature]
    listed = listed.with_columns(vote=vote, cluster=clusters[feature])
    listed = listed.filter(pl.col("cluster") != OUTSIDE)
    forms = listed["form"].unique().sort()
    term = listed["form"].rank("dense").to_numpy().astype(np.int64) - 1
    found = class_tfidf(listed["cluster"].to_numpy(), term, listed["vote"].to_numpy())
    ranked = pl.DataFrame(
        {"cluster": pl.Series(found.group, dtype=pl.Int32), "form": forms.gather(pl.Series(found.term))}
    )
    joined = pl.col("form").head(N_LABEL_TOKENS).str.join(SEPARATOR)
    return ranked.group_by("cluster", maintain_order=True).agg(joined.alias("label"))


def run(context: StepContext) -> None:
    """Write feature_map.parquet: feature, x, y, cluster (-1 is none), label."""
    points = draw_map(context)
    placed = np.isfinite(points[:, 0])
    clusters = np.full(len(points), OUTSIDE, dtype=np.int32)
    clusters[placed] = find_clusters(points[placed], context.settings.cluster_min_size)
    table = pl.DataFrame(
        {
            "feature": pl.Series(range(len(points)), dtype=pl.UInt32),
            "x": pl.Series(points[:, 0], nan_to_null=True),
            "y": pl.Series(points[:, 1], nan_to_null=True),
            "cluster": clusters,
        }
    ).join(cluster_labels(clusters, context.table("tfidf")), on="cluster", how="left", maintain_order="left")
    listed = context.features(len(points))
    context.write_table("feature_map", table.slice(listed.start, len(listed)))


STEP = Step(
    name="feature_map",
    version=1,
    summary="A 2-D map of the decoder directions, its clusters, and the tokens that each is about.",
    outputs=("feature_map.parquet",),
    run=run,
    inputs=("directions", "tfidf", "neighbors"),
    settings=("map_neighbors", "map_epochs", "cluster_min_size", "seed", "features"),
    seconds_per_million=1.0,
)
