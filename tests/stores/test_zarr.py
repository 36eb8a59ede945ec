"""The Zarr backend keeps the contract of activation stores, and sees damage that Zarr alone would not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from precompute.errors import CorruptArtifactError
from precompute.stores.arrays import ZARR_CHUNK, ZarrBackend
from tests.stores.store_contract import StoreContract, tree

BACKEND = ZarrBackend()


class TestZarr(StoreContract):
    backend = "zarr"


def test_a_flipped_bit_in_a_chunk_is_an_error(tmp_path):
    values = np.random.default_rng(0).normal(size=300)
    BACKEND.write(tmp_path, "x", values)
    chunk = tmp_path / "x.zarr" / "c" / "0"
    good = chunk.read_bytes()
    for place in np.linspace(0, len(good) - 1, 60).astype(int):
        flipped = bytearray(good)
        flipped[place] ^= 4
        chunk.write_bytes(flipped)
        with pytest.raises(CorruptArtifactError, match="damaged"):
            np.asarray(BACKEND.open(tmp_path, "x")[:])


@pytest.mark.parametrize("damage", ["delete", "empty"])
def test_a_lost_chunk_is_an_error_not_zeros(tmp_path, damage):
    BACKEND.write(tmp_path, "x", np.zeros(300))
    chunk = tmp_path / "x.zarr" / "c" / "0"
    if damage == "delete":
        chunk.unlink()
    else:
        chunk.write_bytes(b"")
    with pytest.raises(CorruptArtifactError, match="damaged"):
        np.asarray(BACKEND.open(tmp_path, "x")[:])


def test_a_short_slice_reads_little(tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(0, 2**32, 60 * ZARR_CHUNK, dtype=np.uint32)
    BACKEND.write(tmp_path, "x", values)
    reader = BACKEND.open(tmp_path, "x")
    n_read = bytes_read(lambda: np.asarray(reader[500_000:500_400]), monkeypatch)
    assert 0 < n_read < 4 * values.itemsize * ZARR_CHUNK < values.nbytes / 10


def bytes_read(action, monkeypatch) -> int:
    """How many bytes Zarr's store hands over while `action` runs."""
    from zarr.storage import LocalStore

    counted, get = [], LocalStore.get

    async def counting(self, *args, **kwargs):
        buffer = await get(self, *args, **kwargs)
        counted.append(0 if buffer is None else len(buffer))
        return buffer

    monkeypatch.setattr(LocalStore, "get", counting)
    action()
    return sum(counted)


def test_bytes_do_not_depend_on_threads(tmp_path):
    values = np.random.default_rng(0).gamma(2, 1, 400_000).astype(np.float32)
    for name in ("main", *"abcd"):
        (tmp_path / name).mkdir()
    BACKEND.write(tmp_path / "main", "x", values)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: BACKEND.write(tmp_path / name, "x", values), "abcd"))
    assert all(tree(tmp_path / name) == tree(tmp_path / "main") for name in "abcd")
