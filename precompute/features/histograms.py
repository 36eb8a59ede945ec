"""Step `histograms`: how each feature's non-zero activations are distributed over their own range."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.command_line import CommandParser, run_command
from precompute.errors import UsageError
from precompute.executors.executor import Executor
from precompute.executors.local import Threads
from precompute.features.blocks import pieces, read_piece
from precompute.features.soundness import checked_features
from precompute.features.totals import feature_totals
from precompute.features.transpose import transpose
from precompute.pipeline.step import Step, StepContext
from precompute.progress import Progress, TerminalBar
from precompute.settings import Settings
from precompute.stores.feature_store import FeatureBlock, FeatureStore
from precompute.stores.layout import STORE_FILE, read_info
from precompute.stores.places import Place, local
from precompute.stores.row_store import RowStore

LARGE = 2.0**30
"""From here on half a unit is too little for 10,000 bins that differ in float64."""

SHARDS_AT_ONCE = 8
"""Shards that `fast` counts into one table, which is what travels: few megabytes for many non-zeros."""


@dataclass(frozen=True)
class Bins:
    """Equal bins, for each feature over its own range."""

    low: NDArray[np.float64]
    """float64 [n_features]: the first edge; +inf for a silent feature."""
    high: NDArray[np.float64]
    """float64 [n_features]: the last edge; -inf for a silent feature."""
    width: NDArray[np.float64]
    """float64 [n_features]."""
    n_bins: int

    def edges(self) -> NDArray[np.float64]:
        """float64 [n_features, n_bins + 1], as numpy.linspace has them; of no meaning for silent ones."""
        low, width = (np.where(np.isfinite(self.low), v, 0)[:, None] for v in (self.low, self.width))
        edges = np.arange(self.n_bins + 1, dtype=np.float64) * width + low
        edges[:, -1] = self.high
        return edges


@dataclass(frozen=True)
class Histograms:
    """Counts of consecutive features."""

    first: int
    bins: Bins
    counts: NDArray[np.uint32]
    """uint32 [n_features, n_bins]."""


def bins_over(smallest: NDArray[np.float64], largest: NDArray[np.float64], n_bins: int) -> Bins:
    """Bins from each feature's smallest to its largest non-zero activation.

    A single value gets the range that numpy.histogram gives it: half a unit each side. One too large for
    half a unit to be divided, which NumPy refuses, gets its own size each side.
    """
    half = np.where(np.abs(smallest) < LARGE, 0.5, np.abs(smallest))
    margin = np.where(smallest == largest, half, 0)
    with np.errstate(invalid="ignore"):
        low, high = smallest - margin, largest + margin
        return Bins(low, high, (high - low) / n_bins, n_bins)


def count_row_major(store: RowStore, n_bins: int, executor: Executor, progress: Progress) -> Histograms:
    """Method `fast`: one pass over the rows; all features of some shards are counted into one table."""
    numbers = range(store.n_shards)
    groups = [numbers[start : start + SHARDS_AT_ONCE] for start in numbers[::SHARDS_AT_ONCE]]
    counts = np.zeros((store.d_sae, n_bins), np.uint32)
    progress.start(store.info.n_nonzero, "non-zeros")
    found = executor.map(partial(_row_counting, store.root, n_bins), groups, local(store.root))
    for group, counted in zip(groups, found, strict=True):
        counts += counted
        progress.advance(sum(store.info.shards[number].n_nonzero for number in group))
    return Histograms(0, _total_bins(store, n_bins), counts)


def _total_bins(store: RowStore, n_bins: int) -> Bins:
    totals = feature_totals(store)
    return bins_over(totals.smallest, totals.largest, n_bins)


def _row_counting(root: Place, n_bins: int) -> Callable[[range], NDArray[np.uint32]]:
    from precompute.features.kernels.bins import count_rows

    store = RowStore(root)
    bins = _total_bins(store, n_bins)

    def counted(shards: range) -> NDArray[np.uint32]:
        counts = np.zeros((store.d_sae, n_bins), np.uint32)
        for number in shards:
            features = checked_features(store, number)
            acts = np.array(store.values(number, "acts"), dtype=np.float32)
            count_rows(features, acts, bins.low, bins.high, bins.width, counts)
        return counts

    return counted


def count_feature_major(
    store: FeatureStore, listed: range, n_bins: int, executor: Executor, progress: Progress
) -> Histograms:
    """Method `parallel`: blocks of features, several at the same time."""
    progress.start(len(listed), "features")
    parts = [Histograms(listed.start, _no_bins(n_bins), np.zeros((0, n_bins), np.uint32))]
    counting = partial(_block_counting, store.root, n_bins)
    for part in executor.map(counting, pieces(store.feature_indptr, listed), local(store.root)):
        parts.append(part)
        progress.advance(len(part.counts))
    return _joined(parts)


def _block_counting(root: Place, n_bins: int) -> Callable[[range], Histograms]:
    store = FeatureStore(root)
    return lambda features: count_block_of(read_piece(store, features), n_bins)


def count_block_of(block: FeatureBlock, n_bins: int) -> Histograms:
    """The histograms of one block."""
    from precompute.features.kernels.bins import count_block

    smallest, largest = _extrema(block)
    bins = bins_over(smallest, largest, n_bins)
    counts = np.zeros((block.n_features, n_bins), np.uint32)
    count_block(block.indptr, block.acts, bins.low, bins.high, bins.width, counts)
    return Histograms(block.first, bins, counts)


def _extrema(block: FeatureBlock) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    smallest, largest = np.full(block.n_features, np.inf), np.full(block.n_features, -np.inf)
    active = np.flatnonzero(np.diff(block.indptr))
    if len(active):
        # reduceat takes each active feature up to the next one's start, and those between hold nothing.
        smallest[active] = np.minimum.reduceat(block.acts, block.indptr[active])
        largest[active] = np.maximum.reduceat(block.acts, block.indptr[active])
    return smallest, largest


def _no_bins(n_bins: int) -> Bins:
    return Bins(np.zeros(0), np.zeros(0), np.zeros(0), n_bins)


def _joined(parts: list[Histograms]) -> Histograms:
    low, high, width = (
        np.concatenate([getattr(part.bins, name) for part in parts]) for name in ("low", "high", "width")
    )
    counts = np.concatenate([part.counts for part in parts])
    return Histograms(parts[0].first, Bins(low, high, width, parts[0].bins.n_bins), counts)


def histogram_table(histograms: Histograms, listed: range, n_rows: int) -> pl.DataFrame:
    """The table of the listed features; silent ones have empty lists."""
    chosen = slice(listed.start - histograms.first, listed.stop - histograms.first)
    counts = histograms.counts[chosen]
    n_nonzero = counts.sum(axis=1, dtype=np.int64)
    table = pl.DataFrame(
        {
            "feature": pl.Series(np.arange(listed.start, listed.stop), dtype=pl.UInt32),
            "n_zero": pl.Series(n_rows - n_nonzero, dtype=pl.UInt32),
            "bin_edges": pl.Series(histograms.bins.edges()[chosen]).arr.to_list(),
            "counts": pl.Series(counts).arr.to_list(),
        }
    )
    silent = pl.col("n_zero") == n_rows
    return table.with_columns(
        pl.when(silent).then(pl.col(name).list.head(0)).otherwise(name).alias(name)
        for name in ("bin_edges", "counts")
    )


def run(context: StepContext) -> None:
    """Write `histograms.parquet` by the method that the operations choose; both give the same."""
    rows, n_bins = context.row_store(), context.settings.n_bins
    listed = context.features(rows.d_sae)
    if context.operations.method == "fast":
        found = count_row_major(rows, n_bins, context.executor, context.progress)
    else:
        found = count_feature_major(
            context.feature_store(), listed, n_bins, context.executor, context.progress
        )
    context.write_table("histograms", histogram_table(found, listed, rows.n_rows))


STEP = Step(
    name="histograms",
    version=1,
    summary="The distribution of each feature's non-zero activations.",
    outputs=("histograms.parquet",),
    run=run,
    inputs=("activations", "transpose"),
    settings=("n_bins", "features"),
    seconds_per_million=0.05,
)


def histograms_of(
    directory: Path, method: str, n_bins: int, workers: int, progress: Progress
) -> pl.DataFrame:
    """The table of a store of either layout, or of a model type's directory, which holds both.

    `parallel` transposes a row-major store into a temporary directory first; a feature-major one is
    counted by blocks whatever the method.
    """
    path = store_in(directory, method)
    if read_info(path).layout == "features":
        return _feature_major_table(path, n_bins, workers, progress)
    rows = RowStore(path)
    if method != "parallel":
        found = count_row_major(rows, n_bins, Threads(workers), progress)
        return histogram_table(found, range(rows.d_sae), rows.n_rows)
    with tempfile.TemporaryDirectory(prefix="lightwell-") as scratch:
        transpose(rows, Path(scratch), "npy", Threads(workers), progress)
        return _feature_major_table(Path(scratch), n_bins, workers, progress)


def _feature_major_table(path: Path, n_bins: int, workers: int, progress: Progress) -> pl.DataFrame:
    store = FeatureStore(path)
    listed = range(store.d_sae)
    found = count_feature_major(store, listed, n_bins, Threads(workers), progress)
    return histogram_table(found, listed, store.n_rows)


def store_in(directory: Path, method: str) -> Path:
    """The directory itself where it is a store, else the store in it that the method reads best."""
    inner = ("feature_major", "activations") if method == "parallel" else ("activations", "feature_major")
    candidates = (directory, *(directory / name for name in inner))
    return next((path for path in candidates if (path / STORE_FILE).is_file()), directory)


def main(argv: list[str]) -> int:
    """Write the histograms of the store that the arguments name."""
    parser = CommandParser(prog="python -m precompute.features.histograms", description=STEP.summary)
    parser.add_argument("--data-dir", type=Path, required=True, help="a store, or a precomputed_… directory")
    parser.add_argument(
        "--method",
        choices=("parallel", "fast", "vectorized"),
        default="parallel",
        help="blocks of features, or one pass over rows (vectorized means fast)",
    )
    parser.add_argument(
        "--n-workers",
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="parts counted at the same time",
    )
    parser.add_argument(
        "--n-bins", type=int, default=Settings.model_validate({}).n_bins, help="bins of each histogram"
    )
    parser.add_argument(
        "--output-path", type=Path, default=Path("histograms.parquet"), help="the table to write"
    )
    arguments = parser.parse_args(argv)
    if arguments.n_bins < 1:
        raise UsageError(f"--n-bins {arguments.n_bins}", "at least 1", "give another number")
    if not arguments.output_path.absolute().parent.is_dir():
        raise UsageError(
            f"no directory {arguments.output_path.parent}", "an existing one", "correct --output-path"
        )
    bar = TerminalBar(STEP.name)
    try:
        table = histograms_of(
            arguments.data_dir, arguments.method, arguments.n_bins, arguments.n_workers, bar
        )
    finally:
        bar.close()
    table.write_parquet(arguments.output_path, compression="zstd")
    print(f"{arguments.output_path}: {table.height:,} features")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
