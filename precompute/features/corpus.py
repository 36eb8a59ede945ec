"""Step `corpus`: the texts of a model type, cut into examples, and its vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.config import ModelType, with_model
from precompute.corpus.location import corpus_file
from precompute.corpus.readers import read_corpus
from precompute.corpus.subsets import held_out_mask, seeded_order
from precompute.corpus.token_lists import TOKENS, check_sets, id_lookup, written
from precompute.corpus.windows import Encode, cut_windows, n_rows
from precompute.errors import CorpusError
from precompute.features import imported_corpus
from precompute.models.language_model import load_tokenizer
from precompute.models.preflight import check_model_type
from precompute.models.tokenizing import bos_token_id, text_encoder
from precompute.models.tokens import vocabulary
from precompute.pipeline.step import OnStore, Step, StepContext

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(context: StepContext) -> None:
    """Read, choose and cut the texts; see DESIGN for the columns."""
    model_type, settings = with_model(context.model_type), context.settings
    config = model_type.corpus
    column = "text" if config.builtin else config.text_column
    path = corpus_file(config, context.data_dir)
    table = read_corpus(path, column, config.tokens_column, config.token_sets)
    tokenizer = load_tokenizer(model_type.model, model_type.revision)
    held_out = held_out_mask(table, config.held_out)
    order = seeded_order(table["text_id"], settings.seed)
    context.progress.start(2, "parts")
    tokens = _vocabulary(tokenizer, model_type)
    bos = bos_token_id(tokenizer, model_type)
    if config.tokens_column is not None:
        table = _with_ids_of_tokens(table, tokenizer, tokens, config.token_sets)
    if config.token_sets:
        check_sets(table, config.n_ctx - (bos is not None))
    cut = _cutter(table, tokenizer, config.n_ctx, bos)
    windows = cut(order[~held_out[order]], config.max_examples)
    context.progress.advance()
    if windows.height == 0:
        raise CorpusError("a corpus whose texts give no token", "at least one", "check the corpus")
    evaluated = _evaluation_order(order, held_out, windows)
    held = cut(evaluated, _enough(windows, settings.quality_max_rows))
    context.progress.advance()
    table = table.drop(TOKENS, strict=False)
    context.write_table("windows", windows)
    context.write_table("held_out_windows", held)
    context.write_table("corpus", _with_counts(table, windows, held))
    context.write_table("vocabulary", tokens)
    context.write_record("corpus", _record(table, windows, held, bool(held_out.any()), bos, config.n_ctx))


def _with_ids_of_tokens(
    table: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, tokens: pl.DataFrame, as_sets: bool
) -> pl.DataFrame:
    """The lists as ids, and where only they were given, their tokens' own texts as the text."""
    look_up = id_lookup(tokenizer.get_vocab(), tokens.height)
    ids = pl.Series(TOKENS, look_up(table[TOKENS].to_list()), dtype=pl.List(pl.Int64))
    names = tokens["token"].to_list()
    shown = [(" " if as_sets else "").join(names[token] for token in listed) for listed in ids]
    only_lists = table["text"] == written(table[TOKENS])
    text = pl.when(only_lists).then(pl.Series("text", shown, dtype=pl.String)).otherwise(pl.col("text"))
    return table.with_columns(ids, text.alias("text"))


def _cutter(
    table: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, n_ctx: int, bos: int | None
) -> Callable[[NDArray[np.int64], int | None], pl.DataFrame]:
    """What cuts the texts of an order into windows, whether they are texts or lists of tokens."""
    listed = TOKENS in table.columns
    encode: Encode = _as_they_are if listed else text_encoder(tokenizer)
    column = TOKENS if listed else "text"
    return lambda order, limit: cut_windows(table, order, encode, n_ctx, bos, limit, column)


def _as_they_are(lists: Sequence[Any]) -> list[list[int]]:
    return list(lists)


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
    on_store=OnStore(
        "Lists the examples of the imported store with their metadata, and the vocabulary.",
        imported_corpus.run,
        ("store", "tokenizer"),
    ),
    settings=("seed", "quality_max_rows"),
    run=run,
    seconds_per_million=0.5,
)
