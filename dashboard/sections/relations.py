"""Section: features that point the same way, and features that fire on the same rows."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import html

from dashboard import formats
from dashboard.address import Address
from dashboard.components.elements import element, table
from dashboard.components.panels import empty, filled
from dashboard.components.tokens import feature_chip
from dashboard.queries import Queries
from dashboard.sections.section import Filling, Section


def layout(queries: Queries, feature: int, _asked: Address) -> Filling:
    """Neighbours as chips, co-activations as a table."""
    return Filling(
        [
            html.H3("Nearest decoder directions (cosine)", className="sub"),
            filled(queries, "neighbors", lambda: _nearest(queries, feature)),
            html.H3("Fires on the same rows", className="sub"),
            filled(queries, "coactivations", lambda: _together(queries, feature)),
        ]
    )


def _nearest(queries: Queries, feature: int) -> Any:
    found = queries.rows_of("neighbors", feature).sort("rank")
    if found.is_empty():
        return empty("No neighbour is listed for this feature")
    rows = zip(found["neighbor"], found["cosine"], strict=True)
    chips = [feature_chip(queries, other, f"{cosine:.2f}", f"cosine {cosine:.4f}") for other, cosine in rows]
    return html.Div(chips, className="chips", id="neighbors")


def _together(queries: Queries, feature: int) -> Any:
    found = queries.rows_of("coactivations", feature).sort("rank")
    if found.is_empty():
        return empty("No other feature fires on the same rows")
    headings = ["Feature", "Both active (rows)", "Jaccard", "Pearson", "Lift", "Side by side"]
    rows = [_pair(queries, row) for row in found.iter_rows(named=True)]
    listed = html.Div(
        table(headings, rows, "Co-activating features", kind="pairs"), className="table-scroll", tabIndex=0
    )
    return html.Div([listed, html.P(_counted(queries, found), className="caption")], id="coactivations")


def _pair(queries: Queries, row: dict[str, Any]) -> list[Any]:
    error = row.get("jaccard_se")
    jaccard = formats.decimal(row["jaccard"]) + (f" ± {formats.decimal(error, 2)}" if error else "")
    sign = element(
        "Button",
        "scatter",
        className="sets-with",
        **{"data-with": str(row["other"]), "title": "Draw both below"},
    )
    return [
        feature_chip(queries, row["other"], "", "Open this feature"),
        formats.count(row["n_both"]),
        jaccard,
        formats.decimal(row["pearson"]),
        formats.decimal(row["lift"]),
        sign,
    ]


def _counted(queries: Queries, found: pl.DataFrame) -> str:
    """How many rows the numbers come from."""
    if "n_rows_used" not in found.columns:
        return "Counted over the rows of the store."
    used, n_rows = int(found["n_rows_used"][0]), queries.store().n_rows
    if used >= n_rows:
        return f"Counted over all {n_rows:,} rows."
    return f"Estimated from {used:,} of {n_rows:,} rows, drawn by seed; ± is one standard error."


SECTION = Section(
    anchor="relations",
    title="Related features",
    place="right",
    steps=("neighbors", "coactivations"),
    explanation="Cosine of the decoder directions, over all features. Over the rows: Jaccard = n_both / "
    "n_either; Pearson, the correlation of the activations, zeros included; lift = n_both · n_rows / (n_a "
    "· n_b), 1 where they are independent. Where rows are sampled, the standard error of Jaccard is √(J "
    "(1 - J) / n_either).",
    layout=layout,
    short="Relations",
)
