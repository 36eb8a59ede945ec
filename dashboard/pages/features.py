"""The table of all features, sorted and filtered on the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from dashboard import columns, formats, grid
from dashboard.address import Address
from dashboard.asks import Ask
from dashboard.columns import COLUMNS, COLUMNS_PARAMETER
from dashboard.components import set_menu, view_bar
from dashboard.components.browser import in_browser
from dashboard.components.choices import search_field
from dashboard.components.compute import control
from dashboard.components.feature_grid import feature_grid
from dashboard.components.left_out import left_out
from dashboard.components.panels import absent
from dashboard.downloads import serve_tables
from dashboard.export import exported
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.saved_views import SavedViews
from dashboard.sorted_rows import NO_ROWS
from precompute.errors import LightwellError


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, at the view that its address names."""
    view = grid.view_of_address(asked)
    shown = columns.chosen(asked.parameters.get(COLUMNS_PARAMETER))
    try:
        table = queries.feature_table()
    except LightwellError as error:
        return html.Div([html.H1("Features"), absent(queries, "feature_stats", error)])
    return html.Div(
        [
            bar(queries, table, view, shown),
            html.Div(view_bar.filter_chips(queries, view, shown), id="filters", className="filters"),
            missing_columns(queries, table),
            dcc.Store(id="grid-set", data=view.members),
            feature_grid(table, view, shown),
        ],
        className="features-page",
    )


def bar(queries: Queries, table: pl.DataFrame, view: grid.View, shown: tuple[str, ...]) -> html.Div:
    """Title, count, search, and what can be done with the view."""
    search = search_field("search", view.search, "Search labels, tokens or a number", "Search features")
    return html.Div(
        [
            html.H1("Features"),
            html.Span(id="grid-count", className="dim", role="status"),
            html.Div(className="grow"),
            search,
            view_bar.column_menu(table, shown),
            _views(queries),
            set_menu.set_menu(queries),
            view_bar.export_menu(queries),
            view_bar.compare_link(queries),
        ],
        className="grid-bar",
    )


def _views(queries: Queries) -> Any:
    try:
        return view_bar.views_menu(queries, _saved(queries).listed())
    except LightwellError as error:
        return view_bar.views_menu(queries, (), str(error))


def _saved(queries: Queries) -> SavedViews:
    return SavedViews(queries.artifacts.directory)


def missing_columns(queries: Queries, table: pl.DataFrame) -> Any:
    """Which columns are left out because their artifacts are not there."""
    absent = {column.heading: column.step for column in COLUMNS if column.name not in table.columns}
    if not absent:
        return None
    found = left_out(queries, absent)
    text: list[Any] = [found.not_applicable] if found.not_applicable else []
    if found.lacking:
        text += _what_is_lacking(queries, found.lacking)
    return html.Div(text, className="empty slim", role="status")


def _what_is_lacking(queries: Queries, lacking: Mapping[str, str]) -> list[Any]:
    names, steps = ", ".join(lacking), dict.fromkeys(lacking.values())
    unreadable = any(
        status is not None and status.state == "fresh" for status in map(queries.states.of, steps)
    )
    return [
        html.Div(f"Left out, since missing or damaged: {names}."),
        control(Ask(queries.model_type.name, tuple(steps), verify=unreadable)),
        html.Div(["Or run ", html.Code(queries.command(*steps))], className="empty-command"),
    ]


def answer(
    queries: Queries, request: object, search: object, members: object = None
) -> tuple[Mapping[str, Any], str]:
    """A block of rows for the grid, and how many features pass."""
    try:
        view, rows = grid.view_of_request(request, search, members), grid.rows_asked(request)
        page = queries.feature_rows(view, rows)
    except LightwellError as error:
        return NO_ROWS, str(error)
    total = queries.feature_table().height
    shown = (
        formats.plural(total, "feature") if page.n_rows == total else f"{page.n_rows:,} of {total:,} features"
    )
    return {"rowData": page.rows, "rowCount": page.n_rows}, shown


def chips(queries: Queries, request: object, search: object, chosen: object, members: object = None) -> Any:
    """The filters in words, where a request begins a new view; nothing new while one scrolls."""
    if not isinstance(request, Mapping) or request.get("startRow"):
        return no_update
    names = ",".join(str(name) for name in chosen) if isinstance(chosen, list) else None
    try:
        view = grid.view_of_request(request, search, members)
        return view_bar.filter_chips(queries, view, columns.chosen(names))
    except LightwellError:
        return no_update


def register(app: Dash, queries: Queries) -> None:
    """Blocks of rows on demand, saved views, exports; the view goes into the address."""

    @app.callback(
        Output("grid", "getRowsResponse"),
        Output("grid-count", "children"),
        Output("filters", "children"),
        Input("grid", "getRowsRequest"),
        State("search", "value"),
        State("columns", "value"),
        State("grid-set", "data"),
        prevent_initial_call=True,
    )
    def rows(request: object, search: object, chosen: object, members: object) -> Any:
        if request is None:
            return no_update, no_update, no_update
        shown = chips(queries, request, search, chosen, members)
        return (*answer(queries, request, search, members), shown)

    @app.callback(
        Output("saved-views", "children"),
        Input("view-to-save", "data"),
        Input({"type": "forget-view", "name": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def views(*_causes: object) -> Any:
        return change_views(queries, ctx.triggered_id, ctx.triggered[0]["value"])

    set_menu.register(app, queries)
    name = f"{queries.model_type.name}-features"
    serve_tables(app.server, "/features", lambda asked: (exported(queries, asked), name))
    in_browser(app, "rememberView", Input("grid", "getRowsRequest"), State("search", "value"))
    in_browser(app, "searchGrid", Input("search", "value"))
    in_browser(app, "showColumns", Input("columns", "value"), State("standard-columns", "data"))
    in_browser(
        app,
        "usualColumns",
        Input("usual-columns", "n_clicks"),
        State("standard-columns", "data"),
        to=Output("columns", "value"),
    )
    chosen_rows = Input("grid", "selectedRows")
    in_browser(app, "countChosen", chosen_rows, to=[Output("compare-chosen", p) for p in LINK_PROPERTIES])
    naming = Input("save-view", "n_clicks"), Input("view-name", "n_submit"), State("view-name", "value")
    in_browser(app, "nameView", *naming, to=Output("view-to-save", "data"))


LINK_PROPERTIES = ("children", "href", "className")


def change_views(queries: Queries, cause: object, value: object) -> Any:
    """Save or forget a view; the new list."""
    if not value:  # A list that is drawn anew reports buttons that nobody pressed.
        return no_update
    if isinstance(cause, Mapping):
        return view_bar.saved_list(queries, _saved(queries).remove(cause.get("name")))
    asked = value if isinstance(value, Mapping) else {}
    return view_bar.saved_list(queries, _saved(queries).save(asked.get("name"), asked.get("search")))


PAGE = Page(
    "/features", "Features", "All features in one table, with sorts, filters and a search.", layout, register
)
