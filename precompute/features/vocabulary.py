"""The vocabulary that a subject's token tables are written with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.errors import StoreError
from precompute.pipeline.step import StepContext


@dataclass(frozen=True)
class Vocabulary:
    """Every token that the model can read or predict."""

    tokens: pl.Series
    """Strings, exactly as decoded; null where unknown. Length d_vocab."""
    special: NDArray[np.bool_]
    """bool [d_vocab]: tokens that stand for no text."""

    def __len__(self) -> int:
        return len(self.tokens)

    def strings(self, token_ids: NDArray[Any]) -> pl.Series:
        """The string of each token id."""
        return self.tokens.gather(pl.Series(token_ids, dtype=pl.UInt32))

    def check(self, token_ids: NDArray[np.int32]) -> None:
        """Raise StoreError if any of the ids lies outside the vocabulary."""
        if token_ids.size and not 0 <= int(token_ids.min()) <= int(token_ids.max()) < len(self):
            raise StoreError(
                f"token ids from {token_ids.min()} to {token_ids.max()} in the store",
                f"ids from 0 to {len(self) - 1}, the model's vocabulary",
                "use the model that the store was made with",
            )


def read_vocabulary(context: StepContext) -> Vocabulary:
    """The vocabulary of the context's corpus, in order of token id."""
    table = context.table("vocabulary").sort("token_id")
    return Vocabulary(table["token"], table["is_special"].to_numpy().copy())
