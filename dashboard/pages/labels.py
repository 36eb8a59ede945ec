"""Labels: everything labelled or noted, progress, what comes next, files in and out, and feature sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from dash import Dash, Input, Output, State, dcc, html, no_update

from dashboard import formats, grid
from dashboard.address import Address, with_parameters
from dashboard.components import import_panel, review_panel, set_panel
from dashboard.components.browser import in_browser
from dashboard.components.choices import search_field
from dashboard.components.facts import Fact, tiles
from dashboard.components.feature_grid import feature_grid
from dashboard.components.label_editor import QUEUE_PARAMETER, author_field
from dashboard.components.panels import absent, empty, filled
from dashboard.components.server_grid import answer_requests
from dashboard.labelling import listed
from dashboard.labelling.text import shown
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.sorted_rows import NO_ROWS
from precompute.errors import LightwellError

COLUMNS = ("feature", "label", "category", "confidence", "notes", "author", "edited", "promotes")
CATEGORIES_SHOWN = 12


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, at the view and the queue that its address names."""
    view = grid.view_of_address(_without_queue(asked))
    try:
        queue = review_panel.asked_queue(queries, asked.parameters.get(QUEUE_PARAMETER))
        queries.labels.version()
    except LightwellError as error:
        if queries.absence(error, "feature_stats") is None:
            raise
        return html.Div([html.H1("Labels"), absent(queries, "feature_stats", error)])
    left = [
        review_panel.review_panel(queries, queue),
        set_panel.set_panel(queries),
        import_panel.import_panel(queries),
    ]
    return html.Div(
        [
            heading(queries),
            html.Div(
                [
                    html.Div(left, className="column"),
                    html.Div(listing(queries, view), className="label-list"),
                ],
                className="label-columns",
            ),
        ],
        className="labels-page",
    )


def _without_queue(asked: Address) -> Address:
    kept = {name: value for name, value in asked.parameters.items() if name != QUEUE_PARAMETER}
    return Address(asked.path, kept)


def heading(queries: Queries) -> html.Div:
    """The title, who writes, and how far the work has come."""
    return html.Div(
        [
            html.Div(
                [html.H1("Labels"), html.Div(className="grow"), author_field(queries)], className="grid-bar"
            ),
            html.Div(filled(queries, "feature_stats", lambda: facts(queries)), id="label-progress"),
        ],
        className="page-head",
    )


def facts(queries: Queries) -> Any:
    """Progress as tiles, and the categories as links."""
    found = listed.progress(queries)
    share = found.n_labelled / found.n_firing if found.n_firing else None
    silent = f"and {found.n_silent:,} that never fire" if found.n_silent else "of those that fire"
    shown_tiles = tiles(
        [
            Fact("Labelled", f"{found.n_labelled:,}", f"of {found.n_firing:,} features that fire"),
            Fact("Share", formats.share(share), silent, "Labelled features among those that fire"),
            Fact("Noted only", f"{found.n_noted:,}", "notes or category, no label"),
            Fact(
                "Mean confidence",
                formats.ABSENT if found.mean_confidence is None else f"{found.mean_confidence:.0f} %",
                "of labels that have one",
            ),
            Fact("Authors", f"{found.n_authors:,}", "of what is said now"),
        ]
    )
    return [shown_tiles, _categories(queries)]


def _categories(queries: Queries) -> Any:
    counted = queries.labels.categories()
    if not counted:
        return None
    chips = [
        dcc.Link(
            [
                html.Span(shown(name, 40), className="chip-feature"),
                html.Span(f"{n:,}", className="chip-detail"),
            ],
            href=queries.href(with_parameters("/labels", {"category": f"equals:{shown(name)}"})),
            className="feature-chip",
        )
        for name, n in list(counted.items())[:CATEGORIES_SHOWN]
    ]
    left_out = len(counted) - len(chips)
    more = [html.Span(f"and {left_out:,} more", className="dim")] if left_out > 0 else []
    return html.Div([html.Span("Categories", className="dim"), *chips, *more], className="chips categories")


def listing(queries: Queries, view: grid.View) -> list[Any]:
    """Everything labelled or noted, in a grid."""
    search = search_field("labels-search", view.search, "Search labels, notes or tokens", "Search labels")
    count = html.Span(id="labels-count", className="dim", role="status")
    shown_view = view if view.sorts else replace(view, sorts=listed.NEWEST_FIRST)
    shown_grid = feature_grid(queries.feature_table(), shown_view, COLUMNS, "labels-grid", choosing=False)
    hint = html.Div(_hint(queries), id="labels-hint")
    return [
        html.Div(
            [
                html.H2("Labelled or noted", className="panel-title"),
                count,
                html.Div(className="grow"),
                search,
            ],
            className="grid-bar",
        ),
        hint,
        dcc.Store(id="labels-version", data=queries.labels.version()),
        dcc.Interval(id="labels-clock", interval=5000),
        shown_grid,
    ]


def _hint(queries: Queries) -> Any:
    """What to do where nothing is said yet."""
    nothing = "Nothing is labelled yet. Press “Start labelling”, or import a file"
    return None if queries.labels.said() else empty(nothing)


def answer(queries: Queries, request: object, search: object) -> tuple[Mapping[str, Any], str]:
    """A block of rows for the grid, and how many there are."""
    try:
        view, rows = grid.view_of_request(request, search), grid.rows_asked(request)
        page = listed.said_rows(queries, view, rows)
        total = len(queries.labels.said())
    except LightwellError as error:
        return NO_ROWS, str(error)
    words = formats.plural(total, "feature")
    return (
        {"rowData": page.rows, "rowCount": page.n_rows},
        words if page.n_rows == total else f"{page.n_rows:,} of {words}",
    )


def register(app: Dash, queries: Queries) -> None:
    """Rows on demand, and what others write meanwhile."""

    search = State("labels-search", "value")
    answer_requests(app, "labels-grid", "labels-count", partial(answer, queries), search)

    @app.callback(
        Output("labels-version", "data"),
        Output("label-progress", "children"),
        Output("labels-hint", "children"),
        Input("labels-clock", "n_intervals"),
        State("labels-version", "data"),
        prevent_initial_call=True,
    )
    def look(_ticks: object, known: object) -> Any:
        version = queries.labels.version()
        if version == known:
            return no_update, no_update, no_update
        return version, facts(queries), _hint(queries)

    for part in (review_panel, set_panel, import_panel):
        part.register(app, queries)
    in_browser(app, "rememberLabels", Input("labels-grid", "getRowsRequest"), search)
    in_browser(app, "refreshLabels", Input("labels-search", "value"), Input("labels-version", "data"))


PAGE = Page(
    "/labels",
    "Labels",
    "Everything labelled or noted, progress, the review queue, import and export, feature sets.",
    layout,
    register,
)
