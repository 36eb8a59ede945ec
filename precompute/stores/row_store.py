"""The row-major activation store: what the model and its SAE said, in the order of the corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import StoreError
from precompute.stores.arrays import ArrayReader, backend_named, read_only
from precompute.stores.feature_store import FeatureActivations
from precompute.stores.layout import (
    ShardCounts,
    StoreInfo,
    drop_unfinished,
    feature_dtype,
    new_part,
    open_layout,
    part_directory,
    write_info,
)
from precompute.stores.places import Place
from precompute.stores.row_shard import ARRAYS, DTYPES, RowShard, check_shard

EXAMPLE_ROW_INDPTR = "example_row_indptr"
"""Array at the root, int64 [n_examples + 1]: where each example's rows lie among those of the store."""
INDEX_ARRAYS = 96
"""Tokens, positions and offsets of shards kept in memory: some 100 KB each, and every page reads them."""
OPEN_ARRAYS = 1024
"""Arrays of shards kept open: many enough for a page's reads, few enough for the system's limits."""


class RowStoreWriter:
    """Writes a row-major store shard by shard; a shard that is complete on disk is never written again."""

    def __init__(self, root: Place, backend: str, d_sae: int, d_in: int, acts_dtype: str = "float32") -> None:
        self.root, self.backend = root, backend_named(backend)
        self.d_sae, self.d_in, self.acts_dtype = d_sae, d_in, acts_dtype
        root.mkdir(parents=True, exist_ok=True)

    def has_shard(self, number: int) -> bool:
        """Whether this shard is complete on disk."""
        return part_directory(self.root, number).is_dir()

    def write_shard(self, number: int, shard: RowShard) -> None:
        """Write one shard beside its place and move it there whole.

        Raises ValueError for arrays that do not fit together, or are of a type that cannot hold theirs.
        """
        check_shard(shard)
        with new_part(self.root, number) as staging:
            for name in ARRAYS:
                dtype = self._dtype(name)
                self.backend.write(staging, name, np.asarray(getattr(shard, name)).astype(dtype, copy=False))

    def finish(self, n_shards: int) -> StoreInfo:
        """Write the header over all shards; the store is complete from then on."""
        drop_unfinished(self.root)
        counts = tuple(self._counts(number) for number in range(n_shards))
        info = StoreInfo.model_validate(
            {
                "layout": "rows",
                "backend": self.backend.name,
                "d_sae": self.d_sae,
                "d_in": self.d_in,
                "acts_dtype": self.acts_dtype,
                "n_examples": sum(c.n_examples for c in counts),
                "n_rows": sum(c.n_rows for c in counts),
                "n_nonzero": sum(c.n_nonzero for c in counts),
                "shards": counts,
            }
        )
        owners = [np.zeros(0, np.int32), *(self._read(number, "example") for number in range(n_shards))]
        lengths = np.bincount(np.concatenate(owners), minlength=info.n_examples)
        self.backend.write(self.root, EXAMPLE_ROW_INDPTR, _indptr(lengths))
        write_info(self.root, info)
        return info

    def _dtype(self, name: str) -> str:
        return {"features": feature_dtype(self.d_sae), "acts": self.acts_dtype}.get(name) or DTYPES[name]

    def _read(self, number: int, name: str) -> NDArray[Any]:
        return np.asarray(self.backend.open(part_directory(self.root, number), name)[:])

    def _counts(self, number: int) -> ShardCounts:
        directory = part_directory(self.root, number)
        length = {
            name: self.backend.open(directory, name).shape[0]
            for name in ("token_ids", "example_indptr", "position", "acts")
        }
        return ShardCounts(
            n_examples=length["example_indptr"] - 1,
            n_tokens=length["token_ids"],
            n_rows=length["position"],
            n_nonzero=length["acts"],
        )


def _indptr(lengths: NDArray[Any]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@dataclass(frozen=True)
class RowLocations:
    """Where rows lie in the corpus."""

    example: NDArray[np.int64]
    position: NDArray[np.int64]


def laid_over(
    n_tokens: int, positions: NDArray[Any], fired: NDArray[Any], acts: NDArray[Any]
) -> NDArray[np.float32]:
    """One feature's activation at each token of an example: float32 [n_tokens], NaN where no row is.

    `positions` are those of the example's rows, -1 for a whole example; `fired` numbers the rows on which
    the feature fires, with `acts`. A whole example has its one activation at each token.
    """
    spread = np.full(n_tokens, np.nan, dtype=np.float32)
    if (positions < 0).any():
        spread[:] = acts[0] if len(acts) else 0
        return spread
    spread[positions] = 0
    spread[positions[fired]] = acts
    return spread


class RowStore:
    """A row-major store opened for reading. Rows and examples are numbered over the whole store."""

    def __init__(self, root: Place) -> None:
        self.root = root
        self.info = open_layout(root, "rows")
        self._backend = backend_named(self.info.backend)
        self._open = lru_cache(OPEN_ARRAYS)(self._open_array)
        self._index = lru_cache(INDEX_ARRAYS)(self.values)

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.info.d_sae

    @property
    def n_rows(self) -> int:
        """Number of activation vectors."""
        return self.info.n_rows

    @property
    def n_examples(self) -> int:
        """Number of examples."""
        return self.info.n_examples

    @property
    def n_shards(self) -> int:
        """Number of logical shards."""
        return len(self.info.shards)

    @cached_property
    def row_offsets(self) -> NDArray[np.int64]:
        """int64 [n_shards + 1]: the first row of each shard."""
        return np.cumsum([0, *(s.n_rows for s in self.info.shards)], dtype=np.int64)

    @cached_property
    def example_offsets(self) -> NDArray[np.int64]:
        """int64 [n_shards + 1]: the first example of each shard."""
        return np.cumsum([0, *(s.n_examples for s in self.info.shards)], dtype=np.int64)

    @cached_property
    def example_row_indptr(self) -> NDArray[np.int64]:
        """int64 [n_examples + 1]: where each example's rows lie, numbered over the whole store."""
        return np.asarray(self._backend.open(self.root, EXAMPLE_ROW_INDPTR)[:])

    def row_examples(self) -> NDArray[np.uint32]:
        """The example of every row; uint32 [n_rows]."""
        examples = np.arange(self.n_examples, dtype=np.uint32)
        return np.repeat(examples, np.diff(self.example_row_indptr))

    def row_positions(self) -> NDArray[np.int32]:
        """The position of every row in its example, -1 for a pooled one; int32 [n_rows]."""
        positions = [self.values(number, "position") for number in range(self.n_shards)]
        return np.concatenate([np.zeros(0, np.int32), *positions])

    def array(self, shard: int, name: str) -> ArrayReader:
        """One array of one shard, lazily; kept open."""
        return self._open(shard, name)

    def values(self, shard: int, name: str) -> NDArray[Any]:
        """One array of one shard, in memory (or mapped, for npy, while in use); not to be written to."""
        # Not the one that is kept open: a pass over all shards would keep all in memory.
        return read_only(np.asarray(self._open_array(shard, name)[:]))

    def kept(self, shard: int, name: str) -> NDArray[Any]:
        """The same of one that is asked for again and again: its file stays open."""
        return read_only(np.asarray(self.array(shard, name)[:]))

    def load(self, number: int) -> RowShard:
        """All arrays of a shard, read into memory (or mapped, for npy) as NumPy arrays."""
        return RowShard(**{name: self.values(number, name) for name in ARRAYS})

    def shards(self) -> Iterator[RowShard]:
        """Every shard in order, loaded."""
        return (self.load(number) for number in range(self.n_shards))

    def example_tokens(self, example: int) -> NDArray[np.int32]:
        """Token ids of one example, special tokens included; int32 [n_tokens]."""
        number = self._shard_of_example(example)
        local = example - int(self.example_offsets[number])
        start, end = self._index(number, "example_indptr")[local : local + 2]
        return np.array(self._index(number, "token_ids")[start:end])

    def example_rows(self, example: int) -> range:
        """The rows of one example, numbered over the whole store."""
        self._shard_of_example(example)
        first, last = self.example_row_indptr[example : example + 2]
        return range(int(first), int(last))

    def example_positions(self, example: int) -> NDArray[np.int32]:
        """The position of each of an example's rows; int32 [n_rows of the example]."""
        number, rows = self._shard_of_example(example), self.example_rows(example)
        offset = int(self.row_offsets[number])
        return np.array(self._index(number, "position")[rows.start - offset : rows.stop - offset])

    def row(self, row: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Features and activations of one row's non-zeros."""
        number = self._shard_of_row(row)
        local = row - int(self.row_offsets[number])
        start, end = (int(v) for v in self._index(number, "indptr")[local : local + 2])
        features, acts = self.array(number, "features"), self.array(number, "acts")
        return np.asarray(features[start:end]), np.asarray(acts[start:end])

    def locate(self, rows: NDArray[Any]) -> RowLocations:
        """Example and position of each of the rows, in their order."""
        rows = np.asarray(rows, dtype=np.int64)
        position = np.empty_like(rows)
        shard_of = np.searchsorted(self.row_offsets, rows, side="right") - 1
        for number in np.unique(shard_of):
            mask = shard_of == number
            local = rows[mask] - self.row_offsets[number]
            position[mask] = self._index(int(number), "position")[local]
        example = np.searchsorted(self.example_row_indptr, rows, side="right") - 1
        return RowLocations(example.astype(np.int64), position)

    def token_acts(self, example: int, activations: FeatureActivations) -> NDArray[np.float32]:
        """A feature's activation at each token of an example; float32 [n_tokens], NaN where no row is.

        A whole example that is one row has its one activation at each token. `activations` is what the
        feature-major store says of the feature, read once for all its examples.
        """
        rows, n_tokens = self.example_rows(example), len(self.example_tokens(example))
        first, last = np.searchsorted(activations.rows, [rows.start, rows.stop])
        fired = activations.rows[first:last] - rows.start
        return laid_over(n_tokens, self.example_positions(example), fired, activations.acts[first:last])

    def example_feature_acts(self, example: int, feature: int) -> NDArray[np.float32]:
        """The same from the row-major store alone: reads all that the example's rows hold."""
        rows, n_tokens = self.example_rows(example), len(self.example_tokens(example))
        if not rows:
            return np.full(n_tokens, np.nan, dtype=np.float32)
        number = self._shard_of_example(example)
        offset, positions = int(self.row_offsets[number]), self.example_positions(example)
        indptr = self._index(number, "indptr")[rows.start - offset : rows.stop - offset + 1]
        features = np.asarray(self.array(number, "features")[int(indptr[0]) : int(indptr[-1])])
        values = np.asarray(self.array(number, "acts")[int(indptr[0]) : int(indptr[-1])])
        hits = np.flatnonzero(features == feature)
        owner = np.searchsorted(indptr - indptr[0], hits, side="right") - 1
        return laid_over(n_tokens, positions, owner, values[hits])

    def _open_array(self, shard: int, name: str) -> ArrayReader:
        return self._backend.open(part_directory(self.root, shard), name)

    def _shard_of_row(self, row: int) -> int:
        if not 0 <= row < self.n_rows:
            raise StoreError(f"row {row}", f"a row from 0 to {self.n_rows - 1}", "ask for one of those")
        return int(np.searchsorted(self.row_offsets, row, side="right") - 1)

    def _shard_of_example(self, example: int) -> int:
        if not 0 <= example < self.n_examples:
            valid = f"an example from 0 to {self.n_examples - 1}"
            raise StoreError(f"example {example}", valid, "ask for one of those")
        return int(np.searchsorted(self.example_offsets, example, side="right") - 1)
