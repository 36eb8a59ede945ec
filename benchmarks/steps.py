"""What each step takes at any size: `python -m benchmarks.steps DIR`, after `benchmarks.make_store DIR`.

Each step is computed anew by the command that people use, in a process of its own: its seconds, its rate in
non-zeros, and the most memory that the process held, apart from files that it has mapped, which the system
may drop. Beside them, in the same run, the machine's own limits: copying memory, and the bare product of
all directions with the unembedding.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.make_store import CONFIG, NAME
from benchmarks.watch import run_watched
from precompute.command_line import CommandParser, run_command
from precompute.errors import UsageError
from precompute.features.blocks import pieces, read_piece
from precompute.features.histograms import count_block_of
from precompute.features.kernels.spread import squares_about
from precompute.features.near_misses import MAX_CANDIDATES
from precompute.pipeline.plan import TIMES_DIRECTORY, Plan
from precompute.pipeline.registry import steps
from precompute.pipeline.subjects import Subject, open_subject
from precompute.settings import Settings
from precompute.stores.feature_store import FeatureBlock, FeatureStore
from precompute.stores.layout import FEATURES_PER_BLOCK
from precompute.stores.row_store import RowStore

NOT_TIMED = ("corpus", "activations", "sae_quality")
"""Made by make_store, or about the model alone."""
FUSED = ("feature_stats", "histograms", "examples")
"""The steps over the values of each feature, whose rates are told together."""
COPIED = 2**28
"""Bytes of a copy that is timed: more than any cache holds."""


@dataclass
class Measured:
    """One step."""

    step: str
    seconds: float
    """Of the step alone; starting the process and reading its modules not included."""
    million_nonzeros_per_second: float
    peak_mb: float
    """Anonymous memory of the process and those below it, at its height."""
    peak_mapped_mb: float
    """Mapped files that were in memory at that time or another."""


def check_made(subject: Subject) -> None:
    """Raise UsageError where the made activations are not fresh: a step would compute them by the model."""
    found = Plan(subject).status("activations")
    if found.state != "fresh":
        what = f"activations that are {found.state} ({found.reason})"
        raise UsageError(what, "those that make_store writes", "run benchmarks.make_store again")


def measure(root: Path, subject: Subject, name: str, n_nonzero: int, options: list[str]) -> Measured:
    """Compute one step anew, and no other. Raises RuntimeError with the command's words where it fails."""
    subject.shelf.remove(name, steps()[name].outputs)
    command = [sys.executable, "-m", "precompute.unified", "--model-type", NAME, "--only", name]
    place = ["--config", str(root / CONFIG), "--data-dir", str(root / "data")]
    ran = run_watched([*command, *place, *options])
    seconds = json.loads((subject.directory / TIMES_DIRECTORY / f"{name}.json").read_text())["seconds"]
    rate = n_nonzero / seconds / 1e6
    return Measured(name, seconds, round(rate, 1), round(ran.anonymous / 1e6), round(ran.mapped / 1e6))


def near_miss_seconds(subject: Subject, d_in: int) -> float:
    """The product of which near misses are read: each feature's query with every candidate, kept nowhere."""
    n_examples = RowStore(subject.directory / "activations").n_examples
    candidates = np.ones((d_in, min(MAX_CANDIDATES, n_examples)), np.float32)
    queries = np.ones((FEATURES_PER_BLOCK, d_in), np.float32)
    out = np.empty((FEATURES_PER_BLOCK, candidates.shape[1]), np.float32)
    d_sae = len(np.load(subject.directory / "directions.npy", mmap_mode="r"))

    def product() -> None:
        for _ in range(-(-d_sae // FEATURES_PER_BLOCK)):
            np.matmul(queries, candidates, out=out)

    return timed(product, 1)


def passes_in_memory(subject: Subject) -> dict[str, float]:
    """Bytes of activations a second, read by one thread from memory: sums of squares, and histograms."""
    store = FeatureStore(subject.directory / "feature_major")
    block = read_piece(store, pieces(store.feature_indptr, range(store.d_sae))[0])
    held = FeatureBlock(block.first, block.indptr, np.array(block.rows), np.array(block.acts))
    mean = np.zeros(held.n_features)
    passes: dict[str, Callable[[], object]] = {
        "moments": lambda: squares_about(held.indptr, held.acts, mean),
        "histograms": lambda: count_block_of(held, Settings().n_bins),
    }
    for run in passes.values():
        run()
    return {name: held.acts.nbytes / timed(run) for name, run in passes.items()}


def timed(run: Callable[[], object], rounds: int = 3) -> float:
    """Least seconds of some rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def copied_bytes_per_second() -> float:
    """Bytes read and written by one thread's copy."""
    source, target = np.ones(COPIED, np.uint8), np.empty(COPIED, np.uint8)
    return 2 * COPIED / timed(lambda: np.copyto(target, source), 5)


def product_seconds(subject: Subject) -> float:
    """The product of all directions with the unembedding, by blocks of 256, kept nowhere; in float32."""
    directions = np.load(subject.directory / "directions.npy", mmap_mode="r")
    unembed = np.load(subject.directory / "unembed.npy", mmap_mode="r")[:]
    out = np.empty((256, unembed.shape[1]), np.float32)

    def product() -> None:
        for first in range(0, len(directions), 256):
            block = directions[first : first + 256]
            np.matmul(block, unembed, out=out[: len(block)])

    return timed(product, 1)


@contextmanager
def table() -> Iterator[Callable[[Measured], None]]:
    """Print a line for each step, as it is measured."""
    print(f"{'step':18} {'seconds':>9} {'M non-zeros/s':>14} {'memory, MB':>11} {'and mapped':>11}")

    def line(found: Measured) -> None:
        print(
            f"{found.step:18} {found.seconds:9.1f} {found.million_nonzeros_per_second:14.1f} "
            f"{found.peak_mb:11.0f} {found.peak_mapped_mb:11.0f}",
            flush=True,
        )

    yield line


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("dir", type=Path, help="what make_store has written")
    known = [name for name in steps() if name not in NOT_TIMED]
    parser.add_argument("--steps", nargs="+", choices=known, default=known)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    chosen = parser.parse_args(argv)
    subject = open_subject(NAME, chosen.dir / "data", chosen.dir / CONFIG)
    check_made(subject)
    info = RowStore(subject.directory / "activations").info
    print(f"{info.n_rows:,} rows, {info.n_nonzero:,} non-zeros of {info.d_sae:,} features, {info.backend}")
    rate = copied_bytes_per_second()
    print(f"copying memory: {rate / 1e9:.1f} GB/s read and written, by one thread")
    options = ["--workers", str(chosen.workers)]
    found = []
    with table() as line:
        for name in chosen.steps:
            found.append(measure(chosen.dir, subject, name, info.n_nonzero, options))
            line(found[-1])
    limits = {"copy_bytes_per_second": rate}
    for name, bytes_per_second in passes_in_memory(subject).items():
        limits[f"{name}_bytes_per_second"] = bytes_per_second
        read = f"{bytes_per_second / 1e9:.1f} GB/s of activations, {200 * bytes_per_second / rate:.0f} %"
        print(f"{name} in memory, one thread: {read} of what a copy reads")
    if "influences" in chosen.steps:
        limits["product_seconds"] = product_seconds(subject)
        print(f"the bare product of directions and unembedding: {limits['product_seconds']:.1f} s")
    if "examples" in chosen.steps and info.d_in:
        limits["near_miss_seconds"] = near_miss_seconds(subject, info.d_in)
        print(f"the bare product of near misses, which examples has: {limits['near_miss_seconds']:.1f} s")
    fused = [one.seconds for one in found if one.step in FUSED]
    if len(fused) == len(FUSED):
        print(f"{', '.join(FUSED)} together: {info.n_nonzero / sum(fused) / 1e6:.1f} M non-zeros/s")
    if chosen.json:
        record = {
            **info.model_dump(exclude={"shards", "blocks"}),
            **limits,
            "steps": list(map(asdict, found)),
        }
        chosen.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
