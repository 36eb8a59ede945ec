"""Subsets of a corpus: one seeded order, of which every subset is a beginning, so that they nest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import polars as pl
import xxhash
from numpy.typing import NDArray

from precompute.errors import CorpusError

SIZES: Mapping[str, int | None] = MappingProxyType(
    {"toy": 100, "tiny": 1_000, "small": 10_000, "medium": 50_000, "full": None}
)
"""Named subsets and their number of texts; full is all of them."""


def seeded_order(text_ids: pl.Series, seed: int) -> NDArray[np.int64]:
    """Indices of the texts in the order in which subsets take them.

    It depends on each text's own id, not on its place, so texts that are added move no others.
    """
    keys = np.array(
        [xxhash.xxh3_64_intdigest(f"{seed}:{text}".encode()) for text in text_ids], dtype=np.uint64
    )
    return np.argsort(keys, kind="stable")


def subset(corpus: pl.DataFrame, size: str, seed: int = 0) -> pl.DataFrame:
    """A named subset of a corpus, in the corpus' own order; raises CorpusError for an unknown name."""
    if size not in SIZES:
        raise CorpusError(f"corpus size {size!r}", f"one of {', '.join(SIZES)}", "correct the size")
    limit = SIZES[size]
    if limit is None or limit >= corpus.height:
        return corpus
    return corpus[np.sort(seeded_order(corpus["text_id"], seed)[:limit])]


def held_out_mask(corpus: pl.DataFrame, held_out: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Which texts are held out: those with one of the named values in one of the named columns."""
    mask = np.zeros(corpus.height, dtype=bool)
    for column, values in held_out.items():
        if column not in corpus.columns:
            raise CorpusError(
                f"held_out names the column {column!r}",
                f"one of {', '.join(corpus.columns)}",
                "correct corpus.held_out",
            )
        mask |= corpus[column].cast(pl.String).is_in(list(values)).fill_null(False).to_numpy()
    return mask
