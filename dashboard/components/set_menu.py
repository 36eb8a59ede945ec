"""The menu of feature sets above the table: those there are, and a new one from the view or chosen rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html

from dashboard import formats
from dashboard.address import with_parameters
from dashboard.components.browser import in_browser, spoken
from dashboard.components.choices import longest
from dashboard.components.label_editor import author_field
from dashboard.components.menus import popover
from dashboard.grid import SET_PARAMETER
from dashboard.labelling import set_making
from dashboard.labelling.text import shown
from dashboard.queries import Queries
from dashboard.tables import optional
from precompute.errors import LightwellError
from precompute.labels.content import LONGEST_NAME


def set_path(name: str) -> str:
    """The address of the feature table with the features of a set."""
    return with_parameters("/features", {SET_PARAMETER: name})


def set_menu(queries: Queries) -> dmc.Popover:
    """Sets as links, and a field that names a new one."""
    known = [entry.name for entry in optional(queries.labels.sets) or ()]
    name = dmc.Autocomplete(
        id="set-name",
        data=known,
        limit=50,
        placeholder="Name of a set, new or not",
        attributes=longest(LONGEST_NAME),
        size="xs",
        **spoken("Name of a set"),
    )
    buttons = [
        html.Button("All rows of the view", id="set-from-view", className="small-button", n_clicks=0),
        html.Button("Chosen rows", id="set-from-chosen", className="small-button", n_clicks=0),
    ]
    parts = [
        html.Div(set_list(queries), id="set-list"),
        html.Div([name, author_field(queries)], className="view-form"),
        html.Div([html.Span("Put into it:", className="dim"), *buttons], className="set-sources"),
        html.Div(id="set-made", className="dim", role="status"),
        dcc.Store(id="set-asked"),
    ]
    return popover("Sets", parts, "sets-button", width=360)


def set_list(queries: Queries) -> Any:
    """Every set with its size, as a link to its features."""
    try:
        found = queries.labels.sets()
    except LightwellError as error:
        return html.P(f"{error}.", className="dim", role="status")
    if not found:
        return html.P("There is no set yet.", className="dim", role="status")
    items = [
        html.Li(
            [
                dcc.Link(shown(entry.name), href=queries.href(set_path(entry.name)), className="saved-view"),
                html.Span(f"{len(entry.features):,}", className="dim"),
            ]
        )
        for entry in found
    ]
    return html.Ul(items, className="saved-views")


def make(queries: Queries, asked: object, author: object) -> tuple[Any, Any]:
    """Put features into a set; the new list, and what was done in words."""
    order = asked if isinstance(asked, Mapping) else {}
    try:
        made = set_making.put(queries, order.get("name"), set_making.asked_features(queries, asked), author)
    except LightwellError as error:
        return set_list(queries), f"{error}."
    return set_list(queries), told(made)


def told(made: set_making.Made) -> str:
    """What became of a set, in words."""
    size = formats.plural(made.n_features, "feature")
    name = f"“{shown(made.name, 40)}”"
    return f"Made {name}: {size}." if made.is_new else f"{made.n_added:,} new in {name}, now {size}."


def register(app: Dash, queries: Queries) -> None:
    """A new set at the press of a button."""

    @app.callback(
        Output("set-list", "children"),
        Output("set-made", "children"),
        Input("set-asked", "data"),
        State("label-author", "value"),
        prevent_initial_call=True,
    )
    def put(asked: object, author: object) -> Any:
        return make(queries, asked, author)

    sources = [Input("set-from-view", "n_clicks"), Input("set-from-chosen", "n_clicks")]
    given = [State("set-name", "value"), State("grid", "selectedRows")]
    in_browser(app, "askForSet", *sources, *given, to=Output("set-asked", "data"))
