"""Texts that are tokens already: lists of token ids or tokens, in their order or as sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from precompute.corpus.texts import text_id
from precompute.errors import CorpusError

TOKENS = "token_list"
"""Column of a corpus table that holds them: lists of ids (Int64), or of tokens (String)."""


def with_token_lists(table: pl.DataFrame, column: str, text_column: str, as_sets: bool) -> pl.DataFrame:
    """The table with the lists in TOKENS, and a text of each where no column of that name gives one.

    Raises CorpusError for a column that is absent, or holds something else than lists of tokens.
    """
    if column not in table.columns:
        raise CorpusError(
            f"a corpus without a column {column!r}",
            f"the lists of tokens in one of its columns {', '.join(table.columns)}",
            "set tokens_column",
        )
    values = [_tokens(row, value) for row, value in enumerate(table[column].to_list())]
    are_ids = all(isinstance(each, int) for tokens in values for each in tokens)
    lists = pl.Series(
        TOKENS,
        values if are_ids else [[str(each) for each in tokens] for tokens in values],
        dtype=pl.List(pl.Int64 if are_ids else pl.String),
    )
    if as_sets:
        lists = lists.list.unique(maintain_order=True)
    table = table.drop(column).with_columns(lists)
    if text_column in table.columns:
        return table
    return table.with_columns(written(lists).alias(text_column))


def written(lists: pl.Series) -> pl.Series:
    """Each list as a text, where there is no other: its tokens or ids with spaces between them."""
    return lists.cast(pl.List(pl.String)).list.join(" ")


def list_ids(lists: pl.Series, as_sets: bool) -> pl.Series:
    """The identity of each list: that of its tokens in their order, or of the set whatever its order."""
    ordered = lists.list.sort() if as_sets else lists
    return pl.Series("text_id", [text_id("\n".join(map(str, tokens))) for tokens in ordered], dtype=pl.String)


def _tokens(row: int, value: Any) -> list[Any]:
    """A list of ids or tokens, or one written as JSON or with spaces (in CSV); null is an empty one."""
    if value is None:
        return []
    if isinstance(value, str):
        value = _parsed(row, value) if value.lstrip().startswith("[") else _separated(value)
    if isinstance(value, list) and all(map(_is_token, value)):
        return value
    raise CorpusError(f"row {row}: tokens {value!r:.60}", "a list of token ids or tokens", "correct the file")


def _is_token(value: Any) -> bool:
    is_id = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return is_id or isinstance(value, str)


def _separated(value: str) -> list[Any]:
    tokens = value.split()
    return [int(token) for token in tokens] if all(token.isdecimal() for token in tokens) else tokens


def _parsed(row: int, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise CorpusError(f"row {row}: {value:.60} ({error})", "a list of tokens", "correct it") from None


def id_lookup(
    vocabulary: Mapping[str, int], d_vocab: int
) -> Callable[[Sequence[Sequence[Any]]], list[list[int]]]:
    """What turns lists of tokens, or of ids, into lists of ids that the model has.

    Raises CorpusError for a token that is not known, and for an id that is out of range.
    """

    def look_up(token: Any) -> int:
        found = token if isinstance(token, int) else vocabulary.get(token, -1)
        if 0 <= found < d_vocab:
            return found
        raise CorpusError(
            f"the token {token!r} in the corpus",
            f"a token of the model's vocabulary, or an id from 0 to {d_vocab - 1:,}",
            "correct the corpus, or choose the model that it was made for",
        )

    return lambda lists: [[look_up(token) for token in tokens] for tokens in lists]


def check_sets(corpus: pl.DataFrame, width: int) -> None:
    """Raise CorpusError for a set of more tokens than an example holds: a set cannot be cut."""
    lengths = corpus[TOKENS].list.len()
    longest = int(lengths.arg_max() or 0)
    if len(lengths) and int(lengths[longest]) > width:
        raise CorpusError(
            f"a set of {lengths[longest]} tokens (row {longest})",
            f"at most {width}, which is what an example of n_ctx holds",
            "raise n_ctx",
        )
