"""Stores of other programs written as a row-major store: the same non-zeros, each row a whole example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.errors import StoreError
from precompute.progress import Progress
from precompute.stores.arrays import backend_named
from precompute.stores.foreign import ForeignStore, Rows, read_metadata, tokens_column
from precompute.stores.layout import EXAMPLES_PER_SHARD, METADATA_FILE, StoreInfo, feature_dtype, new_store
from precompute.stores.row_shard import RowShard, feature_statistics
from precompute.stores.row_store import RowStoreWriter

LAYOUTS: Mapping[str, str] = MappingProxyType(
    {
        "neuron_acts": "precompute.stores.neuron_acts:NeuronActs",
        "dense_batches": "precompute.stores.dense_batches:DenseBatches",
    }
)
"""The reader of each layout, in the order in which they are tried."""
LARGEST_TOKEN = 2**31 - 1
"""What stores keep of a token are 32 bits."""


def import_store(  # noqa: PLR0917 - what a command says
    source: Path,
    target: Path,
    backend: str,
    metadata: Path | None,
    tokens: str | None,
    progress: Progress,
) -> StoreInfo:
    """Write the store at `source` to `target`; its metadata lie beside it as examples.parquet.

    Returns the header. Raises StoreError for a directory of no known layout, for files that do not fit
    together, and where the target exists; the target then stays as it was.
    """
    backend_named(backend)
    found = open_foreign(source, read_metadata(metadata) if metadata else None)
    listed = _token_lists(found, tokens)
    with new_store(target) as staging:
        writer = RowStoreWriter(staging, backend, found.d_sae, found.d_in, found.acts_dtype)
        n_shards = -(-found.n_rows // EXAMPLES_PER_SHARD)
        progress.start(n_shards, "shards")
        for number, shard in enumerate(_shards(found, listed)):
            writer.write_shard(number, shard)
            progress.advance()
        if found.metadata is not None:
            found.metadata.write_parquet(staging / METADATA_FILE, compression="zstd")
        return writer.finish(n_shards)


def open_foreign(source: Path, metadata: pl.DataFrame | None) -> ForeignStore:
    """The reader of the layout that a directory has; raises StoreError for none."""
    if source.is_dir():
        for place in LAYOUTS.values():
            module_name, _, name = place.partition(":")
            module = import_module(module_name)
            if module.detect(source):
                opened: ForeignStore = getattr(module, name)(source, metadata)
                return opened
    raise StoreError(
        f"{source} that holds no store to import",
        "neuron_acts/neuron_NNNN/{acts,idxs}.npy, or activations/batch_NNNN.zarr",
        "correct the path",
    )


def _token_lists(found: ForeignStore, named: str | None) -> pl.Series:
    """The token ids of each example; empty lists where nothing says them."""
    column = None if found.metadata is None else tokens_column(found.metadata, named)
    if found.metadata is None or column is None:
        return pl.Series([[]] * found.n_rows, dtype=pl.List(pl.Int32))
    lists = found.metadata[column].fill_null([])
    tokens = lists.explode(empty_as_null=False).cast(pl.Int64, strict=False)
    wrong = tokens.filter(tokens.is_null() | (tokens < 0) | (tokens > LARGEST_TOKEN))
    if len(wrong):
        raise StoreError(
            f"a token {wrong[0]} in the column {column!r}", "ids from 0 on", "correct the metadata"
        )
    return lists.cast(pl.List(pl.Int32))


def _shards(found: ForeignStore, listed: pl.Series) -> Iterator[RowShard]:
    for start in range(0, found.n_rows, found.rows_per_piece):
        stop = min(found.n_rows, start + found.rows_per_piece)
        rows = found.rows(start, stop)
        indptr = np.concatenate([[0], np.cumsum(rows.counts)]).astype(np.int64)
        for first in range(start, stop, EXAMPLES_PER_SHARD):
            last = min(stop, first + EXAMPLES_PER_SHARD)
            yield _shard(rows, indptr, first - start, last - start, listed[first:last], first, found.d_sae)


def _shard(  # noqa: PLR0917 - one shard of a piece
    rows: Rows,
    indptr: NDArray[np.int64],
    start: int,
    stop: int,
    tokens: pl.Series,
    first_example: int,
    d_sae: int,
) -> RowShard:
    """Some rows of a piece as a shard: each is an example of its own, at no position."""
    n_rows = stop - start
    low, high = int(indptr[start]), int(indptr[stop])
    features: NDArray[Any] = rows.features[low:high].astype(feature_dtype(d_sae))
    acts = rows.acts[low:high]
    lengths = tokens.list.len().to_numpy().astype(np.int64)
    return RowShard(
        token_ids=tokens.explode(empty_as_null=False).to_numpy().astype(np.int32),
        example_indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        position=np.full(n_rows, -1, dtype=np.int32),
        example=np.arange(first_example, first_example + n_rows, dtype=np.int32),
        indptr=indptr[start : stop + 1] - low,
        features=features,
        acts=acts,
        example_means=rows.means[start:stop],
        inverse_sigma=np.zeros(2),
        **feature_statistics(features, acts, d_sae),
    )
