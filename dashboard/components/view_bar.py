"""What stands above the feature table: its view in words, columns to choose, saved views, exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import dash_mantine_components as dmc
import polars as pl
from dash import dcc, html

from dashboard import columns, formats, grid
from dashboard.address import with_parameters
from dashboard.columns import BY_NAME, COLUMNS
from dashboard.components.browser import spoken
from dashboard.components.menus import button_words, menu_target, popover
from dashboard.labelling.text import shown as written
from dashboard.queries import Queries
from dashboard.saved_views import SavedView
from precompute.export.files import FORMATS

TEST_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "equals": "=",
        "notEqual": "≠",
        "lessThan": "<",
        "lessThanOrEqual": "≤",
        "greaterThan": ">",
        "greaterThanOrEqual": "≥",
        "contains": "contains",
        "notContains": "does not contain",
        "startsWith": "begins with",
        "endsWith": "ends with",
        "blank": "is empty",
        "notBlank": "is not empty",
    }
)


def address_of(view: grid.View, shown: Sequence[str]) -> str:
    """The address of a view with these columns."""
    parameters = {**grid.parameters_of_view(view), **columns.columns_parameter(tuple(shown))}
    return with_parameters("/features", parameters)


def filter_chips(queries: Queries, view: grid.View, shown: Sequence[str]) -> list[Any]:
    """Every filter in words, also those of columns that are not shown, each with a link that takes it off."""
    chips: list[Any] = [
        _chip(
            queries,
            in_words(asked),
            address_of(replace(view, filters=tuple(f for f in view.filters if f != asked)), shown),
        )
        for asked in view.filters
    ]
    if view.members:
        without = address_of(replace(view, members=""), shown)
        chips.append(_chip(queries, f"In the set “{written(view.members)}”", without))
    if len(chips) > 1:
        nothing = address_of(replace(view, filters=(), members=""), shown)
        chips.append(dcc.Link("Clear all", href=queries.href(nothing), className="filter-clear"))
    return chips


def _chip(queries: Queries, words: str, without: str) -> html.Span:
    off = dcc.Link(
        html.Span("×", **spoken(f"Remove the filter: {words}"), role="img"),
        href=queries.href(without),
        className="filter-off",
        title="Remove this filter",
    )
    return html.Span([html.Span(words), off], className="filter-chip")


def in_words(asked: grid.Filter) -> str:
    """A filter as people read it; shares in percent, as in the table."""
    column = BY_NAME[asked.column]
    if asked.test == "inRange":
        return f"{column.heading} from {_value(asked.value, column)} to {_value(asked.to, column)}"
    value = "" if asked.test in grid.WITHOUT_VALUE else f" {_value(asked.value, column)}"
    return f"{column.heading} {TEST_WORDS[asked.test]}{value}"


def _value(value: object, column: columns.Column) -> str:
    if isinstance(value, str):
        return f"“{value}”"
    number = float(str(value))
    return formats.short_share(number) if column.kind == "share" else f"{number:.6g}"


def column_menu(table: pl.DataFrame, shown: Sequence[str]) -> dmc.Popover:
    """Columns to choose, each with its explanation; the number always stays."""
    boxes = [
        dmc.Checkbox(
            label=column.heading, description=column.explanation, value=column.name, size="xs", radius=3
        )
        for column in COLUMNS
        if column.name in table.columns and column.name != "feature"
    ]
    chosen = [name for name in shown if name != "feature"]
    group = dmc.CheckboxGroup(
        html.Div(boxes, className="column-boxes"), id="columns", value=chosen, **spoken("Columns")
    )
    usual = html.Button("Usual columns", id="usual-columns", className="small-button", n_clicks=0)
    store = dcc.Store(id="standard-columns", data=list(columns.STANDARD))
    return popover("Columns", [group, usual, store], "columns-button", width=340)


def views_menu(queries: Queries, saved: Sequence[SavedView], problem: str = "") -> dmc.Popover:
    """Named views as links, and a field that names the present one."""
    field = dmc.TextInput(
        id="view-name",
        placeholder="Name of this view",
        size="xs",
        **spoken("Name of this view"),
    )
    save = html.Button("Save", id="save-view", className="small-button", n_clicks=0)
    parts = [
        html.Div(saved_list(queries, saved, problem), id="saved-views"),
        html.Div([field, save], className="view-form"),
        html.P("Filters, sort, search and columns, under a name that every browser sees.", className="dim"),
        dcc.Store(id="view-to-save"),
    ]
    return popover("Views", parts, "views-button", width=320)


def saved_list(queries: Queries, saved: Sequence[SavedView], problem: str = "") -> Any:
    """The saved views, or why there is none."""
    if problem:
        return html.P(f"{problem}.", className="dim", role="status")
    if not saved:
        return html.P("No view is saved yet.", className="dim", role="status")
    return html.Ul([_saved(queries, view) for view in saved], className="saved-views")


def _saved(queries: Queries, view: SavedView) -> html.Li:
    link = dcc.Link(view.name, href=queries.href(view.path), className="saved-view", title=view.query)
    button = html.Button(
        "×",
        id={"type": "forget-view", "name": view.name},
        className="forget",
        title="Remove this view",
        **spoken(f"Remove the view {view.name}"),
    )
    return html.Li([link, button])


def export_menu(queries: Queries) -> dmc.Menu:
    """Links to the whole view as a file; the browser adds the address's parameters.

    With a target of their own, links are followed as the document has them, not as they were sent.
    """
    items = [
        dmc.MenuItem(
            chosen.label, href=queries.href(f"/features.{ending}"), target="_top", className="exports"
        )
        for ending, chosen in FORMATS.items()
    ]
    label = dmc.MenuLabel("All filtered rows, shown columns")
    return dmc.Menu(
        [
            menu_target(button_words("Export"), "bar-button", "export-button"),
            dmc.MenuDropdown([label, *items]),
        ],
        position="bottom-end",
        shadow="md",
    )


def compare_link(queries: Queries) -> dcc.Link:
    """Opens the chosen rows side by side; the browser counts them."""
    return dcc.Link(
        "Compare",
        id="compare-chosen",
        href=queries.href("/compare"),
        className="bar-button off",
        title="Choose 2 to 10 rows (checkbox, or Space on a row), then press c",
    )
