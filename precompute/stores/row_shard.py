"""One logical shard of a row-major store: its arrays, their types, and what must hold between them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RowShard:
    """The arrays of one logical shard: whole examples, their rows, and the rows' non-zeros.

    Fields may be memory-mapped or lazy; `np.asarray(shard.acts[:])` reads one.
    """

    token_ids: Any
    """int32 [n_tokens]: every token of every example, special ones included."""
    example_indptr: Any
    """int64 [n_examples + 1]: where each example's tokens lie in `token_ids`."""
    position: Any
    """int32 [n_rows]: the row's position in its example; -1 for a pooled example."""
    example: Any
    """int32 [n_rows]: the row's example, numbered over the whole store; ascending."""
    indptr: Any
    """int64 [n_rows + 1]: where each row's non-zeros lie in `features` and `acts`."""
    features: Any
    """uint16 or uint32 [n_nonzero]: ascending within a row."""
    acts: Any
    """float32 or float16 [n_nonzero]: never zero."""
    example_means: Any
    """float32 [n_examples, d_in]: mean of the captured activations over each example's rows."""
    inverse_sigma: Any
    """float64 [2]: sum over rows of 1/sigma of the model's final norm, times the row's own scale where the
    SAE's decode has one; and the number of rows in the sum (0 where there is neither norm nor scale)."""
    stat_count: Any
    """int64 [d_sae]: non-zeros of each feature in this shard."""
    stat_min: Any
    """float64 [d_sae]: smallest non-zero activation; +inf where there is none."""
    stat_max: Any
    """float64 [d_sae]: largest; -inf where there is none."""
    stat_sum: Any
    """float64 [d_sae]."""
    stat_sum_squares: Any
    """float64 [d_sae]."""


ARRAYS = tuple(field.name for field in fields(RowShard))

DTYPES = {
    "token_ids": "int32",
    "example_indptr": "int64",
    "position": "int32",
    "example": "int32",
    "indptr": "int64",
    "example_means": "float32",
    "inverse_sigma": "float64",
    "stat_count": "int64",
    "stat_min": "float64",
    "stat_max": "float64",
    "stat_sum": "float64",
    "stat_sum_squares": "float64",
}
"""Element types of a shard's arrays; those of `features` and `acts` depend on the store."""


def check_shard(shard: RowShard) -> None:
    """Refuse a shard whose arrays contradict each other."""
    n_rows, n_nonzero = len(shard.position), len(shard.acts)
    agree = (
        len(shard.example) == n_rows == len(shard.indptr) - 1
        and len(shard.features) == n_nonzero == shard.indptr[-1] == shard.stat_count.sum()
        and len(shard.token_ids) == shard.example_indptr[-1]
        and len(shard.example_means) == len(shard.example_indptr) - 1
    )
    if not agree:
        lengths = {name: len(getattr(shard, name)) for name in ARRAYS}
        raise ValueError(f"the arrays of this shard do not fit together: {lengths}")
    if not (np.all(shard.acts) and np.all(np.isfinite(shard.acts))):
        raise ValueError("a stored activation is zero or not finite; leave it out, or use a wider acts_dtype")


def feature_statistics(features: NDArray[Any], acts: NDArray[Any], d_sae: int) -> dict[str, NDArray[Any]]:
    """Mergeable statistics per feature of one shard, in float64, in the order of its non-zeros."""
    values = acts.astype(np.float64)
    smallest, largest = np.full(d_sae, np.inf), np.full(d_sae, -np.inf)
    np.minimum.at(smallest, features, values)
    np.maximum.at(largest, features, values)
    return {
        "stat_count": np.bincount(features, minlength=d_sae).astype(np.int64),
        "stat_min": smallest,
        "stat_max": largest,
        "stat_sum": np.bincount(features, weights=values, minlength=d_sae),
        "stat_sum_squares": np.bincount(features, weights=values * values, minlength=d_sae),
    }
