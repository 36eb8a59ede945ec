"""Feature sets on the Labels page: their names, sizes and makers; new, renamed, removed and brought back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from dashboard.address import AddressError, shortened
from dashboard.components.browser import in_browser, spoken
from dashboard.components.choices import longest
from dashboard.components.panels import empty, panel
from dashboard.components.set_menu import set_path, told
from dashboard.labelling import set_making
from dashboard.labelling.editing import read_author
from dashboard.labelling.text import shown, when
from dashboard.queries import Queries
from precompute.errors import LightwellError
from precompute.labels.content import LONGEST_NAME
from precompute.labels.sets import FeatureSet

EXPLANATION = (
    "Named lists of features. Make one from the Features page (Sets: all rows of a view, or chosen rows), on "
    "a feature's own page, or here by numbers. A set filters the table; it can be laid over texts or ablated."
)
REMOVED_SHOWN = 5


def set_panel(queries: Queries) -> Any:
    """Every set, and a form for a new one."""
    name = dmc.TextInput(
        id="new-set-name",
        placeholder="Name",
        size="xs",
        attributes=longest(LONGEST_NAME),
        **spoken("Set name"),
    )
    numbers = dmc.TextInput(
        id="new-set-features", placeholder="Features: 1, 5, 7-9", size="xs", **spoken("Features of the set")
    )
    add = html.Button("Add", id="new-set", className="small-button", n_clicks=0)
    parts = [
        html.Div(set_table(queries), id="sets"),
        html.Div([name, numbers, add], className="new-set"),
        html.Div(id="sets-told", className="dim", role="status"),
        dcc.Store(id="set-act"),
    ]
    return panel("Feature sets", parts, explanation=EXPLANATION, anchor="sets-panel")


def set_table(queries: Queries) -> Any:
    """One line a set, and the sets that were removed last."""
    try:
        found, history = queries.labels.sets(), queries.labels.set_store.history()
    except LightwellError as error:
        return empty(f"{error}")
    rows = [_row(queries, entry) for entry in found]
    gone = [_gone(entry) for entry in _removed(found, history)[:REMOVED_SHOWN]]
    if not rows:
        return [empty("There is no set yet"), *gone]
    head = html.Tr([html.Th(n, scope="col", className=c) for n, c in HEADINGS])
    table = html.Table([html.Thead(head), html.Tbody(rows)], className="plain-table sets-table")
    return [html.Div(table, className="table-wide", tabIndex=0), *gone]


HEADINGS = (("Set", ""), ("Features", "num"), ("Changed by", "by"), ("", ""))


def _row(queries: Queries, entry: FeatureSet) -> html.Tr:
    name = dmc.TextInput(
        id={"type": "set-name", "name": entry.name},
        value=entry.name,
        debounce=True,
        size="xs",
        variant="unstyled",
        attributes=longest(LONGEST_NAME),
        **spoken(f"Name of the set {shown(entry.name)}"),
    )
    link = dcc.Link(
        f"{len(entry.features):,}", href=queries.href(set_path(entry.name)), title="Show them in the table"
    )
    by = html.Span(shown(entry.author, 24), className="dim", title=f"{when(entry.time)} UTC")
    remove = _button("Remove", "remove", entry.name, f"Remove the set {shown(entry.name)}; it can be undone")
    return html.Tr(
        [html.Td(name), html.Td(link, className="num"), html.Td(by, className="by"), html.Td(remove)]
    )


def _removed(found: tuple[FeatureSet, ...], history: tuple[FeatureSet, ...]) -> list[FeatureSet]:
    """The sets that were removed, the last one first; renamed ones are not among them."""
    there = {entry.name for entry in found}
    last = {entry.name: entry for entry in history}
    gone = [e for e in last.values() if e.name not in there and e.kind == "remove"]
    return sorted(gone, key=lambda entry: -entry.number)


def _gone(entry: FeatureSet) -> html.Div:
    words = f"“{shown(entry.name, 40)}” was removed by {shown(entry.author, 24)}, {when(entry.time)} UTC."
    back = _button("Bring back", "undo", str(entry.number), "Restore the set with its features")
    return html.Div([html.Span(words, className="dim"), back], className="set-gone")


def _button(words: str, act: str, of: str, title: str) -> html.Button:
    told_to_script: dict[str, Any] = {"data-act": act, "data-of": of, "aria-label": title}
    return html.Button(words, className="set-act quiet-act", title=title, type="button", **told_to_script)


def change(queries: Queries, asked: object, author: object) -> str:
    """Do what a button asks for, and say so. Raises AddressError or LabelError."""
    order = asked if isinstance(asked, Mapping) else {}
    store, writer, of = queries.labels.set_store, read_author(author, queries.labels), order.get("of")
    if order.get("act") == "remove" and isinstance(of, str):
        store.remove(of, writer)
        return f"Removed “{shown(of, 40)}”."
    if (
        order.get("act") == "undo"
        and isinstance(of, str)
        and of.isascii()
        and of.isdecimal()
        and len(of) < 16
    ):
        store.undo(int(of), writer)
        return "Brought back."
    if order.get("act") == "new":
        features = set_making.typed_features(order.get("features"), queries.d_sae())
        return told(set_making.put(queries, order.get("name"), features, author))
    raise AddressError(
        f"{shortened(order.get('act'))} asked of a set", "new, remove or undo", "reload the page"
    )


def rename(queries: Queries, cause: object, value: object, author: object) -> str:
    """Give a set the name that was typed in place of its own; empty where nothing changes."""
    old = cause.get("name") if isinstance(cause, Mapping) else None
    if not isinstance(old, str) or not isinstance(value, str):
        raise AddressError(f"the name {shortened(value)}", "text", "reload the page")
    if value == old:  # A list that is drawn anew reports fields that nobody touched.
        return ""
    queries.labels.set_store.rename(old, value, read_author(author, queries.labels))
    return f"Renamed to “{shown(value, 40)}”."


def register(app: Dash, queries: Queries) -> None:
    """New, renamed, removed and restored sets."""
    who = State("label-author", "value")

    @app.callback(
        Output("sets", "children"),
        Output("sets-told", "children"),
        Input("set-act", "data"),
        Input({"type": "set-name", "name": ALL}, "value"),
        who,
        prevent_initial_call=True,
    )
    def act(asked: object, _names: object, author: object) -> Any:
        try:
            cause = ctx.triggered_id
            is_name = isinstance(cause, Mapping)
            words = (
                rename(queries, cause, ctx.triggered[0]["value"], author)
                if is_name
                else change(queries, asked, author)
            )
        except LightwellError as error:
            words = f"{error}."
        return (set_table(queries), words) if words else (no_update, no_update)

    form = [State("new-set-name", "value"), State("new-set-features", "value")]
    in_browser(app, "newSet", Input("new-set", "n_clicks"), *form, to=Output("set-act", "data"))
