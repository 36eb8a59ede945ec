"""The two backends of an activation store: named arrays in a directory, as npy files or as Zarr."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from precompute.errors import CorruptArtifactError, StoreError
from precompute.npy import open_npy
from precompute.stores.places import Place, Remote, RemoteNpy, size_of

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

    def write(self, directory: Place, name: str, values: Array) -> None:
        """Write one whole array into a directory that exists; an array of that name is replaced."""
        ...

    def create(self, directory: Place, name: str, length: int, dtype: str) -> Any:
        """An array of one axis whose slices are then assigned, each once, in order."""
        ...

    def open(self, directory: Place, name: str) -> ArrayReader:
        """Open an array lazily; raises StoreError where it is absent."""
        ...


def read_only(values: Array) -> Array:
    """The same array, not to be written to, as mapped ones are: compiled code then has one type for both."""
    view = values.view()
    view.setflags(write=False)
    return view


class NpyBackend:
    """One memory-mapped `.npy` file an array."""

    name = "npy"

    def write(self, directory: Place, name: str, values: Array) -> None:
        """Write `name.npy`."""
        path, values = directory / f"{name}.npy", np.ascontiguousarray(values)
        if isinstance(path, Remote):
            content = BytesIO()
            np.save(content, values, allow_pickle=False)
            path.write_bytes(content.getvalue())
        else:
            np.save(path, values, allow_pickle=False)

    def create(self, directory: Place, name: str, length: int, dtype: str) -> Any:
        """Create `name.npy`, of zeros; on this machine alone."""
        path = Path(directory / f"{name}.npy")
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=(length,))
        # A disk that is full would end the process without a word when a mapped page is written.
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return array

    def open(self, directory: Place, name: str) -> ArrayReader:
        """Map `name.npy` into memory, read-only; from object storage slices are read when asked for."""
        path = directory / f"{name}.npy"
        if not path.is_file():
            raise absent(path)
        try:
            if isinstance(path, Remote):
                return RemoteNpy(path)
            mapped: Array = open_npy(path)
        except (ValueError, EOFError) as error:
            raise damaged(path, error) from None
        return mapped


class ZarrBackend:
    """One Zarr v3 array an array: sharded, compressed, each chunk with a checksum."""

    name = "zarr"

    def write(self, directory: Place, name: str, values: Array) -> None:
        """Write `name.zarr`; empty chunks are written too, so that a lost one is seen."""
        values = np.ascontiguousarray(values)
        array = self._created(directory / f"{name}.zarr", values.shape, values.dtype)
        if values.size:
            array[...] = values

    def create(self, directory: Place, name: str, length: int, dtype: str) -> Any:
        """Create `name.zarr`, to be filled."""
        return self._created(directory / f"{name}.zarr", (length,), np.dtype(dtype))

    def _created(self, path: Place, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        import zarr
        from zarr.codecs import BloscCodec, Crc32cCodec

        rest = tuple(max(1, n) for n in shape[1:])
        chunk = max(1, min(ZARR_CHUNK, shape[0]))
        n_chunks = max(1, -(-shape[0] // chunk))
        return zarr.create_array(
            _zarr_store(path),
            shape=shape,
            dtype=dtype,
            chunks=(chunk, *rest),
            shards=(chunk * min(ZARR_CHUNKS_PER_SHARD, n_chunks), *rest),
            compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), Crc32cCodec()],
            config={"write_empty_chunks": True},
            overwrite=True,
        )

    def open(self, directory: Place, name: str) -> ArrayReader:
        """Open `name.zarr`, read-only."""
        path = directory / f"{name}.zarr"
        if not isinstance(path, Remote) and not path.is_dir():
            raise absent(path)
        return ZarrReader(path)


class ZarrReader:
    """A Zarr array that raises CorruptArtifactError where Zarr itself would invent zeros."""

    def __init__(self, path: Place) -> None:
        import zarr

        self.path = path
        try:
            self._array: Any = zarr.open_array(_zarr_store(path, True), mode="r", zarr_format=3)
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            raise damaged(path, error) from None
        # To Zarr a file that is missing or empty is a shard of fill values; here every shard is written.
        for file in self._shard_files():
            if not size_of(file):
                raise damaged(file, FileNotFoundError("missing or empty"))

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one element."""
        dtype: np.dtype[Any] = self._array.dtype
        return dtype

    def __getitem__(self, index: slice | int) -> Any:
        """The elements of a slice of the first axis; only the inner chunks that it touches are read."""
        try:
            return self._array[index]
        except IndexError:
            raise
        except Exception as error:  # each codec has its own way to say that bytes are wrong
            raise damaged(self.path, error) from error

    def _shard_files(self) -> list[Place]:
        """The files that hold the array: it is cut along the first axis alone."""
        if not self._array.size:
            return []
        n_shards = -(-self._array.shape[0] // self._array.shards[0])
        rest = ["0"] * (self._array.ndim - 1)
        return [self.path / "/".join(["c", str(i), *rest]) for i in range(n_shards)]


def _zarr_store(path: Place, read_only: bool = False) -> Any:
    """What Zarr is told where an array lies."""
    if not isinstance(path, Remote):
        return path
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(path.url, read_only=read_only)


def absent(path: Place) -> StoreError:
    """The error for an array that should be there."""
    return StoreError(f"no array at {path}", "a complete store", "compute or convert the store again")


def damaged(path: Place, reason: Exception) -> CorruptArtifactError:
    """The error for an array whose bytes cannot be what was written."""
    return CorruptArtifactError(
        f"{path} is damaged ({reason or type(reason).__name__}); compute or convert the store again"
    )


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
