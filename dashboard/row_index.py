"""Which rows of the activation store are which tokens of an example: a small index kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.stores.row_store import RowStore, laid_over


@dataclass(frozen=True)
class RowIndex:
    """Rows by example, so that one feature's activations can be laid over an example's tokens."""

    indptr: NDArray[np.int64]
    """[n_examples + 1]: the first row of each example."""
    position: NDArray[np.int32]
    """[n_rows]: the token of each row in its example; -1 for a whole example."""

    def spread(
        self, example: int, n_tokens: int, rows: NDArray[Any], acts: NDArray[Any]
    ) -> NDArray[np.float32]:
        """A feature's activation at each token of an example: float32 [n_tokens], NaN where no row is.

        A whole example that is one row has its one activation at each token. `rows`
        (ascending) and `acts` are all of the feature's, as the feature-major store has them.
        """
        start, stop = int(self.indptr[example]), int(self.indptr[example + 1])
        first, last = np.searchsorted(rows, [start, stop])
        fired = np.asarray(rows[first:last], dtype=np.int64) - start
        return laid_over(n_tokens, self.position[start:stop], fired, acts[first:last])

    def is_whole(self, example: int) -> bool:
        """Whether the example is one row, at no position: a set of tokens."""
        start, stop = int(self.indptr[example]), int(self.indptr[example + 1])
        return bool((self.position[start:stop] < 0).any())


def row_index(store: RowStore) -> RowIndex:
    """Read where each example's rows lie, and the position of every row, shard by shard."""
    return RowIndex(store.example_row_indptr, store.row_positions())
