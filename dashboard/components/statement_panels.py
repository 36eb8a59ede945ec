"""Beside the map of statements: what lights up as a table, what sets it apart, and one opened statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
import polars as pl
from dash import html

from dashboard import formats
from dashboard.components.elements import table
from dashboard.components.menus import button_words, menu_target
from dashboard.components.panels import empty, panel
from dashboard.components.prompt_panels import feature_link
from dashboard.components.sorted_grid import sorted_grid
from dashboard.embedded import OpenedSet
from dashboard.grid import Sort
from dashboard.queries import Queries
from dashboard.questions.passages import named
from dashboard.questions.statement_features import FEWEST_READ, apart
from dashboard.questions.statements import StatementView, lit
from dashboard.sorted_rows import GridColumn
from dashboard.token_view import visible
from precompute.export.files import FORMATS

MOST_COLUMNS = 6
"""Columns of the dataset's own in the table; a file has all."""
OWN_COLUMNS = (
    GridColumn("row", "Row", "Place of the statement in its dataset, from 0.", 76, "StatementCell"),
    GridColumn("text", "Statement", "Its text, in one line and cut.", 480, "TextCell", sortable=False),
    GridColumn(
        "cosine",
        "Cosine",
        "Cosine with the text that is searched by meaning; empty without one.",
        84,
        formatter="lightwellDecimal",
    ),
    GridColumn(
        "activation",
        "Activation",
        "Greatest activation of the chosen SAE feature on its tokens; empty where that is not known.",
        96,
        formatter="lightwellDecimal",
    ),
    GridColumn(
        "weight",
        "Density weight",
        "Chance to be drawn in shares of the uniform one, by the mean distance to its nearest statements: "
        "above 1 in sparse regions.",
        86,
        formatter="lightwellDecimal",
    ),
    GridColumn("cluster", "Cluster", "Number of its cluster, 0 the largest; -1 is none.", 84),
)


def shown_columns(opened: OpenedSet, view: StatementView) -> tuple[GridColumn, ...]:
    """The columns of the table, without those that a view has no numbers for; a script shows them later."""
    empty_ones = {"cosine": not view.meaning, "activation": view.feature is None}
    return tuple(
        replace(column, hidden=empty_ones.get(column.name, False)) for column in grid_columns(opened)
    )


def grid_columns(opened: OpenedSet) -> tuple[GridColumn, ...]:
    """The columns of the table: ours, then the dataset's."""
    taken = {column.name for column in OWN_COLUMNS}
    names = [name for name in opened.metadata_columns if name not in taken][:MOST_COLUMNS]
    kinds = opened.schema
    own = [
        GridColumn(
            name,
            visible(name, keep_spaces=True),
            "A column of the dataset.",
            110,
            "TextCell" if kinds[name] == pl.String else None,
        )
        for name in names
        # A dot in a name would be taken for a path within the row.
        if "." not in name
    ]
    return (*OWN_COLUMNS, *own)


def order(view: StatementView, sorts: Sequence[Sort]) -> Sequence[Sort]:
    """The order of the table: as asked, or the nearest in meaning first."""
    return sorts or ((Sort("cosine", descending=True),) if view.meaning else ())


def table_panel(opened: OpenedSet, view: StatementView, sorts: Sequence[Sort]) -> html.Div:
    """What lights up, as a table."""
    columns = shown_columns(opened, view)
    grid = sorted_grid("emb-grid", columns, sorts, "Statements that light up on the map", row_id="row")
    return html.Div(grid, className="map-table-panel")


def export_menu(queries: Queries) -> dmc.Menu:
    """Links to what lights up as a file; the browser adds the address's parameters."""
    items = [
        dmc.MenuItem(
            chosen.label, href=queries.href(f"/embeddings.{ending}"), target="_top", className="exports"
        )
        for ending, chosen in FORMATS.items()
    ]
    label = dmc.MenuLabel("What lights up, all columns")
    target = menu_target(button_words("Export"), "bar-button", "emb-export")
    return dmc.Menu([target, dmc.MenuDropdown([label, *items])], position="bottom-end", shadow="md")


# What sets a selection apart.


def apart_panel(queries: Queries, opened: OpenedSet, view: StatementView) -> Any:
    """The features that tell what lights up from the rest."""
    rows = lit(queries, opened, view)
    if rows is None or not len(rows):
        return empty("Search, or choose a cluster or an area: then the features that set it apart are listed")
    found = apart(queries, opened, rows)
    if min(found.n_inside, found.n_outside) < FEWEST_READ:
        return empty(
            f"Activations of {queries.model_type.name} are known on {found.n_inside:,} distinct texts that "
            f"light up and on {found.n_outside:,} others; {FEWEST_READ} of each are needed"
        )
    names = named(queries, found.table["feature"].to_numpy())
    ways = [_way(queries, found.table, sign, names) for sign in (1, -1)]
    said = (
        f"{found.n_inside:,} distinct texts that light up against {found.n_outside:,} others, of those whose "
        "activations are known."
    )
    return [html.P(said, className="caption", id="emb-apart-about"), *ways]


def _way(queries: Queries, found: pl.DataFrame, sign: int, names: Mapping[int, str]) -> html.Div:
    rows = found.filter(pl.col("effect") * sign > 0).iter_rows(named=True)
    lines = [_apart_row(queries, row, names) for row in rows]
    title = "Fire on more of what lights up" if sign > 0 else "Fire on fewer"
    if not lines:
        return html.Div([html.H3(title, className="sub"), html.P("No feature.", className="caption")])
    headings = ["Feature", "Lit", "Others", "Difference", "95 % interval", "Effect (h)"]
    shown = html.Div(
        table(headings, lines, title, kind="apart-table"), className="table-scroll tall", tabIndex=0
    )
    return html.Div([html.H3(title, className="sub"), shown])


def _apart_row(queries: Queries, row: dict[str, Any], names: Mapping[int, str]) -> list[Any]:
    return [
        feature_link(queries, row["feature"], names),
        formats.share(row["inside"]),
        formats.share(row["outside"]),
        formats.share(row["difference"]),
        f"{formats.share(row['low'])} to {formats.share(row['high'])}",
        formats.signed(row["effect"]),
    ]


def apart_frame() -> Any:
    """Where the features are listed; filled once the page is there."""
    return panel(
        "Features that set it apart",
        [html.Div(empty("Looking …"), id="emb-apart"), html.Div(id="emb-reading")],
        explanation="Shares of distinct texts on which a feature fires at least once, among those that light "
        "up and among all others. Effect: Cohen's h = 2 asin √p - 2 asin √q, about 0.2 small, 0.5 medium, "
        "0.8 large; the interval of the difference is Newcombe's. Each is for its feature alone: among "
        "thousands some are far from 0 by chance.",
        anchor="emb-apart-panel",
    )


def set_facts(opened: OpenedSet) -> str:
    """The set in one line."""
    info = opened.embedded.info
    source = "The documentation on this machine" if info["dataset"] == "documentation" else info["dataset"]
    distinct = f"{info['n_distinct']:,} distinct texts" if "n_distinct" in info else ""
    parts = (source, distinct, f"vectors of {info['d']:,} numbers, {info['dtype']}")
    return " · ".join(part for part in parts if part)
