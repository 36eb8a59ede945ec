"""Where a store lies: a directory of this machine, or a URL of object storage such as s3://bucket/store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import StoreError
from precompute.npy import read_header

SEPARATOR = "://"


class Remote:
    """A place below a URL that fsspec reads; the part of pathlib's contract that stores need.

    There are no directories, and no renaming: what is written is there at once, under its own name.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def __reduce__(self) -> tuple[type[Remote], tuple[str]]:
        return type(self), (self.url,)

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    def __fspath__(self) -> str:
        raise TypeError(f"{self.url} is no path of this machine")

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    @cached_property
    def _at(self) -> tuple[Any, str]:
        """The filesystem of fsspec, and the path in it."""
        from fsspec.core import url_to_fs

        try:
            # Listings are not kept, since others write too.
            found: tuple[Any, str] = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            remedy = "pip install 'lightwell[s3]' for s3, or what the URL needs"
            raise StoreError(f"{self.url} ({error})", "a URL that fsspec can read here", remedy) from None
        except ValueError as error:
            expected = "a URL that fsspec knows, such as s3://bucket/store"
            raise StoreError(f"{self.url} ({error})", expected, "correct it") from None
        return found

    @contextmanager
    def _asked(self) -> Iterator[tuple[Any, str]]:
        """The filesystem and the path; its errors, of which each has its own, become a StoreError."""
        try:
            yield self._at
        except (FileNotFoundError, StoreError):
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            remedy = "check its name, credentials and endpoint (for s3 AWS_ENDPOINT_URL)"
            raise StoreError(f"{self.url} ({reason})", "storage that can be reached", remedy) from error

    def files(self) -> Iterator[tuple[str, Remote]]:
        """All files below, by their names relative to this place.

        Raises StoreError for a name that would lead out of a directory: a bucket may hold any.
        """
        with self._asked() as (filesystem, path):
            found = filesystem.find(path)
        for one in found:
            name = one[len(path) :].removeprefix("/")
            if not set(name.split("/")).isdisjoint(("", ".", "..")):
                raise StoreError(f"{self.url}: a file named {name!r}", "names of files below", "rename it")
            yield name, self / name

    def mkdir(self, *, parents: bool = True, exist_ok: bool = True) -> None:
        """Nothing: there are no directories."""

    def size(self) -> int | None:
        """Bytes of the file; None where there is none."""
        with self._asked() as (filesystem, path):
            try:
                found = filesystem.info(path)
            except FileNotFoundError:
                return None
        return int(found["size"]) if found["type"] == "file" else None

    def is_file(self) -> bool:
        """Whether there is a file of this name."""
        return self.size() is not None

    def is_dir(self) -> bool:
        """Whether there are files below."""
        with self._asked() as (filesystem, path):
            return bool(filesystem.isdir(path))

    def exists(self) -> bool:
        """Whether there is anything."""
        with self._asked() as (filesystem, path):
            return bool(filesystem.exists(path))

    def read_bytes(self, start: int | None = None, end: int | None = None) -> bytes:
        """The file, or part of it."""
        with self._asked() as (filesystem, path):
            return bytes(filesystem.cat_file(path, start=start, end=end))

    def read_text(self) -> str:
        """The file as text."""
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        """Write the file whole."""
        with self._asked() as (filesystem, path):
            filesystem.pipe_file(path, content)

    def write_text(self, text: str) -> None:
        """Write the file whole."""
        self.write_bytes(text.encode())

    def remove_tree(self) -> None:
        """Remove everything below."""
        with self._asked() as (filesystem, path):
            filesystem.rm(path, recursive=True)


Place = Path | Remote


def place(text: str | Path) -> Place:
    """A URL, or a path of this machine."""
    return Remote(str(text)) if SEPARATOR in str(text) else Path(text)


def local(where: Place) -> Path | None:
    """The directory, where it is one of this machine."""
    return where if isinstance(where, Path) else None


def size_of(file: Place) -> int | None:
    """Bytes of a file; None where there is none."""
    if isinstance(file, Remote):
        return file.size()
    return file.stat().st_size if file.is_file() else None


class RemoteNpy:
    """An npy file in object storage; reads only the bytes of the slices that it is asked for."""

    def __init__(self, file: Remote) -> None:
        self._file = file
        head = BytesIO(file.read_bytes(0, 4096))
        self.shape, is_fortran, self.dtype = read_header(head)
        self._begin = head.tell()
        self._width = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        if is_fortran or self.dtype.hasobject:
            raise ValueError("not an array as stores have it")
        if file.size() != self._begin + self.shape[0] * self._width:
            raise EOFError("not as long as its header says")

    def __getitem__(self, index: slice | int) -> NDArray[Any]:
        """The elements of a slice of the first axis."""
        if isinstance(index, int):
            one: NDArray[Any] = self[index : index + 1 or None][0]
            return one
        start, stop, step = index.indices(self.shape[0])
        if step != 1:
            return self[:][index]
        length = max(0, stop - start)
        begin = self._begin + start * self._width
        read = self._file.read_bytes(begin, begin + length * self._width) if length and self._width else b""
        return np.frombuffer(read, self.dtype).reshape(length, *self.shape[1:])
