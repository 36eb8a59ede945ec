"""Feature sets on the map: one that lights up, and one made of what lights up."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html

from dashboard.components.browser import spoken
from dashboard.components.choices import longest
from dashboard.components.label_editor import author_field
from dashboard.components.menus import popover
from dashboard.components.set_menu import told
from dashboard.labelling import set_making
from dashboard.labelling.text import shown
from dashboard.queries import Queries
from dashboard.questions.feature_map import CHOICES, MapView, lit, map_view
from dashboard.tables import optional
from precompute.errors import LightwellError
from precompute.labels.content import LONGEST_NAME


def set_field(queries: Queries, view: MapView) -> dmc.Select:
    """The set that lights up."""
    known = optional(queries.labels.sets) or ()
    data = [
        {"value": entry.name, "label": f"{shown(entry.name, 40)} ({len(entry.features):,})"}
        for entry in known
    ]
    return dmc.Select(
        id="map-set",
        data=data,
        value=view.members or None,
        searchable=True,
        clearable=True,
        clearButtonProps=spoken("Choose no set"),
        nothingFoundMessage="No set has this name",
        placeholder="Set",
        size="xs",
        w=130,
        **spoken("Feature set that lights up"),
    )


def set_menu(queries: Queries) -> dmc.Popover:
    """A name for what lights up."""
    name = dmc.Autocomplete(
        id="map-set-name",
        data=[entry.name for entry in optional(queries.labels.sets) or ()],
        limit=50,
        placeholder="Name of a set, new or not",
        attributes=longest(LONGEST_NAME),
        size="xs",
        **spoken("Name of a set"),
    )
    button = html.Button("Put what lights up into it", id="map-set-put", className="small-button", n_clicks=0)
    parts = [
        html.Div([name, author_field(queries)], className="view-form"),
        html.Div(
            [button, html.Span(id="map-set-made", className="dim", role="status")], className="set-sources"
        ),
    ]
    return popover("Keep as set", parts, "map-sets-button", width=360)


def make(queries: Queries, name: object, author: object, chosen: tuple[object, ...]) -> tuple[str, Any]:
    """Put what a view lights up into a set: what was done in words, and the sets there are."""
    try:
        view = map_view(queries, dict(zip(CHOICES[1:], chosen, strict=True)))
        words = told(set_making.put(queries, name, lit(queries, view)["feature"].to_list(), author))
    except LightwellError as error:
        words = f"{error}."
    return words, set_field(queries, MapView()).data


def register(app: Dash, queries: Queries, fields: list[State]) -> None:
    """A set at the press of a button, of what the fields of the map choose."""

    @app.callback(
        Output("map-set-made", "children"),
        Output("map-set", "data"),
        Input("map-set-put", "n_clicks"),
        State("map-set-name", "value"),
        State("label-author", "value"),
        *fields,
        prevent_initial_call=True,
    )
    def put(_presses: object, name: object, author: object, *chosen: object) -> tuple[str, Any]:
        return make(queries, name, author, chosen)
