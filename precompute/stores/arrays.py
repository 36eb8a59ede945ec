"""The two backends of an activation store: named arrays in a directory, as npy files or as Zarr."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from precompute.errors import StoreError

Array = NDArray[Any]

ZARR_CHUNK = 16_384
"""Elements along the first axis in one inner chunk: about what reading one feature touches."""
ZARR_CHUNKS_PER_SHARD = 256
"""Inner chunks in one file, so that an array of millions is a few files."""


class ArrayReader(Protocol):
    """An array on disk that reads only the slices it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one element."""
        ...

    def __getitem__(self, index: slice | int) -> Any:
        """The elements of a slice of the first axis."""
        ...


class ArrayBackend(Protocol):
    """Named arrays in a directory; the contract that every storage backend keeps."""

    name: str

    def write(self, directory: Path, name: str, values: Array) -> None:
        """Write one whole array; the directory exists and holds no array of that name."""
        ...

    def open(self, directory: Path, name: str) -> ArrayReader:
        """Open an array lazily; raises StoreError where it is absent."""
        ...


class NpyBackend:
    """One memory-mapped `.npy` file an array."""

    name = "npy"

    def write(self, directory: Path, name: str, values: Array) -> None:
        """Write `name.npy`."""
        np.save(directory / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)

    def open(self, directory: Path, name: str) -> ArrayReader:
        """Map `name.npy` into memory, read-only."""
        path = directory / f"{name}.npy"
        if not path.is_file():
            raise absent(path)
        # An empty file cannot be mapped; there is nothing to map in it either.
        header = np.load(path, mmap_mode=None, allow_pickle=False) if _is_small(path) else None
        mapped: Array = header if header is not None else np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped


class ZarrBackend:
    """One Zarr v3 array an array: sharded, compressed, each chunk with a checksum."""

    name = "zarr"

    def write(self, directory: Path, name: str, values: Array) -> None:
        """Write `name.zarr`; empty chunks are written too, so that a lost one is seen."""
        import zarr
        from zarr.codecs import BloscCodec, Crc32cCodec

        values = np.ascontiguousarray(values)
        rest = values.shape[1:]
        chunk = max(1, min(ZARR_CHUNK, values.shape[0]))
        n_chunks = max(1, -(-values.shape[0] // chunk))
        array = zarr.create_array(
            directory / f"{name}.zarr",
            shape=values.shape,
            dtype=values.dtype,
            chunks=(chunk, *rest),
            shards=(chunk * min(ZARR_CHUNKS_PER_SHARD, n_chunks), *rest),
            compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), Crc32cCodec()],
            config={"write_empty_chunks": True},
        )
        if values.size:
            array[...] = values

    def open(self, directory: Path, name: str) -> ArrayReader:
        """Open `name.zarr`, read-only."""
        import zarr

        path = directory / f"{name}.zarr"
        if not path.is_dir():
            raise absent(path)
        opened: ArrayReader = zarr.open_array(path, mode="r")
        return opened


def _is_small(path: Path) -> bool:
    """Whether a file is quicker read than mapped (it also holds the arrays without elements)."""
    return path.stat().st_size <= 4096


def absent(path: Path) -> StoreError:
    """The error for an array that should be there."""
    return StoreError(f"no array at {path}", "a complete store", "compute or convert the store again")


BACKENDS: Mapping[str, ArrayBackend] = MappingProxyType(
    {backend.name: backend for backend in (NpyBackend(), ZarrBackend())}
)
"""The storage backends by the name that a configuration gives them."""


def backend_named(name: str) -> ArrayBackend:
    """The backend of that name; raises StoreError naming the valid ones."""
    try:
        return BACKENDS[name]
    except KeyError:
        valid = ", ".join(sorted(BACKENDS))
        raise StoreError(f"storage backend {name!r}", f"one of {valid}", "correct `storage`") from None
