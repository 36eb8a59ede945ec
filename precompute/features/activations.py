"""Step `activations`: the model and its SAE over the corpus, into the row-major store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.config import with_model
from precompute.executors.ranks import Ranks
from precompute.features.imported_activations import write_activations
from precompute.models.sae.registry import read_header
from precompute.pipeline.step import OnStore, Step, StepContext
from precompute.stores.layout import EXAMPLES_PER_SHARD, feature_dtype, part_directory, stored_acts
from precompute.stores.row_shard import RowShard, feature_statistics
from precompute.stores.row_store import RowStoreWriter

if TYPE_CHECKING:
    from precompute.models.encoding import EncodedRows, SAEReader


EXAMPLES_TO_THE_END = 512
"""About so many examples are read beyond the capture site, for the mean of 1 / sigma of the final norm: over
50,000 rows and more it is known to a few parts in ten thousand."""


def run(context: StepContext) -> None:
    """Write the directory `activations`; shards that an interrupted run completed are kept."""
    root, n_shards = context.out / "activations", len(_shards(context))
    missing = [number for number in range(n_shards) if not part_directory(root, number).is_dir()]
    if missing:
        context.share(partial(encode_shards, tuple(missing)))
    _writer(context).finish(n_shards)


def encode_shards(missing: Sequence[int], context: StepContext, ranks: Ranks) -> None:
    """Write those of the missing shards that fall to this process; progress is of these alone."""
    from precompute.models.encoding import SAEReader

    reader = SAEReader.load(with_model(context.model_type), ranks.device(context.operations.device))
    writer, shards, own = _writer(context), _shards(context), ranks.own(missing)
    # Every so many, over the whole corpus: no batch, shard or rank decides which.
    every = max(1, sum(map(len, shards)) // EXAMPLES_TO_THE_END)
    done = 0 if ranks.world_size > 1 else sum(map(_n_rows, shards)) - sum(_n_rows(shards[n]) for n in missing)
    context.progress.start(done + sum(_n_rows(shards[number]) for number in own), "rows")
    context.progress.advance(done)
    for number in own:
        first = number * EXAMPLES_PER_SHARD
        to_the_end = np.arange(first, first + len(shards[number])) % every == 0
        writer.write_shard(number, _encode_shard(context, reader, shards[number], first, to_the_end))


def _shards(context: StepContext) -> list[pl.DataFrame]:
    return list(context.table("windows").iter_slices(EXAMPLES_PER_SHARD))


def _writer(context: StepContext) -> RowStoreWriter:
    model_type = with_model(context.model_type)
    header = read_header(model_type.sae)
    return RowStoreWriter(
        context.out / "activations", model_type.storage, header.d_sae, header.d_in, model_type.acts_dtype
    )


def _n_rows(windows: pl.DataFrame) -> int:
    """Positions that are not special."""
    lengths = windows["token_ids"].list.len().cast(pl.Int64) - windows["n_special"].cast(pl.Int64)
    return int(lengths.sum())


def _encode_shard(
    context: StepContext,
    reader: SAEReader,
    windows: pl.DataFrame,
    first: int,
    to_the_end: NDArray[np.bool_],
) -> RowShard:
    rows = reader.encode(
        windows["token_ids"].to_list(),
        windows["n_special"].to_list(),
        context.operations.batch_size,
        context.progress.advance,
        to_the_end,
    )
    lengths = windows["token_ids"].list.len().to_numpy()
    return row_shard(
        rows,
        token_ids=windows["token_ids"].explode(empty_as_null=False).to_numpy(),
        example_indptr=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        first_example=first,
        d_sae=reader.sae.d_sae,
        acts_dtype=with_model(context.model_type).acts_dtype,
        listed=context.features(reader.sae.d_sae),
    )


def row_shard(
    rows: EncodedRows,
    *,
    token_ids: NDArray[Any],
    example_indptr: NDArray[np.int64],
    first_example: int,
    d_sae: int,
    acts_dtype: str,
    listed: range,
) -> RowShard:
    """One shard of the store, with the non-zeros of the listed features alone.

    token_ids: int32 [n_tokens] of all its examples. Raises UsageError where acts_dtype cannot hold a value.
    """
    acts = stored_acts(rows.acts, acts_dtype)
    # A value too small for float16 is zero in it, and zeros are not stored.
    kept = (acts != 0) & (rows.features >= listed.start) & (rows.features < listed.stop)
    owners = np.repeat(np.arange(len(rows.counts)), rows.counts)[kept]
    counts = np.bincount(owners, minlength=len(rows.counts))
    features, acts = rows.features[kept].astype(feature_dtype(d_sae)), acts[kept]
    return RowShard(
        token_ids=token_ids.astype(np.int32),
        example_indptr=example_indptr,
        position=rows.position.astype(np.int32),
        example=(rows.example + first_example).astype(np.int32),
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        features=features,
        acts=acts,
        example_means=rows.example_means,
        inverse_sigma=rows.unit_effect,
        **feature_statistics(features, acts, d_sae),
    )


STEP = Step(
    name="activations",
    version=2,
    summary="Runs the model and its SAE over the corpus: which features fire on each row, and how much.",
    outputs=("activations",),
    run=run,
    inputs=("corpus",),
    sources=("model", "sae"),
    on_store=OnStore("Copies the imported activations, row by row.", write_activations, ("store",)),
    settings=("features",),
    resumable=True,
    seconds_per_million=8.0,
)
