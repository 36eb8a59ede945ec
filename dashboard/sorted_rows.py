"""Rows of a table in an order that a grid or an address asks for: checked, then applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from dashboard.address import AddressError, one_of, shortened
from dashboard.grid import Sort


@dataclass(frozen=True)
class GridColumn:
    """A column of a grid that sorts on the server."""

    name: str
    heading: str
    explanation: str
    """One or two sentences with the formula, shown on demand."""
    width: int = 120
    """Pixels, to begin with."""
    renderer: str | None = None
    """The function of assets that draws a cell; numbers and texts need none."""
    formatter: str | None = None
    """The function of assets that writes a number."""
    sortable: bool = True
    hidden: bool = False
    """Whether it is left out until a script shows it."""


def sorts_of_request(request: object, columns: Sequence[GridColumn]) -> tuple[Sort, ...]:
    """The sorts of AG Grid's `getRowsRequest`; raises AddressError for what is not valid."""
    models = request.get("sortModel") if isinstance(request, Mapping) else None
    listed = models[: len(columns)] if isinstance(models, list) else []
    return tuple(_sort(model, columns) for model in listed)


def sorts_of_text(text: str | None, columns: Sequence[GridColumn]) -> tuple[Sort, ...]:
    """The sorts that an address names, such as `n_rows:desc,idf:asc`; raises AddressError."""
    parts = [part.partition(":") for part in (text or "").split(",") if part][: len(columns)]
    models = [{"colId": column, "sort": direction or "asc"} for column, _, direction in parts]
    return tuple(_sort(model, columns) for model in models)


def _sort(model: object, columns: Sequence[GridColumn]) -> Sort:
    if not isinstance(model, Mapping):
        raise AddressError(f"sort {shortened(model)}", "a column and a direction", "sort on the page")
    known = [column.name for column in columns if column.sortable]
    column = model.get("colId")
    if not isinstance(column, str) or column not in known:
        raise AddressError(f"column {shortened(column)}", f"one of {', '.join(known)}", "sort on the page")
    return Sort(column, one_of(model.get("sort"), ("asc", "desc"), "a direction") == "desc")


def ordered(table: pl.DataFrame, sorts: Sequence[Sort], key: str) -> pl.DataFrame:
    """A table in that order; ties by `key`, absent values last. Columns that it lacks are passed over."""
    there = [sort for sort in sorts if sort.column in table.columns]
    if not there:
        return table
    by = [*(sort.column for sort in there), key]
    return table.sort(by, descending=[*(sort.descending for sort in there), False], nulls_last=True)


def sort_model(sorts: Sequence[Sort]) -> dict[str, tuple[int, str]]:
    """Place and direction of each sorted column, as AG Grid writes them."""
    return {sort.column: (i, "desc" if sort.descending else "asc") for i, sort in enumerate(sorts)}


def block(table: pl.DataFrame, rows: range) -> dict[str, Any]:
    """A block of rows as AG Grid wants it."""
    return {"rowData": table[rows.start : rows.stop].to_dicts(), "rowCount": table.height}


NO_ROWS: Mapping[str, Any] = {"rowData": [], "rowCount": 0}
"""What a grid shows where its request cannot be answered."""
