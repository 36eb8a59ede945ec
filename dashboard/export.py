"""The feature table as a file holds it: the rows and columns of a view."""

from __future__ import annotations

import polars as pl

from dashboard import columns, grid
from dashboard.address import Address
from dashboard.queries import Queries


def exported(queries: Queries, asked: Address) -> pl.DataFrame:
    """Every row that the view of an address shows, in its order, with the columns that it shows.

    Tokens are spelled as in the table; shares are fractions of 1.
    """
    view = grid.view_of_address(asked)
    shown = columns.chosen(asked.parameters.get(columns.COLUMNS_PARAMETER))
    table = queries.feature_table()
    return table.select(name for name in shown if name in table.columns)[queries.feature_order(view)]
