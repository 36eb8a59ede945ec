"""Converting a store from one backend to the other: the same arrays, the same numbers."""

from __future__ import annotations

from functools import partial

from precompute.executors.local import Threads
from precompute.progress import Progress
from precompute.stores.arrays import backend_named
from precompute.stores.feature_store import FeatureStore, FeatureStoreWriter
from precompute.stores.layout import METADATA_FILE, StoreInfo, new_remote_store, new_store, read_info
from precompute.stores.places import Place, Remote
from precompute.stores.row_store import RowStore, RowStoreWriter


def convert(source: Place, target: Place, backend: str | None, workers: int, progress: Progress) -> StoreInfo:
    """Write the store at `source`, of either layout, to `target` with another backend, or as it is.

    Returns the new header. Raises StoreError where there is no store, where the target exists, or for a
    backend that is not known; the target then stays as it was.
    """
    info = read_info(source)
    backend = backend_named(backend or info.backend).name
    copy = _copy_rows if info.layout == "rows" else _copy_features
    with new_remote_store(target) if isinstance(target, Remote) else new_store(target) as staging:
        if (source / METADATA_FILE).is_file():
            (staging / METADATA_FILE).write_bytes((source / METADATA_FILE).read_bytes())
        return copy(source, staging, backend, workers, progress)


def _copy_rows(source: Place, target: Place, backend: str, workers: int, progress: Progress) -> StoreInfo:
    store = RowStore(source)
    writer = RowStoreWriter(target, backend, store.d_sae, store.info.d_in, store.info.acts_dtype)
    progress.start(store.n_shards, "shards")
    copy = partial(_copy_shard, store, writer)
    for _ in Threads(workers).map(lambda: copy, range(store.n_shards)):
        progress.advance()
    return writer.finish(store.n_shards)


def _copy_shard(store: RowStore, writer: RowStoreWriter, number: int) -> None:
    writer.write_shard(number, store.load(number))


def _copy_features(source: Place, target: Place, backend: str, workers: int, progress: Progress) -> StoreInfo:
    store = FeatureStore(source)
    writer = FeatureStoreWriter(target, backend)
    progress.start(store.n_blocks, "blocks")
    copy = partial(_copy_block, store, writer)
    for _ in Threads(workers).map(lambda: copy, range(store.n_blocks)):
        progress.advance()
    return writer.finish(store.info)


def _copy_block(store: FeatureStore, writer: FeatureStoreWriter, number: int) -> None:
    writer.write_block(number, store.block(number))
