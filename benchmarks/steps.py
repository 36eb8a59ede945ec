"""What each step takes at any size: `python -m benchmarks.steps DIR`, after `benchmarks.make_store DIR`.

Each step is computed anew by the command that people use, in a process of its own: its seconds, its rate in
non-zeros, and the most memory that the process held, apart from files that it has mapped, which the system
may drop. Beside them, in the same run, the machine's own limits: copying memory, and the bare product of
all directions with the unembedding.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.make_store import CONFIG, NAME
from precompute.command_line import CommandParser, run_command
from precompute.pipeline.plan import TIMES_DIRECTORY
from precompute.pipeline.registry import steps
from precompute.pipeline.subjects import Subject, open_subject
from precompute.stores.row_store import RowStore

NOT_TIMED = ("corpus", "activations", "sae_quality")
"""Made by make_store, or about the model alone."""
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


class Watch:
    """The most memory that a process and those below it held, looked at twenty times a second."""

    def __init__(self, process: psutil.Process) -> None:
        self.anonymous, self.mapped = 0, 0
        self._process, self._ended = process, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            found = [_memory(process.pid) for process in self._all()]
            self.anonymous = max(self.anonymous, sum(anonymous for anonymous, _ in found))
            self.mapped = max(self.mapped, sum(mapped for _, mapped in found))

    def _all(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _memory(pid: int) -> tuple[int, int]:
    """Bytes of anonymous memory and of mapped files; 0 where the process has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in text.splitlines())
    kept = (fields.get(name, "0 kB") for name in ("RssAnon", "RssFile"))
    anonymous, mapped = (int(value.split()[0]) * 1024 for value in kept)
    return anonymous, mapped


def measure(root: Path, subject: Subject, name: str, n_nonzero: int, options: list[str]) -> Measured:
    """Compute one step anew, and no other. Raises RuntimeError with the command's words where it fails."""
    subject.shelf.remove(name, steps()[name].outputs)
    command = [sys.executable, "-m", "precompute.unified", "--model-type", NAME, "--only", name]
    place = ["--config", str(root / CONFIG), "--data-dir", str(root / "data")]
    with subprocess.Popen(
        [*command, *place, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        with Watch(psutil.Process(running.pid)) as watch:
            said, _ = running.communicate()
        if running.returncode:
            raise RuntimeError(said)
    seconds = json.loads((subject.directory / TIMES_DIRECTORY / f"{name}.json").read_text())["seconds"]
    rate = n_nonzero / seconds / 1e6
    return Measured(name, seconds, round(rate, 1), round(watch.anonymous / 1e6), round(watch.mapped / 1e6))


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
    if "influences" in chosen.steps:
        limits["product_seconds"] = product_seconds(subject)
        print(f"the bare product of directions and unembedding: {limits['product_seconds']:.1f} s")
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
