"""The entries of some features, from all shards of a row-major store: two ways of the same result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import CorruptArtifactError
from precompute.features.soundness import checked_features, checked_indptr
from precompute.stores.feature_store import FeatureBlock, row_dtype
from precompute.stores.row_store import RowStore

SORTED = ".sorted"
"""Directory inside the target, while it is written, of the shards sorted by feature: always made anew."""
BITS = {"float32": "uint32", "float16": "uint16"}


def collect(source: RowStore, feature_indptr: NDArray[np.int64], features: range) -> FeatureBlock:
    """Consecutive features, in one pass over all shards.

    `feature_indptr` int64 [d_sae + 1] is that of the resulting store. Raises CorruptArtifactError where the
    shards hold other features than their statistics say.
    """
    from precompute.features.kernels.transposition import append_groups, select_by_feature

    block, listed = _empty_block(source, feature_indptr, features), slice(features.start, features.stop)
    cursor, block_bits = block.indptr[:-1].copy(), _bits(block.acts)
    # Grouped by shard first: that fits a cache, and what is then appended goes to fewer places at a time.
    size = max((shard.n_nonzero for shard in source.info.shards), default=0)
    rows, bits = np.empty(size, np.uint32), np.empty(size, block_bits.dtype)
    for number in range(source.n_shards):
        group = np.concatenate([[0], np.cumsum(source.values(number, "stat_count")[listed])]).astype(np.int64)
        shard = checked_indptr(source, number), checked_features(source, number)
        acts = _bits(source.values(number, "acts"))
        if group[-1] > size or not select_by_feature(*shard, acts, features.start, group, rows, bits):
            raise _belied(source)
        first_row = int(source.row_offsets[number])
        append_groups(group, rows, bits, first_row, cursor, block.indptr, block.rows, block_bits)
    return block


def _belied(source: RowStore) -> CorruptArtifactError:
    return CorruptArtifactError(
        f"the shards of {source.root} hold other features than their statistics say; "
        "compute the activations again"
    )


def _empty_block(source: RowStore, feature_indptr: NDArray[np.int64], features: range) -> FeatureBlock:
    indptr = feature_indptr[features.start : features.stop + 1]
    n_nonzero = int(indptr[-1] - indptr[0])
    return FeatureBlock(
        features.start,
        indptr - indptr[0],
        rows=np.empty(n_nonzero, dtype=row_dtype(source.n_rows)),
        acts=np.empty(n_nonzero, dtype=source.info.acts_dtype),
    )


@dataclass(frozen=True)
class SortedShards:
    """Copies of all shards, each sorted by feature on its own: a block then reads its slices alone."""

    source: RowStore
    directory: Path

    def sort(self, number: int) -> int:
        """Write one shard sorted by feature; returns its number of non-zeros."""
        from precompute.features.kernels.transposition import sort_by_feature

        indptr = checked_indptr(self.source, number)
        features = checked_features(self.source, number)
        bits = _bits(self.source.values(number, "acts"))
        self._sorted(number).write(*sort_by_feature(indptr, features, bits, self.source.d_sae))
        return len(bits)

    def collect(self, feature_indptr: NDArray[np.int64], features: range) -> FeatureBlock:
        """Consecutive features, from every sorted shard."""
        from precompute.features.kernels.transposition import append_groups

        block = _empty_block(self.source, feature_indptr, features)
        cursor, bits = block.indptr[:-1].copy(), _bits(block.acts)
        for number, shard in enumerate(self._all()):
            group, first_row = shard.group(features), int(self.source.row_offsets[number])
            start, stop = int(group[0]), int(group[-1])
            if start < stop:
                found = shard.rows(start, stop), shard.bits(start, stop)
                append_groups(group, *found, first_row, cursor, block.indptr, block.rows, bits)
        if not np.array_equal(cursor, block.indptr[1:]):
            raise _belied(self.source)
        return block

    def _all(self) -> Iterator[_SortedShard]:
        return map(self._sorted, range(self.source.n_shards))

    def _sorted(self, number: int) -> _SortedShard:
        info = self.source.info
        path = self.directory / f"{number:05d}"
        return _SortedShard(path, info.d_sae, info.shards[number].n_nonzero, BITS[info.acts_dtype])


@dataclass(frozen=True)
class _SortedShard:
    """A shard sorted by feature in one file: its groups' ends, then rows, then activations' bits."""

    path: Path
    d_sae: int
    n_nonzero: int
    bits_dtype: str

    def write(self, group: NDArray[np.int64], rows: NDArray[np.uint32], bits: NDArray[Any]) -> None:
        """Write the file, whole or not at all; not made durable, since it never outlives the call."""
        with NamedTemporaryFile(dir=self.path.parent, delete=False) as file:
            for values in (group, rows, bits):
                file.write(values.data)
        Path(file.name).replace(self.path)

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


def _bits(acts: NDArray[Any]) -> NDArray[Any]:
    """The activations as unsigned integers of their width; a view."""
    return acts.view(BITS[acts.dtype.name])
