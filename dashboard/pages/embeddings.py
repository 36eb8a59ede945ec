"""The statements of an embedding set: a map by meaning, what lights up on it, and one statement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, html, no_update
from flask import Response, jsonify, request

from dashboard import statement_export
from dashboard.address import Address, parse
from dashboard.components import opened_statement, statement_colours, statement_map, statement_panels
from dashboard.components.browser import answered_in_browser, in_browser
from dashboard.components.embedding_states import missing_set, outdated_set, reading_state
from dashboard.components.opened_statement import brief
from dashboard.components.statement_panels import grid_columns
from dashboard.downloads import serve_tables
from dashboard.grid import rows_asked
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions import statement_features, statements
from dashboard.questions.statements import CHOICES, PARAMETERS, known_row, set_of, statement_view
from dashboard.sorted_rows import NO_ROWS, ordered, sorts_of_request, sorts_of_text
from dashboard.statement_figure import window_of
from precompute.errors import ArtifactMissingError, CorruptArtifactError, LightwellError


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, at the view that its address names."""
    name = queries.embedded.name(asked.parameters)
    fields = statement_map.set_fields(queries, name)
    try:
        opened = queries.embedded.open(name)
        opened.points  # noqa: B018 - whether there is a map
    except (ArtifactMissingError, CorruptArtifactError) as error:
        return html.Div(
            [_head(queries, [html.Div(className="grow"), fields]), missing_set(queries, name, error)]
        )
    view = statement_view(queries, opened, asked.parameters)
    row = known_row(opened, asked.parameters.get("row"))
    sorts = sorts_of_text(asked.parameters.get("sort"), grid_columns(opened))
    # The embedding model may have to be loaded first: what it finds lights up when the page is there.
    first = replace(view, meaning="")
    said = html.Span(
        statement_map.summary(queries, opened, first), id="emb-summary", className="dim", role="status"
    )
    controls = statement_map.controls(queries, opened, view, asked.parameters.get("area", ""))
    export = statement_panels.export_menu(queries)
    figure = statement_map.figure_panel(queries, opened, first, row)
    table = statement_panels.table_panel(opened, view, sorts)
    below = [opened_statement.statement_frame(queries, opened, row), statement_panels.apart_frame()]
    return html.Div(
        [
            _head(queries, [said, fields, export, controls]),
            html.P(statement_panels.set_facts(opened), className="caption set-facts"),
            html.Div(id="emb-states"),
            html.Div([figure, table], className="map-columns"),
            html.Div(below, className="map-columns statement-columns"),
            statement_map.row_store(row),
        ]
    )


def _head(queries: Queries, parts: list[Any]) -> html.Div:
    title = [html.H1("Embeddings"), statement_map.tabs(queries, "/embeddings")]
    return html.Div([*title, *parts], className="grid-bar map-head")


def answer(queries: Queries, request: object, chosen: tuple[object, ...], place: object) -> Any:
    """A block of what lights up, with texts; no rows where the view is not valid, which the map says."""
    try:
        opened, view = viewed(queries, chosen, place)
        sorts = statement_panels.order(view, sorts_of_request(request, grid_columns(opened)))
        rows = rows_asked(request)
        statements.lit(queries, opened, view)
        question = (
            "statements listed",
            opened.name,
            replace(view, colour=statements.COLOURS[0]),
            tuple(sorts),
        )
        version = statement_features.version(queries, opened)
        named = [sort.column for sort in sorts]
        found = queries.tables.memo.get(
            question, version, lambda: ordered(statements.listed(queries, opened, view, named), sorts, "row")
        )
        part = statements.with_texts(opened, found[rows.start : rows.stop])
        texts = pl.Series("text", [brief(text) for text in part["text"]], dtype=pl.String)
        shown = [c.name for c in grid_columns(opened) if c.name in part.columns]
        return {"rowData": part.with_columns(texts).select(shown).to_dicts(), "rowCount": found.height}
    except LightwellError:
        return NO_ROWS


def viewed(queries: Queries, chosen: tuple[object, ...], place: object) -> Any:
    """The set and the view that a page names; raises LightwellError."""
    opened = set_of(queries, place if isinstance(place, dict) else {})
    return opened, statement_view(queries, opened, dict(zip(CHOICES, chosen, strict=True)))


def hover(queries: Queries) -> Response:
    """The text of one statement, for a point that is pointed at."""
    try:
        parameters = parse("/", request.query_string.decode("utf-8", "replace")).parameters
        opened = set_of(queries, parameters)
        row = known_row(opened, parameters.get("row"))
        if row is None:
            return jsonify(text="")
        return jsonify(row=row, text=brief(opened.embedded.rows([row])["text"][0]))
    except LightwellError as error:
        answer = jsonify(error=str(error))
        answer.status_code = 400
        return answer


def register(app: Dash, queries: Queries) -> None:
    """Colours and what lights up, in place; the opened statement; all of it goes into the address."""
    place, row = State("emb-set", "data"), Input("emb-row", "data")
    names = ("colour", "feature", "search", "asked", "cluster", "area")
    inputs = [Input(f"emb-{n}", "data" if n in ("asked", "area") else "value") for n in names]
    states = [State(one.component_id, one.component_property) for one in inputs]

    @app.callback(
        Output("emb-figure", "figure"),
        Output("emb-summary", "children"),
        Output("emb-legend", "children"),
        *inputs,
        row,
        Input("emb-window", "data"),
        place,
        prevent_initial_call=True,
    )
    def draw(*given: object) -> Any:
        *chosen, row, window, place = given
        opened, view = viewed(queries, tuple(chosen), place)
        patch = statement_map.change(queries, opened, view, known_row(opened, row), window_of(window))
        kinds = statement_colours.legend(statement_colours.painted(queries, opened, view))
        return patch, statement_map.summary(queries, opened, view), kinds

    @app.callback(
        Output("emb-grid", "getRowsResponse"),
        Input("emb-grid", "getRowsRequest"),
        *states,
        place,
        prevent_initial_call=True,
    )
    def rows(request: object, *given: object) -> Any:
        return no_update if request is None else answer(queries, request, given[:-1], given[-1])

    @app.callback(
        Output("emb-statement", "children"),
        Output("emb-strongest-part", "hidden"),
        row,
        place,
        prevent_initial_call=True,
    )
    def statement(row: object, place: object) -> Any:
        opened = set_of(queries, place if isinstance(place, dict) else {})
        number = known_row(opened, row)
        return opened_statement.statement_panel(queries, opened, number), number is None

    @app.callback(Output("emb-states", "children"), Input("emb-set", "data"))
    def freshness(place: object) -> Any:
        return outdated_set(queries, queries.embedded.name(place if isinstance(place, dict) else {}))

    @app.callback(Output("emb-reading", "children"), Input("emb-set", "data"))
    def reading(place: object) -> Any:
        return reading_state(queries, set_of(queries, place if isinstance(place, dict) else {}))

    @app.callback(Output("emb-strongest", "children"), row, place)
    def features(row: object, place: object) -> Any:
        opened = set_of(queries, place if isinstance(place, dict) else {})
        return opened_statement.strongest_panel(queries, opened, known_row(opened, row))

    @app.callback(Output("emb-apart", "children"), *inputs[2:], place)
    def apart(*given: object) -> Any:
        opened, view = viewed(queries, (None, None, *given[:-1]), given[-1])
        return statement_map.said_of(lambda: statement_panels.apart_panel(queries, opened, view))

    in_browser(app, "openStatement", Input("emb-figure", "clickData"))
    in_browser(app, "hoverStatement", Input("emb-figure", "hoverData"), State("emb-set", "data"))
    in_browser(app, "lookAtStatements", Input("emb-figure", "relayoutData"))
    in_browser(app, "areaOfLasso", Input("emb-figure", "selectedData"), to=Output("emb-area", "data"))
    in_browser(app, "rememberStatements", *inputs, row)
    in_browser(app, "rememberStatementSort", Input("emb-grid", "getRowsRequest"))
    in_browser(
        app, "chooseSet", Input("emb-model", "value"), Input("emb-size", "value"), State("emb-set", "data")
    )
    in_browser(app, "askMeaning", Input("emb-meaning", "value"))
    answered_in_browser(
        app, "meaningOfAddress", Output("emb-asked", "data"), Input("emb-meaning-address", "data")
    )
    app.server.add_url_rule("/embeddings/text", "embeddings.text", lambda: hover(queries))
    serve_tables(
        app.server, "/embeddings", lambda asked: statement_export.exported(queries, asked.parameters)
    )


PAGE = Page(
    "/embeddings",
    "Embeddings",
    "The statements of a dataset by meaning: a map, search, what sets a part of it apart, one statement.",
    layout,
    register,
    parameters=PARAMETERS,
)
