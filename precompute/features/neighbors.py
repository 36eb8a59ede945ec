"""Neighbours: the features whose decoder directions are nearest, among all features."""

from __future__ import annotations

from functools import partial

import numpy as np
import polars as pl

from precompute.geometry.knn import Neighbors, nearest_on
from precompute.npy import open_npy
from precompute.pipeline.step import Step, StepContext


def neighbors_table(found: Neighbors, listed: range) -> pl.DataFrame:
    """The rows of neighbors.parquet: feature, rank (0 first), neighbor, cosine."""
    index, cosine = found.index[listed.start : listed.stop], found.cosine[listed.start : listed.stop]
    owner, rank = np.nonzero(index >= 0)
    return pl.DataFrame(
        {
            "feature": pl.Series(owner + listed.start, dtype=pl.UInt32),
            "rank": pl.Series(rank, dtype=pl.UInt32),
            "neighbor": pl.Series(index[owner, rank], dtype=pl.UInt32),
            "cosine": pl.Series(cosine[owner, rank], dtype=pl.Float32),
        }
    )


def run(context: StepContext) -> None:
    """Write neighbors.parquet."""
    directions = context.array("directions")
    context.progress.start(len(directions), "features")
    found = nearest_on(
        context.executor,
        partial(open_npy, context.files["directions.npy"]),
        context.settings.n_neighbors,
        context.progress.advance,
        context.out,
    )
    context.write_table("neighbors", neighbors_table(found, context.features(len(directions))))


STEP = Step(
    name="neighbors",
    version=1,
    summary="The nearest features by cosine of their decoder directions, among all features.",
    outputs=("neighbors.parquet",),
    run=run,
    inputs=("directions",),
    settings=("n_neighbors", "features"),
    seconds_per_million=0.5,
)
