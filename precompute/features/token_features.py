"""Token features: for each token the features that fire on it most, and the rows where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.features.blocks import map_blocks
from precompute.features.row_tokens import read_row_tokens
from precompute.features.vocabulary import read_vocabulary
from precompute.pipeline.step import Step, StepContext
from precompute.stores.feature_store import FeatureBlock

TOKEN_ROWS = "token_rows"
"""Directory of the two arrays that say where each token stands."""


@dataclass(frozen=True)
class TokenRows:
    """The rows at which each token stands, as compressed sparse rows over the vocabulary."""

    indptr: NDArray[np.int64]
    """int64 [d_vocab + 1]."""
    rows: NDArray[Any]
    """uint32 (int64 from 2^32 rows on) [n_rows]: ascending within a token."""


def rows_of_tokens(row_token_ids: NDArray[np.int32], d_vocab: int) -> TokenRows:
    """Sort the rows by their token."""
    counts = np.bincount(row_token_ids, minlength=d_vocab)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.argsort(row_token_ids, kind="stable")
    return TokenRows(indptr, rows.astype(np.uint32 if len(rows) < 2**32 else np.int64))


@dataclass(frozen=True)
class Boards:
    """The leading features of every token, greatest total activation first; arrays [d_vocab, size]."""

    feature: NDArray[np.int32]
    """-1 where fewer features fire on the token."""
    total: NDArray[np.float64]
    """Sum of the feature's activations over the token's rows."""
    count: NDArray[np.int32]
    """Rows of the token on which the feature fires."""
    largest: NDArray[np.float64]
    n_features: NDArray[np.int32]
    """int32 [d_vocab]: features that fire on the token at all."""

    @classmethod
    def empty(cls, d_vocab: int, size: int) -> Boards:
        """Boards before the first feature."""
        shape = (d_vocab, size)
        return cls(
            np.full(shape, -1, np.int32),
            np.full(shape, -np.inf),
            np.zeros(shape, np.int32),
            np.zeros(shape),
            np.zeros(d_vocab, np.int32),
        )

    def counts(self, occurrences: NDArray[np.int64]) -> pl.DataFrame:
        """The rows of token_counts.parquet: token_id, n_rows, n_features; one for every token."""
        return pl.DataFrame(
            {
                "token_id": pl.Series(range(len(occurrences)), dtype=pl.UInt32),
                "n_rows": pl.Series(occurrences, dtype=pl.UInt64),
                "n_features": pl.Series(self.n_features, dtype=pl.UInt32),
            }
        )

    def table(self, occurrences: NDArray[np.int64]) -> pl.DataFrame:
        """The rows of token_features.parquet: token_id, rank (0 first), feature, n_active, mean_act, max_act.

        mean_act is the mean over all rows of the token, those on which the feature is silent included; so
        a token's features are in its order. n_active counts the rows on which the feature fires.
        """
        token, rank = np.nonzero(self.feature >= 0)
        return pl.DataFrame(
            {
                "token_id": pl.Series(token, dtype=pl.UInt32),
                "rank": pl.Series(rank, dtype=pl.UInt32),
                "feature": pl.Series(self.feature[token, rank], dtype=pl.UInt32),
                "n_active": pl.Series(self.count[token, rank], dtype=pl.UInt32),
                "mean_act": self.total[token, rank] / occurrences[token],
                "max_act": pl.Series(self.largest[token, rank], dtype=pl.Float32),
            }
        )


def _grouping(context: StepContext) -> Callable[[FeatureBlock], tuple[int, Any]]:
    from precompute.features.kernels.groups import block_groups

    row_token_ids = read_row_tokens(context.row_store()).row_token_ids()
    return lambda block: (block.first, block_groups(row_token_ids, block.indptr, block.rows, block.acts))


def leading_features(context: StepContext, d_vocab: int) -> Boards:
    """Group every feature's activations by token, and keep the leading features of each token."""
    from precompute.features.kernels.boards import offer

    boards = Boards.empty(d_vocab, context.settings.n_token_features)
    for first, groups in map_blocks(context, _grouping):
        # Each group is one feature on one token.
        boards.n_features[:] += np.bincount(groups[1], minlength=d_vocab).astype(np.int32)
        offer(boards.feature, boards.total, boards.count, boards.largest, first, *groups)
    return boards


def run(context: StepContext) -> None:
    """Write token_features.parquet, token_counts.parquet and token_rows/."""
    vocabulary, tokens = read_vocabulary(context), read_row_tokens(context.row_store())
    vocabulary.check(tokens.token_ids)
    row_token_ids = tokens.row_token_ids()
    token_rows = rows_of_tokens(row_token_ids, len(vocabulary))
    directory = context.out / TOKEN_ROWS
    directory.mkdir(exist_ok=True)
    np.save(directory / "indptr.npy", token_rows.indptr, allow_pickle=False)
    np.save(directory / "rows.npy", token_rows.rows, allow_pickle=False)
    boards = leading_features(context, len(vocabulary))
    occurrences = np.diff(token_rows.indptr)
    context.write_table("token_features", boards.table(occurrences))
    context.write_table("token_counts", boards.counts(occurrences))


STEP = Step(
    name="token_features",
    version=2,
    summary="For each token the features that fire on it most, and the rows where it stands.",
    outputs=("token_features.parquet", "token_counts.parquet", TOKEN_ROWS),
    run=run,
    inputs=("corpus", "activations", "transpose"),
    settings=("n_token_features", "features"),
    seconds_per_million=0.3,
)
