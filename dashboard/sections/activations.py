"""Section: how strongly the feature fires, how often."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State

from dashboard import figures
from dashboard.address import Address, one_of
from dashboard.components.browser import in_browser
from dashboard.components.choices import choice
from dashboard.components.data_table import histogram_table
from dashboard.components.graphs import graph
from dashboard.components.panels import empty
from dashboard.queries import Queries
from dashboard.questions.rows import Span, band_spans, span_of
from dashboard.records import BandMark
from dashboard.sections.section import Filling, Section
from dashboard.tables import optional

ROWS = (("nonzero", "Non-zero"), ("all", "All"))
SCALES = (("linear", "Linear"), ("log", "Log"))
SILENT_SENTENCE = "This feature never fires on this corpus, so there is nothing to show here"


def layout(queries: Queries, feature: int, asked: Address) -> Filling:
    """The histogram, as the address says."""
    rows = one_of(asked.parameters.get("rows"), tuple(key for key, _ in ROWS), "rows")
    scale = one_of(asked.parameters.get("scale"), tuple(key for key, _ in SCALES), "scale")
    found = queries.histogram(feature)
    if not found.counts.sum():
        return Filling(empty(SILENT_SENTENCE))
    span = span_of(asked.parameters.get("range"))
    words = figures.summary(found, "rows on which it fires")
    content = [
        graph("histogram-figure", _figure(queries, feature, rows, scale, span), words),
        histogram_table(found, "Activation", "Rows"),
    ]
    controls = dmc.Group(
        [
            choice("histogram-rows", ROWS, rows, "Rows that are counted"),
            choice("histogram-scale", SCALES, scale, "Scale of the counts"),
        ],
        gap="xs",
    )
    return Filling(content, controls)


def _figure(queries: Queries, feature: int, rows: str, scale: str, span: Span | None) -> figures.Figure:
    """The histogram as chosen, with the bands that the examples are drawn from, where those are known."""
    bands = optional(lambda: band_spans(queries, feature)) or {}
    marks = tuple(BandMark(name, span.low, span.high) for name, span in bands.items())
    chosen = None if span is None else (span.low, span.high)
    return figures.activation_histogram(
        queries.histogram(feature), rows == "all", scale == "log", marks, chosen
    )


def register(app: Dash, queries: Queries) -> None:
    """Other views of the histogram; a click on a bar chooses the range of the examples."""

    @app.callback(
        Output("histogram-figure", "figure"),
        Input("histogram-rows", "value"),
        Input("histogram-scale", "value"),
        Input("range", "data"),
        State("feature-number", "data"),
        prevent_initial_call=True,
    )
    def histogram(rows: object, scale: object, range_: object, number: object) -> Any:
        feature, span = queries.known_feature(number), optional(lambda: span_of(range_))
        chosen = one_of(rows, tuple(dict(ROWS)), "rows"), one_of(scale, tuple(dict(SCALES)), "scale")
        return _figure(queries, feature, *chosen, span)

    in_browser(app, "remember_rows", Input("histogram-rows", "value"))
    in_browser(app, "remember_scale", Input("histogram-scale", "value"))
    in_browser(app, "clickBar", Input("histogram-figure", "clickData"))


SECTION = Section(
    anchor="activations",
    title="Activations",
    place="left",
    steps=("histograms", "transpose", "examples"),
    explanation="Rows by activation, in equal bins from the smallest to the largest non-zero one; 'All' "
    "adds the rows on which it is 0. The marks below are the bands that examples are drawn from: Q, "
    "equally many non-zero activations each (quantiles), and V, equal widths of (0, maximum]. Click a bar "
    "to see examples of its range: rows drawn by seed, one a text; or type a range into the field of the "
    "examples.",
    layout=layout,
    register=register,
    parameters=("rows", "scale", "range"),
)
