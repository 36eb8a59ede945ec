"""The table of all features, sorted and filtered on the server."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
import polars as pl
from dash import Dash, Input, Output, State, html, no_update

from dashboard import formats, grid
from dashboard.address import Address
from dashboard.columns import COLUMNS, Column
from dashboard.components.browser import in_browser, spoken
from dashboard.components.panels import absent
from dashboard.pages.page import Page
from dashboard.queries import Queries
from precompute.errors import LightwellError

BLOCK = 100
"""Rows that the browser asks for at a time."""
FORMATTERS: Mapping[str, str] = MappingProxyType({"count": "lightwellCount", "decimal": "lightwellDecimal"})
RENDERERS: Mapping[str, str] = MappingProxyType(
    {"feature": "FeatureCell", "tokens": "TokensCell", "cluster": "TextCell"}
)
THEME = (
    "themeQuartz.withParams({backgroundColor: 'var(--surface)', foregroundColor: 'var(--text)', "
    "accentColor: 'var(--accent)', borderColor: 'var(--line)', headerBackgroundColor: 'var(--surface-2)', "
    "headerTextColor: 'var(--dim)', rowHoverColor: 'var(--hover)', fontFamily: 'inherit', fontSize: 13, "
    "headerFontSize: 12, headerFontWeight: 600, spacing: 5, cellHorizontalPadding: 10, "
    "wrapperBorderRadius: 8, browserColorScheme: 'inherit'})"
)


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, at the view that its address names."""
    view = grid.view_of_address(asked)
    title = html.H1("Features")
    try:
        table = queries.feature_table()
    except LightwellError as error:
        return html.Div([title, absent(queries, "feature_stats", error)])
    search = dmc.TextInput(
        id="search",
        value=view.search,
        debounce=250,
        placeholder="Search tokens, clusters or a number",
        w=320,
        size="sm",
        **spoken("Search features"),
    )
    bar = html.Div(
        [
            title,
            html.Span(id="grid-count", className="dim", role="status"),
            html.Div(className="grow"),
            search,
        ],
        className="grid-bar",
    )
    parts = [bar, missing_columns(queries, table), feature_grid(table, view)]
    return html.Div(parts, className="features-page")


def missing_columns(queries: Queries, table: pl.DataFrame) -> Any:
    """Which columns are left out because their artifacts are not there."""
    left_out = [column for column in COLUMNS if column.name not in table.columns]
    if not left_out:
        return None
    names = ", ".join(column.heading for column in left_out)
    steps = dict.fromkeys(column.step for column in left_out)
    text: list[Any] = [
        f"Left out, since missing or damaged: {names}. Run ",
        html.Code(queries.command(*steps)),
    ]
    return html.Div(text, className="empty slim", role="status")


def feature_grid(table: pl.DataFrame, view: grid.View) -> dag.AgGrid:
    """The grid, which asks for blocks of rows as one scrolls."""
    shown = [column for column in COLUMNS if column.name in table.columns]
    return dag.AgGrid(
        id="grid",
        rowModelType="infinite",
        columnDefs=[column_definition(column, view) for column in shown],
        defaultColDef={
            "sortable": True,
            "resizable": True,
            "floatingFilter": True,
            "suppressHeaderMenuButton": True,
            "wrapHeaderText": True,
            "autoHeaderHeight": True,
        },
        filterModel=grid.filter_model(view),
        dashGridOptions={
            "theme": {"function": THEME},
            "cacheBlockSize": BLOCK,
            "maxBlocksInCache": 20,
            "maxConcurrentDatasourceRequests": 1,
            "rowHeight": 32,
            "headerHeight": 34,
            "suppressMultiSort": False,
            "animateRows": False,
            "enableCellTextSelection": True,
            "tooltipShowDelay": 300,
        },
        className="feature-grid",
        style={"height": None, "width": "100%"},
    )


def column_definition(column: Column, view: grid.View) -> dict[str, Any]:
    """AG Grid's definition of a column, sorted as the view says."""
    order = {sort.column: (place, sort) for place, sort in enumerate(view.sorts)}
    definition: dict[str, Any] = {
        "field": column.name,
        "colId": column.name,
        "headerName": column.heading,
        "headerTooltip": column.explanation,
        "filter": "agTextColumnFilter" if column.is_text else "agNumberColumnFilter",
        "filterParams": {"maxNumConditions": 1, "debounceMs": 250},
        "initialWidth": column.width,
        "minWidth": 80,
    }
    if column.kind in ("tokens", "cluster"):
        definition |= {"flex": column.width // 50, "minWidth": 130}
    if column.kind in FORMATTERS:
        call = f"{FORMATTERS[column.kind]}(params.value)"
        definition |= {"valueFormatter": {"function": call}, "type": "rightAligned"}
    if column.kind in RENDERERS:
        definition["cellRenderer"] = RENDERERS[column.kind]
    if column.name == "feature":
        definition |= {"pinned": "left", "lockPinned": True}
    if column.name in order:
        place, sort = order[column.name]
        definition |= {"sort": "desc" if sort.descending else "asc", "sortIndex": place}
    return definition


def answer(queries: Queries, request: object, search: object) -> tuple[dict[str, Any], str]:
    """A block of rows for the grid, and how many features pass."""
    try:
        view, rows = grid.view_of_request(request, search), grid.rows_asked(request)
        page = queries.feature_rows(view, rows)
    except LightwellError as error:
        return {"rowData": [], "rowCount": 0}, str(error)
    total = queries.feature_table().height
    shown = (
        formats.plural(total, "feature") if page.n_rows == total else f"{page.n_rows:,} of {total:,} features"
    )
    return {"rowData": page.rows, "rowCount": page.n_rows}, shown


def register(app: Dash, queries: Queries) -> None:
    """Blocks of rows on demand; the view goes into the address."""

    @app.callback(
        Output("grid", "getRowsResponse"),
        Output("grid-count", "children"),
        Input("grid", "getRowsRequest"),
        State("search", "value"),
        prevent_initial_call=True,
    )
    def rows(request: object, search: object) -> Any:
        return (no_update, no_update) if request is None else answer(queries, request, search)

    in_browser(app, "rememberView", Input("grid", "getRowsRequest"), State("search", "value"))
    in_browser(app, "searchGrid", Input("search", "value"))


PAGE = Page(
    "/features", "Features", "All features in one table, with sorts, filters and a search.", layout, register
)
