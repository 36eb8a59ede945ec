"""The vectors of distinct texts, as the search reads them: mapped from a file, a block at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from jaxtyping import Float32, Float64, Int64

from precompute.density.groups import Groups
from precompute.npy import open_npy

FLOATS_PER_BLOCK = 2**24
"""Numbers of one block of vectors (64 MB)."""


@dataclass(frozen=True)
class Vectors:
    """One vector for each distinct text, within a matrix that has one for each row."""

    values: Float32[np.ndarray, "n_rows d"]
    """All rows; mapped, not read."""
    rows: Int64[np.ndarray, " n"]
    """The row in which each distinct text has its vector, ascending."""
    inverse_norm: Float64[np.ndarray, " n"]
    """1 / length of each; 0 for a vector of length zero, whose cosine with any other is thus 0."""

    @classmethod
    def open(cls, path: Path, rows: Int64[np.ndarray, " n"]) -> Vectors:
        """Map the file, and read it once for the lengths."""
        return cls.of(open_npy(path), rows)

    @classmethod
    def of(cls, values: Float32[np.ndarray, "n_rows d"], rows: Int64[np.ndarray, " n"]) -> Vectors:
        """The vectors in some rows of a matrix."""
        size = max(1, FLOATS_PER_BLOCK // max(1, values.shape[1]))
        blocks = [_inverse_norm(values[rows[first : first + size]]) for first in range(0, len(rows), size)]
        return cls(values, rows, np.concatenate([np.zeros(0), *blocks]))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def d(self) -> int:
        """Their width."""
        return int(self.values.shape[1])

    @property
    def block_size(self) -> int:
        """Vectors of one block."""
        return max(1, FLOATS_PER_BLOCK // max(1, self.d))

    def raw(self, texts: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
        """The vectors of some texts, as they are."""
        return np.ascontiguousarray(self.values[self.rows[texts]], dtype=np.float32)

    def unit(self, texts: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
        """The vectors of some texts, scaled to length 1."""
        scaled: np.ndarray = (self.raw(texts) * self.inverse_norm[texts, None]).astype(np.float32)
        return scaled

    def chosen(self, texts: Int64[np.ndarray, " m"]) -> Vectors:
        """The vectors of some texts alone, numbered anew in the order given."""
        return Vectors(self.values, self.rows[texts], self.inverse_norm[texts])

    def blocks(self) -> list[Int64[np.ndarray, " m"]]:
        """All texts, cut into blocks."""
        size = self.block_size
        return [np.arange(a, min(a + size, len(self))) for a in range(0, len(self), size)]


def _inverse_norm(block: Float32[np.ndarray, "m d"]) -> Float64[np.ndarray, " m"]:
    lengths = np.sqrt((block.astype(np.float64) ** 2).sum(axis=1))
    inverse: np.ndarray = np.divide(1, lengths, where=lengths > 0, out=np.zeros(len(block)))
    return inverse


def equal_groups(vectors: Vectors) -> Groups:
    """Texts whose vectors are equal, byte for byte."""
    keys = np.empty((len(vectors), 2), np.uint64)
    for texts in vectors.blocks():
        digests = b"".join(xxhash.xxh3_128_digest(vector) for vector in vectors.raw(texts))
        keys[texts] = np.frombuffer(digests, np.uint64).reshape(-1, 2)
    return Groups.of(keys)
