"""Examples: windows of n_ctx tokens, cut one after another from the texts of a corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Encode = Callable[[Sequence[Any]], list[list[int]]]
"""Token ids of each text, or of each list of tokens, without special tokens."""

TEXTS_PER_BATCH = 512

SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "example": pl.UInt32,
    "text_index": pl.UInt32,
    "text_id": pl.String,
    "chunk": pl.UInt32,
    "start": pl.UInt32,
    "n_special": pl.UInt32,
    "token_ids": pl.List(pl.Int32),
}
"""Columns of a table of windows."""


def cut_windows(  # noqa: PLR0917 - what defines a window
    corpus: pl.DataFrame,
    order: NDArray[np.int64],
    encode: Encode,
    n_ctx: int,
    bos_token_id: int | None,
    limit: int | None,
    column: str = "text",
) -> pl.DataFrame:
    """Cut texts into examples of at most n_ctx tokens, BOS included, until `limit` examples are had.

    `column` holds what `encode` takes. `order` says which texts to take, first ones first; the result is in
    corpus order. A text without tokens gives no example. Columns: SCHEMA, where `start` is the first token's
    offset in its text.
    """
    prefix = [] if bos_token_id is None else [bos_token_id]
    width = n_ctx - len(prefix)
    texts = corpus[column]
    found: list[tuple[int, int, list[int]]] = []
    for first in range(0, len(order), TEXTS_PER_BATCH):
        batch = order[first : first + TEXTS_PER_BATCH]
        for index, ids in zip(batch.tolist(), encode(texts[batch].to_list()), strict=True):
            found.extend(
                (index, start, prefix + ids[start : start + width]) for start in range(0, len(ids), width)
            )
        if limit is not None and len(found) >= limit:
            break
    found = sorted(found[:limit], key=lambda window: window[:2])
    indices = [window[0] for window in found]
    starts = [window[1] for window in found]
    columns = {
        "example": range(len(found)),
        "text_index": indices,
        "text_id": corpus["text_id"][indices] if found else [],
        "chunk": [start // width for start in starts],
        "start": starts,
        "n_special": [len(prefix)] * len(found),
        "token_ids": [window[2] for window in found],
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def n_rows(windows: pl.DataFrame) -> int:
    """Activation rows that windows give: their tokens without the special ones."""
    return int((windows["token_ids"].list.len().cast(pl.Int64) - windows["n_special"].cast(pl.Int64)).sum())
