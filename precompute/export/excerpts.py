"""Examples with one feature's activation at each token, for many features at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.features.row_tokens import read_row_tokens
from precompute.reading import Artifacts
from precompute.stores.feature_store import FeatureActivations, FeatureStore


@dataclass(frozen=True)
class Excerpt:
    """One example of a feature, its leading special tokens left out."""

    example: int
    band: str
    position: int | None
    """Where among these tokens the activation stands that it was chosen for; None for a whole example."""
    activation: float
    token_ids: NDArray[np.int32]
    """int32 [n_tokens]."""
    acts: NDArray[np.float32]
    """float32 [n_tokens]: zero where the feature is silent; of a whole example its one activation."""


class ExcerptReader:
    """The tokens of a whole store in memory, and where each row lies among them."""

    def __init__(self, artifacts: Artifacts) -> None:
        rows = artifacts.row_store()
        self._tokens = read_row_tokens(rows)
        self._row_indptr = rows.example_row_indptr
        self._n_special = artifacts.table("windows")["n_special"].to_numpy().astype(np.int64)

    @property
    def are_sets(self) -> bool:
        """Whether rows are whole examples: sets of tokens, between which nothing stands."""
        return bool((self._tokens.row_token < 0).any())

    def excerpt(
        self, example: int, band: str, row: int | None, activation: float, fired: FeatureActivations
    ) -> Excerpt:
        """An example with what `fired`, the feature's rows and activations, says of it."""
        first, stop = self._tokens.example_indptr[example : example + 2].tolist()
        token_ids = self._tokens.token_ids[first:stop]
        acts = np.zeros(len(token_ids), dtype=np.float32)
        low, high = np.searchsorted(fired.rows, self._row_indptr[example : example + 2])
        places = self._tokens.row_token[np.asarray(fired.rows[low:high], dtype=np.int64)]
        values = np.asarray(fired.acts[low:high], dtype=np.float32)
        if (places < 0).any():
            acts[:] = values.max(initial=0)  # A pooled example has one activation for all its tokens.
        else:
            acts[places - first] = values
        place = -1 if row is None else int(self._tokens.row_token[row])
        skipped = int(self._n_special[example])
        position = None if place < 0 else place - first - skipped
        return Excerpt(example, band, position, activation, token_ids[skipped:], acts[skipped:])


class FeatureRows:
    """Rows and activations of features that are asked for in ascending order: a block is read at a time."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._number, self._block = -1, store.block(0) if store.n_blocks else None

    def of(self, feature: int) -> FeatureActivations:
        """Those of one feature."""
        from precompute.stores.layout import FEATURES_PER_BLOCK

        number = feature // FEATURES_PER_BLOCK
        if number != self._number:
            self._block, self._number = self._store.block(number), number
        block = self._block
        if block is None:
            raise ValueError("a store without features")
        start, stop = block.indptr[feature - block.first : feature - block.first + 2].tolist()
        return FeatureActivations(block.rows[start:stop], block.acts[start:stop])
