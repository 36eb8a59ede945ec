"""The neighbour graph of a set's distinct texts: searched as that of density weights is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int32, Int64
from numpy.typing import NDArray

from precompute.density.neighbors import (
    COSINES_FILE,
    NEIGHBORS_FILE,
    RECORD_FILE,
    SearchSettings,
)
from precompute.density.neighbors import write_graph as search
from precompute.density.vectors import FLOATS_PER_BLOCK, Vectors
from precompute.embeddings.embedding_set import VECTORS, EmbeddingSet
from precompute.geometry.knn import Neighbors
from precompute.npy import open_npy
from precompute.progress import Progress

GRAPH = "neighbors"
FILES = ("rows.npy", "index.npy", "cosine.npy", "search.json")
"""Of the graph: its texts, their nearest, and how these were searched."""
SCRATCH = "search"
"""Where a search keeps what it has found; one that was killed there goes on."""


@dataclass(frozen=True)
class Graph:
    """The nearest of each distinct text."""

    rows: Int64[np.ndarray, " n"]
    """The row of each distinct text in the set, ascending."""
    index: Int32[np.ndarray, "n k"]
    """Numbers of the nearest texts within `rows`, nearest first; -1 for a vector of norm zero."""
    cosine: Float32[np.ndarray, "n k"]
    """NaN where `index` is -1."""


@dataclass(frozen=True)
class Search:
    """How neighbours are searched."""

    k: int
    """Of each text; fewer where there are fewer others."""
    workers: int
    """Threads."""
    progress: Progress


def write_graph(embedded: EmbeddingSet, how: Search, out: Path) -> None:
    """Search the nearest of every distinct text, and keep them as FILES."""
    metadata = embedded.metadata.select("row", "duplicate_of").collect()
    rows = metadata.filter(pl.col("duplicate_of").is_null())["row"].to_numpy().astype(np.int64)
    (present,) = np.nonzero(have_length(embedded, rows))
    scratch = out / SCRATCH
    found = searched(embedded, rows[present], how, scratch)
    index = np.full((len(rows), found.index.shape[1]), -1, np.int32)
    cosine = np.full(index.shape, np.nan, np.float32)
    index[present], cosine[present] = present[found.index], found.cosine
    arrays: tuple[NDArray[Any], ...] = (rows, index, cosine)
    for name, array in zip(FILES[:-1], arrays, strict=True):
        np.save(out / name, array, allow_pickle=False)
    (scratch / RECORD_FILE).replace(out / FILES[-1])
    clear(scratch)


def read_graph(directory: Path) -> Graph:
    """What `write_graph` has kept."""
    return Graph(*(open_npy(directory / name) for name in FILES[:-1]))


def searched(embedded: EmbeddingSet, rows: Int64[np.ndarray, " n"], how: Search, scratch: Path) -> Neighbors:
    """The k nearest of some rows among each other, by number within `rows`; all of norm above zero.

    Exact where n² · d stays small, else approximate with its recall measured, in `neighbors.json` of the
    scratch directory. A search that was killed there goes on.
    """
    scratch.mkdir(exist_ok=True)
    source, chosen = _float32_file(embedded, scratch), SearchSettings(k=how.k)
    search(source, rows, chosen, scratch, workers=how.workers, progress=how.progress)
    index, cosine = (open_npy(scratch / name, mapped=False) for name in (NEIGHBORS_FILE, COSINES_FILE))
    return Neighbors(index.astype(np.int64), cosine)


def clear(scratch: Path) -> None:
    """Take a finished search's files away."""
    for path in scratch.iterdir():
        path.unlink()
    scratch.rmdir()


def have_length(embedded: EmbeddingSet, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Whether the vectors of some rows are other than zero; read a block at a time."""
    long: np.ndarray = Vectors.of(embedded.vectors, rows).inverse_norm > 0
    return long


def _float32_file(embedded: EmbeddingSet, scratch: Path) -> Path:
    """A file with the vectors in float32, which is what the search reads."""
    values, own = embedded.vectors, embedded.version / VECTORS
    if values.dtype == np.float32:
        return own
    path = scratch / VECTORS
    copy = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=values.shape)
    size = max(1, FLOATS_PER_BLOCK // max(1, values.shape[1]))
    for first in range(0, len(values), size):
        copy[first : first + size] = values[first : first + size]
    copy.flush()
    return path
