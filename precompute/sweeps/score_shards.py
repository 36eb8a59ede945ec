"""Scores of one shard: its explanations read back, and summed by text for every K."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.models.text_autoencoder.protocol import TextAutoencoder
from precompute.sweeps.rows import ShardRows
from precompute.sweeps.sample_cache import Tokens
from precompute.sweeps.shard_files import Shard, ShardFiles
from precompute.sweeps.subsets import Weights, weights_by_subset, weights_of_first
from precompute.sweeps.sums import TextSums
from precompute.sweeps.vector_cache import Vectors

KIND, VERSION = "scores", 1
CURVES: Mapping[str, Callable[[npt.NDArray[np.floating[Any]], list[int]], Weights]] = MappingProxyType(
    {"subsets": weights_by_subset, "first": weights_of_first}
)
"""The two ways to K from one pool: over all its subsets, and the nested first K."""
FLOATS_AT_ONCE = 2**24
"""Numbers of reconstructions that are held at once (64 MB)."""


@dataclass(frozen=True)
class ShardScores:
    """What is kept of a shard."""

    text: npt.NDArray[np.int64]
    """[n]: the numbers of its texts in the order, ascending."""
    sums: Mapping[str, TextSums]
    """By text, for each of CURVES."""
    errors: npt.NDArray[np.float64]
    """[n_rows, n_samples]: squared error of each explanation."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As they are written."""
        named = {
            f"{curve}.{field.name}": getattr(sums, field.name)
            for curve, sums in self.sums.items()
            for field in fields(TextSums)
        }
        return {"text": self.text, "errors": self.errors, **named}

    @staticmethod
    def read(shard: Shard, curve: str) -> ShardScores:
        """The sums of one curve."""
        sums = TextSums(*(shard.array(f"{curve}.{field.name}") for field in fields(TextSums)))
        return ShardScores(shard.array("text"), {curve: sums}, shard.array("errors"))


class ScoreShards:
    """The scores of the shards of one sweep."""

    def __init__(self, files: ShardFiles, k_values: Sequence[int], load: bool = True) -> None:
        """Without `load`, what is there is not read, but replaced."""
        self.files, self._k_values, self._load = files, list(k_values), load

    def is_there(self, rows: ShardRows) -> bool:
        """Whether a shard's used rows are scored."""
        return self._load and self.open(rows) is not None

    def open(self, rows: ShardRows) -> Shard | None:
        """The scores of a shard's used rows, where they are there and whole."""
        found = self.files.open(rows.number)
        return found if found is not None and found.facts.get("n_rows") == rows.n_used else None

    def score(self, rows: ShardRows, x: Vectors, samples: Tokens, autoencoder: TextAutoencoder) -> None:
        """Score a shard's used rows."""
        per_row = samples.shape[1] * autoencoder.d_in
        size = max(1, FLOATS_AT_ONCE // per_row)
        starts = range(0, rows.n_used, size)
        parts = [
            score_rows(
                rows.text[start : min(start + size, rows.n_used)],
                x[start : start + size],
                autoencoder.reconstruct(samples[start : start + size]),
                self._k_values,
            )
            for start in starts
        ]
        self.files.write(rows.number, _joined(parts).arrays(), {"n_rows": rows.n_used})


def score_rows(
    text: npt.NDArray[np.int64], x: Vectors, x_hat: npt.NDArray[np.float32], k_values: list[int]
) -> ShardScores:
    """Scores of rows: `text` [n_rows] ascending, `x` [n_rows, d_in], `x_hat` [n_rows, n_samples, d_in]."""
    errors = np.square(x[:, None].astype(np.float64) - x_hat).sum(-1)
    numbers, local = np.unique(text, return_inverse=True)
    sums = {
        name: TextSums.of_rows(local, x, x_hat, weigh(errors, k_values)) for name, weigh in CURVES.items()
    }
    return ShardScores(numbers, sums, errors)


def _joined(parts: list[ShardScores]) -> ShardScores:
    text = np.concatenate([part.text for part in parts])
    sums = {name: add_texts(text, [part.sums[name] for part in parts]) for name in CURVES}
    return ShardScores(np.unique(text), sums, np.concatenate([part.errors for part in parts]))


def add_texts(text: npt.NDArray[np.int64], lots: Sequence[TextSums]) -> TextSums:
    """Sums by text, in the order of their numbers, of lots that may share texts; `text` numbers them all."""
    numbers, place = np.unique(text, return_inverse=True)

    def added(name: str) -> npt.NDArray[np.float64]:
        values = np.concatenate([getattr(lot, name) for lot in lots])
        total = np.zeros((len(numbers), *values.shape[1:]))
        np.add.at(total, place, values)
        return total

    return TextSums(*(added(field.name) for field in fields(TextSums)))
