"""Which features fire on the tokens of a text, as the activation store would have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.models.opened import OpenedModel, Window
from precompute.stores.layout import stored_acts

BATCH_SIZE = 16
"""Windows in one forward pass; it changes values by rounding only."""


@dataclass(frozen=True)
class EncodedText:
    """A text's windows, and the non-zero activations of their rows."""

    windows: tuple[Window, ...]
    window: NDArray[np.int64]
    """[n_rows]: which window each row is from."""
    position: NDArray[np.int64]
    """[n_rows]: its token in that window."""
    indptr: NDArray[np.int64]
    """[n_rows + 1]: where each row's entries lie in the next two."""
    features: NDArray[np.int64]
    """[n_nonzero], ascending within a row."""
    acts: NDArray[np.float32]
    """[n_nonzero], as the store keeps them."""

    def row(self, window: int, position: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Features and activations at one token; empty where it is no row."""
        for row in np.flatnonzero((self.window == window) & (self.position == position)):
            entries = slice(self.indptr[row], self.indptr[row + 1])
            return self.features[entries], self.acts[entries]
        return self.features[:0], self.acts[:0]


def encode_text(model: OpenedModel, text: str) -> EncodedText:
    """The features of a text: cut, tokenised, read and rounded as the `activations` step does it."""
    return encode_windows(model, model.windows(text))


def encode_windows(model: OpenedModel, windows: Sequence[Window]) -> EncodedText:
    """The features of some windows, such as examples of the corpus."""
    windows = tuple(model.checked(window) for window in windows)
    ids, n_special = [window.token_ids for window in windows], [window.n_special for window in windows]
    # Nothing here asks what the final norm makes of a feature.
    to_the_end = np.zeros(len(windows), bool)
    rows = model.reader.encode(ids, n_special, BATCH_SIZE, to_the_end=to_the_end)
    acts: NDArray[Any] = stored_acts(rows.acts, model.acts_dtype)
    kept = acts != 0  # A value too small for float16 is zero in it, and the store has no zeros.
    owners = np.repeat(np.arange(len(rows.counts)), rows.counts)[kept]
    counts = np.bincount(owners, minlength=len(rows.counts))
    return EncodedText(
        windows=windows,
        window=rows.example,
        position=rows.position,
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        features=rows.features[kept],
        acts=acts[kept].astype(np.float32),
    )
