"""What an executor costs, and what it gains: `python -m benchmarks.executors --shards 16`.

Runs the steps that map over shards and blocks, on the random store of benchmarks.sparse_passes, on threads,
on processes, and on a Dask cluster of this machine with as many workers; first starts are timed apart.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import psutil

from benchmarks.sparse_passes import random_store
from precompute.command_line import CommandParser, run_command
from precompute.config import CorpusConfig, ModelType
from precompute.executors.choice import Choice, open_executor
from precompute.executors.executor import Executor
from precompute.features import coactivations, example_features, histograms, transpose
from precompute.pipeline.step import StepContext
from precompute.progress import Silent
from precompute.settings import Operations, Settings
from precompute.stores.row_store import RowStore

STEPS = MappingProxyType(
    {
        "transpose": transpose.run,
        "histograms": histograms.run,
        "example_features": example_features.run,
        "coactivations": coactivations.run,
    }
)
NAMES = ("threads", "processes", "dask")


def nothing() -> Callable[[int], int]:
    return lambda n: n


@contextmanager
def opened(name: str, workers: int) -> Iterator[Executor]:
    if name != "dask":
        with open_executor(Choice(name, workers)) as executor:  # type: ignore[arg-type]
            yield executor
        return
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        open_executor(Choice("dask", scheduler=cluster.scheduler_address)) as executor,
    ):
        yield executor


@dataclass(frozen=True)
class Seconds:
    """What some work takes."""

    wall: float
    processor: float
    """Of all processes that work."""


def processor() -> float:
    """Seconds of processor that this process and its children have taken so far."""
    me = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (me, *me.children(recursive=True)))


def timed(work: Callable[[], object]) -> Seconds:
    wall, taken = time.perf_counter(), processor()
    work()
    return Seconds(time.perf_counter() - wall, processor() - taken)


def seconds(executor: Executor, root: Path, workers: int) -> dict[str, Seconds]:
    """What each step takes the second time, when kernels are compiled and workers have started."""
    found = {}
    for turn in ("first", "timed"):
        files = {"activations": root / "rows"}
        for name, run in STEPS.items():
            out = root / turn / name
            out.mkdir(parents=True)
            model_type = ModelType(name="random", model="m", sae="s", corpus=CorpusConfig(builtin=True))
            operations = Operations(workers=workers)
            settings = Settings.model_validate({"coactivation_max_rows": 100_000})
            context = StepContext(model_type, settings, operations, out, files, Silent(), executor=executor)
            found[name] = timed(partial(run, context))
            files["feature_major"] = root / turn / "transpose" / "feature_major"
    return found


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.executors")
    parser.add_argument("--shards", type=int, default=16, help="shards of 256 examples")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads, or processes")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args(argv)
    figures: dict[str, dict[str, Seconds]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        n_nonzero = random_store(Path(scratch) / "rows", "npy", arguments.shards).info.n_nonzero
        for name in NAMES:
            root = Path(scratch) / name
            root.mkdir()
            (root / "rows").symlink_to(Path(scratch) / "rows")
            with opened(name, arguments.workers) as executor:
                start = timed(lambda: list(executor.map(nothing, range(arguments.workers))))
                pieces = timed(lambda: list(executor.map(nothing, range(1000))))
                times = seconds(executor, root, arguments.workers)
            figures[name] = {"start": start, "1,000 empty pieces": pieces, **times}
        assert RowStore(Path(scratch) / "rows").info.n_nonzero == n_nonzero
    print(f"{n_nonzero:,} non-zeros, {arguments.workers} workers; seconds")
    print(" " * 18 + "".join(f"{name:>12}{'processor':>12}" for name in NAMES))
    for row in ("start", "1,000 empty pieces", *STEPS):
        cells = (f"{figures[name][row].wall:12.3f}{figures[name][row].processor:12.3f}" for name in NAMES)
        print(f"{row:18}" + "".join(cells))
    if arguments.json:
        as_dicts = {
            name: {row: asdict(taken) for row, taken in found.items()} for name, found in figures.items()
        }
        arguments.json.write_text(json.dumps({"n_nonzero": n_nonzero, **as_dicts}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
