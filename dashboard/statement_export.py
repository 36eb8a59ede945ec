"""What lights up on the map of statements as a table for a file."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from dashboard.queries import Queries
from dashboard.questions.statements import listed, lit, set_of, statement_view
from precompute.export.files import flattened


def exported(queries: Queries, parameters: Mapping[str, str]) -> tuple[pl.DataFrame, str]:
    """Every statement that the view of an address lights up, by row, with all that is known of it; and a name
    for the file. Nested columns are written as JSON texts."""
    opened = set_of(queries, parameters)
    view = statement_view(queries, opened, parameters)
    rows, found = lit(queries, opened, view), listed(queries, opened, view)
    metadata = opened.embedded.metadata.collect()
    texts = metadata if rows is None else metadata[rows]
    places = opened.points if rows is None else opened.points[rows]
    plain = flattened(texts)
    ours = pl.DataFrame(
        [found["row"], *places.select("x", "y").get_columns(), *found.drop("row").get_columns()]
    )
    table = plain.hstack(ours.drop(*plain.columns, strict=False).get_columns())
    return table, f"{opened.name.model}-{opened.name.size}-statements"
