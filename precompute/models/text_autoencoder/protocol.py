"""What a text autoencoder does: the one protocol, for the project's own kind and for those of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import xxhash

Vectors = npt.NDArray[np.floating[Any]]
Tokens = npt.NDArray[np.int32]
Seeds = int | npt.NDArray[np.uint64]


class TextAutoencoder(Protocol):
    """A loaded text autoencoder. Arrays of NumPy at its borders, so that any framework may be behind.

    What it gives for one vector may not depend on the other vectors of a call, nor on how many there are.
    """

    @property
    def n_tokens(self) -> int:
        """Tokens of an explanation."""
        ...

    @property
    def d_in(self) -> int:
        """Width of the activations."""
        ...

    def explain(self, vectors: Vectors, k: int, temperature: float, seed: Seeds, first: int = 0) -> Tokens:
        """Explanations number `first` to `first + k - 1` of each activation: int32 [n, k, n_tokens].

        `vectors` [n, d_in]. `seed` is one for each vector, or one for all, of which each vector's own is made
        by its place. The sample of a vector is a function of vector, temperature, seed and its number alone;
        temperature 0 takes the likeliest token, so that all samples are the same.
        """
        ...

    def reconstruct(self, token_ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """The activation that each explanation stands for: [..., n_tokens] to float32 [..., d_in]."""
        ...


def row_seeds(
    seed: int, text_ids: Sequence[str], chunks: Sequence[int], positions: Sequence[int]
) -> npt.NDArray[np.uint64]:
    """The seed of each row's samples: a hash of the sweep's seed and of what the row is."""
    rows = zip(text_ids, chunks, positions, strict=True)
    keys = [xxhash.xxh3_64_intdigest(f"{seed}:{text}:{chunk}:{at}".encode()) for text, chunk, at in rows]
    return np.array(keys, dtype=np.uint64)


def seeds_of(seed: Seeds, n: int) -> npt.NDArray[np.uint64]:
    """One seed for each of n vectors."""
    if isinstance(seed, int):
        return row_seeds(seed, [""] * n, [0] * n, range(n))
    if seed.shape != (n,):
        raise ValueError(f"{seed.shape} seeds for {n} vectors")
    return seed.astype(np.uint64)
