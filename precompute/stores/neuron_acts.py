"""SplatNLP's `neuron_acts`: for each feature a folder `neuron_NNNN` with acts.npy and idxs.npy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.errors import StoreError
from precompute.stores.foreign import Rows, checked_acts
from precompute.stores.layout import EXAMPLES_PER_SHARD

NAME = "neuron_acts"
FOLDER = re.compile(r"neuron_(\d+)")
NONZEROS_PER_PIECE = 1 << 24
"""About as many non-zeros are in memory at once."""


def detect(directory: Path) -> bool:
    """Whether the directory, or its `neuron_acts`, holds folders of this layout."""
    return any((_inner(directory) / f"neuron_{0:0{width}d}").is_dir() for width in (1, 4, 5, 6))


def _inner(directory: Path) -> Path:
    return directory / NAME if (directory / NAME).is_dir() else directory


class NeuronActs:
    """A store that is sorted by feature; rows are put together from what each feature says of them."""

    def __init__(self, directory: Path, metadata: pl.DataFrame | None) -> None:
        folders = {int(m[1]): p for p in _inner(directory).iterdir() if (m := FOLDER.fullmatch(p.name))}
        self.d_sae, self.d_in, self.metadata = max(folders) + 1, 0, metadata
        self._folders = folders
        lengths, last, types = zip(*(self._header(number) for number in sorted(folders)), strict=True)
        self.n_rows = max(last) + 1 if metadata is None else metadata.height
        if max(last) >= self.n_rows:
            raise StoreError(
                f"{directory}: an example {max(last)}",
                f"at most {self.n_rows - 1}, as the metadata has {self.n_rows} rows",
                "give the metadata of this store",
            )
        self.acts_dtype = "float16" if set(types) == {np.dtype(np.float16)} else "float32"
        shards = -(-self.n_rows // EXAMPLES_PER_SHARD)
        pieces = max(1, -(-sum(lengths) // NONZEROS_PER_PIECE))
        self.rows_per_piece = max(1, -(-shards // pieces)) * EXAMPLES_PER_SHARD

    def rows(self, start: int, stop: int) -> Rows:
        """The non-zeros of some rows; opens two files a feature, and reads their own slices."""
        features, owners, values = [], [], []
        for number in sorted(self._folders):
            places, acts = self._arrays(number)
            low, high = np.searchsorted(places, [start, stop])
            # Checked before zeros are left out: a value too small for the store's type is zero in it.
            kept = checked_acts(np.asarray(acts[low:high]), self._folders[number])
            nonzero = kept != 0
            features.append(np.full(int(nonzero.sum()), number, dtype=np.int64))
            owners.append(np.asarray(places[low:high], dtype=np.int64)[nonzero] - start)
            values.append(kept[nonzero])
        owner = np.concatenate(owners)
        # Features ascend already, so a stable sort by row leaves them ascending within each.
        order = np.argsort(owner, kind="stable")
        acts = np.concatenate(values)[order]
        means = np.zeros((stop - start, 0), dtype=np.float32)
        return Rows(np.bincount(owner, minlength=stop - start), np.concatenate(features)[order], acts, means)

    def _header(self, number: int) -> tuple[int, int, np.dtype[Any]]:
        """How many activations a feature has, the last example among them, and their type."""
        places, acts = self._arrays(number)
        folder = self._folders[number]
        if places.ndim != 1 or places.shape != acts.shape or places.dtype.kind not in "iu":
            raise StoreError(
                f"{folder}: idxs.npy {places.dtype}{list(places.shape)} beside acts.npy {list(acts.shape)}",
                "as many whole numbers as activations",
                "write the folder again",
            )
        if len(places) and (int(places[0]) < 0 or bool((np.diff(places) <= 0).any())):
            raise StoreError(
                f"{folder}: examples that do not ascend", "each once, in order", "sort idxs.npy and acts.npy"
            )
        return len(places), int(places[-1]) if len(places) else -1, acts.dtype

    def _arrays(self, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        folder = self._folders[number]
        try:
            places, acts = (
                np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in ("idxs.npy", "acts.npy")
            )
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{folder} that cannot be read ({error})", "idxs.npy and acts.npy", "copy the folder again"
            ) from None
        return places, acts
