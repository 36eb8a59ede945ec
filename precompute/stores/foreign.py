"""Activations that other programs have stored: what an importer reads of them, whatever their layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.errors import StoreError

TOKEN_COLUMNS = ("ability_tokens", "ability_input_tokens", "token_ids", "tokens")
"""What metadata may call the lists of token ids of its examples, in the order in which they are tried."""


@dataclass(frozen=True)
class Rows:
    """The non-zeros of consecutive rows."""

    counts: NDArray[np.int64]
    """int64 [n_rows]."""
    features: NDArray[Any]
    """[n_nonzero], ascending within a row."""
    acts: NDArray[Any]
    """float32 or float16 [n_nonzero], none of them zero."""
    means: NDArray[np.float32]
    """float32 [n_rows, d_in]: what the SAE read, where that was stored."""


class ForeignStore(Protocol):
    """A store of pooled examples: each row is one example, a set of tokens."""

    n_rows: int
    d_sae: int
    d_in: int
    """Width of what the SAE read; 0 where it was not stored."""
    acts_dtype: str
    rows_per_piece: int
    """Rows that are read at a time; a multiple of a shard's examples."""
    metadata: pl.DataFrame | None
    """A row for each example; None where there is none."""

    def rows(self, start: int, stop: int) -> Rows:
        """The non-zeros of some rows."""
        ...


def read_metadata(path: Path) -> pl.DataFrame:
    """A Parquet or jsonl file of examples, one row each; raises StoreError for another."""
    if path.suffix not in (".parquet", ".jsonl"):
        raise StoreError(f"metadata {path}", "a .parquet or .jsonl file", "convert it")
    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ndjson(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{path} that cannot be read ({reason})", "metadata", "correct it") from None


def tokens_column(metadata: pl.DataFrame, named: str | None) -> str | None:
    """The column that holds each example's token ids; None where there is none.

    Raises StoreError where the one that is named is absent, or holds no lists of whole numbers.
    """
    found = named or next((name for name in TOKEN_COLUMNS if name in metadata.columns), None)
    if found is None:
        return None
    kind = metadata.schema.get(found)
    if not (isinstance(kind, pl.List) and kind.inner is not None and kind.inner.is_integer()):
        raise StoreError(
            f"tokens in the column {found!r} of type {kind}", "lists of token ids", "set --tokens-column"
        )
    return found


def checked_acts(acts: NDArray[Any], where: object) -> NDArray[Any]:
    """Activations in a type that stores hold; raises StoreError where one is not finite."""
    kept = acts if acts.dtype in (np.float16, np.float32) else acts.astype(np.float32)
    if not np.isfinite(kept).all():
        raise StoreError(f"{where}: an activation that is not finite", "numbers", "store it again")
    return kept
