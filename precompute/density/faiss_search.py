"""The process that searches neighbours with FAISS, and never meets torch: their OpenMP runtimes clash.

`python -m precompute.density.faiss_search REQUEST.json`. FAISS proposes candidates in float32; they are
ranked in float64. Progress goes to standard output, one line a block. The process ends when its standard
input closes, which it does when its owner dies.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np
from jaxtyping import Float64, Int64
from pydantic import BaseModel, ConfigDict

from precompute.density.groups import Groups
from precompute.density.kernels.rescoring import rank_candidates
from precompute.density.neighbors import (
    COSINES_FILE,
    DONE_FILE,
    EXACT_RECORD,
    INDEX_DIRECTORY,
    NEIGHBORS_FILE,
)
from precompute.density.vectors import Vectors, equal_groups
from precompute.geometry.kernels.nearest import rank_block
from precompute.geometry.knn import ROUNDING

SPARE = 16
"""Candidates beyond k, so that rounding in float32 leaves none of the k nearest out."""
QUERIES_PER_BLOCK = 4096
"""Texts between two notes of progress: what a killed search does again."""


class SearchRequest(BaseModel):
    """What the search is asked for."""

    model_config = ConfigDict(frozen=True)

    vectors: str
    """A file with a float32 matrix."""
    rows: str
    """A file with the rows of the matrix between which neighbours are sought."""
    out: str
    """The directory of the results; a search that was killed there is taken up."""
    k: int
    """Neighbours of each; at least 1 and less than there are rows."""
    exact_operations: float
    """The search is exact while rows² times width stays under this."""
    workers: int
    """Threads."""


@dataclass(frozen=True)
class Ranked:
    """The nearest of some texts, nearest first; ties in order of their numbers."""

    index: Int64[np.ndarray, "n_queries k"]
    cosine: Float64[np.ndarray, "n_queries k"]


class Searcher(Protocol):
    """A way to find neighbours."""

    order: Int64[np.ndarray, " n"]
    """The order in which it is best asked."""

    def nearest(self, texts: Int64[np.ndarray, " n_queries"], k: int) -> Ranked:
        """The k nearest others of these texts."""
        ...

    def record(self) -> dict[str, object]:
        """What is kept of how it searched: index, recall, n_lists, n_probes."""
        ...


def ranked(
    vectors: Vectors,
    texts: Int64[np.ndarray, " n_queries"],
    candidates: Int64[np.ndarray, "n_queries c"],
    k: int,
) -> Ranked:
    """The k best of the candidates, by their cosines in float64; -1 and -2 where there are fewer."""
    index, value = np.full((len(texts), k), -1, np.int64), np.full((len(texts), k), -2.0)
    rank_candidates(
        vectors.values, vectors.rows, vectors.inverse_norm, texts, candidates.astype(np.int64), index, value
    )
    return Ranked(index, value)


class ExactSearcher:
    """Every vector against every other: equal to a search in float64, ties included."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors, self.order = vectors, np.arange(len(vectors))
        self._unit = vectors.unit(self.order)
        # As in geometry.knn: each score is off by at most (d + 4) roundings.
        self._error = (vectors.d + 4) * ROUNDING

    def nearest(self, texts: Int64[np.ndarray, " n_queries"], k: int) -> Ranked:
        """The k nearest others of these texts."""
        n = len(self.vectors)
        c = min(n, k + 1 + SPARE)
        scores, candidates = faiss.knn(self._unit[texts], self._unit, c, metric=faiss.METRIC_INNER_PRODUCT)
        found = ranked(self.vectors, texts, candidates, k)
        if c < n:
            self._settle(texts, found, np.flatnonzero(found.cosine[:, -1] <= scores[:, -1] + self._error))
        return found

    def _settle(
        self, texts: Int64[np.ndarray, " n"], found: Ranked, doubtful: Int64[np.ndarray, " m"]
    ) -> None:
        """Rank anew, among all, where a text that is no candidate could be as near as the k-th is."""
        size = max(1, 2**23 // len(self.vectors))
        raw = self.vectors.raw(self.order) if len(doubtful) else self._unit
        for first in range(0, len(doubtful), size):
            chosen = doubtful[first : first + size]
            scores = self._unit[texts[chosen]] @ self._unit.T
            for score, place in zip(scores, chosen, strict=True):
                rank_block(
                    score[None],
                    raw,
                    self.vectors.inverse_norm,
                    int(texts[place]),
                    2 * self._error,
                    found.index[place : place + 1],
                    found.cosine[place : place + 1],
                )

    def record(self) -> dict[str, object]:
        """An exact search misses none."""
        return dict(EXACT_RECORD)


def search(request: SearchRequest) -> None:
    """Write neighbors.npy, cosines.npy and search_done.json below the request's directory."""
    out, rows = Path(request.out), np.load(request.rows, allow_pickle=False)
    vectors = Vectors.open(Path(request.vectors), rows)
    faiss.omp_set_num_threads(request.workers)
    searcher = search_distinct(vectors, request.k, lambda distinct, k: _searcher(distinct, k, request, out))
    shape = (len(vectors), request.k)
    index = _resumed(out / NEIGHBORS_FILE, np.dtype(np.int32), shape)
    cosine = _resumed(out / COSINES_FILE, np.dtype(np.float64), shape)
    first = _done(out)
    _tell(first)
    while first < len(vectors):
        texts = searcher.order[first : first + QUERIES_PER_BLOCK]
        found = searcher.nearest(texts, request.k)
        index[texts], cosine[texts] = found.index, found.cosine
        first += len(texts)
        _note(out, {"done": first, **searcher.record()})
        _tell(len(texts))


def _searcher(vectors: Vectors, k: int, request: SearchRequest, out: Path) -> Searcher:
    if float(len(vectors)) ** 2 * vectors.d < request.exact_operations:
        return ExactSearcher(vectors)
    from precompute.density.inverted_lists import ListSearcher

    return ListSearcher.open(vectors, k, out / INDEX_DIRECTORY)


def search_distinct(vectors: Vectors, k: int, make: Callable[[Vectors, int], Searcher]) -> Searcher:
    """A search among distinct vectors, and over it one among all, where some are equal."""
    groups = equal_groups(vectors)
    distinct = vectors.chosen(groups.firsts)
    if len(distinct) == len(vectors):
        return make(vectors, k)
    inner = make(distinct, min(k, len(distinct) - 1)) if len(distinct) > 1 else None
    return EqualVectorsSearcher(vectors, groups, inner)


class EqualVectorsSearcher:
    """Texts with equal vectors, of which a search among distinct vectors sees one.

    However many they are, they cost one search, and their ties are settled by their numbers.
    """

    def __init__(self, vectors: Vectors, groups: Groups, inner: Searcher | None) -> None:
        self.vectors, self.groups, self._inner = vectors, groups, inner
        place = np.arange(1) if inner is None else np.argsort(inner.order)
        self.order = np.argsort(place[groups.numbers], kind="stable")

    def nearest(self, texts: Int64[np.ndarray, " n_queries"], k: int) -> Ranked:
        """The k nearest others of these texts."""
        # The k nearest are of a text's own vector or of the k vectors nearest to it.
        size = max(1, 2**22 // (k * (k + 2)))
        parts = [self._block(texts[first : first + size], k) for first in range(0, len(texts), size)]
        return Ranked(
            np.concatenate([part.index for part in parts]), np.concatenate([part.cosine for part in parts])
        )

    def _block(self, texts: Int64[np.ndarray, " n_queries"], k: int) -> Ranked:
        own, place = np.unique(self.groups.numbers[texts], return_inverse=True)
        near = own[:, None]
        if self._inner is not None:
            found = self._inner.nearest(own, min(k, self.groups.n - 1))
            near = np.concatenate([near, found.index], axis=1)
        candidates = self.groups.first_members(near, k + 1).reshape(len(own), -1)
        return ranked(self.vectors, texts, candidates[place], k)

    def record(self) -> dict[str, object]:
        """As the search among distinct vectors."""
        return dict(EXACT_RECORD) if self._inner is None else self._inner.record()


def _resumed(path: Path, dtype: np.dtype[np.generic], shape: tuple[int, int]) -> np.memmap:
    if path.is_file() and _done(path.parent):
        return np.lib.format.open_memmap(path, mode="r+")
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _done(out: Path) -> int:
    path = out / DONE_FILE
    return int(json.loads(path.read_text())["done"]) if path.is_file() else 0


def _note(out: Path, record: dict[str, object]) -> None:
    staging = out / f".tmp-{DONE_FILE}"
    staging.write_text(json.dumps(record))
    staging.replace(out / DONE_FILE)


def _tell(n: int) -> None:
    print(n, flush=True)


def _end_with_owner() -> None:
    # Not through sys.stdin: its lock, held here, would abort the interpreter's own end.
    while os.read(0, 4096):
        pass
    os._exit(1)


def _keep_standard_output() -> None:
    """Leave standard output to the notes of progress; what FAISS itself prints goes with the errors."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = told


def main() -> int:
    """Search as the request file says."""
    _keep_standard_output()
    threading.Thread(target=_end_with_owner, daemon=True).start()
    search(SearchRequest.model_validate_json(Path(sys.argv[1]).read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
