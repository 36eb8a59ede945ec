"""Section: the feature against another one, over the rows on which either fires."""

from __future__ import annotations

import math
from typing import Any

from dash import Dash, Input, Output, State, html

from dashboard import figures, formats
from dashboard.address import Address
from dashboard.components.browser import in_browser
from dashboard.components.choices import field
from dashboard.components.data_table import data_table
from dashboard.components.graphs import graph
from dashboard.components.panels import empty, filled
from dashboard.queries import Queries
from dashboard.questions.pairs import examples_and_positions, pair, usual_partner
from dashboard.records import Pair
from dashboard.sections.section import Filling, Section

ROWS_LISTED = 50
"""Rows in the table below the figure."""


def layout(_queries: Queries, _feature: int, asked: Address) -> Filling:
    """A place of fixed height, which is filled when the page is drawn."""
    place = html.Div(html.P("Drawing…", className="dim"), id="scatter-content", className="scatter-place")
    return Filling(
        place, field("with", "Second feature", "number", value=asked.parameters.get("with"), width=170)
    )


def scatter(queries: Queries, feature: int, other: object) -> Any:
    """The figure, what it says in words, and its strongest rows."""
    partner = usual_partner(queries, feature) if other in (None, "") else queries.known_feature(other)
    if partner is None:
        return empty("No related feature is known; name the second one above")
    found = pair(queries, feature, partner)
    if not found.n_either:
        return empty("Neither of the two features fires on this corpus")
    places = examples_and_positions(queries, found.rows)
    words = in_words(found)
    return [
        graph("scatter-figure", figures.scatter(found, places), words),
        html.P(words, className="caption"),
        _strongest(found, places),
    ]


def in_words(found: Pair) -> str:
    """The figure in a sentence or two."""
    sampled = "" if found.seed is None else f", of which {len(found.rows):,} drawn with seed {found.seed}"
    numbers = ", ".join(
        f"{name} {formats.decimal(value)}"
        for name, value in (("Jaccard", found.jaccard), ("Pearson", found.pearson), ("lift", found.lift))
        if not math.isnan(value)
    )
    return (
        f"n = {found.n_either:,} rows on which either fires{sampled}; on {found.n_both:,} both do. "
        f"Over all {found.n_rows:,} rows: {numbers}."
    )


def _strongest(found: Pair, places: list[tuple[int, int]]) -> Any:
    order = sorted(range(len(found.rows)), key=lambda i: -float(found.first[i] + found.second[i]))
    rows = [
        [
            f"{places[i][0]:,}",
            f"{places[i][1]}" if places[i][1] >= 0 else "all",
            formats.decimal(float(found.first[i]), 4),
            formats.decimal(float(found.second[i]), 4),
        ]
        for i in order[:ROWS_LISTED]
    ]
    headings = ["Example", "Token", f"Feature {found.feature}", f"Feature {found.other}"]
    return data_table(headings, rows, "Rows of the scatter with the largest sum of activations")


def register(app: Dash, queries: Queries) -> None:
    """The figure, which waits for the page to be drawn; a click on a dot shows its example."""

    @app.callback(
        Output("scatter-content", "children"), Input("with", "value"), State("feature-number", "data")
    )
    def drawn(other: object, number: object) -> Any:
        feature = queries.known_feature(number)
        return filled(queries, "transpose", lambda: scatter(queries, feature, other))

    in_browser(app, "remember_with", Input("with", "value"))
    in_browser(app, "clickDot", Input("scatter-figure", "clickData"))


SECTION = Section(
    anchor="scatter",
    title="Against another feature",
    place="left",
    steps=("transpose",),
    explanation="One dot for each row on which one or the other feature fires, 0 where it is silent. More "
    "than 5,000 rows are sampled by seed; the numbers in the sentence always come from all rows. Without "
    "a second feature, it is the one that fires most on the same rows. Click a dot to see its example, with "
    "the second feature laid over it.",
    layout=layout,
    register=register,
    short="Scatter",
    parameters=("with",),
)
