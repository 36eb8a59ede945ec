"""The vocabulary: every token in one table, searched and sorted on the server."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import Dash, Input, State, html

from dashboard.address import Address
from dashboard.components.browser import in_browser
from dashboard.components.choices import search_field
from dashboard.components.left_out import left_out
from dashboard.components.panels import absent
from dashboard.components.server_grid import answer_requests
from dashboard.components.sorted_grid import sorted_grid
from dashboard.grid import rows_asked
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions.tokens import token_order, token_table
from dashboard.sorted_rows import NO_ROWS, GridColumn, block, sorts_of_request, sorts_of_text
from dashboard.token_names import searched
from precompute.errors import LightwellError

COLUMNS = (
    GridColumn("shown", "Token", "The token, with what is invisible made visible.", 240, "TokenCell"),
    GridColumn("token_id", "Id", "Its number in the vocabulary, from 0.", 90, formatter="lightwellCount"),
    GridColumn(
        "n_rows",
        "Rows",
        "Rows (token positions, special ones left out) of the corpus at which it stands.",
        110,
        formatter="lightwellCount",
    ),
    GridColumn(
        "document_frequency",
        "Examples",
        "Examples that hold it at least once: df.",
        110,
        formatter="lightwellCount",
    ),
    GridColumn(
        "idf",
        "IDF (nats)",
        "Inverse document frequency: ln((N + 1) / (df + 1)), N the number of examples.",
        110,
        formatter="lightwellDecimal",
    ),
    GridColumn(
        "n_features",
        "Features firing",
        "Features that fire on at least one of its rows.",
        130,
        formatter="lightwellCount",
    ),
    GridColumn(
        "strongest",
        "Strongest feature",
        "The feature with the largest mean activation over all rows of the token.",
        130,
        "FeatureCell",
    ),
    GridColumn(
        "mean_act",
        "Its mean activation",
        "Of that feature, over all rows of the token, silent ones included.",
        140,
        formatter="lightwellDecimal",
    ),
)
"""Columns of the table of tokens; those whose artifact is absent are left out."""
PLACEHOLDER = r"A token such as the, \n, ␣the, or an id such as #12"


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, at the search and the sort that its address names."""
    search = searched(asked.parameters.get("search"))
    sorts = sorts_of_text(asked.parameters.get("sort"), COLUMNS)
    try:
        table = token_table(queries)
    except LightwellError as error:
        return html.Div([html.H1("Tokens"), absent(queries, "corpus", error)])
    field = search_field("token-search", search, PLACEHOLDER, "Search tokens by text or id", width=380)
    count = html.Span(id="token-count", className="dim", role="status")
    bar = [html.H1("Tokens"), count, html.Div(className="grow"), field]
    shown = [column for column in COLUMNS if column.name in table.columns]
    grid = sorted_grid("token-grid", shown, sorts, "Tokens of the vocabulary", row_id="token_id")
    parts = [html.Div(bar, className="grid-bar"), missing(queries, table.columns), grid]
    return html.Div(parts, className="features-page")


def missing(queries: Queries, there: list[str]) -> Any:
    """Which columns are left out because their artifacts are not there."""
    absent_columns = {column.heading: _step(column) for column in COLUMNS if column.name not in there}
    if not absent_columns:
        return None
    found = left_out(queries, absent_columns)
    text: list[Any] = [found.not_applicable] if found.not_applicable else []
    if found.lacking:
        run = queries.command(*dict.fromkeys(found.lacking.values()))
        said = f"Left out, since missing or damaged: {', '.join(found.lacking)}. Run "
        text.append(html.Div([said, html.Code(run)]))
    return html.Div(text, className="empty slim", role="status")


def _step(column: GridColumn) -> str:
    """The step whose artifact gives a column."""
    return "idf" if column.name in ("document_frequency", "idf") else "token_features"


def answer(queries: Queries, request: object, search: object) -> tuple[Any, str]:
    """A block of rows for the grid, and how many tokens fit the search."""
    try:
        rows, wanted = rows_asked(request), searched(search)
        found = token_order(queries, wanted, sorts_of_request(request, COLUMNS))
    except LightwellError as error:
        return NO_ROWS, str(error)
    total = token_table(queries).height
    if wanted and not found.height:
        return block(found, rows), f"None of {total:,} tokens fits; search for less of it, or for an id."
    return block(found, rows), f"{found.height:,} of {total:,} tokens" if wanted else f"{total:,} tokens"


def register(app: Dash, queries: Queries) -> None:
    """Blocks of rows on demand; search and sort go into the address."""

    search = State("token-search", "value")
    answer_requests(app, "token-grid", "token-count", partial(answer, queries), search)
    in_browser(app, "rememberTokens", Input("token-grid", "getRowsRequest"), search)
    in_browser(app, "searchTokens", Input("token-search", "value"))


PAGE = Page(
    "/tokens",
    "Tokens",
    "Every token of the vocabulary: how often it stands in the corpus, and which feature fires on it most.",
    layout,
    register,
    parameters=frozenset({"search", "sort"}),
)
