"""Step `coactivations`: for each feature, those that fire on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.features.soundness import checked_features, checked_indptr
from precompute.pipeline.step import Step, StepContext
from precompute.stores.layout import feature_dtype
from precompute.stores.row_store import RowStore

SCHEMA = {
    "feature": pl.UInt32,
    "rank": pl.UInt32,
    "other": pl.UInt32,
    "n_both": pl.UInt32,
    "jaccard": pl.Float64,
    "pearson": pl.Float64,
    "lift": pl.Float64,
    "n_rows_used": pl.UInt32,
    "jaccard_se": pl.Float64,
}
"""Columns of the table. `pearson` is null where one of the two never varies, `jaccard_se` where all rows
were used."""
FEATURES_AT_ONCE = 64
"""Features in one piece of work: few, since dense ones take long, and a cancelled run must stop soon."""


@dataclass(frozen=True)
class SampledRows:
    """The rows that are counted, both by row and by feature; acts are float32."""

    indptr: NDArray[np.int64]
    """int64 [n_rows + 1]."""
    features: NDArray[Any]
    acts: NDArray[np.float32]
    group: NDArray[np.int64]
    """int64 [d_sae + 1]: where each feature's entries lie in the next two."""
    group_rows: NDArray[np.uint32]
    """Rows numbered within the sample."""
    group_acts: NDArray[np.float32]
    sampled: bool
    """Whether the store holds more rows than these."""

    @property
    def n_rows(self) -> int:
        """Rows that are counted."""
        return len(self.indptr) - 1


@dataclass(frozen=True)
class Moments:
    """Of each feature's activations over the rows, zeros included; all [d_sae]."""

    n: NDArray[np.int64]
    """Rows on which it fires."""
    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def run(context: StepContext) -> None:
    """Write `coactivations.parquet`."""
    listed = context.features(context.row_store().d_sae)
    pieces = [
        range(start, min(start + FEATURES_AT_ONCE, listed.stop))
        for start in range(listed.start, listed.stop, FEATURES_AT_ONCE)
    ]
    context.progress.start(len(listed), "features")
    parts = [pl.DataFrame(schema=SCHEMA)]
    for piece, table in zip(pieces, context.map(_pairing, pieces), strict=True):
        parts.append(table)
        context.progress.advance(len(piece))
    context.write_table("coactivations", pl.concat(parts))


def _pairing(context: StepContext) -> Callable[[range], pl.DataFrame]:
    settings = context.settings
    rows = sample_rows(context.row_store(), settings.coactivation_max_rows, settings.seed)
    moments = feature_moments(rows)
    return lambda piece: pairs_table(piece, rows, moments, settings.n_coactivations)


def sample_rows(store: RowStore, max_rows: int, seed: int) -> SampledRows:
    """All rows of the store, or max_rows of them drawn by seed, each set equally likely."""
    from precompute.features.kernels.transposition import sort_by_feature

    sampled = store.n_rows > max_rows
    chosen = np.zeros(store.n_rows, bool)
    if sampled:
        chosen[np.random.default_rng(seed).choice(store.n_rows, max_rows, replace=False, shuffle=False)] = (
            True
        )
    parts = [_shard_rows(store, number, chosen if sampled else None) for number in range(store.n_shards)]
    indptr = np.concatenate([[0], np.cumsum(_joined([p.lengths for p in parts], "int64"))]).astype(np.int64)
    features = _joined([part.features for part in parts], feature_dtype(store.d_sae))
    acts = _joined([part.acts for part in parts], "float32")
    group, rows, bits = sort_by_feature(indptr, features, acts.view(np.uint32), store.d_sae)
    return SampledRows(indptr, features, acts, group, rows, bits.view(np.float32), sampled)


@dataclass(frozen=True)
class _ShardRows:
    lengths: NDArray[np.int64]
    """Non-zeros of each chosen row."""
    features: NDArray[Any]
    acts: NDArray[np.float32]


def _shard_rows(store: RowStore, number: int, chosen: NDArray[np.bool_] | None) -> _ShardRows:
    """The chosen rows of one shard; None chooses all."""
    lengths = np.diff(checked_indptr(store, number))
    features = checked_features(store, number)
    acts = np.array(store.values(number, "acts"), dtype=np.float32)
    if chosen is None:
        return _ShardRows(lengths, features, acts)
    here = chosen[store.row_offsets[number] : store.row_offsets[number + 1]]
    entries = np.repeat(here, lengths)
    return _ShardRows(lengths[here], features[entries], acts[entries])


def _joined(parts: list[NDArray[Any]], dtype: str) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts])


def feature_moments(rows: SampledRows) -> Moments:
    """Frequency, mean and standard deviation (ddof 0) of each feature."""
    from precompute.features.kernels.spread import squares_about

    d_sae, n_rows = len(rows.group) - 1, max(rows.n_rows, 1)
    n = np.diff(rows.group)
    mean = np.bincount(rows.features, weights=rows.acts.astype(np.float64), minlength=d_sae) / n_rows
    squares = squares_about(rows.group, rows.group_acts, mean) + (rows.n_rows - n) * mean**2
    std = np.sqrt(squares / n_rows)
    # What rounding leaves of a feature that never varies is no deviation.
    return Moments(n, mean, np.where(std > 1e-12 * np.abs(mean), std, 0))


def pairs_table(features: range, rows: SampledRows, moments: Moments, n: int) -> pl.DataFrame:
    """The table of consecutive features."""
    from precompute.features.kernels.pairs import most_overlapping

    shape = (len(features), n)
    others, n_both = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    products = np.zeros(shape)
    by_feature = (rows.group, rows.group_rows, rows.group_acts)
    by_row = (rows.indptr, rows.features, rows.acts)
    most_overlapping(features.start, features.stop, *by_feature, *by_row, others, n_both, products)
    slot, rank = np.nonzero(others >= 0)
    feature, other, both = slot + features.start, others[slot, rank], n_both[slot, rank]
    union = moments.n[feature] + moments.n[other] - both
    jaccard = both / union
    columns = {
        "feature": feature,
        "rank": rank,
        "other": other,
        "n_both": both,
        "jaccard": jaccard,
        "pearson": _pearson(moments, feature, other, products[slot, rank] / max(rows.n_rows, 1)),
        "lift": both * rows.n_rows / (moments.n[feature] * moments.n[other]),
        "n_rows_used": np.full(len(feature), rows.n_rows),
        "jaccard_se": jaccard_error(jaccard, union) if rows.sampled else np.full(len(feature), np.nan),
    }
    return pl.DataFrame(columns, schema=SCHEMA).fill_nan(None)


def _pearson(
    moments: Moments, one: NDArray[np.int64], other: NDArray[np.int64], mean_product: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlation of the activations over all rows, zeros included; NaN where one never varies."""
    scale = moments.std[one] * moments.std[other]
    covariance = mean_product - moments.mean[one] * moments.mean[other]
    return np.clip(covariance / np.where(scale > 0, scale, np.nan), -1, 1)


def jaccard_error(jaccard: NDArray[np.float64], union: NDArray[np.int64]) -> NDArray[np.float64]:
    """Standard error of a Jaccard index from sampled rows: that of a share of the union's rows.

    Binomial, sqrt(J (1 - J) / n_union); rows of one text are not independent, so it is a lower bound.
    """
    return np.sqrt(jaccard * (1 - jaccard) / union)


STEP = Step(
    name="coactivations",
    version=1,
    summary="The features that fire on the same rows as each feature.",
    outputs=("coactivations.parquet",),
    run=run,
    inputs=("activations",),
    settings=("n_coactivations", "coactivation_max_rows", "seed", "features"),
    seconds_per_million=0.5,
)
