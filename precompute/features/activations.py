"""Step `activations`: the model and its SAE over the corpus, into the row-major store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.pipeline.step import Step, StepContext
from precompute.stores.layout import EXAMPLES_PER_SHARD, feature_dtype, stored_acts
from precompute.stores.row_shard import RowShard, feature_statistics
from precompute.stores.row_store import RowStoreWriter

if TYPE_CHECKING:
    from precompute.models.encoding import EncodedRows, SAEReader


def run(context: StepContext) -> None:
    """Write the directory `activations`; shards that an interrupted run completed are kept."""
    from precompute.models.encoding import SAEReader

    model_type = context.model_type
    windows = context.table("windows")
    reader = SAEReader.load(model_type, context.operations.device)
    header = reader.sae.header
    writer = RowStoreWriter(
        context.out / "activations", model_type.storage, header.d_sae, header.d_in, model_type.acts_dtype
    )
    shards = list(windows.iter_slices(EXAMPLES_PER_SHARD))
    context.progress.start(_n_rows(windows), "rows")
    for number, shard in enumerate(shards):
        if writer.has_shard(number):
            context.progress.advance(_n_rows(shard))
        else:
            writer.write_shard(number, _encode_shard(context, reader, shard, number * EXAMPLES_PER_SHARD))
    writer.finish(len(shards))


def _n_rows(windows: pl.DataFrame) -> int:
    """Positions that are not special."""
    lengths = windows["token_ids"].list.len().cast(pl.Int64) - windows["n_special"].cast(pl.Int64)
    return int(lengths.sum())


def _encode_shard(context: StepContext, reader: SAEReader, windows: pl.DataFrame, first: int) -> RowShard:
    rows = reader.encode(
        windows["token_ids"].to_list(),
        windows["n_special"].to_list(),
        context.operations.batch_size,
        context.progress.advance,
    )
    lengths = windows["token_ids"].list.len().to_numpy()
    return row_shard(
        rows,
        token_ids=windows["token_ids"].explode(empty_as_null=False).to_numpy(),
        example_indptr=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        first_example=first,
        d_sae=reader.sae.d_sae,
        acts_dtype=context.model_type.acts_dtype,
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
    version=1,
    summary="Runs the model and its SAE over the corpus: which features fire on each row, and how much.",
    outputs=("activations",),
    run=run,
    inputs=("corpus",),
    sources=("model", "sae"),
    settings=("features",),
    resumable=True,
    seconds_per_million=8.0,
)
