"""Section: what kinds of text the feature fires on, against the corpus."""

from __future__ import annotations

import math
from typing import Any

from dash import Dash, Input, Output, html

from dashboard import formats
from dashboard.address import Address
from dashboard.components.elements import Element, element, table
from dashboard.components.panels import empty, filled
from dashboard.queries import Queries
from dashboard.questions import summaries
from dashboard.questions.shares import MOST_VALUES, ColumnShares, ValueShare, metadata_shares
from dashboard.sections.activations import SILENT_SENTENCE
from dashboard.sections.section import Filling, Section

HEADINGS = ["Texts with", "Rows", "Texts", "Share", "95 % interval", "Of corpus", "Lift"]


def layout(_queries: Queries, _feature: int, _asked: Address) -> Filling:
    """A place of fixed height, which is filled when the page is drawn."""
    return Filling(
        html.Div(html.P("Counting…", className="dim"), id="metadata-shares", className="table-tall")
    )


def shares_of(queries: Queries, feature: int) -> Any:
    """A table for each column."""
    found = metadata_shares(queries, feature)
    if not summaries.corpus(queries).metadata_columns:
        return empty("The texts of this corpus have no metadata")
    left_out = (
        [
            html.P(
                f"Left out, with one value or more than {MOST_VALUES}: {', '.join(found.left_out)}.",
                className="caption",
            )
        ]
        if found.left_out
        else []
    )
    if not any(column.values for column in found.columns):
        return [empty(SILENT_SENTENCE if found.columns else "No column has few enough values"), *left_out]
    return [*(_column(column) for column in found.columns if column.values), *left_out]


def _column(column: ColumnShares) -> Element:
    headings = [f"{column.column} ({len(column.values)} of {column.n_values})", *HEADINGS[1:]]
    rows = [_row(column.column, value) for value in column.values]
    return table(headings, rows, f"Shares by {column.column}", kind="shares")


def _row(column: str, found: ValueShare) -> list[Any]:
    interval = "–" if math.isnan(found.low) else f"{100 * found.low:.1f}–{100 * found.high:.1f}"
    condition = {"data-where": f"{column}:{found.value}", "title": "Show examples in these texts"}
    return [
        element("Button", found.value, className="sets-where", **condition),
        formats.count(found.n_rows),
        formats.count(found.n_texts),
        formats.share(found.share),
        f"{interval} %",
        formats.share(found.corpus_share),
        formats.decimal(found.lift),
    ]


def register(app: Dash, queries: Queries) -> None:
    """The counts, which wait for the page to be drawn."""

    @app.callback(Output("metadata-shares", "children"), Input("feature-number", "data"))
    def shares(number: object) -> Any:
        feature = queries.known_feature(number)
        return filled(queries, "transpose", lambda: shares_of(queries, feature))


SECTION = Section(
    anchor="metadata",
    title="Kinds of text",
    place="right",
    steps=("transpose", "activations", "corpus"),
    explanation="Of all rows on which the feature fires, the share that stands in texts with each "
    "metadata value, against the share of all rows of the corpus; lift = share / share of corpus. The 95 "
    "% interval takes texts as the independent units: Var(p) = m/(m-1) · ((1-p)² Σ_v x² + p² Σ_rest x²) / "
    "(Σ x)², with x the active rows of a text and m the texts that have any. Click a value to see only "
    "examples of such texts.",
    layout=layout,
    register=register,
    short="Kinds of text",
)
