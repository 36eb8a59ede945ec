"""Converting a store from one backend to the other: the same arrays, the same numbers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from precompute.executors import map_ordered
from precompute.progress import Progress
from precompute.stores.arrays import backend_named
from precompute.stores.feature_store import FeatureStore, FeatureStoreWriter
from precompute.stores.layout import StoreInfo, new_store, read_info
from precompute.stores.row_store import RowStore, RowStoreWriter


def convert(source: Path, target: Path, backend: str, workers: int, progress: Progress) -> StoreInfo:
    """Write the store at `source`, of either layout, to `target` with another backend (or the same).

    Returns the new header. Raises StoreError where there is no store, where the target exists, or for a
    backend that is not known; the target then stays as it was.
    """
    info = read_info(source)
    backend_named(backend)
    copy = _copy_rows if info.layout == "rows" else _copy_features
    with new_store(target) as staging:
        return copy(source, staging, backend, workers, progress)


def _copy_rows(source: Path, target: Path, backend: str, workers: int, progress: Progress) -> StoreInfo:
    store = RowStore(source)
    writer = RowStoreWriter(target, backend, store.d_sae, store.info.d_in, store.info.acts_dtype)
    progress.start(store.n_shards, "shards")
    for _ in map_ordered(partial(_copy_shard, store, writer), range(store.n_shards), workers):
        progress.advance()
    return writer.finish(store.n_shards)


def _copy_shard(store: RowStore, writer: RowStoreWriter, number: int) -> None:
    writer.write_shard(number, store.load(number))


def _copy_features(source: Path, target: Path, backend: str, workers: int, progress: Progress) -> StoreInfo:
    store = FeatureStore(source)
    writer = FeatureStoreWriter(target, backend)
    progress.start(store.n_blocks, "blocks")
    for _ in map_ordered(partial(_copy_block, store, writer), range(store.n_blocks), workers):
        progress.advance()
    return writer.finish(store.info)


def _copy_block(store: FeatureStore, writer: FeatureStoreWriter, number: int) -> None:
    writer.write_block(number, store.block(number))
