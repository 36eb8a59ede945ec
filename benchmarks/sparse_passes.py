"""How fast the passes over sparse activations are: `python -m benchmarks.sparse_passes --shards 16`.

Makes a random store in a temporary directory (24,576 features, 32 active a row, 74 rows an example), then
times each step's core alone. Compile time is paid before, on a store of one shard.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precompute.command_line import CommandParser, run_command
from precompute.executors.local import Threads
from precompute.features.coactivations import feature_moments, pairs_table, sample_rows
from precompute.features.histograms import count_feature_major, count_row_major
from precompute.features.transpose import transpose
from precompute.progress import Silent
from precompute.stores.arrays import BACKENDS
from precompute.stores.feature_store import FeatureStore
from precompute.stores.layout import EXAMPLES_PER_SHARD
from precompute.stores.row_shard import RowShard, feature_statistics
from precompute.stores.row_store import RowStore, RowStoreWriter

D_SAE, D_IN, L0, ROWS_PER_EXAMPLE = 24_576, 192, 32, 74


def random_store(path: Path, backend: str, n_shards: int) -> RowStore:
    generator = np.random.default_rng(0)
    cumulative = np.cumsum(np.sort(generator.dirichlet(np.full(D_SAE, 0.4))))
    writer = RowStoreWriter(path, backend, D_SAE, D_IN)
    for number in range(n_shards):
        writer.write_shard(number, random_shard(generator, cumulative / cumulative[-1], number))
    writer.finish(n_shards)
    return RowStore(path)


def random_shard(generator: np.random.Generator, cumulative: NDArray[np.float64], number: int) -> RowShard:
    n_rows = EXAMPLES_PER_SHARD * ROWS_PER_EXAMPLE
    drawn = np.sort(np.searchsorted(cumulative, generator.random((n_rows, L0))), axis=1)
    kept = np.concatenate([np.ones((n_rows, 1), bool), drawn[:, 1:] != drawn[:, :-1]], axis=1)
    features = drawn[kept].astype(np.uint16)
    acts = generator.gamma(2.0, 1.0, len(features)).astype(np.float32) + np.float32(1e-3)
    first = number * EXAMPLES_PER_SHARD
    return RowShard(
        token_ids=np.zeros(n_rows, np.int32),
        example_indptr=np.arange(EXAMPLES_PER_SHARD + 1) * ROWS_PER_EXAMPLE,
        position=np.tile(np.arange(ROWS_PER_EXAMPLE, dtype=np.int32), EXAMPLES_PER_SHARD),
        example=np.repeat(np.arange(first, first + EXAMPLES_PER_SHARD, dtype=np.int32), ROWS_PER_EXAMPLE),
        indptr=np.concatenate([[0], np.cumsum(kept.sum(axis=1))]),
        features=features,
        acts=acts,
        example_means=generator.normal(size=(EXAMPLES_PER_SHARD, D_IN)).astype(np.float32),
        inverse_sigma=np.zeros(2),
        **feature_statistics(features, acts, D_SAE),
    )


def passes(root: Path, backend: str, n_shards: int, workers: int) -> dict[str, Callable[[], object]]:
    rows, quiet = random_store(root / "rows", backend, n_shards), Silent()
    n_bins, target, threads = 50, root / "features", Threads(workers)

    def count_by_feature() -> object:
        return count_feature_major(FeatureStore(target), range(D_SAE), n_bins, threads, quiet)

    def coactivations() -> object:
        sample = sample_rows(rows, 10**7, 0)
        moments = feature_moments(sample)
        pieces = (range(start, start + 64) for start in range(0, D_SAE, 64))
        return sum(1 for _ in threads.map(lambda: lambda p: pairs_table(p, sample, moments, 20), pieces))

    return {
        "transpose": lambda: transpose(rows, target, backend, threads, quiet),
        "histograms, fast": lambda: count_row_major(rows, n_bins, threads, quiet),
        "histograms, parallel": count_by_feature,
        "coactivations": coactivations,
    }


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.sparse_passes")
    parser.add_argument("--shards", type=int, default=16, help="shards of 256 examples")
    parser.add_argument("--backend", choices=sorted(BACKENDS), default="npy", help="storage backend")
    parser.add_argument("--workers", type=int, default=2, help="shards or blocks at a time")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for run in passes(root / "warm", arguments.backend, 1, arguments.workers).values():
            run()
        timed = passes(root / "timed", arguments.backend, arguments.shards, arguments.workers)
        n_nonzero = RowStore(root / "timed" / "rows").info.n_nonzero
        print(f"{n_nonzero:,} non-zeros, {arguments.backend}, {arguments.workers} workers")
        for name, run in timed.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"{name:22} {wall:7.2f} s {n_nonzero / wall / 1e6:7.1f} M/s {cpu:7.2f} s of processor")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
