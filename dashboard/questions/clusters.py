"""The cluster that a feature belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from dashboard.queries import Queries


@dataclass(frozen=True)
class Cluster:
    """The other features of a feature's cluster, nearest on the map first."""

    cluster: int
    label: str | None
    members: list[int]
    distances: list[float]
    """On the two-dimensional map, in its own unit; as long as `members`."""


def cluster_members(queries: Queries, feature: int) -> Cluster | None:
    """None where the feature belongs to no cluster. Raises ArtifactMissingError where there is no map."""
    own = queries.tables.some_rows_of("feature_map", "feature_map", feature).row(0, named=True)
    if own["cluster"] is None or own["cluster"] < 0:
        return None
    table = queries.tables.table("feature_map", "feature_map")
    alike = table.filter(pl.col("cluster") == own["cluster"], pl.col("feature") != feature)
    places = alike.select("x", "y").to_numpy().astype(np.float64)
    distances = np.hypot(places[:, 0] - own["x"], places[:, 1] - own["y"])
    order = np.argsort(distances, kind="stable")
    return Cluster(
        own["cluster"], own["label"], alike["feature"].to_numpy()[order].tolist(), distances[order].tolist()
    )
