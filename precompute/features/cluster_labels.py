"""Labels of clusters of features: tokens that their members promote and stand near."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Int32

from precompute.features.effects import EffectTile, effect_tiles
from precompute.geometry.clusters import OUTSIDE, class_tfidf
from precompute.pipeline.step import StepContext

N_LABEL_TOKENS = 3
"""Tokens in a cluster's label."""
SEPARATOR = " · "
"""Between the tokens of a label."""
N_PROMOTED = 20
"""Promoted tokens that a feature votes for."""


def votes(context: StepContext) -> pl.DataFrame:
    """feature, form, vote: what each feature would have its cluster called.

    One vote goes to the feature's TF-IDF tokens, in proportion to their TF-IDF; where the model has an
    output layer, another to the tokens that it promotes most, in proportion to its effect on them. Tokens
    that differ only in case or surrounding space count as one form, in lower case; blank ones have none.
    """
    tables = [promoted(context)]
    if context.has("tfidf.parquet"):
        near = context.table("tfidf").select("feature", "token", score=pl.col("tfidf").cast(pl.Float64))
        tables.insert(0, near)
    return pl.concat(_shared(table) for table in tables)


def promoted(context: StepContext) -> pl.DataFrame:
    """feature, token, score: the tokens that each feature promotes most; none without an output layer."""
    tokens, unembed = context.table("vocabulary").sort("token_id")["token"], context.array("unembed")
    tables = [pl.DataFrame(schema={"feature": pl.UInt32, "token": pl.String, "score": pl.Float64})]
    if unembed.shape[1]:
        directions = context.array("directions")
        tiles = effect_tiles(directions, unembed, range(len(directions)))
        tables += [_tile_table(tile, tokens) for tile in tiles]
    return pl.concat(tables)


def _tile_table(tile: EffectTile, tokens: pl.Series) -> pl.DataFrame:
    from precompute.features.kernels.extremes import row_extremes

    n, k = len(tile.influence), min(N_PROMOTED, tile.influence.shape[1])
    numbers, values = np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.float32)
    row_extremes(tile.influence, 1.0, numbers, values)
    return pl.DataFrame(
        {
            "feature": np.repeat(np.arange(tile.first, tile.first + n, dtype=np.uint32), k),
            "token": tokens.gather(numbers.ravel()),
            "score": values.ravel().astype(np.float64),
        }
    )


def _shared(listed: pl.DataFrame) -> pl.DataFrame:
    """One vote a feature, shared among its tokens' forms in proportion to their scores."""
    form = pl.col("token").str.strip_chars().str.to_lowercase()
    kept = listed.select("feature", "score", form=form).filter(pl.col("form") != "", pl.col("score") > 0)
    vote = pl.col("score") / pl.col("score").sum().over("feature")
    return kept.select("feature", "form", vote=vote)


def cluster_labels(clusters: Int32[np.ndarray, " d_sae"], given: pl.DataFrame) -> pl.DataFrame:
    """cluster, label: the tokens that set each cluster apart from the others, by class TF-IDF of its votes.

    A cluster without votes is not listed.
    """
    listed = given.with_columns(cluster=clusters[given["feature"].to_numpy()])
    listed = listed.filter(pl.col("cluster") != OUTSIDE)
    forms = listed["form"].unique().sort()
    term = listed["form"].rank("dense").to_numpy().astype(np.int64) - 1
    found = class_tfidf(listed["cluster"].to_numpy(), term, listed["vote"].to_numpy())
    ranked = pl.DataFrame(
        {"cluster": pl.Series(found.group, dtype=pl.Int32), "form": forms.gather(pl.Series(found.term))}
    )
    joined = pl.col("form").head(N_LABEL_TOKENS).str.join(SEPARATOR)
    return ranked.group_by("cluster", maintain_order=True).agg(joined.alias("label"))
