"""Step `sae_quality`: what the SAE keeps of activations and predictions, on held-out texts."""

from __future__ import annotations

from dataclasses import asdict

import polars as pl

from precompute.config import with_model
from precompute.errors import NotApplicableError
from precompute.pipeline.step import Step, StepContext


def run(context: StepContext) -> None:
    """Write sae_quality.json: the fields of models.quality.Quality, n_examples, and whether held out."""
    from precompute.models.encoding import SAEReader
    from precompute.models.quality import N_PASSES, measure

    windows = within_rows(context.table("held_out_windows"), context.settings.quality_max_rows)
    if windows.height == 0:
        raise NotApplicableError("there is no text with a token on which the SAE could be measured")
    reader = SAEReader.load(with_model(context.model_type), context.operations.device)
    if reader.language_model.model.get_output_embeddings() is None:
        raise NotApplicableError("the model has no output layer, so nothing is predicted")
    context.progress.start(N_PASSES * int(n_rows(windows).sum()), "rows")
    quality = measure(
        reader,
        windows["token_ids"].to_list(),
        windows["n_special"].to_list(),
        context.operations.batch_size,
        context.progress.advance,
    )
    held_out = bool(context.record("corpus")["held_out"])
    record = {"held_out": held_out, "n_examples": windows.height, **asdict(quality)}
    context.write_record("sae_quality", record)


def n_rows(windows: pl.DataFrame) -> pl.Series:
    """Positions of each window that are not special."""
    return windows["token_ids"].list.len().cast(pl.Int64) - windows["n_special"].cast(pl.Int64)


def within_rows(windows: pl.DataFrame, max_rows: int) -> pl.DataFrame:
    """The first windows that hold at most max_rows rows in all, but at least one; none without a row."""
    windows = windows.filter(n_rows(windows) > 0)
    n_kept = int((n_rows(windows).cum_sum() <= max_rows).sum())
    return windows.head(max(1, n_kept))


STEP = Step(
    name="sae_quality",
    version=1,
    summary="What the SAE keeps of activations and of the model's predictions, on held-out texts.",
    outputs=("sae_quality.json",),
    run=run,
    inputs=("corpus",),
    sources=("model", "sae"),
    settings=("quality_max_rows",),
    seconds_per_million=2.0,
)
