"""Step `logit_stats`: the distribution of each feature's effect over the whole vocabulary."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from precompute.features.effects import EffectTile, map_tiles
from precompute.pipeline.step import Step, StepContext


def run(context: StepContext) -> None:
    """Write logit_stats.parquet."""
    context.write_table("logit_stats", pl.concat(map_tiles(context, _describing)))


def _describing(context: StepContext) -> Callable[[EffectTile], pl.DataFrame]:
    return lambda tile: tile_statistics(tile, context.settings.n_bins)


def tile_statistics(tile: EffectTile, n_bins: int) -> pl.DataFrame:
    """feature, mean, std (ddof 0), skewness, kurtosis (excess: 0 for a normal), bin_edges, counts.

    Skewness and kurtosis are null where all effects are equal. Bins are those of numpy.histogram over the
    feature's own range.
    """
    from precompute.features.kernels.distributions import row_histograms, row_moments

    influence = tile.influence
    n = len(influence)
    moments, counts = np.empty((n, 4)), np.zeros((n, n_bins), dtype=np.int64)
    row_moments(influence, moments)
    edges = bin_edges(influence, n_bins)
    row_histograms(influence, edges, counts)
    table = pl.DataFrame(
        {
            "feature": np.arange(tile.first, tile.first + n, dtype=np.uint32),
            "mean": moments[:, 0],
            "std": moments[:, 1],
            "skewness": moments[:, 2],
            "kurtosis": moments[:, 3],
            "bin_edges": pl.Series(edges, dtype=pl.Array(pl.Float64, n_bins + 1)).cast(pl.List(pl.Float64)),
            "counts": pl.Series(counts, dtype=pl.Array(pl.Int64, n_bins)).cast(pl.List(pl.Int64)),
        }
    )
    return table.with_columns(pl.col("skewness", "kurtosis").fill_nan(None))


def bin_edges(matrix: np.ndarray[tuple[int, int], np.dtype[np.float32]], n_bins: int) -> np.ndarray:
    """Equal bins over each row's range, half a unit each way where the range is empty; [n, n_bins + 1]."""
    low, high = matrix.min(axis=1).astype(np.float64), matrix.max(axis=1).astype(np.float64)
    constant = low == high
    low, high = np.where(constant, low - 0.5, low), np.where(constant, high + 0.5, high)
    return np.linspace(low, high, n_bins + 1, axis=1)


STEP = Step(
    name="logit_stats",
    version=1,
    summary="Mean, spread, skewness, kurtosis and histogram of each feature's effect on all logits.",
    outputs=("logit_stats.parquet",),
    inputs=("directions",),
    settings=("n_bins", "features"),
    run=run,
    seconds_per_million=0.5,
)
