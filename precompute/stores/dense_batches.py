"""Dense batches in Zarr: `activations/batch_NNNN.zarr` of [samples, features], with metadata in Parquet.

As SplatNLP's converter writes them; `embeddings/sae_input.zarr` holds what the SAE read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.errors import StoreError
from precompute.stores.foreign import Rows, checked_acts, read_metadata
from precompute.stores.layout import EXAMPLES_PER_SHARD

BATCH = re.compile(r"batch_(\d+)\.zarr")
BYTES_PER_PIECE = 1 << 27
"""Dense activations held at once."""


def detect(directory: Path) -> bool:
    """Whether the directory holds batches of this layout."""
    return bool(batches_in(directory))


def batches_in(directory: Path) -> list[Path]:
    """The batches in the order of their numbers, which may be written with or without zeros before them."""
    there = directory / "activations"
    found = {path: BATCH.fullmatch(path.name) for path in (there.iterdir() if there.is_dir() else ())}
    return sorted((path for path in found if found[path]), key=lambda path: int(path.stem.partition("_")[2]))


class DenseBatches:
    """Batches as one store, in the order of their numbers."""

    def __init__(self, directory: Path, metadata: pl.DataFrame | None) -> None:
        self._directory = directory
        paths = batches_in(directory)
        self._batches = [_open(path) for path in paths]
        widths = {batch.shape[1] if batch.ndim == 2 else 0 for batch in self._batches}
        if len(widths) != 1 or widths == {0}:
            raise StoreError(
                f"{directory}: batches {sorted(widths)} features wide",
                "one width for all",
                "write them again",
            )
        self._offsets = np.cumsum([0, *(batch.shape[0] for batch in self._batches)])
        self.n_rows, self.d_sae = int(self._offsets[-1]), widths.pop()
        inputs = directory / "embeddings" / "sae_input.zarr"
        self._inputs = _open(inputs) if inputs.is_dir() else None
        if self._inputs is not None and self._inputs.ndim != 2:
            raise StoreError(f"{inputs} of {self._inputs.ndim} axes", "[samples, width]", "write it again")
        self.d_in = 0 if self._inputs is None else int(self._inputs.shape[1])
        kinds = {np.dtype(batch.dtype) for batch in self._batches}
        self.acts_dtype = "float16" if kinds == {np.dtype(np.float16)} else "float32"
        bytes_per_shard = EXAMPLES_PER_SHARD * self.d_sae * 4
        self.rows_per_piece = max(1, BYTES_PER_PIECE // bytes_per_shard) * EXAMPLES_PER_SHARD
        self.metadata = self._own_metadata(paths) if metadata is None else metadata
        self._check_heights()

    def rows(self, start: int, stop: int) -> Rows:
        """The non-zeros of some rows, from the batches that hold them."""
        parts = []
        for batch, first, end in zip(self._batches, self._offsets[:-1], self._offsets[1:], strict=True):
            low, high = max(start, int(first)), min(stop, int(end))
            if low < high:
                parts.append(_read(batch, low - first, high - first))
        dense = checked_acts(np.concatenate(parts), self._directory)
        rows, features = np.nonzero(dense)
        return Rows(
            np.bincount(rows, minlength=stop - start),
            features,
            dense[rows, features],
            self._means(start, stop),
        )

    def _means(self, start: int, stop: int) -> NDArray[np.float32]:
        if self._inputs is None:
            return np.zeros((stop - start, 0), dtype=np.float32)
        return _read(self._inputs, start, stop).astype(np.float32)

    def _own_metadata(self, batches: list[Path]) -> pl.DataFrame | None:
        """The tables beside the batches, where each has one."""
        paths = [self._directory / "metadata" / f"{batch.stem}.parquet" for batch in batches]
        if not all(path.is_file() for path in paths):
            return None
        try:
            return pl.concat([read_metadata(path) for path in paths], how="vertical_relaxed")
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            where = self._directory / "metadata"
            raise StoreError(f"{where} ({reason})", "the same columns in all", "write it again") from None

    def _check_heights(self) -> None:
        heights = {"metadata": self.metadata.height if self.metadata is not None else self.n_rows}
        if self._inputs is not None:
            heights["sae_input"] = int(self._inputs.shape[0])
        for name, height in heights.items():
            if height != self.n_rows:
                raise StoreError(
                    f"{self._directory}: {name} of {height} rows", f"{self.n_rows}", "write it again"
                )


def _read(array: Any, start: int, stop: int) -> NDArray[Any]:
    """Some rows of a batch; raises StoreError for bytes that are damaged."""
    try:
        return np.asarray(array[start:stop])
    except Exception as error:  # noqa: BLE001 - each codec has its own way to say that bytes are wrong
        reason = " ".join(str(error).split())[:150]
        raise StoreError(f"{array.store_path} ({reason})", "chunks that are whole", "copy it again") from None


def _open(path: Path) -> Any:
    import zarr

    try:
        return zarr.open_array(str(path), mode="r")
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:150]
        raise StoreError(f"{path} that cannot be read ({reason})", "a Zarr array", "copy it again") from None
