"""Step `transpose`: the same activations by feature, so that reading one feature touches only its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precompute.command_line import CommandParser, n_bytes, positive, run_command
from precompute.executors.executor import Executor, Item, Opening
from precompute.executors.local import Threads
from precompute.features.blocks import pieces
from precompute.features.collecting import SORTED, SortedShards, collect
from precompute.features.totals import feature_counts
from precompute.pipeline.step import Step, StepContext
from precompute.progress import Progress, TerminalBar
from precompute.settings import MEMORY_LIMIT
from precompute.stores.arrays import BACKENDS
from precompute.stores.feature_store import (
    FeatureBlock,
    FeatureStoreWriter,
    block_features,
    n_blocks,
    row_dtype,
)
from precompute.stores.layout import StoreInfo, new_store
from precompute.stores.places import Place
from precompute.stores.row_store import RowStore

BYTES_AT_ONCE = 2**30
"""Of the entries of one piece, unless one feature alone has more."""
MOST_PASSES = {"npy": 16, "zarr": 2}
"""Pieces up to which each reads all shards, by the backend, whose chunks Zarr decompresses in every pass; for
more, shards are sorted by feature first."""


def run(context: StepContext) -> None:
    """Transpose the activations into `feature_major`."""
    target, operations = context.out / "feature_major", context.operations
    at_once = operations.memory_limit // context.executor.at_once()
    storage = context.model_type.storage
    transpose(context.row_store(), target, storage, context.executor, context.progress, bytes_at_once=at_once)


def transpose(
    source: RowStore,
    target: Path,
    backend: str,
    executor: Executor,
    progress: Progress,
    *,
    bytes_at_once: int = BYTES_AT_ONCE,
) -> StoreInfo:
    """Write the feature-major store of `source`; blocks that an interrupted call left in `target` stay.

    Blocks of features are collected together as far as `bytes_at_once` allows, each piece in one pass over
    all shards. Where that would be many passes, the shards are sorted by feature first, and each block
    gathers its slice of every one of them. A block that is too large is written in parts.
    """
    writer, scratch = FeatureStoreWriter(target, backend), target / SORTED
    missing = [number for number in range(n_blocks(source.d_sae)) if not writer.has_block(number)]
    shutil.rmtree(scratch, ignore_errors=True)
    at_once = max(1, bytes_at_once // _entry_bytes(source))
    paths = (source.root, target, backend, at_once)
    counts = feature_counts(source) if missing else np.zeros(0, np.int64)
    groups = together(missing, counts, at_once)
    if n_passes(groups, counts, at_once) <= MOST_PASSES[source.info.backend]:
        progress.start(source.info.n_nonzero, "non-zeros")
        _each(executor, partial(_collecting, *paths), groups, target, progress)
    else:
        progress.start(2 * source.info.n_nonzero, "non-zeros")
        scratch.mkdir()
        _each(executor, partial(_sorting, source.root, scratch), range(source.n_shards), scratch, progress)
        _each(executor, partial(_gathering, *paths), [(number,) for number in missing], scratch, progress)
        shutil.rmtree(scratch)
    return writer.finish(source.info)


def _each(
    executor: Executor,
    opening: Opening[Item, int],
    items: Iterable[Item],
    sees: Path,
    progress: Progress,
) -> None:
    for n_nonzero in executor.map(opening, items, sees):
        progress.advance(n_nonzero)


def _sorting(source: Place, scratch: Path) -> Callable[[int], int]:
    return SortedShards(RowStore(source), scratch).sort


def _gathering(source: Place, target: Path, backend: str, at_once: int) -> Callable[[Sequence[int]], int]:
    rows = RowStore(source)
    return _Blocks(rows, target, backend, at_once, SortedShards(rows, target / SORTED).collect).write


def _collecting(source: Place, target: Path, backend: str, at_once: int) -> Callable[[Sequence[int]], int]:
    rows = RowStore(source)
    return _Blocks(rows, target, backend, at_once, partial(collect, rows)).write


class _Blocks:
    """Blocks of a feature-major store, each written from what `collected` says of its features."""

    def __init__(
        self,
        source: RowStore,
        target: Path,
        backend: str,
        at_once: int,
        collected: Callable[[NDArray[np.int64], range], FeatureBlock],
    ) -> None:
        self._writer, self._d_sae, self._at_once = FeatureStoreWriter(target, backend), source.d_sae, at_once
        self._types = (row_dtype(source.n_rows), source.info.acts_dtype)
        self._indptr = np.concatenate([[0], np.cumsum(feature_counts(source))]).astype(np.int64)
        self._collected = partial(collected, self._indptr)

    def write(self, numbers: Sequence[int]) -> int:
        """Write consecutive blocks; returns their number of non-zeros."""
        first, last = (block_features(number, self._d_sae) for number in (numbers[0], numbers[-1]))
        n_nonzero = int(self._indptr[last.stop] - self._indptr[first.start])
        if len(numbers) == 1 and n_nonzero > self._at_once:
            parts = map(self._collected, pieces(self._indptr, first, self._at_once))
            indptr = self._indptr[first.start : first.stop + 1]
            self._writer.write_parts(numbers[0], indptr - indptr[0], self._types, parts)
        else:
            whole = self._collected(range(first.start, last.stop))
            for number in numbers:
                self._writer.write_block(number, whole.part(block_features(number, self._d_sae)))
        return n_nonzero


def _entry_bytes(source: RowStore) -> int:
    return np.dtype(row_dtype(source.n_rows)).itemsize + np.dtype(source.info.acts_dtype).itemsize


def together(blocks: Sequence[int], counts: NDArray[np.int64], at_once: int) -> list[tuple[int, ...]]:
    """Consecutive blocks in groups of at most so many non-zeros; one that has more is alone.

    `counts` int64 [d_sae]: the non-zeros of each feature.
    """
    groups: list[tuple[int, ...]] = []
    size = 0
    for number in blocks:
        features = block_features(number, len(counts))
        n = int(counts[features.start : features.stop].sum())
        if groups and groups[-1][-1] == number - 1 and size + n <= at_once:
            groups[-1] += (number,)
            size += n
        else:
            groups.append((number,))
            size = n
    return groups


def n_passes(groups: Sequence[tuple[int, ...]], counts: NDArray[np.int64], at_once: int) -> int:
    """Passes over all shards that collecting takes: one a group, or one for each part of a large block."""
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return sum(
        len(pieces(indptr, block_features(group[0], len(counts)), at_once)) if len(group) == 1 else 1
        for group in groups
    )


STEP = Step(
    name="transpose",
    version=1,
    summary="The activations once more, ordered by feature.",
    outputs=("feature_major",),
    run=run,
    inputs=("activations",),
    resumable=True,
    seconds_per_million=0.2,
)


def main(argv: list[str]) -> int:
    """Transpose the store that the arguments name."""
    parser = CommandParser(prog="python -m precompute.features.transpose", description=STEP.summary)
    parser.add_argument("--source-dir", type=Path, required=True, help="the row-major store to read")
    parser.add_argument(
        "--target-dir", type=Path, required=True, help="the feature-major store to write; must not exist"
    )
    parser.add_argument(
        "--backend", choices=sorted(BACKENDS), help="its backend; that of the source if not given"
    )
    parser.add_argument(
        "--workers", type=positive, default=os.cpu_count() or 1, help="shards or blocks at a time"
    )
    parser.add_argument(
        "--memory-limit",
        type=n_bytes,
        default=MEMORY_LIMIT,
        metavar="SIZE",
        help="most that all workers hold at once (default: 1.5GB)",
    )
    arguments = parser.parse_args(argv)
    source, bar = RowStore(arguments.source_dir), TerminalBar(STEP.name)
    backend = arguments.backend or source.info.backend
    try:
        with new_store(arguments.target_dir) as staging:
            at_once = arguments.memory_limit // arguments.workers
            info = transpose(source, staging, backend, Threads(arguments.workers), bar, bytes_at_once=at_once)
    finally:
        bar.close()
    print(f"{arguments.target_dir}: {info.d_sae:,} features, {info.n_nonzero:,} non-zeros, {info.backend}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
