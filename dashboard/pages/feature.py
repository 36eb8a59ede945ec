"""The page of one feature."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, dcc, html

from dashboard.address import Address, feature_path, one_of
from dashboard.components import feature_examples, feature_panels
from dashboard.components.browser import in_browser
from dashboard.components.panels import absent, filled
from dashboard.pages.page import Page
from dashboard.queries import Queries
from precompute.errors import LightwellError

ROWS, SCALES, EXTENTS = ("nonzero", "all"), ("linear", "log"), ("window", "whole")


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page of the feature that the address names."""
    try:
        feature = queries.known_feature(asked.parts[1])
    except LightwellError as error:
        if queries.absence(error, "activations") is None:
            raise
        return html.Div([html.H1("Feature"), absent(queries, "activations", error)])
    rows = one_of(asked.parameters.get("rows"), ROWS, "rows")
    scale = one_of(asked.parameters.get("scale"), SCALES, "scale")
    extent = one_of(asked.parameters.get("extent"), EXTENTS, "extent")
    band = asked.parameters.get("band", "top")
    left = [
        feature_panels.histogram_panel(queries, feature, rows, scale),
        feature_panels.effects_panel(queries, feature),
        feature_panels.logit_panel(queries, feature),
        feature_panels.tfidf_panel(queries, feature),
    ]
    right = [
        feature_examples.examples_panel(queries, feature, band, extent),
        feature_panels.contexts_panel(queries, feature),
        feature_panels.relations_panel(queries, feature),
    ]
    return html.Div(
        [
            dcc.Store(id="feature-number", data=feature),
            heading(queries, feature),
            html.Div(
                [html.Div(left, className="column"), html.Div(right, className="column")],
                className="feature-columns",
            ),
        ]
    )


def heading(queries: Queries, feature: int) -> html.Div:
    """The feature's number, its neighbours by number, and its statistics."""
    last = queries.d_sae() - 1
    steps = html.Div(
        [
            _step(queries, "previous", feature - 1 if feature else None),
            _step(queries, "next", feature + 1 if feature < last else None),
        ],
        className="steps-nav",
    )
    stats = filled(queries, "feature_stats", lambda: feature_panels.statistics(queries, feature))
    title = html.Div(
        [
            html.H1(["Feature ", html.Span(f"{feature}", id="feature-title")]),
            steps,
            *feature_panels.badges(queries, feature),
        ],
        className="feature-title",
    )
    return html.Div([title, stats], className="page-head")


STEPS = {
    "previous": ("←", "Previous feature (left arrow key)"),
    "next": ("→", "Next feature (right arrow key)"),
}


def _step(queries: Queries, name: str, feature: int | None) -> Any:
    sign, title = STEPS[name]
    if feature is None:
        return html.Span(sign, className="step-link off", title="There is none")
    href = queries.href(feature_path(feature))
    return dcc.Link(sign, href=href, id=name, className="step-link keeps-view", title=title)


def register(app: Dash, queries: Queries) -> None:
    """Other views of the histogram and of the examples; each goes into the address."""

    @app.callback(
        Output("histogram-figure", "figure"),
        Input("histogram-rows", "value"),
        Input("histogram-scale", "value"),
        State("feature-number", "data"),
        prevent_initial_call=True,
    )
    def histogram(rows: object, scale: object, number: object) -> Any:
        feature = queries.known_feature(number)
        chosen = one_of(rows, ROWS, "rows"), one_of(scale, SCALES, "scale")
        return feature_panels.histogram_figure(queries, feature, *chosen)

    @app.callback(
        Output("examples", "children"),
        Input("band", "value"),
        Input("extent", "value"),
        State("feature-number", "data"),
        prevent_initial_call=True,
    )
    def examples(band: object, extent: object, number: object) -> Any:
        feature, wanted = queries.known_feature(number), one_of(extent, EXTENTS, "extent")
        build = feature_examples.example_list
        return filled(queries, "examples", lambda: build(queries, feature, str(band), wanted))

    choices = {"rows": "histogram-rows", "scale": "histogram-scale", "band": "band", "extent": "extent"}
    for name, component in choices.items():
        in_browser(app, f"remember_{name}", Input(component, "value"))


def titled(asked: Address) -> str:
    """The title names the feature."""
    return f"Feature {asked.parts[1][:9]}"


PAGE = Page(
    "/feature/<number>",
    "Feature",
    "Everything about one feature.",
    layout,
    register,
    in_navigation=False,
    titled=titled,
)
