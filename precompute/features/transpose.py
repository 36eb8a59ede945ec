"""Step `transpose`: the same activations by feature, so that reading one feature touches only its own."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.command_line import CommandParser, run_command
from precompute.executors import map_ordered
from precompute.features.soundness import checked_features, checked_indptr
from precompute.pipeline.step import Step, StepContext
from precompute.progress import Progress, TerminalBar
from precompute.stores.arrays import BACKENDS
from precompute.stores.feature_store import (
    FeatureBlock,
    FeatureStoreWriter,
    block_features,
    n_blocks,
    row_dtype,
)
from precompute.stores.layout import StoreInfo, new_store
from precompute.stores.row_store import RowStore

SORTED = ".sorted"
"""Directory inside the target, while it is written, of the shards sorted by feature: always made anew."""


def run(context: StepContext) -> None:
    """Transpose the activations into `feature_major`."""
    target = context.out / "feature_major"
    workers = context.operations.workers
    transpose(context.row_store(), target, context.model_type.storage, workers, context.progress)


def transpose(source: RowStore, target: Path, backend: str, workers: int, progress: Progress) -> StoreInfo:
    """Write the feature-major store of `source`; blocks that an interrupted call left in `target` stay.

    Each shard is sorted by feature on its own; then each block of features gathers its slice of every
    sorted shard. Both read in order, and hold one shard or one block a worker in memory.
    """
    work = _Transposition(source, target / SORTED, FeatureStoreWriter(target, backend))
    missing = [number for number in range(n_blocks(source.d_sae)) if not work.writer.has_block(number)]
    shutil.rmtree(work.scratch, ignore_errors=True)
    work.scratch.mkdir()
    progress.start(2 * source.info.n_nonzero, "non-zeros")
    for n_sorted in map_ordered(work.sort_shard, range(source.n_shards) if missing else (), workers):
        progress.advance(n_sorted)
    for n_gathered in map_ordered(work.gather_block, missing, workers):
        progress.advance(n_gathered)
    shutil.rmtree(work.scratch)
    return work.writer.finish(source.info)


@dataclass(frozen=True)
class _SortedShard:
    """A shard sorted by feature in one file: its groups' ends, then rows, then activations' bits."""

    path: Path
    d_sae: int
    n_nonzero: int
    bits_dtype: str

    def write(self, group: NDArray[np.int64], rows: NDArray[np.uint32], bits: NDArray[Any]) -> None:
        """Write the file; not made durable, since it never outlives the call."""
        with self.path.open("wb") as file:
            for values in (group, rows, bits):
                file.write(values.data)

    def group(self, features: range) -> NDArray[np.int64]:
        """Where the features' entries lie; int64 [n_features + 1]."""
        return self._read("int64", 0, features.start, features.stop + 1)

    def rows(self, start: int, stop: int) -> NDArray[np.uint32]:
        """Rows of the shard, of the entries from start to stop."""
        return self._read("uint32", 8 * (self.d_sae + 1), start, stop)

    def bits(self, start: int, stop: int) -> NDArray[Any]:
        """Their activations."""
        return self._read(self.bits_dtype, 8 * (self.d_sae + 1) + 4 * self.n_nonzero, start, stop)

    def _read(self, dtype: str, base: int, start: int, stop: int) -> NDArray[Any]:
        offset = base + start * np.dtype(dtype).itemsize
        return np.fromfile(self.path, dtype, count=stop - start, offset=offset)


@dataclass(frozen=True)
class _Transposition:
    """One transposition at work."""

    source: RowStore
    scratch: Path
    writer: FeatureStoreWriter

    def sort_shard(self, number: int) -> int:
        """Write one shard sorted by feature; returns its number of non-zeros."""
        from precompute.features.kernels.transposition import sort_by_feature

        indptr = checked_indptr(self.source, number)
        features = checked_features(self.source, number)
        bits = _bits(np.array(self.source.values(number, "acts")))
        self._sorted(number).write(*sort_by_feature(indptr, features, bits, self.source.d_sae))
        return len(bits)

    def gather_block(self, number: int) -> int:
        """Write one block of features; returns its number of non-zeros."""
        features = block_features(number, self.source.d_sae)
        groups = [self._sorted(shard).group(features) for shard in range(self.source.n_shards)]
        counts = sum((np.diff(group) for group in groups), np.zeros(len(features), np.int64))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        block = FeatureBlock(
            features.start,
            indptr,
            rows=np.empty(indptr[-1], dtype=row_dtype(self.source.n_rows)),
            acts=np.empty(indptr[-1], dtype=self.source.info.acts_dtype),
        )
        self._fill(block, groups)
        self.writer.write_block(number, block)
        return len(block.rows)

    def _fill(self, block: FeatureBlock, groups: list[NDArray[np.int64]]) -> None:
        from precompute.features.kernels.transposition import append_groups

        cursor, bits = block.indptr[:-1].copy(), _bits(block.acts)
        for number, group in enumerate(groups):
            shard, first_row = self._sorted(number), int(self.source.row_offsets[number])
            start, stop = int(group[0]), int(group[-1])
            if start < stop:
                found = shard.rows(start, stop), shard.bits(start, stop)
                append_groups(group, *found, first_row, cursor, block.rows, bits)

    def _sorted(self, number: int) -> _SortedShard:
        info = self.source.info
        bits_dtype = {"float32": "uint32", "float16": "uint16"}[info.acts_dtype]
        path = self.scratch / f"{number:05d}"
        return _SortedShard(path, info.d_sae, info.shards[number].n_nonzero, bits_dtype)


def _bits(acts: NDArray[Any]) -> NDArray[Any]:
    """The activations as unsigned integers of their width; a view."""
    return acts.view(f"uint{8 * acts.itemsize}")


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
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="shards or blocks at a time")
    arguments = parser.parse_args(argv)
    source, bar = RowStore(arguments.source_dir), TerminalBar(STEP.name)
    backend = arguments.backend or source.info.backend
    try:
        with new_store(arguments.target_dir) as staging:
            info = transpose(source, staging, backend, arguments.workers, bar)
    finally:
        bar.close()
    print(f"{arguments.target_dir}: {info.d_sae:,} features, {info.n_nonzero:,} non-zeros, {info.backend}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
