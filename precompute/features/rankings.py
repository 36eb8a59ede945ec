"""Ranked extremes as a table: what both readings of the influence matrix are written as."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

DIRECTIONS: Mapping[str, float] = MappingProxyType({"promotes": 1.0, "suppresses": -1.0})
"""The two directions of an influence, and the sign that makes the strongest the largest."""


def ranking_table(  # noqa: PLR0917 - the columns, in order
    owner: str,
    first: int,
    direction: str,
    other: str,
    numbers: NDArray[np.int32],
    influence: NDArray[np.float32],
) -> pl.DataFrame:
    """Columns owner, direction, rank, other, influence from boards [n, k] of owners first, first + 1, ….

    Ranks count from 0.
    """
    n, k = numbers.shape
    return pl.DataFrame(
        {
            owner: np.repeat(np.arange(first, first + n, dtype=np.uint32), k),
            "direction": pl.repeat(direction, n * k, dtype=pl.String, eager=True),
            "rank": np.tile(np.arange(k, dtype=np.uint32), n),
            other: numbers.ravel().astype(np.uint32),
            "influence": np.ascontiguousarray(influence, dtype=np.float32).ravel(),
        }
    )
