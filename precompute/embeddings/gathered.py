"""The vectors of a set while they come together, from published sets, finished shards and the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Gathered:
    """Vectors of the distinct texts of a set, as far as they are known, in a file of the set's own type."""

    keys: list[bytes]
    """Of every row."""
    path: Path
    """The array [n_rows, d] that is being filled; made when the width is known."""
    dtype: str
    place: dict[bytes, list[int]] = field(init=False)
    """The rows of each distinct text."""
    n_tokens: NDArray[np.int32] = field(init=False)
    is_cut: NDArray[np.bool_] = field(init=False)
    known: set[bytes] = field(default_factory=set)
    _vectors: Any = None
    """The memory-mapped array."""

    def __post_init__(self) -> None:
        self.place = {}
        for row, key in enumerate(self.keys):
            self.place.setdefault(key, []).append(row)
        self.n_tokens = np.zeros(len(self.keys), dtype=np.int32)
        self.is_cut = np.zeros(len(self.keys), dtype=bool)

    def add(
        self, keys: list[bytes], vectors: NDArray[Any], n_tokens: NDArray[Any], is_cut: NDArray[Any]
    ) -> int:
        """Take the vectors of texts that are wanted and not known yet; returns how many these were."""
        chosen = [n for n, key in enumerate(keys) if key in self.place and key not in self.known]
        if not chosen:
            return 0
        if self._vectors is None:
            shape = (len(self.keys), vectors.shape[1])
            self._vectors = np.lib.format.open_memmap(self.path, mode="w+", dtype=self.dtype, shape=shape)
        source = np.array([n for n in chosen for _ in self.place[keys[n]]])
        target = np.array([row for n in chosen for row in self.place[keys[n]]])
        self._vectors[target] = vectors[source]
        self.n_tokens[target], self.is_cut[target] = n_tokens[source], is_cut[source]
        self.known.update(keys[n] for n in chosen)
        return len({keys[n] for n in chosen})

    def missing(self) -> list[int]:
        """The first row of each distinct text that is not known."""
        return [rows[0] for key, rows in self.place.items() if key not in self.known]

    def finish(self) -> tuple[int, int]:
        """Write what is in memory to the file; returns its shape."""
        self._vectors.flush()
        n, d = self._vectors.shape
        self._vectors = None
        return int(n), int(d)
