"""Inverse document frequency of every token of the vocabulary, an example being a document."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from precompute.command_line import CommandParser, run_command
from precompute.errors import NotApplicableError, StoreError
from precompute.features.vocabulary import Vocabulary, read_vocabulary
from precompute.pipeline.step import Step, StepContext
from precompute.progress import Progress, Silent
from precompute.stores.layout import STORE_FILE
from precompute.stores.row_store import RowStore

ACTIVATIONS = "activations"
"""The row-major store in a subject's directory."""
VOCABULARY_FILE = "vocabulary.parquet"


def document_frequency(
    token_ids: NDArray[np.int32], example_indptr: NDArray[np.int64], d_vocab: int
) -> NDArray[np.int64]:
    """Number of examples in which each token occurs; int64 [d_vocab], special tokens included."""
    owners = np.repeat(np.arange(len(example_indptr) - 1), np.diff(example_indptr))
    pairs = np.unique(owners * d_vocab + token_ids)
    return np.bincount(pairs % d_vocab, minlength=d_vocab)


def idf_of(frequency: NDArray[np.int64], n_examples: int) -> NDArray[np.float64]:
    """ln((N + 1) / (df + 1)), DESIGN 4.3: 0 for a token of every example; float64 [d_vocab]."""
    return np.log((n_examples + 1) / (frequency + 1))


def idf_table(store: RowStore, vocabulary: Vocabulary, progress: Progress) -> pl.DataFrame:
    """The rows of idf.parquet: token_id, token, document_frequency, idf; one for every token."""
    frequency = np.zeros(len(vocabulary), np.int64)
    progress.start(store.n_examples, "examples")
    for number in range(store.n_shards):
        token_ids = np.asarray(store.array(number, "token_ids")[:], dtype=np.int32)
        indptr = np.asarray(store.array(number, "example_indptr")[:], dtype=np.int64)
        vocabulary.check(token_ids)
        frequency += document_frequency(token_ids, indptr, len(vocabulary))
        progress.advance(len(indptr) - 1)
    return pl.DataFrame(
        {
            "token_id": pl.Series(range(len(vocabulary)), dtype=pl.UInt32),
            "token": vocabulary.tokens,
            "document_frequency": pl.Series(frequency, dtype=pl.UInt32),
            "idf": idf_of(frequency, store.n_examples),
        }
    )


def run(context: StepContext) -> None:
    """Write idf.parquet."""
    store = context.row_store()
    if not any(shard.n_tokens for shard in store.info.shards):
        raise NotApplicableError("no token of the store's examples is known")
    context.write_table("idf", idf_table(store, read_vocabulary(context), context.progress))


STEP = Step(
    name="idf",
    version=1,
    summary="Inverse document frequency of every token, examples as documents.",
    outputs=("idf.parquet",),
    run=run,
    inputs=("corpus", "activations"),
    seconds_per_million=0.05,
)


def store_at(directory: Path) -> RowStore:
    """The row-major store in a directory, or in the subject's directory that it is."""
    inside = directory / ACTIVATIONS
    return RowStore(inside if (inside / STORE_FILE).is_file() else directory)


def vocabulary_at(directory: Path, store: RowStore, model: str | None) -> Vocabulary:
    """The vocabulary of a model's tokenizer, else the subject's own, else ids without strings."""
    if model is not None:
        return _tokenizer_vocabulary(model)
    for root in (directory, directory.parent):
        if (root / VOCABULARY_FILE).is_file():
            table = pl.read_parquet(root / VOCABULARY_FILE).sort("token_id")
            return Vocabulary(table["token"], table["is_special"].to_numpy().copy())
    largest = (np.max(store.array(n, "token_ids")[:], initial=-1) for n in range(store.n_shards))
    d_vocab = int(max(largest, default=-1)) + 1
    return Vocabulary(pl.Series([None] * d_vocab, dtype=pl.String), np.zeros(d_vocab, np.bool_))


def _tokenizer_vocabulary(model: str) -> Vocabulary:
    from transformers import AutoConfig

    from precompute.models.language_model import load_tokenizer, resolve_model_directory
    from precompute.models.tokens import special_token_ids, vocabulary

    tokenizer = load_tokenizer(model)
    config = AutoConfig.from_pretrained(str(resolve_model_directory(model)), trust_remote_code=False)
    d_vocab = int(config.get_text_config().vocab_size)
    special = np.isin(np.arange(d_vocab), list(special_token_ids(tokenizer)))
    return Vocabulary(pl.Series(vocabulary(tokenizer, d_vocab), dtype=pl.String), special)


def main(argv: list[str]) -> int:
    """Compute the IDF table of a store given by its path."""
    parser = CommandParser(prog="python -m precompute.features.idf", description=__doc__)
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="a row-major store, or a directory precomputed_NAME"
    )
    parser.add_argument("--output-path", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--model", help="model directory or hub id whose tokenizer gives the token strings")
    arguments: argparse.Namespace = parser.parse_args(argv)
    store = store_at(arguments.data_dir)
    output: Path = arguments.output_path
    if not output.parent.is_dir():
        raise StoreError(f"no directory {output.parent}", "an existing one", "correct --output-path")
    table = idf_table(store, vocabulary_at(arguments.data_dir, store, arguments.model), Silent())
    table.write_parquet(output, compression="zstd")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
