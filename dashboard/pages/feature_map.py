"""The map: all features by decoder direction, in two dimensions."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, html, no_update

from dashboard.address import Address
from dashboard.components import map_panels, map_sets
from dashboard.components.browser import in_browser
from dashboard.components.panels import absent
from dashboard.grid import rows_asked
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions.feature_map import CHOICES, answers_version, lit, map_table, map_view
from dashboard.sorted_rows import NO_ROWS, block, ordered, sorts_of_request, sorts_of_text
from precompute.errors import LightwellError


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, at the view that its address names."""
    try:
        map_table(queries)
    except LightwellError as error:
        return html.Div([html.H1("Map"), absent(queries, "feature_map", error)])
    view = map_view(queries, asked.parameters)
    sorts = sorts_of_text(asked.parameters.get("sort"), map_panels.COLUMNS)
    said = html.Span(map_panels.summary(queries, view), id="map-summary", className="dim", role="status")
    fields = map_panels.controls(queries, view, asked.parameters.get("area", ""))
    head = html.Div([html.H1("Map"), said, html.Div(className="grow"), fields], className="grid-bar map-head")
    figure, table = map_panels.figure_panel(queries, view), map_panels.table_panel(sorts)
    return html.Div([head, html.Div([figure, table], className="map-columns")])


def answer(queries: Queries, request: object, chosen: tuple[object, ...]) -> Any:
    """A block of the features that light up; no rows where the view is not valid, which the map says."""
    try:
        view = map_view(queries, dict(zip(CHOICES[1:], chosen, strict=True)))
        sorts = map_panels.order(view, sorts_of_request(request, map_panels.COLUMNS))
        rows = rows_asked(request)
        version = answers_version(queries)
        question = ("lit", view, tuple(sorts))
        found = queries.tables.memo.get(
            question, version, lambda: ordered(lit(queries, view), sorts, "feature").drop("label", "named")
        )
        return block(found, rows)
    except LightwellError:
        return NO_ROWS


def register(app: Dash, queries: Queries) -> None:
    """Colours, and what lights up, in place; all of it goes into the address."""
    colour = Input("map-colour", "value")
    fields = [
        ("map-feature", "value"),
        ("map-search", "value"),
        ("map-cluster", "value"),
        ("map-set", "value"),
        ("map-area", "data"),
    ]

    @app.callback(
        Output("map-figure", "figure"),
        Output("map-summary", "children"),
        colour,
        *(Input(*one) for one in fields),
        prevent_initial_call=True,
    )
    def draw(*chosen: object) -> Any:
        view = map_view(queries, dict(zip(CHOICES, chosen, strict=True)))
        return map_panels.change(queries, view), map_panels.summary(queries, view)

    @app.callback(
        Output("map-grid", "getRowsResponse"),
        Input("map-grid", "getRowsRequest"),
        *(State(*one) for one in fields),
        prevent_initial_call=True,
    )
    def rows(request: object, *chosen: object) -> Any:
        return no_update if request is None else answer(queries, request, chosen)

    map_sets.register(app, queries, [State(*one) for one in fields])
    in_browser(app, "openPoint", Input("map-figure", "clickData"))
    in_browser(app, "rememberMap", colour, *(Input(*one) for one in fields))
    in_browser(app, "rememberMapSort", Input("map-grid", "getRowsRequest"))
    in_browser(app, "areaOfLasso", Input("map-figure", "selectedData"), to=Output("map-area", "data"))


PAGE = Page(
    "/map",
    "Map",
    "All features by decoder direction in two dimensions; by cluster, frequency, label or similarity to one.",
    layout,
    register,
    parameters=frozenset({*CHOICES, "sort"}),
)
