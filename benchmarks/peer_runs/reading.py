"""Reading the activations of one feature: `python -m benchmarks.peer_runs.reading DIR`, after Lightwell ran.

Lightwell's feature-major store in both backends, against what is common: the same activations in a dense Zarr
array, cut into chunks of rows, from which one column is taken. Each store is opened once, every feature read
once untimed (so the file cache is warm), then once timed. Prints milliseconds as JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_runs.material import DATA
from precompute.command_line import CommandParser, positive, run_command
from precompute.progress import Silent
from precompute.stores.convert import convert
from precompute.stores.feature_store import FeatureStore
from precompute.stores.row_store import RowStore

STORE, ROWS = "feature_major", "activations"
"""Of Lightwell's artifacts: the store by features, and that by rows."""
DENSE = "dense Zarr by rows"
CHUNK_ROWS = 4_096
"""Rows of a chunk of the dense array, which holds all features of them."""


@dataclass(frozen=True)
class Read:
    """How long one feature takes, over some random ones."""

    store: str
    n_features: int
    p50_ms: float
    p95_ms: float
    store_mb: float
    """On disk."""


@dataclass(frozen=True)
class Reader:
    """An opened store."""

    store: str
    path: Path
    sum_of: Callable[[int], float]
    """Reads all activations of a feature, and adds them up."""


def write_zarr(root: Path) -> Path:
    """Lightwell's store by features, as Zarr."""
    target = root / "by_feature.zarr_store"
    shutil.rmtree(target, ignore_errors=True)
    convert(root / DATA / STORE, target, "zarr", 1, Silent())
    return target


def write_dense(root: Path) -> Path:
    """All activations, zeros included; float32 [n_rows, d_sae] with Zarr's own compression."""
    import zarr

    store, target = RowStore(root / DATA / ROWS), root / "dense.zarr"
    shape, chunks = (store.n_rows, store.d_sae), (min(CHUNK_ROWS, store.n_rows), store.d_sae)
    dense = zarr.create_array(target, shape=shape, chunks=chunks, dtype="float32", overwrite=True)
    for number, shard in enumerate(store.shards()):
        first = int(store.row_offsets[number])
        rows = np.zeros((len(shard.indptr) - 1, store.d_sae), np.float32)
        rows[np.repeat(np.arange(len(rows)), np.diff(shard.indptr)), shard.features] = shard.acts
        dense[first : first + len(rows)] = rows
    return target


def readers(root: Path) -> list[Reader]:
    """The three stores, those of Zarr written anew."""
    import zarr

    npy, by_feature, dense = root / DATA / STORE, write_zarr(root), write_dense(root)
    array = zarr.open_array(dense, mode="r")
    return [
        Reader("Lightwell, npy", npy, partial(_sum, FeatureStore(npy))),
        Reader("Lightwell, Zarr", by_feature, partial(_sum, FeatureStore(by_feature))),
        Reader(DENSE, dense, lambda feature: float(np.asarray(array[:, feature]).sum(dtype=np.float64))),
    ]


def _sum(store: FeatureStore, feature: int) -> float:
    """Touches every activation: what is mapped only would not have been read."""
    return float(store.feature(feature).acts.sum(dtype=np.float64))


def timed(reader: Reader, features: NDArray[np.int64]) -> Read:
    """Read each feature twice; the second time counts."""
    milliseconds = []
    for feature in features.tolist():
        reader.sum_of(feature)
        start = time.perf_counter()
        reader.sum_of(feature)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    p50, p95 = (float(np.percentile(milliseconds, share)) for share in (50, 95))
    size = sum(file.stat().st_size for file in reader.path.rglob("*") if file.is_file())
    return Read(reader.store, len(features), p50, p95, size / 1e6)


def measure(root: Path, n_features: int, n_dense: int) -> list[Read]:
    """All three, over random features; fewer of them from the dense array, which takes long."""
    opened = readers(root)
    d_sae = RowStore(root / DATA / ROWS).d_sae
    features = np.random.default_rng(0).permutation(d_sae)[:n_features]
    return [timed(each, features[:n_dense] if each.store == DENSE else features) for each in opened]


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.peer_runs.reading", description=__doc__)
    parser.add_argument("dir", type=Path, help="where the material lies")
    parser.add_argument("--features", type=positive, default=200, help="random features that are read")
    parser.add_argument("--dense-features", type=positive, default=8, help="of those, from the dense array")
    chosen = parser.parse_args(argv)
    found = measure(chosen.dir, chosen.features, chosen.dense_features)
    print(json.dumps([asdict(read) for read in found]))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
