"""The sample cache: explanations that were written once, of which more can be written later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.models.text_autoencoder.protocol import TextAutoencoder, row_seeds
from precompute.sweeps.rows import ShardRows
from precompute.sweeps.shard_files import ShardFiles
from precompute.sweeps.vector_cache import Vectors

KIND, VERSION = "samples", 1
Tokens = npt.NDArray[np.int32]


def sample_identity(
    autoencoder: dict[str, Any], vectors: dict[str, Any], temperature: float, seed: int
) -> dict[str, Any]:
    """What determines a sample: not how many there are, nor what else is computed beside it."""
    return {"autoencoder": autoencoder, "vectors": vectors, "temperature": temperature, "seed": seed}


@dataclass(frozen=True)
class Held:
    """The explanations of a shard's first rows; of some rows there may be more than of others."""

    counts: npt.NDArray[np.int64]
    """[n_rows]: explanations of each row."""
    tokens: Tokens
    """[sum of counts, n_tokens]: row by row, in the order of their numbers."""

    def first(self, n_rows: int, n_samples: int) -> Tokens:
        """[n_rows, n_samples, n_tokens]: of rows that have so many."""
        starts = np.cumsum(self.counts) - self.counts
        found: Tokens = self.tokens[starts[:n_rows, None] + np.arange(n_samples)]
        return found

    def lacking(self, n_rows: int, n_samples: int) -> npt.NDArray[np.int64]:
        """[n_rows]: how many of the first n_samples each of the first rows lacks."""
        counts = np.zeros(n_rows, dtype=np.int64)
        known = self.counts[:n_rows]
        counts[: len(known)] = known
        missing: npt.NDArray[np.int64] = np.maximum(n_samples - counts, 0)
        return missing


class SampleCache:
    """The explanations of the shards' rows."""

    def __init__(self, files: ShardFiles, temperature: float, seed: int, load: bool = True) -> None:
        """Without `load`, what is there is not read, but replaced."""
        self.files, self._load = files, load
        self._temperature, self._seed = temperature, seed

    def samples(self, rows: ShardRows, x: Vectors, autoencoder: TextAutoencoder, n_samples: int) -> Tokens:
        """Explanations of a shard's first len(x) rows: int32 [len(x), n_samples, n_tokens].

        Only those that the cache lacks are written.
        """
        held = self._held(rows.number, autoencoder.n_tokens)
        lacking = held.lacking(len(x), n_samples)
        if lacking.any():
            held = self._grown(held, rows, x, autoencoder, lacking)
            self.files.write(rows.number, {"tokens": held.tokens, "counts": held.counts}, {})
        return held.first(len(x), n_samples)

    def known(self, rows: ShardRows, n_tokens: int, n_samples: int) -> Tokens | None:
        """The explanations of a shard's used rows, if the cache has them all."""
        held = self._held(rows.number, n_tokens)
        lacks = held.lacking(rows.n_used, n_samples).any()
        return None if lacks else held.first(rows.n_used, n_samples)

    def lacking(self, rows: ShardRows, n_tokens: int, n_samples: int) -> int:
        """How many explanations of a shard's used rows would have to be written."""
        return int(self._held(rows.number, n_tokens).lacking(rows.n_used, n_samples).sum())

    def _held(self, number: int, n_tokens: int) -> Held:
        found = self.files.open(number) if self._load else None
        if found is None:
            return Held(np.zeros(0, dtype=np.int64), np.zeros((0, n_tokens), dtype=np.int32))
        return Held(found.array("counts"), found.array("tokens"))

    def _grown(
        self,
        held: Held,
        rows: ShardRows,
        x: Vectors,
        autoencoder: TextAutoencoder,
        lacking: npt.NDArray[np.int64],
    ) -> Held:
        """What is held, with what is lacking."""
        n, n_held = len(x), len(held.counts)
        seeds = row_seeds(self._seed, rows.text_ids[:n], rows.chunks[:n], rows.position[:n].tolist())
        counts = np.zeros(max(n, n_held), dtype=np.int64)
        counts[:n_held] = held.counts
        parts = np.split(held.tokens, np.cumsum(held.counts)[:-1]) if n_held else []
        parts += [held.tokens[:0]] * (len(counts) - n_held)
        # Rows that have equally many are written together.
        for first in np.unique(counts[:n][lacking > 0]).tolist():
            chosen = np.flatnonzero((counts[:n] == first) & (lacking > 0))
            k = int(lacking[chosen[0]])
            written = autoencoder.explain(x[chosen], k, self._temperature, seeds[chosen], first)
            for row, tokens in zip(chosen.tolist(), written, strict=True):
                parts[row] = np.concatenate([parts[row], tokens])
        counts[:n] += lacking
        return Held(counts, np.concatenate(parts))
