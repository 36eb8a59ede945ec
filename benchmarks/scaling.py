"""What a job of any size takes, from constants measured here: `python -m benchmarks.scaling`.

Measures bytes and seconds of processor on a few shards as wide as the job's, with more and with fewer of
them, so that what each further shard takes is known; then multiplies. The rate of matrix products is that of
`--device`, so run it on a machine with the GPU that the job will have. Times of processor are the least of
three, since those of the clock depend on whatever else a machine does.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from precompute.command_line import CommandParser, positive, run_command
from precompute.executors.local import Threads
from precompute.features.histograms import count_feature_major
from precompute.features.transpose import MOST_PASSES, transpose
from precompute.progress import Silent
from precompute.stores.convert import convert
from precompute.stores.feature_store import FeatureStore, n_blocks
from precompute.stores.layout import EXAMPLES_PER_SHARD, feature_dtype
from precompute.stores.row_shard import RowShard, feature_statistics
from precompute.stores.row_store import RowStore, RowStoreWriter

FEW, MANY = 2, 26
"""Shards of the two stores that are measured."""
D_IN = 64
BYTES_PER_NONZERO = 8
"""Their width of activations: the means of examples are counted apart."""


@dataclass(frozen=True)
class Job:
    """What is to be computed."""

    n_rows: int
    d_sae: int
    d_in: int
    n_parameters: int
    l0: int
    """Features that are drawn for a row, some of them more than once."""
    n_ctx: int
    n_gpus: int

    @property
    def n_shards(self) -> int:
        """Shards of the store."""
        return -(-self.n_rows // (EXAMPLES_PER_SHARD * self.n_ctx))


@dataclass(frozen=True)
class Constants:
    """What was measured; seconds are of processor."""

    npy_bytes_per_nonzero: float
    npy_bytes_per_row: float
    npy_bytes_of_statistics: float
    """Of one shard: five numbers a feature."""
    zarr_bytes_per_shard: float
    npy_bytes_per_shard: float
    nonzeros_per_shard: float
    transpose_seconds_per_shard: float
    """Both phases, of each further shard: its sorting, and its part of every block."""
    transpose_seconds: float
    """What writing the blocks takes besides."""
    histogram_seconds_per_shard: float
    histogram_seconds: float
    matrix_rate: float
    """Operations a second in a product of float32 matrices (bfloat16 on a GPU)."""


def shard(job: Job, number: int) -> RowShard:
    """Features drawn with frequencies that fall as 1/rank, as many in each row."""
    generator = np.random.default_rng(number)
    n_rows = EXAMPLES_PER_SHARD * job.n_ctx
    ranks = np.exp(generator.random((n_rows, job.l0)) * np.log(job.d_sae)).astype(np.int64) - 1
    drawn = np.sort(np.minimum(ranks, job.d_sae - 1), axis=1)
    kept = np.concatenate([np.ones((n_rows, 1), bool), drawn[:, 1:] != drawn[:, :-1]], axis=1)
    features = drawn[kept].astype(feature_dtype(job.d_sae))
    acts = generator.lognormal(0, 1, len(features)).astype(np.float32)
    first = number * EXAMPLES_PER_SHARD
    return RowShard(
        token_ids=generator.integers(0, 50_000, n_rows).astype(np.int32),
        example_indptr=np.arange(EXAMPLES_PER_SHARD + 1) * job.n_ctx,
        position=np.tile(np.arange(job.n_ctx, dtype=np.int32), EXAMPLES_PER_SHARD),
        example=np.repeat(np.arange(first, first + EXAMPLES_PER_SHARD, dtype=np.int32), job.n_ctx),
        indptr=np.concatenate([[0], np.cumsum(kept.sum(axis=1))]),
        features=features,
        acts=acts,
        example_means=np.zeros((EXAMPLES_PER_SHARD, D_IN), np.float32),
        inverse_sigma=np.zeros(2),
        **feature_statistics(features, acts, job.d_sae),
    )


def size(directory: Path, *names: str) -> int:
    """Bytes of the files below, of arrays of these names or of all."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return sum(p.stat().st_size for p in files if not names or p.name.partition(".")[0] in names)


def processor_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def random_store(job: Job, path: Path, n_shards: int) -> RowStore:
    writer = RowStoreWriter(path, "npy", job.d_sae, D_IN)
    for number in range(n_shards):
        writer.write_shard(number, shard(job, number))
    writer.finish(n_shards)
    return RowStore(path)


@dataclass(frozen=True)
class Passes:
    """Seconds of processor over one store."""

    transpose: float
    histograms: float


def passes(rows: RowStore, scratch: Path, d_sae: int) -> Passes:
    transposing, counting = [], []
    # So little at once that shards are sorted first, as those of a large job are.
    at_once = rows.info.n_nonzero * BYTES_PER_NONZERO // (2 * MOST_PASSES[rows.info.backend])
    for _ in range(3):
        transposing.append(
            processor_seconds(
                lambda: transpose(rows, scratch, "npy", Threads(), Silent(), bytes_at_once=at_once)
            )
        )
        features = FeatureStore(scratch)
        counting.append(
            processor_seconds(lambda: count_feature_major(features, range(d_sae), 50, Threads(), Silent()))  # noqa: B023
        )
        shutil.rmtree(scratch)
    return Passes(min(transposing), min(counting))


def measured(job: Job, device: str, scratch: Path) -> Constants:
    few, many = (random_store(job, scratch / f"rows-{n}", n) for n in (FEW, MANY))
    less, more = passes(few, scratch / "few", job.d_sae), passes(many, scratch / "many", job.d_sae)
    transposing = (more.transpose - less.transpose) / (MANY - FEW)
    counting = (more.histograms - less.histograms) / (MANY - FEW)
    convert(few.root, scratch / "zarr", "zarr", 1, Silent())
    part, counts = few.root / "parts" / "00000", few.info.shards[0]
    statistics = size(part, *(f"stat_{name}" for name in ("count", "min", "max", "sum", "sum_squares")))
    return Constants(
        npy_bytes_per_nonzero=size(part, "features", "acts") / counts.n_nonzero,
        npy_bytes_per_row=size(part, "token_ids", "position", "example", "indptr") / counts.n_rows,
        npy_bytes_of_statistics=statistics,
        zarr_bytes_per_shard=size(scratch / "zarr") / FEW,
        npy_bytes_per_shard=size(few.root) / FEW,
        nonzeros_per_shard=many.info.n_nonzero / MANY,
        transpose_seconds_per_shard=transposing,
        transpose_seconds=less.transpose - FEW * transposing,
        histogram_seconds_per_shard=counting,
        histogram_seconds=less.histograms - FEW * counting,
        matrix_rate=matrix_rate(device),
    )


def matrix_rate(device: str) -> float:
    """Operations a second, the best of five, of the clock."""
    import torch

    n, dtype = (8192, torch.bfloat16) if device.startswith("cuda") else (2048, torch.float32)
    left, right = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    best = np.inf
    for _ in range(5):
        began = time.perf_counter()
        (left @ right).sum().item()
        best = min(best, time.perf_counter() - began)
    return 2 * n**3 / best


def estimates(job: Job, found: Constants) -> dict[str, float]:
    """What the job takes: bytes, operations, and hours of one core, from the constants alone."""

    n_nonzero = job.n_shards * found.nonzeros_per_shard

    def core_hours(once: float, per_shard: float) -> float:
        return (once + job.n_shards * per_shard) / 3600

    forward, encoder = 2.0 * job.n_parameters * job.n_rows, 2.0 * job.d_in * job.d_sae * job.n_rows
    return {
        "shards": job.n_shards,
        "blocks": n_blocks(job.d_sae),
        "non-zeros": n_nonzero,
        "row-major npy, TB": 1e-12 * job.n_shards * found.npy_bytes_per_shard,
        "of that statistics of shards, TB": 1e-12 * job.n_shards * found.npy_bytes_of_statistics,
        "row-major Zarr, TB": 1e-12 * job.n_shards * found.zarr_bytes_per_shard,
        "means of examples besides, TB": 4e-12 * job.d_in * job.n_rows / job.n_ctx,
        "feature-major npy, TB": 8e-12 * n_nonzero,
        "sorted shards while transposing, TB": 1e-12 * (8 * n_nonzero + 8 * job.d_sae * job.n_shards),
        "model, operations": forward,
        "encoder, operations": encoder,
        "both, hours of one device at the measured rate": (forward + encoder) / found.matrix_rate / 3600,
        "both, seconds on all GPUs for each 100 TFLOP/s": (forward + encoder) / job.n_gpus / 1e14,
        "transpose, core hours": core_hours(found.transpose_seconds, found.transpose_seconds_per_shard),
        "histograms, core hours": core_hours(found.histogram_seconds, found.histogram_seconds_per_shard),
        "reads while blocks are gathered": 3.0 * job.n_shards * n_blocks(job.d_sae),
        "neighbours, operations": 2.0 * job.d_in * job.d_sae**2,
        "SAE weights, float32, GB": 8e-9 * job.d_in * job.d_sae,
        "decoder directions, GB": 4e-9 * job.d_in * job.d_sae,
        "rows of examples, a worker, GB": 4e-9 * job.n_rows,
        "means of examples, a worker of `examples`, GB": 4e-9 * job.d_in * job.n_rows / job.n_ctx,
        "an average block as it is worked on, GB": 12e-9 * n_nonzero / n_blocks(job.d_sae),
    }


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.scaling")
    add = parser.add_argument
    add("--rows", type=positive, default=1_000_000_000, help="activation vectors")
    add("--features", type=positive, default=1_000_000, help="features of the SAE")
    add("--d-in", type=positive, default=4096, help="width of the model")
    add("--parameters", type=positive, default=7_000_000_000, help="parameters of the model")
    add("--l0", type=positive, default=50, help="features drawn for a row; those drawn twice count once")
    add("--n-ctx", type=positive, default=128, help="rows of an example")
    add("--gpus", type=positive, default=256, help="GPUs that run the model")
    add("--device", default="cpu", help="where the rate of matrix products is measured: cpu, cuda")
    add("--json", type=Path, help="also write the figures there")
    given = parser.parse_args(argv)
    job = Job(given.rows, given.features, given.d_in, given.parameters, given.l0, given.n_ctx, given.gpus)
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(job, given.device, Path(scratch))
    figures = {"job": asdict(job), "measured": asdict(found), "estimates": estimates(job, found)}
    for title, table in figures.items():
        print(f"{title}:")
        for name, value in table.items():
            print(f"  {name:50} {value:>20,.6g}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
