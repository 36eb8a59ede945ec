"""The listed features of a feature-major store in pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from precompute.pipeline.step import StepContext
from precompute.stores.arrays import read_only
from precompute.stores.feature_store import FeatureBlock, FeatureStore
from precompute.stores.layout import FEATURES_PER_BLOCK

Result = TypeVar("Result")

NONZEROS_AT_ONCE = 2**24
"""Of a piece, unless one feature alone has more: 128 MB of a store, however features share the non-zeros."""


def pieces(feature_indptr: NDArray[np.int64], listed: range, at_once: int | None = None) -> list[range]:
    """The listed features in consecutive ranges, each within one block of the store.

    A range has at most `at_once` non-zeros (by default NONZEROS_AT_ONCE), or is one feature.
    """
    at_once = at_once or NONZEROS_AT_ONCE
    found = []
    first = listed.start
    while first < listed.stop:
        end_of_block = (first // FEATURES_PER_BLOCK + 1) * FEATURES_PER_BLOCK
        most = feature_indptr[first] + at_once
        fitting = int(np.searchsorted(feature_indptr, most, side="right")) - 1
        found.append(range(first, min(max(fitting, first + 1), end_of_block, listed.stop)))
        first = found[-1].stop
    return found


def read_piece(store: FeatureStore, features: range) -> FeatureBlock:
    """Consecutive features of one block, as kernels take them.

    Always float32 acts, and rows in 32 bits where they fit, not to be written to whatever the store's
    backend, so that one compiled kernel serves all.
    """
    block = store.features(features)
    acts = np.ascontiguousarray(block.acts, dtype=np.float32)
    return FeatureBlock(block.first, block.indptr, read_only(block.rows), read_only(acts))


def map_blocks(
    context: StepContext, opening: Callable[[StepContext], Callable[[FeatureBlock], Result]]
) -> Iterator[Result]:
    """Apply what `opening` makes of the context to pieces of the listed features, wherever they run.

    Results come in order; progress counts features. `opening` is as for StepContext.map.
    """
    store = context.feature_store()
    listed = context.features(store.d_sae)
    context.progress.start(len(listed), "features")
    for n_features, result in context.map(partial(_counting, opening), pieces(store.feature_indptr, listed)):
        context.progress.advance(n_features)
        yield result


def _counting(
    opening: Callable[[StepContext], Callable[[FeatureBlock], Result]], context: StepContext
) -> Callable[[range], tuple[int, Result]]:
    store, function = context.feature_store(), opening(context)
    return lambda features: (len(features), function(read_piece(store, features)))
