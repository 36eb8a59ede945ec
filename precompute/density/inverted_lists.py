"""Approximate neighbours of millions: FAISS's inverted lists, kept on disk, probed until recall is enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from faiss.contrib.ondisk import merge_ondisk
from jaxtyping import Float64, Int64

from precompute.density.faiss_search import SPARE, Ranked, ranked
from precompute.density.vectors import Vectors

SEED = 0
POINTS_PER_LIST = 40
"""Vectors a list on which the lists' centres are fitted."""
TRAINING_FLOATS = 2**28
"""Most numbers on which they are fitted (1 GB)."""
ROUNDS = 10
"""Rounds of k-means."""
N_SAMPLE = 512
"""Texts on which recall is measured against an exact search."""
RECALL = 0.97
"""What the sample must reach, so that all texts together reach at least 0.95."""
FIRST_PROBES = 8


class ListSearcher:
    """Neighbours sought in the lists whose centres are nearest."""

    def __init__(self, vectors: Vectors, index: Any, recall: float) -> None:
        self.vectors, self.recall = vectors, recall
        self._index = index
        # Texts of one list follow each other, so a block of queries reads few lists.
        self.order = _by_list(index)

    @classmethod
    def open(cls, vectors: Vectors, k: int, directory: Path) -> ListSearcher:
        """Build the lists below a directory, taking up what a killed run left there."""
        directory.mkdir(exist_ok=True)
        index = _populated(vectors, directory)
        probes = directory / "probes.json"
        if not probes.is_file():
            recall = _probe_enough(vectors, index, k)
            _put(probes, lambda path: path.write_text(json.dumps([int(index.nprobe), recall])))
        index.nprobe, recall = json.loads(probes.read_text())
        return cls(vectors, index, recall)

    def nearest(self, texts: Int64[np.ndarray, " n_queries"], k: int) -> Ranked:
        """The k nearest others of these texts, among those in the probed lists."""
        return _search(self.vectors, self._index, texts, k)

    def record(self) -> dict[str, object]:
        """The measured recall, and the index."""
        return {
            "index": "ivf",
            "recall": self.recall,
            "n_lists": int(self._index.nlist),
            "n_probes": int(self._index.nprobe),
        }


def _search(vectors: Vectors, index: Any, texts: Int64[np.ndarray, " n_queries"], k: int) -> Ranked:
    """Search with as many probes as give everyone k neighbours, and rank in float64."""
    _, candidates = index.search(vectors.unit(texts), min(len(vectors), k + 1 + SPARE))
    found = ranked(vectors, texts, candidates, k)
    short = np.flatnonzero(found.index[:, -1] < 0)
    if len(short):
        probes, index.nprobe = index.nprobe, min(index.nlist, 4 * index.nprobe)
        again = _search(vectors, index, texts[short], k)
        found.index[short], found.cosine[short] = again.index, again.cosine
        index.nprobe = probes
    return found


def n_lists_for(n: int, d: int) -> int:
    """Four times the root of the number of vectors, as far as the training set allows."""
    return max(1, min(int(4 * n**0.5), n // POINTS_PER_LIST, TRAINING_FLOATS // (POINTS_PER_LIST * d)))


def _populated(vectors: Vectors, directory: Path) -> Any:
    """The index with all vectors in it, its lists mapped from disk."""
    path = directory / "populated.index"
    if not path.is_file():
        trained = directory / "trained.index"
        if not trained.is_file():
            _put(trained, lambda target: faiss.write_index(_trained(vectors), str(target)))
        blocks = [_block(vectors, trained, texts, directory) for texts in vectors.blocks()]
        index = faiss.read_index(str(trained))
        merge_ondisk(index, [str(block) for block in blocks], str(directory / "lists.ivfdata"))
        _put(path, lambda target: faiss.write_index(index, str(target)))
        for block in blocks:
            block.unlink()
    return faiss.read_index(str(path))


def _trained(vectors: Vectors) -> Any:
    n_lists = n_lists_for(len(vectors), vectors.d)
    draw = np.random.default_rng(SEED)
    sample = np.sort(draw.choice(len(vectors), min(len(vectors), POINTS_PER_LIST * n_lists), replace=False))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(vectors.d), vectors.d, n_lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical, index.cp.niter, index.cp.seed = True, ROUNDS, SEED + 1
    index.train(vectors.unit(sample))
    return index


def _block(vectors: Vectors, trained: Path, texts: Int64[np.ndarray, " m"], directory: Path) -> Path:
    """A file with the lists of one block of vectors."""
    path = directory / f"block_{int(texts[0]):012d}.index"
    if not path.is_file():
        index = faiss.read_index(str(trained))
        index.add_with_ids(vectors.unit(texts), texts)
        _put(path, lambda target: faiss.write_index(index, str(target)))
    return path


def _by_list(index: Any) -> Int64[np.ndarray, " n"]:
    lists = index.invlists
    sizes = [lists.list_size(number) for number in range(index.nlist)]
    found = []
    for number, size in enumerate(sizes):
        if size:
            ids = lists.get_ids(number)
            found.append(faiss.rev_swig_ptr(ids, size).copy())
            lists.release_ids(number, ids)
    return np.concatenate(found)


def _probe_enough(vectors: Vectors, index: Any, k: int) -> float:
    """Raise the number of probed lists until the recall of a sample is enough; returns that recall."""
    draw = np.random.default_rng(SEED)
    sample = np.sort(draw.choice(len(vectors), min(len(vectors), N_SAMPLE), replace=False))
    worst = exhaustive(vectors, sample, k).cosine[:, -1]
    index.nprobe = min(FIRST_PROBES, index.nlist)
    while True:
        recall = recall_of(_search(vectors, index, sample, k).cosine, worst)
        if recall >= RECALL or index.nprobe == index.nlist:
            return recall
        index.nprobe = min(index.nlist, index.nprobe + max(1, index.nprobe // 2))


def recall_of(found: Float64[np.ndarray, "m k"], worst: Float64[np.ndarray, " m"]) -> float:
    """Share of found neighbours that are as near as the k-th of an exact search."""
    return float((found >= worst[:, None]).mean())


def exhaustive(vectors: Vectors, texts: Int64[np.ndarray, " m"], k: int) -> Ranked:
    """The k nearest of some texts among all, block by block."""
    queries = vectors.unit(texts)
    best = np.full((len(texts), k), -1, np.int64)
    for block in vectors.blocks():
        c = min(len(block), k + 1 + SPARE)
        _, local = faiss.knn(queries, vectors.unit(block), c, metric=faiss.METRIC_INNER_PRODUCT)
        best = ranked(vectors, texts, np.concatenate([best, block[local]], axis=1), k).index
    return ranked(vectors, texts, best, k)


def _put(path: Path, write: Any) -> None:
    """Write a file under another name, then give it its own."""
    staging = path.with_name(f".tmp-{path.name}")
    write(staging)
    staging.replace(path)
