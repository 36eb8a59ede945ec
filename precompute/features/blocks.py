"""The blocks of a feature-major store, cut to the features that a table lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from precompute.executors import map_ordered
from precompute.pipeline.step import StepContext
from precompute.stores.feature_store import FeatureBlock, FeatureStore
from precompute.stores.layout import FEATURES_PER_BLOCK

Result = TypeVar("Result")


def listed_block(store: FeatureStore, number: int, listed: range) -> FeatureBlock:
    """The listed features of a block, in memory.

    Always int64 rows and float32 acts, whatever the store holds, so that one compiled kernel serves all.
    """
    block = store.block(number)
    skip = max(0, listed.start - block.first)
    stop = min(block.n_features, listed.stop - block.first)
    start, end = int(block.indptr[skip]), int(block.indptr[stop])
    return FeatureBlock(
        block.first + skip,
        np.array(block.indptr[skip : stop + 1] - start, dtype=np.int64),
        np.array(block.rows[start:end], dtype=np.int64),
        np.array(block.acts[start:end], dtype=np.float32),
    )


def map_blocks(
    context: StepContext, store: FeatureStore, function: Callable[[FeatureBlock], Result]
) -> Iterator[Result]:
    """Apply `function` to every block of the listed features, in order; progress counts features."""
    listed = context.features(store.d_sae)
    context.progress.start(len(listed), "features")
    if not listed:
        return
    numbers = range(listed.start // FEATURES_PER_BLOCK, (listed.stop - 1) // FEATURES_PER_BLOCK + 1)

    def counted(number: int) -> tuple[int, Result]:
        block = listed_block(store, number, listed)
        return block.n_features, function(block)

    for n_features, result in map_ordered(counted, numbers, context.operations.workers):
        context.progress.advance(n_features)
        yield result
