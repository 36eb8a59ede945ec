"""Step `token_influences`: for each token the features that push it up or down most."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from precompute.features.effects import EffectTile, context_tiles
from precompute.features.rankings import DIRECTIONS, ranking_table
from precompute.pipeline.step import Step, StepContext


def run(context: StepContext) -> None:
    """Write token_influences.parquet; all features take part, whichever the tables list."""
    n_features, d_vocab = len(context.array("directions")), context.array("unembed").shape[1]
    tiles = context_tiles(context, context.features(n_features))
    table = token_influences(tiles, d_vocab, min(context.settings.top_k, n_features))
    context.write_table("token_influences", table)


def token_influences(tiles: Iterable[EffectTile], d_vocab: int, top_k: int) -> pl.DataFrame:
    """token_id, direction, rank, feature, influence: the top_k features each way of every token."""
    from precompute.features.kernels.extremes import column_extremes

    numbers = {name: np.full((d_vocab, top_k), -1, dtype=np.int32) for name in DIRECTIONS}
    values = {name: np.full((d_vocab, top_k), -np.inf, dtype=np.float32) for name in DIRECTIONS}
    for tile in tiles:
        for name, sign in DIRECTIONS.items():
            column_extremes(tile.influence, sign, tile.first, numbers[name], values[name])
    tables = [
        ranking_table("token_id", 0, name, "feature", numbers[name], np.float32(sign) * values[name])
        for name, sign in DIRECTIONS.items()
    ]
    return pl.concat(tables).filter(pl.col("influence").is_finite()).sort("token_id", "direction", "rank")


STEP = Step(
    name="token_influences",
    version=1,
    summary="For each token, the features whose direction raises or lowers its logit most.",
    outputs=("token_influences.parquet",),
    inputs=("directions",),
    settings=("top_k", "features"),
    run=run,
    seconds_per_million=0.5,
)
