"""Stores as other programs write them, of made activations."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import zarr

D_SAE, D_IN = 11, 5


def dense(n_rows: int, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    draw = np.random.default_rng(seed)
    return (draw.random((n_rows, D_SAE)) * (draw.random((n_rows, D_SAE)) < 0.3)).astype(dtype)


def token_lists(n_rows: int) -> list[list[int]]:
    draw = np.random.default_rng(1)
    return [draw.choice(40, size=int(draw.integers(0, 6)), replace=False).tolist() for _ in range(n_rows)]


def save_neuron_acts(directory: Path, acts: np.ndarray) -> Path:
    """As SplatNLP's folders are; a feature that never fires has empty files, the last one no folder."""
    for feature in range(acts.shape[1]):
        folder = directory / "neuron_acts" / f"neuron_{feature:04d}"
        folder.mkdir(parents=True)
        rows = np.flatnonzero(acts[:, feature])
        np.save(folder / "idxs.npy", rows.astype(np.int64))
        np.save(folder / "acts.npy", acts[rows, feature])
    return directory


def save_batches(directory: Path, acts: np.ndarray, bounds: list[int], metadata: bool = True) -> Path:
    lists = token_lists(len(acts))
    for number, (first, stop) in enumerate(itertools.pairwise(bounds)):
        path = directory / "activations" / f"batch_{number:04d}.zarr"
        path.parent.mkdir(parents=True, exist_ok=True)
        array = zarr.create_array(
            str(path), shape=(stop - first, D_SAE), dtype=acts.dtype, chunks=(64, D_SAE)
        )
        array[:] = acts[first:stop]
        if metadata:
            (directory / "metadata").mkdir(exist_ok=True)
            table = {
                "batch_id": [number] * (stop - first),
                "ability_tokens": pl.Series(lists[first:stop], dtype=pl.List(pl.Int64)),
                "weapon_name": [f"weapon {i % 7}" for i in range(first, stop)],
            }
            pl.DataFrame(table).write_parquet(directory / "metadata" / f"batch_{number:04d}.parquet")
    read = np.random.default_rng(2).normal(size=(len(acts), D_IN)).astype(np.float32)
    save_array(directory / "embeddings" / "sae_input.zarr", read)
    return directory


def save_array(path: Path, values: np.ndarray) -> None:
    array = zarr.create_array(str(path), shape=values.shape, dtype=values.dtype, chunks=(64, values.shape[1]))
    array[:] = values
