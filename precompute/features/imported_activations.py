"""Step `activations` where they were imported: those of the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from precompute.features.imported_corpus import imported_type
from precompute.pipeline.step import StepContext
from precompute.stores.layout import part_directory
from precompute.stores.row_shard import RowShard, feature_statistics
from precompute.stores.row_store import RowStore, RowStoreWriter


def write_activations(context: StepContext) -> None:
    """Write the directory `activations`: a copy, so that what happens to the store changes no artifact.

    Shards that an interrupted run completed are kept.
    """
    store, root = RowStore(Path(imported_type(context).store)), context.out / "activations"
    _writer(context, store)
    missing = [n for n in range(store.n_shards) if not part_directory(root, n).is_dir()]
    context.progress.start(store.n_rows, "rows")
    context.progress.advance(store.n_rows - sum(store.info.shards[n].n_rows for n in missing))
    for n_rows in context.map(_copying, missing):
        context.progress.advance(n_rows)
    _writer(context, store).finish(store.n_shards)


def _copying(context: StepContext) -> Callable[[int], int]:
    store = RowStore(Path(imported_type(context).store))
    writer, listed = _writer(context, store), context.features(store.d_sae)

    def one(number: int) -> int:
        shard = store.load(number)
        writer.write_shard(
            number, shard if len(listed) == store.d_sae else narrowed(shard, listed, store.d_sae)
        )
        return store.info.shards[number].n_rows

    return one


def _writer(context: StepContext, store: RowStore) -> RowStoreWriter:
    info = store.info
    return RowStoreWriter(
        context.out / "activations", context.model_type.storage, info.d_sae, info.d_in, info.acts_dtype
    )


def narrowed(shard: RowShard, listed: range, d_sae: int) -> RowShard:
    """A shard with the non-zeros of the listed features alone."""
    features, acts = np.asarray(shard.features), np.asarray(shard.acts)
    kept = (features >= listed.start) & (features < listed.stop)
    # The number of kept ones before each entry gives the new offsets of the rows.
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    features, acts = features[kept], acts[kept]
    return replace(
        shard,
        indptr=before[np.asarray(shard.indptr)],
        features=features,
        acts=acts,
        **feature_statistics(features, acts, d_sae),
    )
