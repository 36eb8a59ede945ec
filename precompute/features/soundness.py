"""Numbers on disk that lead compiled loops, checked before they do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import CorruptArtifactError
from precompute.stores.row_store import RowStore


def checked_features(store: RowStore, number: int) -> NDArray[Any]:
    """The `features` of a shard; raises CorruptArtifactError for one that is out of range."""
    features = store.values(number, "features")
    if len(features) and features.max() >= store.d_sae:
        raise _unsound(store, number)
    return features


def checked_indptr(store: RowStore, number: int) -> NDArray[np.int64]:
    """The `indptr` of a shard, in memory; raises CorruptArtifactError where it cannot be one."""
    indptr = np.array(store.values(number, "indptr"), dtype=np.int64)
    counts = store.info.shards[number]
    ascending = bool(np.all(indptr[1:] >= indptr[:-1]))
    if len(indptr) != counts.n_rows + 1 or (indptr[0], indptr[-1]) != (0, counts.n_nonzero) or not ascending:
        raise _unsound(store, number)
    return indptr


def _unsound(store: RowStore, number: int) -> CorruptArtifactError:
    return CorruptArtifactError(
        f"shard {number} of {store.root} holds features or offsets out of range; "
        "compute the activations again"
    )
