"""Step `feature_stats`: how often, how strongly and how widely each feature fires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.features.blocks import map_blocks
from precompute.features.quantiles import block_quantiles
from precompute.features.totals import FeatureTotals, feature_totals
from precompute.pipeline.step import Step, StepContext
from precompute.stores.feature_store import FeatureBlock
from precompute.stores.row_store import RowStore

QUARTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75}
EXAMPLES_AT_ONCE = 8192


def run(context: StepContext) -> None:
    """Write `feature_stats.parquet`."""
    tables = map_blocks(context, _tabulating)
    context.write_table("feature_stats", pl.concat([pl.DataFrame(schema=SCHEMA), *tables]))


def _tabulating(context: StepContext) -> Callable[[FeatureBlock], pl.DataFrame]:
    rows = context.row_store()
    totals, places = feature_totals(rows), row_places(rows)
    directions = context.array("directions") if context.has("directions.npy") else None
    return lambda block: _block_table(block, totals, places, rows.n_rows, directions)


def row_places(store: RowStore) -> NDArray[Any]:
    """How many rows of its example come before each row; [n_rows], in the smallest type that holds them.

    Small, since it is read for every non-zero, in the order of none but its own feature.
    """
    indptr = store.example_row_indptr
    dtype = np.min_scalar_type(int(np.diff(indptr).max(initial=0)))
    places = np.empty(store.n_rows, dtype)
    for start in range(0, store.n_examples, EXAMPLES_AT_ONCE):
        bounds = indptr[start : start + EXAMPLES_AT_ONCE + 1]
        rows = np.arange(bounds[0], bounds[-1])
        places[bounds[0] : bounds[-1]] = rows - np.repeat(bounds[:-1], np.diff(bounds))
    return places


def _block_table(
    block: FeatureBlock,
    totals: FeatureTotals,
    places: NDArray[Any],
    n_rows: int,
    directions: NDArray[np.float32] | None,
) -> pl.DataFrame:
    from precompute.features.kernels.spread import distinct_examples, squares_about

    listed = slice(block.first, block.first + block.n_features)
    mean = totals.total[listed] / (n_rows or np.nan)
    n_nonzero = np.diff(block.indptr)
    squares = squares_about(block.indptr, block.acts, mean) + (n_rows - n_nonzero) * mean**2
    columns: dict[str, Any] = {
        "feature": np.arange(listed.start, listed.stop),
        "n_rows": np.full(block.n_features, n_rows),
        "n_nonzero": n_nonzero,
        "n_examples": distinct_examples(block.indptr, block.rows, places),
        **_shares(n_nonzero, n_rows),
        **_range(totals, listed, n_rows),
        "mean": mean,
        "std": np.sqrt(squares / (n_rows or np.nan)),
        "mean_active": totals.total[listed] / np.where(n_nonzero, n_nonzero, np.nan),
        **dict(zip(QUARTILES, block_quantiles(block, tuple(QUARTILES.values())).T, strict=True)),
        "decoder_norm": np.nan if directions is None else _norms(directions[listed]),
    }
    return pl.DataFrame(columns, schema=SCHEMA).fill_nan(None)


def _norms(directions: NDArray[np.float32]) -> NDArray[np.float64]:
    norms: NDArray[np.float64] = np.linalg.norm(directions.astype(np.float64), axis=1)
    return norms


def _shares(n_nonzero: NDArray[np.int64], n_rows: int) -> dict[str, NDArray[np.float64]]:
    frac_active = n_nonzero / (n_rows or np.nan)
    return {"frac_active": frac_active, "sparsity": 1 - frac_active}


def _range(totals: FeatureTotals, listed: slice, n_rows: int) -> dict[str, NDArray[np.float64]]:
    """Smallest and largest activation over all rows: a row on which a feature is silent counts as 0."""
    smallest, largest = totals.smallest[listed], totals.largest[listed]
    everywhere = totals.count[listed] == (n_rows or -1)
    return {
        "min": np.where(everywhere, smallest, np.minimum(smallest, 0)),
        "max": np.where(everywhere, largest, np.maximum(largest, 0)),
    }


SCHEMA = {
    **dict.fromkeys(("feature", "n_rows", "n_nonzero", "n_examples"), pl.UInt32),
    **dict.fromkeys(("frac_active", "sparsity", "min", "max", "mean", "std", "mean_active"), pl.Float64),
    **dict.fromkeys((*QUARTILES, "decoder_norm"), pl.Float64),
}
"""Columns of the table. A silent feature has 0 where all rows count, and null where only non-zeros do;
decoder_norm is null where directions are not known."""


STEP = Step(
    name="feature_stats",
    version=1,
    summary="Frequency, range, moments and quartiles of each feature's activations.",
    outputs=("feature_stats.parquet",),
    run=run,
    inputs=("activations", "transpose", "directions"),
    does_without=("directions",),
    settings=("features",),
    seconds_per_million=0.3,
)
