"""The held-out texts of the demo: whole packages that neither tokenizer nor model ever sees.

A random split would leak: docstrings repeat one another within a package (47 % of held-out 8-grams
stand in the training part), much less across packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

HELD_OUT_PACKAGES: tuple[str, ...] = ("click", "networkx", "peft", "requests", "rich", "zarr")
"""Packages of the built-in corpus that the demo's weights were not trained on."""

NGRAM = 8
"""Words of an n-gram in the search for near-duplicates."""

MAX_OVERLAP = 0.3
"""A held-out text with a larger share of its n-grams in the training part is dropped."""

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Split:
    """The corpus in two parts, each in corpus order."""

    train: pl.DataFrame
    """Texts for training, exact duplicates removed."""
    held_out: pl.DataFrame
    """Texts of the held-out packages, without duplicates and near-duplicates of training texts."""


def split_corpus(corpus: pl.DataFrame, packages: Iterable[str] = HELD_OUT_PACKAGES) -> Split:
    """Split a corpus table by package, then drop held-out texts that training nearly contains."""
    unique = corpus.unique("text_id", keep="first", maintain_order=True)
    is_held_out = pl.col("package").is_in(list(packages))
    train, held_out = unique.filter(~is_held_out), unique.filter(is_held_out)
    return Split(train, drop_near_duplicates(held_out, train["text"]))


def drop_near_duplicates(candidates: pl.DataFrame, known: Iterable[str]) -> pl.DataFrame:
    """Drop candidates of which more than `MAX_OVERLAP` of the n-grams occur in the known texts."""
    wanted = {gram for text in candidates["text"] for gram in ngrams(text)}
    seen: set[int] = set()
    for text in known:
        seen.update(wanted.intersection(ngrams(text)))
    keep = [overlap(text, seen) <= MAX_OVERLAP for text in candidates["text"]]
    return candidates.filter(pl.Series(keep, dtype=pl.Boolean))


def overlap(text: str, known: set[int]) -> float:
    """Return the share of a text's distinct n-grams that are known."""
    grams = ngrams(text)
    return len(grams & known) / len(grams)


def ngrams(text: str) -> set[int]:
    """Return the hashes of a text's word n-grams; a text shorter than one is a single n-gram."""
    words = _WORD.findall(text)
    n_grams = max(len(words) - NGRAM + 1, 1)
    return {hash(tuple(words[start : start + NGRAM])) for start in range(n_grams)}
