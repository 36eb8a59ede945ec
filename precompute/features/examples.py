"""Step `examples`: where to look at a feature, from its strongest activations to its near misses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.features.blocks import map_blocks
from precompute.features.near_misses import Candidates, find_candidates, near_misses
from precompute.features.quantiles import block_quantiles
from precompute.pipeline.step import Step, StepContext
from precompute.settings import Settings
from precompute.stores.feature_store import FeatureBlock
from precompute.stores.row_store import RowStore

SCHEMA = {
    "feature": pl.UInt32,
    "band": pl.String,
    "rank": pl.UInt32,
    "row": pl.UInt32,
    "example": pl.UInt32,
    "position": pl.Int32,
    "activation": pl.Float32,
}
"""Columns of the table. A near miss is an example and no row: its row and position are null."""


@dataclass(frozen=True)
class Corpus:
    """What is needed to know of the rows besides their activations."""

    row_example: NDArray[np.uint32]
    """uint32 [n_rows]."""
    row_position: NDArray[np.int32]
    """int32 [n_rows]; -1 for a pooled example."""
    example_text: NDArray[np.int64]
    """int64 [n_examples]: equal for examples of one text, and of texts that are equal."""
    candidates: Candidates


@dataclass(frozen=True)
class Bands:
    """Bands of one kind."""

    names: tuple[str, ...]
    """In the order of their edges."""
    above: float
    """Only activations greater than this belong to any."""
    edges: NDArray[np.float64]
    """float64 [n_features, n_bands - 1]: a value equal to an edge belongs to the band below."""


def quantile_bands(quantiles: NDArray[np.float64]) -> Bands:
    """Bands of equally many of a feature's non-zero activations, up to ties.

    `quantiles` float64 [n_features, n_bands]: at 1/n, 2/n, ... up to 1, the largest activation.
    """
    names = tuple(f"q{i + 1}" for i in range(quantiles.shape[1]))
    return Bands(names, -np.inf, quantiles[:, :-1])


def value_bands(largest: NDArray[np.float64], n_bands: int) -> Bands:
    """Bands of equal width from 0, not included, to a feature's largest activation [n_features]."""
    edges = largest[:, None] * (np.arange(1, n_bands) / n_bands)
    return Bands(tuple(f"v{i + 1}" for i in range(n_bands)), 0.0, edges)


def run(context: StepContext) -> None:
    """Write `examples.parquet`."""
    context.write_table("examples", pl.concat([pl.DataFrame(schema=SCHEMA), *map_blocks(context, _choosing)]))


def _choosing(context: StepContext) -> Callable[[FeatureBlock], pl.DataFrame]:
    corpus = _corpus(context, context.row_store())
    return lambda block: block_examples(block, corpus, context.settings)


def _corpus(context: StepContext, store: RowStore) -> Corpus:
    texts = context.table("corpus").select("text_index", "duplicate_of")
    windows = context.table("windows").select("text_index")
    example_text = windows.join(texts, on="text_index", how="left", maintain_order="left")["duplicate_of"]
    text = example_text.to_numpy().astype(np.int64)
    return Corpus(
        store.row_examples(),
        store.row_positions(),
        text,
        find_candidates(store, text, context.settings.seed),
    )


def block_examples(block: FeatureBlock, corpus: Corpus, settings: Settings) -> pl.DataFrame:
    """The table of one block of features."""
    from precompute.features.kernels.selection import strongest

    n_bands = settings.n_bands
    top = strongest(*_entries_of(block, corpus), settings.n_top_examples)
    quantiles = block_quantiles(block, [(i + 1) / n_bands for i in range(n_bands)])
    kinds = quantile_bands(quantiles), value_bands(quantiles[:, -1], n_bands)
    drawn = _drawn(block, corpus, kinds, settings)
    parts = [
        _entries(block, corpus, ("top",), top[:, None]),
        *(_entries(block, corpus, kind.names, found) for kind, found in zip(kinds, drawn, strict=True)),
        _misses(block, corpus, top, settings.n_near_misses),
    ]
    bands = pl.concat(part.with_columns(order=pl.lit(i)) for i, part in enumerate(parts))
    return bands.sort("feature", "order", "band_number", "rank").select(*SCHEMA)


def _entries_of(block: FeatureBlock, corpus: Corpus) -> tuple[Any, Any, Any, Any, Any]:
    """What kernels that choose entries look at."""
    return block.indptr, block.rows, block.acts, corpus.row_example, corpus.example_text


def _drawn(
    block: FeatureBlock, corpus: Corpus, kinds: Sequence[Bands], settings: Settings
) -> NDArray[np.int64]:
    """int64 [n_kinds, n_features, n_bands, n]: drawn entries of the block, -1 for none."""
    from precompute.features.kernels.selection import draw

    above, edges = np.array([kind.above for kind in kinds]), np.stack([kind.edges for kind in kinds])
    entries = _entries_of(block, corpus)
    return draw(*entries, above, edges, block.first, settings.seed, settings.n_band_examples)


def _entries(
    block: FeatureBlock, corpus: Corpus, names: tuple[str, ...], chosen: NDArray[np.int64]
) -> pl.DataFrame:
    """A table of chosen entries [n_features, n_bands, n], each band's in the order of activation."""
    feature, band, _ = np.nonzero(chosen >= 0)
    entry = chosen[chosen >= 0]
    order = np.lexsort((block.rows[entry], -block.acts[entry], band, feature))
    feature, band, entry = feature[order], band[order], entry[order]
    rows = block.rows[entry]
    return _table(
        block.first + feature,
        names,
        band,
        row=rows,
        example=corpus.row_example[rows],
        position=corpus.row_position[rows],
        activation=block.acts[entry],
    )


def _misses(block: FeatureBlock, corpus: Corpus, top: NDArray[np.int64], n: int) -> pl.DataFrame:
    """A table of near misses, the nearest first."""
    entries = block.rows[np.maximum(top, 0)] if len(block.rows) else np.zeros_like(top)
    examples = np.where(top >= 0, corpus.row_example[entries].astype(np.int64), -1)
    found = near_misses(block, examples, corpus.candidates, n)
    feature, _ = np.nonzero(found >= 0)
    return _table(
        block.first + feature,
        ("miss",),
        np.zeros_like(feature),
        row=None,
        example=found[found >= 0],
        position=None,
        activation=np.zeros(len(feature)),
    )


def _table(
    feature: NDArray[np.int64],
    names: tuple[str, ...],
    band: NDArray[np.int64],
    **columns: NDArray[np.generic] | None,
) -> pl.DataFrame:
    """Entries in the order of feature, band and rank, with the ranks counted from 0 in each band."""
    first = np.ones(len(feature), dtype=bool)
    first[1:] = (feature[1:] != feature[:-1]) | (band[1:] != band[:-1])
    starts = np.flatnonzero(first)
    rank = np.arange(len(feature)) - np.repeat(starts, np.diff(np.append(starts, len(feature))))
    given = {
        name: pl.lit(None, SCHEMA[name]) if values is None else pl.Series(values).cast(SCHEMA[name])
        for name, values in columns.items()
    }
    table = pl.DataFrame({"feature": feature, "band_number": band, "rank": rank})
    return table.with_columns(
        pl.col("feature", "rank").cast(pl.UInt32),
        band=pl.Series(names, dtype=pl.String).gather(band),
        **given,
    )


STEP = Step(
    name="examples",
    version=1,
    summary="Examples of each feature: the strongest, some of each band, and near misses.",
    outputs=("examples.parquet",),
    run=run,
    inputs=("corpus", "activations", "transpose"),
    settings=("n_top_examples", "n_bands", "n_band_examples", "n_near_misses", "seed", "features"),
    seconds_per_million=0.5,
)
