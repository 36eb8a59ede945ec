"""Arrays are opened by many threads at once, small ones and mapped ones, and refused where they are none."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.npy import NpyWriter, open_npy


def test_many_threads_open_arrays_at_once(tmp_path: Path) -> None:
    arrays = [np.arange(n, dtype=np.float32).reshape(-1, 2) for n in (0, 2, 20, 2_000, 20_000)]
    paths = [tmp_path / f"{number}.npy" for number in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, array)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(open_npy, paths * 200))
    for index, array in enumerate(found):
        np.testing.assert_array_equal(array, arrays[index % len(arrays)])


def test_a_mapped_array_cannot_be_written_and_a_copy_can(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(5_000))
    with pytest.raises(ValueError, match="read-only"):
        open_npy(tmp_path / "a.npy")[0] = 1
    open_npy(tmp_path / "a.npy", mapped=False)[0] = 1
    assert open_npy(tmp_path / "a.npy")[0] == 0


def test_what_is_no_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"x" * 9_000)
    np.save(tmp_path / "b.npy", np.array([{}], dtype=object))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ValueError, match=r"pickle|magic|allow"):
            open_npy(tmp_path / name)


@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=30), max_size=20))
def test_pieces_make_the_file_that_numpy_writes_of_the_whole(pieces: list[list[int]]) -> None:
    arrays = [np.array(piece, np.int32) for piece in pieces]
    with tempfile.TemporaryDirectory() as place:
        written, saved = Path(place) / "a.npy", Path(place) / "b.npy"
        with NpyWriter(written, "int32") as file:
            for array in arrays:
                file.append(array)
        np.save(saved, np.concatenate([np.zeros(0, np.int32), *arrays]))
        assert written.read_bytes() == saved.read_bytes()
