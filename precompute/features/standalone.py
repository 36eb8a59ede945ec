"""Influences of a model and an SAE given by path, outside any model type."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import polars as pl

from precompute.config import CorpusConfig, ModelType
from precompute.errors import NotApplicableError, UsageError
from precompute.features.directions import inverse_sigma
from precompute.features.effects import effect_tiles
from precompute.features.influences import influences, with_tokens
from precompute.stores.layout import STORE_FILE
from precompute.stores.row_store import RowStore

WITHOUT_ROWS = (
    "lightwell: no rows to average over, so influences are given for sigma = 1: "
    "their order is right, their size is not in logits (--data-dir or --inverse-sigma gives that)"
)


def influences_of(arguments: argparse.Namespace) -> pl.DataFrame:
    """The table of step `influences`; raises UsageError for files that cannot be used."""
    from precompute.models.encoding import SAEReader
    from precompute.models.language_model import load_tokenizer
    from precompute.models.tokens import vocabulary
    from precompute.models.unembedding import effective_unembedding

    s = _inverse_sigma(arguments.inverse_sigma, arguments.data_dir)
    subject = ModelType(
        name="given by path",
        model=arguments.model,
        sae=arguments.sae,
        adapter=arguments.adapter,
        hook_name=arguments.hook_name,
        corpus=CorpusConfig.model_validate({}),
    )
    tokenizer = load_tokenizer(subject.model)
    reader = SAEReader.load(subject, "cpu")
    try:
        effective = effective_unembedding(reader, s)
    except NotApplicableError as reason:
        raise UsageError(f"a model and SAE without influences: {reason}", "others", "choose others") from None
    directions = reader.sae.decoder_directions().numpy()
    tiles = effect_tiles(directions, effective.matrix, range(len(directions)))
    tokens = vocabulary(tokenizer, effective.matrix.shape[1])
    return with_tokens(influences(tiles, arguments.top_k), pl.DataFrame({"token": tokens}))


def _inverse_sigma(given: float | None, data_dir: Path | None) -> float:
    if given is not None:
        if not given > 0:
            raise UsageError(f"--inverse-sigma {given}", "a positive number", "give another")
        return given
    if data_dir is None:
        print(WITHOUT_ROWS, file=sys.stderr)
        return 1.0
    inner = data_dir / "activations"
    return inverse_sigma(RowStore(inner if (inner / STORE_FILE).is_file() else data_dir))
