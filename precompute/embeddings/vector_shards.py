"""Finished shards of vectors by text: what an interrupted run leaves for the next one.

One file a shard, written beside and renamed, so that it is there whole or not at all. Any run of the same
encoder takes up what it needs of them, whatever its dataset or size.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from jaxtyping import Bool, Float, Int32, UInt8
from numpy.typing import NDArray

KEY_BYTES = 16
SUFFIX = ".safetensors"


def text_keys(texts: Sequence[str]) -> list[bytes]:
    """XXH3-128 of each text, to the last byte: texts that differ in normalisation alone differ here."""
    return [xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass")) for text in texts]


@dataclass(frozen=True)
class VectorShard:
    """Vectors of some distinct texts."""

    keys: UInt8[np.ndarray, "n 16"]
    vectors: Float[np.ndarray, "n d"]
    n_tokens: Int32[np.ndarray, " n"]
    """Tokens read of each text."""
    is_cut: Bool[np.ndarray, " n"]
    """Whether there were more."""

    def names(self) -> list[bytes]:
        """The texts' keys."""
        return [row.tobytes() for row in self.keys]


def packed(keys: Sequence[bytes]) -> NDArray[np.uint8]:
    """Keys as an array [n, 16]."""
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, KEY_BYTES)


class ShardDirectory:
    """The finished shards of one encoder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, shard: VectorShard) -> Path:
        """Keep a shard, named by its content."""
        from safetensors.numpy import save_file

        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{_digest(shard)}{SUFFIX}"
        staged = path.with_name(f".tmp-{os.getpid()}-{path.name}")
        arrays = {
            "keys": shard.keys,
            "vectors": shard.vectors,
            "n_tokens": shard.n_tokens,
            "is_cut": shard.is_cut,
        }
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, staged)
        staged.replace(path)
        return path

    def paths(self) -> list[Path]:
        """The finished shards."""
        return sorted(path for path in self.directory.glob(f"*{SUFFIX}") if not path.name.startswith("."))

    def shards(self) -> Iterator[VectorShard]:
        """The finished shards, one in memory at a time; one that is damaged is left out."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        for path in self.paths():
            try:
                shard = VectorShard(**load_file(path))
            except (SafetensorError, TypeError):
                continue  # it is encoded again
            if _digest(shard) == path.stem:
                yield shard

    def remove(self) -> None:
        """Free their space, once they are published."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _digest(shard: VectorShard) -> str:
    """XXH3-128 of all that a shard holds, in hexadecimal."""
    digest = xxhash.xxh3_128()
    for array in (shard.keys, shard.vectors, shard.n_tokens, shard.is_cut):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
