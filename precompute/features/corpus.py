"""Step `corpus`: the texts of a model type, cut into examples, and its vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.config import CorpusConfig, ModelType
from precompute.corpus.readers import read_corpus
from precompute.corpus.snapshot import snapshot_file
from precompute.corpus.subsets import held_out_mask, seeded_order
from precompute.corpus.windows import cut_windows, n_rows
from precompute.errors import CorpusError
from precompute.models.language_model import load_tokenizer
from precompute.models.preflight import check_model_type
from precompute.models.tokenizing import bos_token_id, text_encoder
from precompute.models.tokens import vocabulary
from precompute.pipeline.step import Step, StepContext

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def corpus_file(corpus: CorpusConfig, data_dir: Path) -> Path:
    """The file that holds the corpus: the user's, or the snapshot of the built-in one."""
    return snapshot_file(data_dir) if corpus.builtin else Path(corpus.path or "")


def run(context: StepContext) -> None:
    """Read, choose and cut the texts; see DESIGN for the columns."""
    model_type, settings = context.model_type, context.settings
    config = model_type.corpus
    column = "text" if config.builtin else config.text_column
    table = read_corpus(corpus_file(config, context.data_dir), column)
    tokenizer = load_tokenizer(model_type.model, model_type.revision)
    held_out = held_out_mask(table, config.held_out)
    order = seeded_order(table["text_id"], settings.seed)
    context.progress.start(2, "parts")
    encode = text_encoder(tokenizer)
    bos = bos_token_id(tokenizer, model_type)
    windows = cut_windows(table, order[~held_out[order]], encode, config.n_ctx, bos, config.max_examples)
    context.progress.advance()
    if windows.height == 0:
        raise CorpusError("a corpus whose texts give no token", "at least one", "check the corpus")
    evaluated = _evaluation_order(order, held_out, windows)
    held = cut_windows(
        table, evaluated, encode, config.n_ctx, bos, _enough(windows, settings.quality_max_rows)
    )
    context.progress.advance()
    context.write_table("windows", windows)
    context.write_table("held_out_windows", held)
    context.write_table("corpus", _with_counts(table, windows, held))
    context.write_table("vocabulary", _vocabulary(tokenizer, model_type))
    context.write_record("corpus", _record(table, windows, held, bool(held_out.any()), bos, config.n_ctx))


def _evaluation_order(
    order: NDArray[np.int64], held_out: NDArray[np.bool_], windows: pl.DataFrame
) -> NDArray[np.int64]:
    """Texts to measure the SAE on: the held-out ones; else those not used; else all."""
    if held_out.any():
        return order[held_out[order]]
    unused = order[~np.isin(order, windows["text_index"].unique().to_numpy())]
    return unused if len(unused) else order


def _enough(windows: pl.DataFrame, max_rows: int) -> int:
    """Windows that give about `max_rows` rows, if they are as long as the corpus' own."""
    return max(1, round(max_rows * windows.height / max(1, n_rows(windows))))


def _with_counts(table: pl.DataFrame, windows: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """The texts that windows were cut from, with their token counts and their duplicates."""
    used = pl.concat([windows, held]).unique(["text_index", "chunk"])
    length = pl.col("token_ids").list.len() - pl.col("n_special")
    counts = used.group_by("text_index").agg(length.sum().cast(pl.UInt32).alias("n_tokens"))
    numbered = table.with_row_index("text_index").join(
        counts, on="text_index", how="inner", maintain_order="left"
    )
    first = pl.col("text_index").min().over("text_id").alias("duplicate_of")
    ours = ["text_index", "text_id", "text", "n_tokens", "duplicate_of"]
    return numbered.with_columns(first).select(*ours, pl.exclude(ours))


def _vocabulary(tokenizer: PreTrainedTokenizerBase, model_type: ModelType) -> pl.DataFrame:
    d_vocab = check_model_type(model_type).d_vocab
    special = set(tokenizer.all_special_ids)
    return pl.DataFrame(
        {
            "token_id": range(d_vocab),
            "token": vocabulary(tokenizer, d_vocab),
            "is_special": [token in special for token in range(d_vocab)],
        },
        schema={"token_id": pl.UInt32, "token": pl.String, "is_special": pl.Boolean},
    )


def _record(  # noqa: PLR0917 - one line a fact
    table: pl.DataFrame,
    windows: pl.DataFrame,
    held: pl.DataFrame,
    held_out: bool,
    bos: int | None,
    n_ctx: int,
) -> dict[str, Any]:
    return {
        "n_texts_in_corpus": table.height,
        "n_empty_texts": int((table["text"].str.strip_chars().str.len_bytes() == 0).sum()),
        "n_texts": windows["text_index"].n_unique(),
        "n_examples": windows.height,
        "n_rows": n_rows(windows),
        "n_held_out_examples": held.height,
        "n_held_out_rows": n_rows(held),
        "held_out": held_out,
        "prepend_bos": bos is not None,
        "bos_token_id": bos,
        "n_ctx": n_ctx,
    }


STEP = Step(
    name="corpus",
    version=1,
    summary="Chooses the texts, cuts them into examples of n_ctx tokens, and lists the vocabulary.",
    outputs=(
        "corpus.parquet",
        "windows.parquet",
        "held_out_windows.parquet",
        "vocabulary.parquet",
        "corpus.json",
    ),
    sources=("corpus", "tokenizer"),
    settings=("seed", "quality_max_rows"),
    run=run,
    seconds_per_million=0.5,
)
