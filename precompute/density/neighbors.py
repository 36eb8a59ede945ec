"""The neighbour graph of distinct texts: asked of the process that searches, waited for, put in order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Int64

from precompute.density.weights import mean_distance
from precompute.errors import LightwellError
from precompute.npy import open_npy
from precompute.progress import Progress

EXACT_OPERATIONS = 1e13
"""The search is exact while n² · d stays under this, and by inverted lists from there on."""
NEIGHBORS_FILE, COSINES_FILE, DISTANCES_FILE = "neighbors.npy", "cosines.npy", "distances.npy"
RECORD_FILE = "neighbors.json"
DONE_FILE, REQUEST_FILE, ROWS_FILE = "search_done.json", "search_request.json", "search_rows.npy"
SCRATCH = (DONE_FILE, REQUEST_FILE, ROWS_FILE)
"""Files of a search at work, gone once it ends."""
EXACT_RECORD: Mapping[str, object] = MappingProxyType(
    {"index": "flat", "recall": 1.0, "n_lists": None, "n_probes": None}
)
"""What is kept of a search that misses none."""
INDEX_DIRECTORY = "index"
"""Where an approximate search keeps its inverted lists meanwhile."""
BLOCK = 2**18
"""Rows of the graph in memory at once."""


@dataclass(frozen=True)
class SearchSettings:
    """What a search depends on."""

    k: int = 10
    """Neighbours of each text; fewer where there are fewer others."""
    exact_operations: float = EXACT_OPERATIONS
    """Below this n² · d the search is exact."""


def write_graph(
    vectors: Path,
    rows: Int64[np.ndarray, " n"],
    chosen: SearchSettings,
    out: Path,
    *,
    workers: int,
    progress: Progress,
) -> None:
    """Write the neighbour graph of the rows of a matrix, and each one's mean distance, into a directory.

    neighbors.npy int32 and cosines.npy float64 [n, k], distances.npy float64 [n], neighbors.json. A search
    that was killed there goes on. Raises LightwellError where the process fails.
    """
    k = min(chosen.k, len(rows) - 1)
    record = dict(EXACT_RECORD)
    if k > 0:
        request = {
            "vectors": str(vectors.resolve()),
            "rows": str((out / ROWS_FILE).resolve()),
            "out": str(out.resolve()),
            "k": k,
            "exact_operations": chosen.exact_operations,
            "workers": workers,
        }
        np.save(out / ROWS_FILE, rows)
        (out / REQUEST_FILE).write_text(json.dumps(request))
        progress.start(len(rows), "texts")
        _watch(out / REQUEST_FILE, workers, progress)
        done = json.loads((out / DONE_FILE).read_text())
        record = {name: done[name] for name in record}
    else:
        np.save(out / NEIGHBORS_FILE, np.zeros((len(rows), 0), np.int32))
        np.save(out / COSINES_FILE, np.zeros((len(rows), 0)))
    _write_distances(out)
    (out / RECORD_FILE).write_text(json.dumps({"k": k, "metric": "cosine", **record}, indent=1) + "\n")
    for name in SCRATCH:  # the note of what is done goes first: without it, a search begins anew
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / INDEX_DIRECTORY, ignore_errors=True)


def _write_distances(out: Path) -> None:
    cosines = read_array(out / COSINES_FILE)
    blocks = [
        mean_distance(np.asarray(cosines[first : first + BLOCK])) for first in range(0, len(cosines), BLOCK)
    ]
    np.save(out / DISTANCES_FILE, np.concatenate(blocks))


def read_array(path: Path) -> Any:
    """The array of a file, memory-mapped but for small ones: one without elements cannot be mapped."""
    return open_npy(path)


def _watch(request: Path, workers: int, progress: Progress) -> None:
    """Run the searching process to its end, telling how far it is."""
    threads = {name: str(workers) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [sys.executable, "-m", "precompute.density.faiss_search", str(request)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **threads, "PYTHONPATH": _import_path()},
            text=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                progress.advance(int(line))
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        errors.seek(0)
        if code:
            raise LightwellError(
                f"the neighbour search failed (exit code {code}): {_last_line(errors.read())}"
            )


def _import_path() -> str:
    """Where the other process finds this very package, wherever it was started."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
