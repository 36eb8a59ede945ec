"""The feature-major activation store: for each feature, the rows on which it fires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import StoreError
from precompute.stores.arrays import backend_named
from precompute.stores.layout import (
    FEATURES_PER_BLOCK,
    StoreInfo,
    drop_unfinished,
    new_part,
    open_layout,
    part_directory,
    write_info,
)
from precompute.stores.places import Place


@dataclass(frozen=True)
class FeatureActivations:
    """Where one feature fires, and how strongly."""

    rows: NDArray[Any]
    """uint32 or int64 [n_nonzero], ascending."""
    acts: NDArray[Any]
    """float32 or float16 [n_nonzero], in the order of `rows`."""


@dataclass(frozen=True)
class FeatureBlock:
    """The arrays of consecutive features."""

    first: int
    """The first feature of the block."""
    indptr: NDArray[np.int64]
    """int64 [n_features + 1]: where each feature's entries lie in `rows` and `acts`; begins at 0."""
    rows: Any
    acts: Any

    @property
    def n_features(self) -> int:
        """Number of features in the block."""
        return len(self.indptr) - 1

    def part(self, features: range) -> FeatureBlock:
        """Some of its features; views."""
        indptr = self.indptr[features.start - self.first : features.stop - self.first + 1]
        entries = slice(indptr[0], indptr[-1])
        return FeatureBlock(features.start, indptr - indptr[0], self.rows[entries], self.acts[entries])


def n_blocks(d_sae: int) -> int:
    """Number of blocks in a feature-major store of that width."""
    return -(-d_sae // FEATURES_PER_BLOCK)


def block_features(number: int, d_sae: int) -> range:
    """The features of a block."""
    return range(number * FEATURES_PER_BLOCK, min(d_sae, (number + 1) * FEATURES_PER_BLOCK))


def row_dtype(n_rows: int) -> str:
    """The smallest of the two types that number the rows."""
    return "uint32" if n_rows < 2**32 else "int64"


class FeatureStoreWriter:
    """Writes a feature-major store block by block; a complete block is never written again."""

    def __init__(self, root: Place, backend: str) -> None:
        self.root, self.backend = root, backend_named(backend)
        root.mkdir(parents=True, exist_ok=True)

    def has_block(self, number: int) -> bool:
        """Whether this block is complete on disk."""
        return part_directory(self.root, number).is_dir()

    def write_block(self, number: int, block: FeatureBlock) -> None:
        """Write one block beside its place and move it there whole."""
        with new_part(self.root, number) as staging:
            self.backend.write(staging, "indptr", block.indptr)
            self.backend.write(staging, "rows", block.rows)
            self.backend.write(staging, "acts", block.acts)

    def write_parts(
        self,
        number: int,
        indptr: NDArray[np.int64],
        dtypes: tuple[str, str],
        parts: Iterable[FeatureBlock],
    ) -> None:
        """The same of a block whose features come in consecutive parts, one in memory at a time.

        `dtypes` are those of rows and acts.
        """
        with new_part(self.root, number) as staging:
            self.backend.write(staging, "indptr", indptr)
            rows, acts = (
                self.backend.create(staging, name, int(indptr[-1]), dtype)
                for name, dtype in zip(("rows", "acts"), dtypes, strict=True)
            )
            start = 0
            for part in parts:
                stop = start + len(part.rows)
                rows[start:stop], acts[start:stop] = part.rows, part.acts
                start = stop

    def finish(self, source: StoreInfo) -> StoreInfo:
        """Write `feature_indptr` and the header; the store is complete from then on."""
        drop_unfinished(self.root)
        lengths = [
            np.diff(np.asarray(self.backend.open(part_directory(self.root, number), "indptr")[:]))
            for number in range(n_blocks(source.d_sae))
        ]
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        self.backend.write(self.root, "feature_indptr", indptr)
        blocks = tuple(int(length.sum()) for length in lengths)
        info = source.model_copy(
            update={"layout": "features", "backend": self.backend.name, "shards": (), "blocks": blocks}
        )
        write_info(self.root, info)
        return info


class FeatureStore:
    """A feature-major store opened for reading; reading one feature touches only its own slice."""

    def __init__(self, root: Place) -> None:
        self.root = root
        self.info = open_layout(root, "features")
        self._backend = backend_named(self.info.backend)
        self._open: dict[int, tuple[Any, Any]] = {}

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.info.d_sae

    @property
    def n_rows(self) -> int:
        """Number of activation vectors, silent ones included."""
        return self.info.n_rows

    @property
    def n_blocks(self) -> int:
        """Number of blocks of features."""
        return len(self.info.blocks)

    @cached_property
    def feature_indptr(self) -> NDArray[np.int64]:
        """int64 [d_sae + 1]."""
        return np.asarray(self._backend.open(self.root, "feature_indptr")[:])

    def feature(self, feature: int) -> FeatureActivations:
        """Rows and activations of one feature; empty for a silent one, an error for an absent one."""
        if not 0 <= feature < self.d_sae:
            valid = f"a feature from 0 to {self.d_sae - 1}"
            raise StoreError(f"feature {feature}", valid, "ask for one of those")
        number = feature // FEATURES_PER_BLOCK
        base = self.feature_indptr[number * FEATURES_PER_BLOCK]
        start, end = (int(v - base) for v in self.feature_indptr[feature : feature + 2])
        rows, acts = self._arrays(number)
        return FeatureActivations(np.asarray(rows[start:end]), np.asarray(acts[start:end]))

    def block(self, number: int) -> FeatureBlock:
        """All entries of one block of features, loaded (or mapped, for npy)."""
        return self.features(block_features(number, self.d_sae))

    def features(self, features: range) -> FeatureBlock:
        """Consecutive features of one block, loaded (or mapped, for npy, as long as they are in use)."""
        number = features.start // FEATURES_PER_BLOCK
        indptr = self.feature_indptr[features.start : features.stop + 1]
        base = self.feature_indptr[number * FEATURES_PER_BLOCK]
        start, end = (int(v - base) for v in (indptr[0], indptr[-1]))
        # Not from the arrays that are kept open: a pass over all features would keep all in memory.
        rows, acts = self._opened(number)
        return FeatureBlock(
            features.start, indptr - indptr[0], np.asarray(rows[start:end]), np.asarray(acts[start:end])
        )

    def blocks(self) -> Iterator[FeatureBlock]:
        """Every block in order."""
        return (self.block(number) for number in range(self.n_blocks))

    def _arrays(self, number: int) -> tuple[Any, Any]:
        if number not in self._open:
            self._open[number] = self._opened(number)
        return self._open[number]

    def _opened(self, number: int) -> tuple[Any, Any]:
        directory = part_directory(self.root, number)
        return self._backend.open(directory, "rows"), self._backend.open(directory, "acts")
