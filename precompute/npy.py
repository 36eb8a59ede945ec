"""Opening `.npy` files from any thread, and writing them value by value."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_HEADERS = threading.Lock()
"""NumPy reads a file's header with `ast`, which early versions of Python 3.11 may not run in two threads at
once: rarely, that ends in "AST constructor recursion depth mismatch" (CPython issue 106905)."""
SMALL = 4096
"""Bytes up to which a file is quicker read than mapped; an array without elements cannot be mapped at all."""


def open_npy(path: Path, mapped: bool = True) -> NDArray[Any]:
    """The array of a file, mapped into memory to be read, or else a copy of one's own.

    Raises ValueError or EOFError for a file that holds no array, or one of objects.
    """
    with _HEADERS:
        is_small = path.stat().st_size <= SMALL
        found: NDArray[Any] = np.load(path, mmap_mode=None if is_small else "r", allow_pickle=False)
    return found if mapped else np.array(found)


class NpyWriter:
    """Writes a `.npy` file of one axis piece by piece; within `with`, which tells the header the length."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._dtype, self._length = np.dtype(dtype), 0
        self._file = path.open("wb")
        self._write_header()

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(self, *error: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()

    def append(self, values: NDArray[Any]) -> None:
        """Add values behind those that are there."""
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._length += len(values)

    def _write_header(self) -> None:
        # Always as long: NumPy leaves room for the first axis to grow.
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, described)


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and type of an open file's array; the file is left at its values.

    Raises ValueError for a file that holds no array.
    """
    known = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in known:
        raise ValueError(f"npy version {version}")
    with _HEADERS:
        return known[version](file)
