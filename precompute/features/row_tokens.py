"""The token under each row of a store: all tokens flat in memory, and where each row lies among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.errors import NotApplicableError
from precompute.stores.row_store import RowStore


@dataclass(frozen=True)
class RowTokens:
    """Tokens and rows of a whole store; memory grows with its tokens and rows, not with its non-zeros."""

    token_ids: NDArray[np.int32]
    """int32 [n_tokens]: the examples' tokens one after another, special ones included."""
    example_indptr: NDArray[np.int64]
    """int64 [n_examples + 1]: where each example's tokens lie in `token_ids`."""
    row_token: NDArray[np.int64]
    """int64 [n_rows]: where each row's token lies in `token_ids`; -1 for a pooled example."""
    row_example: NDArray[np.int32]
    """int32 [n_rows]: each row's example."""

    def row_token_ids(self) -> NDArray[np.int32]:
        """The token id of each row, int32 [n_rows]; raises NotApplicableError where rows have no position."""
        if (self.row_token < 0).any():
            raise NotApplicableError("the rows of this store are whole examples, not tokens")
        return self.token_ids[self.row_token]


def read_row_tokens(store: RowStore) -> RowTokens:
    """Read the tokens and row locations of every shard, and no activation."""
    tokens, lengths, positions, examples = [], [], [], []
    for number in range(store.n_shards):
        tokens.append(np.asarray(store.array(number, "token_ids")[:], dtype=np.int32))
        lengths.append(np.diff(np.asarray(store.array(number, "example_indptr")[:])))
        positions.append(np.asarray(store.array(number, "position")[:], dtype=np.int64))
        examples.append(np.asarray(store.array(number, "example")[:], dtype=np.int32))
    indptr = np.concatenate([[0], *lengths]).cumsum().astype(np.int64)
    position = np.concatenate([np.zeros(0, np.int64), *positions])
    example = np.concatenate([np.zeros(0, np.int32), *examples])
    row_token = np.where(position < 0, -1, indptr[example] + position)
    return RowTokens(np.concatenate([np.zeros(0, np.int32), *tokens]), indptr, row_token, example)
