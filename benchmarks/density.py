"""How fast density weights come: `python -m benchmarks.density --rows 40000 --width 256`.

The exact neighbour search is set against the machine's own matrix rate, measured in the same run: a product
of all vectors with all vectors is the least that it must do. Then the approximate search on the same
vectors, with its recall, and the weights of the distances.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from precompute.command_line import CommandParser, run_command
from precompute.density.neighbors import SearchSettings, write_graph
from precompute.density.weights import WeightSettings, distinct_weights
from precompute.progress import Silent

DIMENSIONS = 24
"""In how many directions the vectors really differ, as those of texts do; the rest is faint noise."""


def clustered(n: int, d: int) -> Float32[np.ndarray, "n d"]:
    draw = np.random.default_rng(0)
    axes = draw.normal(size=(DIMENSIONS, d)).astype(np.float32)
    centres = draw.normal(size=(max(1, n // 100), DIMENSIONS)).astype(np.float32)
    places = centres[draw.integers(0, len(centres), n)] + draw.normal(size=(n, DIMENSIONS)).astype(np.float32)
    vectors: np.ndarray = places @ axes + 0.3 * draw.normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def product_seconds(vectors: Float32[np.ndarray, "n d"]) -> float:
    """Seconds of the product of all vectors with all vectors, by blocks, kept nowhere."""
    size = max(64, 2**24 // len(vectors))
    block = np.empty((size, len(vectors)), np.float32)

    def run() -> None:
        for first in range(0, len(vectors), size):
            part = vectors[first : first + size]
            np.matmul(part, vectors.T, out=block[: len(part)])

    run()
    return min(timed(run) for _ in range(3))


def search_seconds(path: Path, n: int, search: SearchSettings, workers: int, out: Path) -> float:
    out.mkdir()
    return timed(lambda: write_graph(path, np.arange(n), search, out, workers=workers, progress=Silent()))


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.density")
    parser.add_argument("--rows", type=int, default=40_000, help="vectors")
    parser.add_argument("--width", type=int, default=256, help="their width")
    parser.add_argument("--k", type=int, default=10, help="neighbours of each")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads")
    parser.add_argument(
        "--searches", nargs="+", choices=("inverted lists", "exact"), default=["inverted lists", "exact"]
    )
    arguments = parser.parse_args(argv)
    n, d = arguments.rows, arguments.width
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        vectors = clustered(n, d)
        np.save(root / "vectors.npy", vectors)
        # Once so that its compiled code is there, and once to see what starting the process takes.
        search_seconds(root / "vectors.npy", 200, SearchSettings(k=2), 1, root / "warm")
        started = search_seconds(root / "vectors.npy", 200, SearchSettings(k=2), 1, root / "started")
        product = product_seconds(vectors)
        print(f"{n:,} vectors of {d}: product {product:.2f} s, {2e-9 * n * n * d / product:.0f} GFLOP/s")
        print(f"{'process start':15} {started:7.2f} s, part of each search below")
        searches = {"inverted lists": 1.0, "exact": 1e13}
        for name in arguments.searches:
            limit = searches[name]
            out = root / name
            wall = search_seconds(
                root / "vectors.npy", n, SearchSettings(arguments.k, limit), arguments.workers, out
            )
            found = json.loads((out / "neighbors.json").read_text())
            # Of the largest process that has ended, so the approximate search comes first.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
            rate = f"{product / wall:6.1%} of the product's rate"
            print(f"{name:15} {wall:7.2f} s, {rate}, recall {found['recall']:.3f}, up to {peak:,.0f} MB")
        distances = np.load(out / "distances.npy")
        print(f"{'weights':15} {timed(lambda: distinct_weights(distances, WeightSettings())):7.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
