"""Token contexts: the n-grams that end at a feature's active tokens, and how reliably they make it fire."""

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
from precompute.stores.feature_store import FeatureBlock

LONGEST = 3
"""Tokens in the longest n-gram."""


@dataclass(frozen=True)
class NGrams:
    """The distinct n-grams of one length that end at rows of a store, numbered in lexicographic order."""

    n: int
    tokens: NDArray[np.int32]
    """int32 [n_ngrams, n]: token ids, in reading order."""
    occurrences: NDArray[np.int64]
    """int64 [n_ngrams]: rows at which each n-gram ends, over the whole store."""
    of_row: NDArray[np.int32]
    """int32 [n_rows]: the n-gram that ends at each row; -1 where it would begin before the example or
    include a special token."""


def count_ngrams(tokens: RowTokens, special: NDArray[np.bool_]) -> list[NGrams]:
    """All n-grams of 1 to LONGEST tokens that end at a row, coded as integers and sorted.

    An n-gram's code is (number of its first n - 1 tokens) * d_vocab + last token, so codes stay below
    n_tokens * d_vocab and sort as the n-grams themselves do.
    """
    ids = tokens.token_ids.astype(np.int64)
    example = np.repeat(np.arange(len(tokens.example_indptr) - 1), np.diff(tokens.example_indptr))
    prefix = np.where(special[ids], -1, 0)  # the n-gram of n - 1 tokens that ends before each token
    found = []
    for n in range(1, LONGEST + 1):
        formed = np.flatnonzero((prefix >= 0) & ~special[ids])
        codes, first, number = np.unique(
            prefix[formed] * len(special) + ids[formed], return_index=True, return_inverse=True
        )
        of_token = np.full(len(ids), -1, dtype=np.int64)
        of_token[formed] = number
        of_row = of_token[tokens.row_token].astype(np.int32)
        occurrences = np.bincount(of_row[of_row >= 0], minlength=len(codes))
        ends = formed[first]
        found.append(NGrams(n, tokens.token_ids[ends[:, None] + np.arange(1 - n, 1)], occurrences, of_row))
        prefix = np.full(len(ids), -1, dtype=np.int64)
        prefix[1:] = np.where(example[1:] == example[:-1], of_token[:-1], -1)
    return found


def context_table(block: FeatureBlock, ngrams: NGrams, vocabulary: Vocabulary, size: int) -> pl.DataFrame:
    """The contexts of one length of a block of features, by feature, best first.

    Kept are the `size` n-grams with the most active occurrences; ties go to the greater mean activation,
    then to the smaller token ids. share = active occurrences / all occurrences in the store.
    """
    from precompute.features.kernels.groups import leading_groups

    n_kept, code, count, total, largest = leading_groups(
        ngrams.of_row, block.indptr, block.rows, block.acts, size
    )
    owner, rank = np.nonzero(np.arange(size) < n_kept[:, None])
    code, count = code[owner, rank], count[owner, rank]
    tokens = ngrams.tokens[code].astype(np.uint32)
    return pl.DataFrame(
        {
            "feature": pl.Series(owner + block.first, dtype=pl.UInt32),
            "n": pl.Series(np.full(len(owner), ngrams.n), dtype=pl.UInt8),
            "ngram": pl.Series(tokens, dtype=pl.Array(pl.UInt32, ngrams.n)).arr.to_list(),
            "text": _joined(tokens, vocabulary),
            "count": pl.Series(count, dtype=pl.UInt32),
            "mean_act": total[owner, rank] / count,
            "max_act": largest[owner, rank],
            "share": pl.Series(count / ngrams.occurrences[code], dtype=pl.Float32),
        }
    )


def _joined(tokens: NDArray[np.uint32], vocabulary: Vocabulary) -> pl.Series:
    columns = [vocabulary.strings(tokens[:, i]).alias(str(i)) for i in range(tokens.shape[1])]
    return pl.DataFrame(columns).select(pl.concat_str(pl.all())).to_series()


def run(context: StepContext) -> None:
    """Write token_contexts.parquet, block of features by block."""
    tables = list(map_blocks(context, _tabulating))
    nothing = np.zeros(0, np.int64)
    empty = FeatureBlock(0, np.zeros(2, np.int64), nothing, nothing.astype(np.float32))
    context.write_table("token_contexts", pl.concat(tables or [_tabulating(context)(empty)]))


def _tabulating(context: StepContext) -> Callable[[FeatureBlock], pl.DataFrame]:
    vocabulary, tokens = read_vocabulary(context), read_row_tokens(context.row_store())
    vocabulary.check(tokens.token_ids)
    tokens.row_token_ids()
    ngrams = count_ngrams(tokens, vocabulary.special)

    def one(block: FeatureBlock) -> pl.DataFrame:
        tables = [context_table(block, n, vocabulary, context.settings.n_contexts) for n in ngrams]
        return pl.concat(tables).sort("feature", maintain_order=True)

    return one


STEP = Step(
    name="token_contexts",
    version=1,
    summary="The n-grams of 1 to 3 tokens on which a feature fires, and how often they make it fire.",
    outputs=("token_contexts.parquet",),
    run=run,
    inputs=("corpus", "activations", "transpose"),
    settings=("n_contexts", "features"),
    seconds_per_million=0.5,
)
