"""A table as a file: CSV or Parquet, in pieces."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

ROWS_A_PIECE = 4096
BYTES_A_PIECE = 1 << 18
FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that a spreadsheet would take for a formula."""


@dataclass(frozen=True)
class Format:
    """A way to write a table."""

    label: str
    mime_type: str
    pieces: Callable[[pl.DataFrame], Iterator[bytes]]


def csv_pieces(table: pl.DataFrame) -> Iterator[bytes]:
    """The table as CSV in UTF-8; numbers to their last digit, absent values as empty cells, lists as JSON.

    A text that begins like a formula gets an apostrophe before it, as spreadsheets write such texts.
    """
    flat = flattened(table)
    texts = pl.col(pl.String)
    safe = pl.when(texts.str.contains(FORMULA)).then("'" + texts).otherwise(texts)
    has_texts = pl.String in flat.schema.values()
    guarded = flat.with_columns(safe.name.keep()) if has_texts else flat
    yield guarded.clear().write_csv().encode()
    for start in range(0, table.height, ROWS_A_PIECE):
        yield guarded[start : start + ROWS_A_PIECE].write_csv(include_header=False).encode()


def parquet_pieces(table: pl.DataFrame) -> Iterator[bytes]:
    """The table as Parquet, with its types and texts as they are."""
    with tempfile.TemporaryFile() as file:
        table.write_parquet(file, compression="zstd")
        file.seek(0)
        while piece := file.read(BYTES_A_PIECE):
            yield piece


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "csv": Format("CSV", "text/csv; charset=utf-8", csv_pieces),
        "parquet": Format("Parquet", "application/vnd.apache.parquet", parquet_pieces),
    }
)
"""By the ending of the file's name."""


def flattened(table: pl.DataFrame) -> pl.DataFrame:
    """The table with nested columns as JSON texts."""
    nested = [name for name, kind in table.schema.items() if kind.is_nested()]
    return table.with_columns(as_json(table[name]) for name in nested) if nested else table


def as_json(nested: pl.Series) -> pl.Series:
    """Each value of a nested column as a JSON text, where there is one."""
    texts = [
        None if value is None else json.dumps(value, ensure_ascii=False, default=str)
        for value in nested.to_list()
    ]
    return pl.Series(nested.name, texts, dtype=pl.String)
