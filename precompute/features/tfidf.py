"""TF-IDF: the tokens that stand out in the windows around a feature's active rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.features.blocks import map_blocks
from precompute.features.row_tokens import RowTokens, read_row_tokens
from precompute.features.vocabulary import Vocabulary, read_vocabulary
from precompute.pipeline.step import Step, StepContext
from precompute.settings import Settings
from precompute.stores.feature_store import FeatureBlock


@dataclass(frozen=True)
class CharacteristicTokens:
    """The best tokens of consecutive features, one entry a (feature, token), by feature and rank."""

    feature: NDArray[np.int64]
    rank: NDArray[np.int64]
    token: NDArray[np.int64]
    tf: NDArray[np.float64]
    """Share of the token among all tokens of the feature's windows, special ones not counted."""
    tfidf: NDArray[np.float64]
    """tf * idf."""


def characteristic_tokens(
    block: FeatureBlock,
    tokens: RowTokens,
    special: NDArray[np.bool_],
    idf: NDArray[np.float64],
    settings: Settings,
) -> CharacteristicTokens:
    """TF-IDF of one block of features, each feature a document made of its windows (DESIGN 4.3).

    A row's window is the row's token and `tfidf_window` tokens each side of it in the same example; a
    pooled row's is its whole example. At most `tfidf_max_rows` rows of a feature count, drawn by (seed,
    feature); tokens that several windows share count once. tf = count / all window tokens.
    """
    from precompute.features.kernels import windows

    n_kept, token, tf, tfidf = windows.characteristic_tokens(
        tokens.token_ids,
        tokens.example_indptr,
        tokens.row_token,
        tokens.row_example,
        special,
        idf,
        block.first,
        block.indptr,
        block.rows,
        settings.tfidf_window,
        settings.tfidf_max_rows,
        settings.seed % 2**63,
        settings.n_tfidf,
    )
    owner, rank = np.nonzero(np.arange(settings.n_tfidf) < n_kept[:, None])
    return CharacteristicTokens(
        owner + block.first, rank, token[owner, rank], tf[owner, rank], tfidf[owner, rank]
    )


def tfidf_table(found: CharacteristicTokens, vocabulary: Vocabulary) -> pl.DataFrame:
    """The rows of tfidf.parquet: feature, rank (0 first), token_id, token, tf, tfidf."""
    return pl.DataFrame(
        {
            "feature": pl.Series(found.feature, dtype=pl.UInt32),
            "rank": pl.Series(found.rank, dtype=pl.UInt32),
            "token_id": pl.Series(found.token, dtype=pl.UInt32),
            "token": vocabulary.strings(found.token),
            "tf": found.tf,
            "tfidf": found.tfidf,
        }
    )


def run(context: StepContext) -> None:
    """Write tfidf.parquet, block of features by block."""
    empty = np.zeros(0, np.int64)
    nothing = tfidf_table(
        CharacteristicTokens(empty, empty, empty, empty.astype(float), empty.astype(float)),
        read_vocabulary(context),
    )
    context.write_table("tfidf", pl.concat([nothing, *map_blocks(context, _weighing)]))


def _weighing(context: StepContext) -> Callable[[FeatureBlock], pl.DataFrame]:
    vocabulary, tokens = read_vocabulary(context), read_row_tokens(context.row_store())
    vocabulary.check(tokens.token_ids)
    idf = context.table("idf").sort("token_id")["idf"].to_numpy().astype(np.float64)

    def one(block: FeatureBlock) -> pl.DataFrame:
        found = characteristic_tokens(block, tokens, vocabulary.special, idf, context.settings)
        return tfidf_table(found, vocabulary)

    return one


STEP = Step(
    name="tfidf",
    version=1,
    summary="Tokens that stand out around a feature's active rows, by TF-IDF.",
    outputs=("tfidf.parquet",),
    run=run,
    inputs=("corpus", "activations", "transpose", "idf"),
    settings=("tfidf_window", "tfidf_max_rows", "n_tfidf", "seed", "features"),
    seconds_per_million=0.3,
)
