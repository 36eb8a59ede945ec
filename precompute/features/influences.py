"""Step `influences`: for each feature the tokens whose logits it raises or lowers most."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from precompute.features.effects import EffectTile, context_tiles
from precompute.features.rankings import DIRECTIONS, ranking_table
from precompute.pipeline.step import Step, StepContext


def run(context: StepContext) -> None:
    """Write influences.parquet."""
    table = influences(context_tiles(context), context.settings.top_k)
    context.write_table("influences", with_tokens(table, context.table("vocabulary")))


def influences(tiles: Iterable[EffectTile], top_k: int) -> pl.DataFrame:
    """feature, direction, rank, token_id, influence: the top_k tokens each way of every feature."""
    tables = [_tile_table(tile, top_k) for tile in tiles]
    return pl.concat(tables).sort("feature", "direction", "rank")


def _tile_table(tile: EffectTile, top_k: int) -> pl.DataFrame:
    from precompute.features.kernels.extremes import row_extremes

    shape = (len(tile.influence), min(top_k, tile.influence.shape[1]))
    parts = []
    for name, sign in DIRECTIONS.items():
        numbers, values = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.float32)
        row_extremes(tile.influence, sign, numbers, values)
        parts.append(
            ranking_table("feature", tile.first, name, "token_id", numbers, np.float32(sign) * values)
        )
    return pl.concat(parts)


def with_tokens(table: pl.DataFrame, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """The table with each token_id's token after it."""
    tokens = vocabulary["token"][table["token_id"]].alias("token")
    return table.insert_column(table.columns.index("token_id") + 1, tokens)


STEP = Step(
    name="influences",
    version=1,
    summary="For each feature, the tokens whose logit its direction raises or lowers most.",
    outputs=("influences.parquet",),
    inputs=("corpus", "directions"),
    settings=("top_k", "features"),
    run=run,
    seconds_per_million=0.5,
)
