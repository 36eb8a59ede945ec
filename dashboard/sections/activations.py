"""Section: how strongly the feature fires, how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html

from dashboard import figures, formats
from dashboard.address import Address, one_of
from dashboard.components.browser import in_browser
from dashboard.components.choices import choice, field
from dashboard.components.data_table import histogram_table
from dashboard.components.graphs import graph
from dashboard.components.panels import empty, filled
from dashboard.queries import Queries
from dashboard.questions.bins import FEWEST, MOST, Binned, Bins, binned, bins_of
from dashboard.questions.rows import Span, band_spans, span_of
from dashboard.records import BandMark
from dashboard.sections.section import Filling, Section
from dashboard.tables import optional

ROWS = (("nonzero", "Non-zero"), ("all", "All"))
SCALES = (("linear", "Linear"), ("log", "Log"))
SILENT_SENTENCE = "This feature never fires on this corpus, so there is nothing to show here"


@dataclass(frozen=True)
class Chosen:
    """How the histogram is to be drawn."""

    rows: str
    scale: str
    bins: Bins
    span: Span | None
    """Of the examples."""


def chosen_of(rows: object, scale: object, bins: object, over: object, span: object) -> Chosen:
    """What an address or the fields say; raises AddressError."""
    return Chosen(
        one_of(rows, tuple(dict(ROWS)), "rows"),
        one_of(scale, tuple(dict(SCALES)), "scale"),
        bins_of(bins, over),
        optional(lambda: span_of(span)),  # The examples say what is wrong with it.
    )


def layout(queries: Queries, feature: int, asked: Address) -> Filling:
    """The histogram, as the address says."""
    given = asked.parameters
    span_of(given.get("range"))
    chosen = chosen_of(*(given.get(name) for name in SECTION.parameters))
    if not queries.histogram(feature).counts.sum():
        return Filling(empty(SILENT_SENTENCE))
    shown = filled(queries, "transpose", lambda: histogram(queries, feature, chosen), say_outdated=False)
    controls = dmc.Group(
        [
            choice("histogram-rows", ROWS, chosen.rows, "Rows that are counted"),
            choice("histogram-scale", SCALES, chosen.scale, "Scale of the counts"),
        ],
        gap="xs",
    )
    own = [
        field("histogram-bins", "Bins", f"{FEWEST} to {MOST}", value=given.get("bins"), width=120),
        field("histogram-range", "Range", "low:high", value=given.get("over"), width=150),
    ]
    return Filling([html.Div(shown, id="histogram-content"), html.Div(own, className="conditions")], controls)


def histogram(queries: Queries, feature: int, chosen: Chosen) -> list[Any]:
    """The figure, what a range of one's own leaves out, and the counts as a table."""
    found = binned(queries, feature, chosen.bins, chosen.rows == "all")
    words = _counted(found)
    own = [html.P(in_words(found, words), className="caption")] if chosen.bins.are_own else []
    return [
        graph("histogram-figure", _figure(queries, feature, chosen, found), words),
        *own,
        histogram_table(found.histogram, "Activation", "Rows"),
    ]


def _counted(found: Binned) -> str:
    edges = found.histogram.bin_edges
    if len(edges) and not found.histogram.counts.any():
        low, high = formats.decimal(float(edges[0])), formats.decimal(float(edges[-1]))
        return f"It fires on no row with an activation from {low} to {high}."
    return figures.summary(found.histogram, "rows on which it fires")


def in_words(found: Binned, words: str) -> str:
    """What is counted, and what lies outside the range."""
    silent = formats.plural(found.histogram.n_zero, "silent row")
    zeros = "" if found.histogram.zero_bin is None else f" The bin of 0 counts {silent} besides."
    sides = ((found.n_below, "below"), (found.n_above, "above"))
    outside = [f"{formats.plural(n, 'row')} {side}" for n, side in sides if n]
    if found.zeros_left_out:
        outside.append("all silent rows")
    return f"{words}{zeros}" + (f" Outside this range: {', '.join(outside)}." if outside else "")


def _figure(queries: Queries, feature: int, chosen: Chosen, found: Binned) -> figures.Figure:
    """The histogram as chosen, with the bands that the examples are drawn from, where those are known."""
    bands = optional(lambda: band_spans(queries, feature)) or {}
    marks = tuple(BandMark(name, span.low, span.high) for name, span in bands.items())
    shaded = None if chosen.span is None else (chosen.span.low, chosen.span.high)
    with_zero = chosen.rows == "all" and not found.zeros_left_out
    is_log, whole = chosen.scale == "log", chosen.bins.span is None
    return figures.activation_histogram(found.histogram, with_zero, is_log, marks, shaded, whole_range=whole)


def register(app: Dash, queries: Queries) -> None:
    """Other views of the histogram; a click on a bar chooses the range of the examples."""

    @app.callback(
        Output("histogram-content", "children"),
        Input("histogram-rows", "value"),
        Input("histogram-scale", "value"),
        Input("histogram-bins", "value"),
        Input("histogram-range", "value"),
        Input("range", "data"),
        State("feature-number", "data"),
        prevent_initial_call=True,
    )
    def redrawn(*values: object) -> Any:
        feature = queries.known_feature(values[-1])
        return filled(
            queries, "transpose", lambda: histogram(queries, feature, chosen_of(*values[:-1])), False
        )

    for name in ("rows", "scale", "bins"):
        in_browser(app, f"remember_{name}", Input(f"histogram-{name}", "value"))
    in_browser(app, "remember_over", Input("histogram-range", "value"))
    in_browser(app, "clickBar", Input("histogram-figure", "clickData"))


SECTION = Section(
    anchor="activations",
    title="Activations",
    place="left",
    steps=("histograms", "transpose", "examples"),
    explanation="Rows by activation, in equal bins from the smallest to the largest non-zero one; 'All' "
    "adds the rows on which it is 0. With a number of bins or a range of your own, counts are made anew from "
    "all stored activations, a bin holding its lower end, and the last one both; 'All' then counts zeros in "
    "the bin where they lie. The marks below are the bands that examples are drawn from: Q, "
    "equally many non-zero activations each (quantiles), and V, equal widths of (0, maximum]. Click a bar "
    "to see examples of its range: rows drawn by seed, one a text; or type a range into the field of the "
    "examples.",
    layout=layout,
    register=register,
    parameters=("rows", "scale", "bins", "over", "range"),
)
