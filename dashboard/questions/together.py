"""Which features fire on the rows of one feature: counted exactly over all rows, when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboard.queries import Queries
from precompute.stores.row_store import RowStore

ORDERS = ("jaccard", "pearson", "lift", "rows")
"""Measures by which the others may be listed, the greatest first."""
N_LISTED = 20
ROWS_FOR_LIFT = 5
"""Common rows that a pair needs to be listed by lift: a pair that met once may have the greatest of all."""
BYTES_KEPT = 2**28
"""A store whose non-zeros fit into this is kept in memory once it is read; a larger one is read each time."""
NO_SPREAD = 1e-14
"""A variance below this share of the mean square is what rounding leaves of a feature that never varies."""


@dataclass(frozen=True)
class RowsOfShard:
    """What fires on each row of one shard."""

    indptr: NDArray[np.int64]
    """int64 [n_rows + 1]"""
    features: NDArray[np.unsignedinteger]
    acts: NDArray[np.floating]


@dataclass(frozen=True)
class Spread:
    """Of each feature's activations over all rows, zeros included; all [d_sae]."""

    n: NDArray[np.int64]
    """Rows on which it fires."""
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    """0 for a feature that never varies."""


@dataclass(frozen=True)
class Together:
    """Other features that fire on rows of one, all [n_others], by number."""

    feature: int
    n_rows: int
    """All rows of the store."""
    n_active: int
    """Rows on which the feature fires."""
    others: NDArray[np.int64]
    n_both: NDArray[np.int64]
    jaccard: NDArray[np.float64]
    pearson: NDArray[np.float64]
    """NaN where one of the two never varies."""
    lift: NDArray[np.float64]

    def places(self, order: str) -> NDArray[np.int64]:
        """The first N_LISTED by a measure, the smaller number first where two are equal."""
        values = {"jaccard": self.jaccard, "pearson": self.pearson, "lift": self.lift, "rows": self.n_both}
        chosen = np.nan_to_num(values[order].astype(np.float64), nan=-np.inf)
        listed = np.argsort(-chosen, kind="stable")
        if order == "lift":
            listed = listed[self.n_both[listed] >= ROWS_FOR_LIFT]
        return listed[:N_LISTED]


def together(queries: Queries, feature: int) -> Together:
    """All features that fire on a row of this one, over all rows; that of the feature asked last is kept."""
    version = (queries.tables.fingerprint("transpose"), queries.tables.fingerprint("activations"))
    known: dict[int, Together] = queries.tables.memo.get("together", version, lambda: {})
    found = known.get(feature)
    if found is None:  # Counted outside of the memo, whose lock other pages would wait for.
        found = _counted(queries, feature)
        known.clear()
        known[feature] = found
    return found


def _counted(queries: Queries, feature: int) -> Together:
    mine, spread = queries.activations(feature), spread_of(queries)
    rows, acts = mine.rows.astype(np.int64), mine.acts.astype(np.float64)
    offsets = queries.artifacts.row_store().row_offsets
    cuts = np.searchsorted(rows, offsets)
    n_both, products = np.zeros_like(spread.n), np.zeros_like(spread.mean)
    for number in np.flatnonzero(np.diff(cuts)).tolist():
        here = slice(cuts[number], cuts[number + 1])
        counts, sums = meetings(
            _shard(queries, number), rows[here] - offsets[number], acts[here], len(n_both)
        )
        n_both += counts
        products += sums
    return measured(feature, queries.store().n_rows, spread, n_both, products)


def meetings(
    shard: RowsOfShard, rows: NDArray[np.int64], acts: NDArray[np.float64], d_sae: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """On some rows of a shard, how often each feature fires, and the sum of its activation times `acts`."""
    starts, lengths = shard.indptr[rows], shard.indptr[rows + 1] - shard.indptr[rows]
    first = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    entries = first + np.arange(len(first))
    others = shard.features[entries]
    weights = shard.acts[entries].astype(np.float64) * np.repeat(acts, lengths)
    n_both = np.bincount(others, minlength=d_sae).astype(np.int64)
    return n_both, np.bincount(others, weights=weights, minlength=d_sae).astype(np.float64)


def measured(
    feature: int,
    n_rows: int,
    spread: Spread,
    n_both: NDArray[np.int64],
    products: NDArray[np.float64],
) -> Together:
    """The measures of each pair that meets, from counts and sums of products over its common rows."""
    others = np.flatnonzero(n_both)
    others = others[others != feature]
    both, n_mine, n_theirs = n_both[others], int(spread.n[feature]), spread.n[others]
    covariance = products[others] / n_rows - spread.mean[feature] * spread.mean[others]
    scale = spread.std[feature] * spread.std[others]
    return Together(
        feature=feature,
        n_rows=n_rows,
        n_active=n_mine,
        others=others,
        n_both=both,
        jaccard=both / (n_mine + n_theirs - both),
        pearson=np.clip(covariance / np.where(scale > 0, scale, np.nan), -1, 1),
        lift=both * n_rows / (n_mine * n_theirs.astype(np.float64)),
    )


def spread_of(queries: Queries) -> Spread:
    """Frequency, mean and deviation of every feature, from the statistics that the shards carry."""

    def found() -> Spread:
        store = queries.artifacts.row_store()
        count, total, squares = (
            _summed(store, name) for name in ("stat_count", "stat_sum", "stat_sum_squares")
        )
        mean, mean_square = total / max(store.n_rows, 1), squares / max(store.n_rows, 1)
        variance = mean_square - mean**2
        varies = variance > NO_SPREAD * mean_square
        return Spread(count.astype(np.int64), mean, np.sqrt(np.where(varies, variance, 0.0)))

    return queries.tables.derived("spread of features", "activations", found)


def _summed(store: RowStore, name: str) -> NDArray[np.float64]:
    shards = [store.values(number, name) for number in range(store.n_shards)]
    return np.sum(shards, axis=0) if shards else np.zeros(store.d_sae)


def _shard(queries: Queries, number: int) -> RowsOfShard:
    """One shard's rows; kept where the whole store is small, each by itself, so that no page waits long."""
    store = queries.artifacts.row_store()

    def read() -> RowsOfShard:
        return RowsOfShard(*(store.kept(number, name) for name in ("indptr", "features", "acts")))

    def checked() -> RowsOfShard:
        return queries.tables.reading("activations", read)

    bytes_each = store.array(number, "features").dtype.itemsize + store.array(number, "acts").dtype.itemsize
    if store.info.n_nonzero * bytes_each > BYTES_KEPT:
        return checked()
    return queries.tables.memo.get(("rows", number), queries.tables.fingerprint("activations"), checked)
