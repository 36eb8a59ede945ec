"""The feature table as a file: the rows and columns of a view, as CSV or Parquet, in pieces."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from dashboard import columns, grid
from dashboard.address import Address
from dashboard.queries import Queries

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


def exported(queries: Queries, asked: Address) -> pl.DataFrame:
    """Every row that the view of an address shows, in its order, with the columns that it shows.

    Tokens are spelled as in the table; shares are fractions of 1.
    """
    view = grid.view_of_address(asked)
    shown = columns.chosen(asked.parameters.get(columns.COLUMNS_PARAMETER))
    table = queries.feature_table()
    return table.select(name for name in shown if name in table.columns)[queries.feature_order(view)]


def csv_pieces(table: pl.DataFrame) -> Iterator[bytes]:
    """The table as CSV in UTF-8; numbers to their last digit, absent values as empty cells.

    A text that begins like a formula gets an apostrophe before it, as spreadsheets write such texts.
    """
    texts = pl.col(pl.String)
    safe = pl.when(texts.str.contains(FORMULA)).then("'" + texts).otherwise(texts)
    has_texts = pl.String in table.schema.values()
    guarded = table.with_columns(safe.name.keep()) if has_texts else table
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
